//! Bodies on their way in. A large one waits in a file until all of it is there: however many clients send,
//! and however slowly, memory holds only what is worked on.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use miroir_core::document::{
    Payload, PayloadError, PayloadFormat, Unclear, WINDOW_BYTES, Windows, check_payload,
};

use super::body::Unread;
use crate::error::RequestError;
use crate::memory::MemoryPermit;
use crate::write::Writer;

/// Bytes of a body, and of a piece on its way into the file, that are held in memory.
const IN_MEMORY: usize = 1 << 20;

/// A body that has arrived.
#[derive(Debug)]
pub(super) enum Spooled {
    Small(Bytes),
    /// Bytes in the file, and those behind them.
    Large(File, Vec<u8>),
}

/// Checked documents, with their place among the payloads in memory.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) payload: Payload,
    /// None for a payload that needs none. To be dropped after the payload.
    pub(super) place: Option<MemoryPermit>,
}

/// Reads a body of at most `limit` bytes and checks what it holds. The file has no name, so nothing is left of it if this
/// is not finished.
pub(super) async fn read(
    body: Body,
    format: PayloadFormat,
    limit: usize,
    folder: &Path,
    writer: &Writer,
) -> Result<Checked, RequestError> {
    let (spooled, size) = collect(body, limit, IN_MEMORY, folder).await?;
    let place = match &spooled {
        Spooled::Small(_) => None,
        Spooled::Large(..) => Some(writer.enter_room(size).await),
    };
    let payload = blocking(move || spooled.check(format, size)).await?;
    let payload = payload.map_err(|error: PayloadError| RequestError::Refused(error.into()))?;
    Ok(Checked { payload, place })
}

/// A body of at most `limit` bytes, and its size. What is beyond `in_memory` bytes goes into a file.
pub(super) async fn collect(
    body: Body,
    limit: usize,
    in_memory: usize,
    folder: &Path,
) -> Result<(Spooled, usize), Unread> {
    let mut stream = body.into_data_stream();
    let mut held = Vec::new();
    let mut file: Option<File> = None;
    let mut size = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| Unread::broken(&error))?;
        size += piece.len();
        if size > limit {
            return Err(Unread::TooLarge(limit));
        }
        if held.len() + piece.len() > in_memory {
            let folder = folder.to_owned();
            let full = std::mem::take(&mut held);
            file = Some(in_background(move || append(file, &folder, &full)).await.map_err(Unread::Spool)?);
        }
        held.extend_from_slice(&piece);
    }
    Ok(match file {
        Some(file) => (Spooled::Large(file, held), size),
        None => (Spooled::Small(held.into()), size),
    })
}

fn append(file: Option<File>, folder: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = file.map_or_else(|| tempfile::tempfile_in(folder), Ok)?;
    file.write_all(bytes)?;
    Ok(file)
}

impl Spooled {
    fn check(self, format: PayloadFormat, size: usize) -> io::Result<Result<Payload, PayloadError>> {
        let (mut file, rest) = match self {
            Self::Small(bytes) => return Ok(check_payload(format, &bytes)),
            Self::Large(file, rest) => (file, rest),
        };
        file.rewind()?;
        if let Some(windows) = Windows::begin(format)
            && let Ok(payload) = check_by_windows(windows, (&file).chain(&rest[..]), WINDOW_BYTES)?
        {
            return Ok(Ok(payload));
        }
        let bytes = whole(&mut file, &rest, size)?;
        Ok(check_payload(format, &bytes))
    }

    /// All of it in memory.
    pub(super) fn bytes(&mut self, size: usize) -> io::Result<Bytes> {
        match self {
            Self::Small(bytes) => Ok(bytes.clone()),
            Self::Large(file, rest) => whole(file, rest, size),
        }
    }
}

fn whole(file: &mut File, rest: &[u8], size: usize) -> io::Result<Bytes> {
    file.rewind()?;
    let mut bytes = Vec::with_capacity(size);
    file.read_to_end(&mut bytes)?;
    bytes.extend_from_slice(rest);
    Ok(bytes.into())
}

/// Many small pieces of memory instead of a large one, which would have to be found anew for each body.
fn check_by_windows(
    mut windows: Windows,
    mut body: impl Read,
    window_bytes: usize,
) -> io::Result<Result<Payload, Unclear>> {
    let mut left = Bytes::new();
    let mut wanted = window_bytes;
    loop {
        let mut window = Vec::with_capacity(wanted);
        window.extend_from_slice(&left);
        let fresh = wanted - window.len();
        let read = body.by_ref().take(fresh as u64).read_to_end(&mut window)?;
        let window = Bytes::from(window);
        let taken = match windows.take(&window) {
            Ok(taken) => taken,
            Err(unclear) => return Ok(Err(unclear)),
        };
        if read < fresh {
            return Ok(if taken == window.len() { windows.finish() } else { Err(Unclear) });
        }
        left = Bytes::copy_from_slice(&window[taken..]);
        // A document that does not fit is given twice the room.
        wanted = window_bytes.max(2 * left.len());
    }
}

/// Does what waits for the disk, or computes for long, on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RequestError> {
    in_background(work).await.map_err(RequestError::Spool)
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_windows(body: &str, size: usize) -> Result<Vec<String>, Unclear> {
        let windows = Windows::begin(PayloadFormat::Json).unwrap();
        let payload = check_by_windows(windows, body.as_bytes(), size).unwrap()?;
        Ok(payload.iter().map(|document| String::from_utf8(document.to_vec()).unwrap()).collect())
    }

    #[test]
    fn a_body_is_read_in_windows_of_any_size_whatever_its_documents_have() {
        let long = format!("{{\"id\":2,\"text\":\"{}\"}}", "x".repeat(50));
        let body = format!("[{{\"id\":1}}, {long} ,{{\"id\":3}}]");
        let documents = ["{\"id\":1}", &long, "{\"id\":3}"];
        for size in 1..=2 * body.len() {
            assert_eq!(by_windows(&body, size).unwrap(), documents, "{size}");
            assert_eq!(by_windows(&body[..body.len() - 1], size), Err(Unclear), "{size}");
        }
    }
}
