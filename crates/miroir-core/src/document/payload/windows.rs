//! Checking a large body piece by piece, so that nobody has to hold it in one piece of memory.
//!
//! ```text
//!            [                 {…}                 ,
//!  opening -----> first -----------------> after <---> next
//!                                            | ]        (a stream is in `next` all the time)
//!                                            v
//!                                          closed
//! ```
//!
//! This way takes only what is surely right. For everything else, an error among them, the body has to be looked at as a
//! whole, which finds the answer that Meilisearch gives.

use bytes::Bytes;
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::json::Documents;
use super::{Payload, PayloadFormat};

/// How much of a body to look at together: with the markers of its documents not much more than one part.
pub const WINDOW_BYTES: usize = 6 << 20;

/// The body can't be judged this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear;

/// See the module.
#[derive(Debug)]
pub struct Windows {
    place: ReadPosition,
    payload: Payload,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadPosition {
    /// Before an array.
    Opening,
    /// In an array, before its first document.
    First,
    /// Behind a document of an array.
    After,
    /// Behind a comma.
    Next,
    /// Behind the array: whatever stands there is not read.
    Closed,
    /// In a stream, between two documents.
    Stream,
}

impl Windows {
    /// Before the first piece of a body of this format; none for a format that is read as a whole.
    pub fn begin(format: PayloadFormat) -> Option<Self> {
        let place = match format {
            PayloadFormat::Json => ReadPosition::Opening,
            PayloadFormat::Ndjson => ReadPosition::Stream,
            PayloadFormat::Csv { .. } => return None,
        };
        Some(Self { place, payload: Payload::default() })
    }

    /// Takes the documents that end in this piece. Answers how many bytes are done with: the next piece has to begin
    /// there. None of them means that the piece ends in the middle of its first document.
    pub fn take(&mut self, window: &Bytes) -> Result<usize, Unclear> {
        let mut documents = Documents::in_body(window);
        let mut at = 0;
        while let Some(byte) = window.get(at) {
            match (self.place, byte) {
                (ReadPosition::Closed, _) => at = window.len() - 1,
                (_, b' ' | b'\t' | b'\n' | b'\r') => {}
                (ReadPosition::Opening, b'[') => self.place = ReadPosition::First,
                (ReadPosition::After, b',') => self.place = ReadPosition::Next,
                (ReadPosition::After, b']') => self.place = ReadPosition::Closed,
                (ReadPosition::First | ReadPosition::Next | ReadPosition::Stream, b'{') => {
                    let Some(document) = first_value(&window[at..])? else { break };
                    documents.add(document).map_err(|_| Unclear)?;
                    at += document.get().len();
                    if self.place != ReadPosition::Stream {
                        self.place = ReadPosition::After;
                    }
                    continue;
                }
                _ => return Err(Unclear),
            }
            at += 1;
        }
        let found = documents.finish().map_err(|_| Unclear)?;
        let taken = match self.place {
            ReadPosition::Stream => found.unchanged(window),
            _ => found.with_rewritten(window),
        };
        self.payload.parts.extend(taken.parts);
        Ok(at)
    }

    /// The whole payload, when the last piece was taken to its end.
    pub fn finish(self) -> Result<Payload, Unclear> {
        match self.place {
            ReadPosition::Closed => Ok(self.payload),
            ReadPosition::Stream if !self.payload.is_empty() => Ok(self.payload),
            ReadPosition::Opening
            | ReadPosition::First
            | ReadPosition::After
            | ReadPosition::Next
            | ReadPosition::Stream => Err(Unclear),
        }
    }
}

/// None if it does not end here.
fn first_value(bytes: &[u8]) -> Result<Option<&RawValue>, Unclear> {
    match Deserializer::from_slice(bytes).into_iter::<&RawValue>().next() {
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(error)) if error.is_eof() => Ok(None),
        Some(Err(_)) | None => Err(Unclear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::check_payload;

    /// Takes a body in pieces of so many bytes, and of more where a document does not fit in.
    fn in_pieces(format: PayloadFormat, body: &str, size: usize) -> Result<Vec<String>, Unclear> {
        let mut windows = Windows::begin(format).unwrap();
        let (mut start, mut length) = (0, size);
        while start < body.len() {
            let end = (start + length).min(body.len());
            let taken = windows.take(&Bytes::copy_from_slice(&body.as_bytes()[start..end]))?;
            if taken == 0 && end == body.len() {
                return Err(Unclear);
            }
            length = if taken == 0 { 2 * length } else { size };
            start += taken;
        }
        let payload = windows.finish()?;
        Ok(payload.iter().map(|document| String::from_utf8(document.to_vec()).unwrap()).collect())
    }

    fn as_a_whole(format: PayloadFormat, body: &str) -> Vec<String> {
        let payload = check_payload(format, &Bytes::copy_from_slice(body.as_bytes())).unwrap();
        payload.iter().map(|document| String::from_utf8(document.to_vec()).unwrap()).collect()
    }

    #[test]
    fn pieces_of_every_size_hold_the_documents_of_the_whole() {
        let array = " [ {\"id\":1} ,{\"id\":2,\"text\":\"é]},{\\\"\"},\n{\"id\":3,\"id\":4,\"deep\":{\"a\":[{}]}}\t] tail [";
        let stream = "{\"id\":1}{\"id\":2,\"id\":3}\n \r\n{\"id\":\"{\"}\n";
        for (format, body) in [(PayloadFormat::Json, array), (PayloadFormat::Ndjson, stream)] {
            let whole = as_a_whole(format, body);
            assert_eq!(whole.len(), 3);
            for size in 1..=body.len() {
                assert_eq!(in_pieces(format, body, size).as_ref(), Ok(&whole), "{format} by {size}");
            }
        }
    }

    #[test]
    fn whatever_may_be_wrong_is_left_to_a_look_at_the_whole() {
        let arrays = [
            "{\"id\":1}",
            "[]",
            "[{\"id\":1},]",
            "[{\"id\":1} {\"id\":2}]",
            "[{\"id\":1}",
            "[{\"id\":1},7]",
            "[{\"id\":tru}]",
            "[,{}]",
            "7",
            "[{\"_miroir_shard_001\":1}]",
        ];
        let streams = ["", "[{\"id\":1}]", "{\"id\":1},{\"id\":2}", "{\"id\":1", "{\"id\":1}7"];
        let all = [(PayloadFormat::Json, &arrays[..]), (PayloadFormat::Ndjson, &streams[..])];
        for (format, bodies) in all {
            for body in bodies {
                for size in [1, 3, 100] {
                    assert_eq!(in_pieces(format, body, size), Err(Unclear), "{format} {body} by {size}");
                }
            }
        }
        assert!(Windows::begin(PayloadFormat::Csv { delimiter: b',' }).is_none());
    }
}
