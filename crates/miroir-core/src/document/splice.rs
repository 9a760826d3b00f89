//! The body for one node: the documents of a part of a payload whose shards it holds, each with its shard's marker put first.
//!
//! Only bytes are copied. The body is what Meilisearch calls NDJSON, a stream of objects; documents keep the white space
//! they came with, line breaks included, which such a stream allows.

use std::collections::{BTreeMap, BTreeSet};

use super::marker;
use super::payload::Part;
use crate::ids::{ShardCount, ShardId};

/// The documents of the wanted shards in their order, as an NDJSON body; empty when there is none.
///
/// `shards_of_documents` says the shard of each document of the part, as [`super::partition`] does.
pub fn splice(
    part: &Part,
    shards_of_documents: &[ShardId],
    wanted: &BTreeSet<ShardId>,
    shards: ShardCount,
) -> Vec<u8> {
    assert_eq!(part.documents.len(), shards_of_documents.len(), "each document has one shard");
    let openings: BTreeMap<ShardId, String> = wanted
        .iter()
        .map(|shard| (*shard, format!("{{\"{}\":null", marker::field_name(*shard, shards))))
        .collect();
    let chosen = || {
        part.iter()
            .zip(shards_of_documents)
            .filter_map(|(document, shard)| Some((openings.get(shard)?.as_bytes(), document)))
    };
    let size = chosen().map(|(opening, document)| opening.len() + document.len() + 1).sum();
    let mut body = Vec::with_capacity(size);
    for (opening, document) in chosen() {
        push_marked(&mut body, opening, document);
    }
    body
}

fn push_marked(body: &mut Vec<u8>, opening: &[u8], document: &[u8]) {
    let rest = &document[1..];
    let is_empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    body.extend_from_slice(opening);
    if !is_empty {
        body.push(b',');
    }
    body.extend_from_slice(rest);
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::document::{PayloadFormat, check_payload};

    fn spliced(body: &'static str, shards_of_documents: &[u32], wanted: &[u32]) -> String {
        let payload = check_payload(PayloadFormat::Ndjson, &Bytes::from_static(body.as_bytes())).unwrap();
        let shards_of_documents: Vec<_> = shards_of_documents.iter().copied().map(ShardId).collect();
        let wanted = wanted.iter().copied().map(ShardId).collect();
        let body = splice(&payload.parts[0], &shards_of_documents, &wanted, ShardCount::new(8).unwrap());
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_node_gets_the_documents_of_its_shards_in_order_with_their_markers_first() {
        let body = spliced(r#"{"id":1}{"id":2} {"id":3}"#, &[7, 2, 0], &[0, 7]);
        assert_eq!(body, "{\"_miroir_shard_007\":null,\"id\":1}\n{\"_miroir_shard_000\":null,\"id\":3}\n");
    }

    #[test]
    fn a_node_without_a_shard_of_the_batch_gets_an_empty_body() {
        assert_eq!(spliced(r#"{"id":1}"#, &[7], &[1, 2]), "");
    }

    #[test]
    fn empty_objects_and_white_space_stay_valid() {
        assert_eq!(spliced("{}", &[1], &[1]), "{\"_miroir_shard_001\":null}\n");
        assert_eq!(spliced("{ \n\t}", &[1], &[1]), "{\"_miroir_shard_001\":null \n\t}\n");
        assert_eq!(
            spliced("{\n \"id\" : 1\n}", &[1], &[1]),
            "{\"_miroir_shard_001\":null,\n \"id\" : 1\n}\n"
        );
    }
}
