//! One piece of a payload, cut between two documents.

use std::ops::Range;

use bytes::Bytes;

use super::{Payload, PayloadError, json};

/// The bytes of a part with the marker of each of its documents, unless one document alone has more. Far below the
/// 100 MB that a node takes in one request, and small enough for several to be in memory at once. Nodes put parts that
/// follow each other into one batch, so smaller ones gain nothing there.
const PART_BYTES: usize = 8 << 20;

/// What a node's body has more than the payload for each document: `{"_miroir_shard_0007":null,` and a line break.
const MARKER_BYTES: usize = 32;

/// Documents that stand together in a payload: every range is one JSON object, braces included, in valid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From the first document's opening brace to the last one's closing brace: the client's own bytes where possible.
    pub bytes: Bytes,
    /// The place of each document, in the client's order.
    pub documents: Vec<Range<usize>>,
}

impl Part {
    /// Finds the documents again in the bytes of a part, or in a whole body as it was stored before there were parts.
    pub fn restore(bytes: Bytes) -> Result<Self, PayloadError> {
        let documents = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => json::find_in_array(&bytes)?,
            _ => json::find_in_part(&bytes)?,
        };
        Ok(Self { bytes, documents })
    }

    /// The documents as they stand in the bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.documents.iter().map(|place| &self.bytes[place.clone()])
    }

    /// The same part, as if the documents at these places were not in it. The places are in order.
    #[must_use]
    pub fn without(mut self, places: &[usize]) -> Self {
        let mut place = 0;
        self.documents.retain(|_| {
            place += 1;
            places.binary_search(&(place - 1)).is_err()
        });
        self
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}

impl Payload {
    /// The documents at these places, in parts of the usual size.
    pub(super) fn cut(bytes: &Bytes, places: Vec<Range<usize>>) -> Self {
        cut(bytes, places, PART_BYTES)
    }
}

fn cut(bytes: &Bytes, places: Vec<Range<usize>>, limit: usize) -> Payload {
    let mut parts = Vec::new();
    let mut begun: Option<Part> = None;
    let mut start = 0;
    for place in places {
        if let Some(part) = &begun
            && place.end - start + (part.len() + 1) * MARKER_BYTES > limit
        {
            parts.extend(begun.take());
        }
        let part = begun.get_or_insert_with(|| {
            start = place.start;
            Part { bytes: Bytes::new(), documents: Vec::new() }
        });
        part.bytes = bytes.slice(start..place.end);
        part.documents.push(place.start - start..place.end - start);
    }
    parts.extend(begun);
    Payload { parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{PayloadFormat, check_payload};

    fn parts(body: &'static str, limit: usize) -> Vec<Vec<String>> {
        let body = Bytes::from_static(body.as_bytes());
        let places = check_payload(PayloadFormat::Json, &body).unwrap().parts.remove(0);
        let cut = cut(&places.bytes, places.documents, limit);
        let stored = cut.parts.iter().map(|part| part.bytes.clone()).collect();
        assert_eq!(Payload::restore(stored).unwrap(), cut);
        let text = |document: &[u8]| String::from_utf8(document.to_vec()).unwrap();
        cut.parts.iter().map(|part| part.iter().map(text).collect()).collect()
    }

    #[test]
    fn a_payload_is_cut_between_documents_where_the_next_one_would_be_too_much() {
        let body = " [ {\"id\":1} , {\"id\":2},{\"id\":3,\"title\":\"three\"}\n]";
        let one = [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3,"title":"three"}"#];
        assert_eq!(parts(body, 1 << 20), [one.to_vec()]);
        assert_eq!(parts(body, 2 * MARKER_BYTES + 19), [&one[..2], &one[2..]]);
        assert_eq!(parts(body, 2 * MARKER_BYTES + 18), [&one[..1], &one[1..2], &one[2..]]);
    }

    #[test]
    fn a_document_beyond_the_limit_is_a_part_of_its_own() {
        assert_eq!(parts("[{\"id\":1},{\"id\":2}]", 1), [[r#"{"id":1}"#], [r#"{"id":2}"#]]);
    }

    #[test]
    fn a_body_stored_whole_by_an_older_version_is_one_part() {
        for body in [" [{\"id\":1},\n{\"id\":2}] tail", "{\"id\":1}{\"id\":2}\n"] {
            let part = Part::restore(Bytes::from_static(body.as_bytes())).unwrap();
            assert_eq!(part.iter().collect::<Vec<_>>(), [br#"{"id":1}"#, br#"{"id":2}"#]);
        }
        assert!(Payload::restore(vec![Bytes::from_static(b"[ ]")]).unwrap().is_empty());
    }
}
