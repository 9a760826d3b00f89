//! Bodies of documents on their way in. A large one waits in a file until all of it is there: however many clients send,
//! and however slowly, memory holds only what is worked on.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;

use super::body::{incomplete, too_large};
use super::error::HttpError;
use crate::write::{Place, Writer};

/// Bytes of a body, and of a piece on its way into the file, that are held in memory.
const IN_MEMORY: usize = 1 << 20;

/// A whole body, with its place among those in memory.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) bytes: Bytes,
    /// None for a body that needs none. To be dropped after the bytes.
    pub(super) place: Option<Place>,
}

/// Reads a body of at most `limit` bytes. The file has no name, so nothing is left of it if this is not finished.
pub(super) async fn read(
    body: Body,
    limit: usize,
    folder: &Path,
    writer: &Writer,
) -> Result<Spooled, HttpError> {
    let mut stream = body.into_data_stream();
    let mut held = Vec::new();
    let mut file: Option<File> = None;
    let mut size = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| incomplete())?;
        size += piece.len();
        if size > limit {
            return Err(too_large(limit));
        }
        if held.len() + piece.len() > IN_MEMORY {
            let folder = folder.to_owned();
            let full = std::mem::take(&mut held);
            file = Some(blocking(move || append(file, &folder, &full)).await?);
        }
        held.extend_from_slice(&piece);
    }
    let Some(file) = file else { return Ok(Spooled { bytes: held.into(), place: None }) };
    let place = writer.enter_room(size).await;
    let bytes = blocking(move || read_back(file, &held, size)).await?;
    Ok(Spooled { bytes, place: Some(place) })
}

fn append(file: Option<File>, folder: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = file.map_or_else(|| tempfile::tempfile_in(folder), Ok)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn read_back(mut file: File, rest: &[u8], size: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(size);
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    bytes.extend_from_slice(rest);
    Ok(bytes.into())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, HttpError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(HttpError::Spool)
}
