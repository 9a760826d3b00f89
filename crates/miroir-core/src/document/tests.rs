//! Whatever a client sends: nothing panics, and what is accepted reaches the nodes unchanged except for its marker.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::ids::{IndexUid, ShardCount, ShardId};
use crate::task::WriteMethod;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Multiples of 1/64: the parser may read a longer fraction one bit off, which is not what is tested here.
        any::<i32>().prop_map(|number| (f64::from(number) / 64.0).into()),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Map<String, Value>> {
    (any::<u16>(), btree_map(any::<String>(), any_json(), 0..6)).prop_map(|(id, fields)| {
        let mut document: Map<String, Value> = fields.into_iter().collect();
        document.insert("id".to_owned(), id.into());
        document
    })
}

/// The same documents as a client may write them.
fn written(documents: &[Map<String, Value>], format: PayloadFormat, pretty: bool) -> Bytes {
    let print = |document| {
        if pretty { serde_json::to_string_pretty(document) } else { serde_json::to_string(document) }.unwrap()
    };
    let documents: Vec<String> = documents.iter().map(print).collect();
    match format {
        PayloadFormat::Json => format!(" [{}\n]", documents.join(" ,")).into(),
        PayloadFormat::Ndjson | PayloadFormat::Csv { .. } => documents.join("").into(),
    }
}

/// The bodies that go to nodes with these shards, one after the other.
fn spliced(
    payload: &Payload,
    shards_of_documents: &[ShardId],
    wanted: &BTreeSet<ShardId>,
    shards: ShardCount,
) -> Vec<u8> {
    let mut rest = shards_of_documents;
    let body_of = |part| {
        let (of_part, others) = rest.split_at(Part::len(part));
        rest = others;
        splice(part, of_part, wanted, shards)
    };
    payload.parts.iter().flat_map(body_of).collect()
}

fn read_stream(body: &[u8]) -> Vec<Map<String, Value>> {
    serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>().unwrap()
}

fn judged(payload: &Payload, known_key: Option<&str>) -> Result<JudgedBatch, BatchError> {
    let judged = judge_batch(&Batch {
        payload,
        index_uid: &IndexUid::new("movies"),
        known_key,
        requested_key: None,
        method: WriteMethod::Replace,
        skip_creation: false,
        demands: &Demands::default(),
        existing: Existing::None,
    })?;
    match judged {
        Judged::Accepted(batch) => Ok(batch),
        Judged::DependsOn(documents) => panic!("nothing depends on {documents:?}"),
    }
}

proptest! {
    #[test]
    fn every_document_reaches_its_shard_with_its_marker_and_nothing_else_changes(
        documents in vec(any_document(), 0..12),
        is_array in any::<bool>(),
        pretty in any::<bool>(),
        count in 1_u32..9,
    ) {
        let shards = ShardCount::new(count).unwrap();
        let format = if is_array { PayloadFormat::Json } else { PayloadFormat::Ndjson };
        let body = written(&documents, format, pretty);
        prop_assume!(!body.is_empty());
        let payload = check_payload(format, &body).unwrap();
        let batch = judged(&payload, Some("id")).unwrap();
        let shards_of_documents = partition(&batch.ids, shards);
        prop_assert_eq!(shards_of_documents.len(), documents.len());

        let mut delivered = 0;
        for shard in shards.shards() {
            let body = spliced(&payload, &shards_of_documents, &BTreeSet::from([shard]), shards);
            let expected: Vec<Map<String, Value>> = documents
                .iter()
                .zip(&shards_of_documents)
                .filter(|(_, owner)| **owner == shard)
                .map(|(document, _)| {
                    let mut marked = Map::from_iter([(marker::field_name(shard, shards), Value::Null)]);
                    marked.extend(document.clone());
                    marked
                })
                .collect();
            let mut received = read_stream(&body);
            prop_assert_eq!(&received, &expected);
            received.iter_mut().for_each(marker::strip_document);
            prop_assert!(received.iter().all(|document| documents.contains(document)));
            delivered += received.len();
        }
        prop_assert_eq!(delivered, documents.len());

        let wanted: BTreeSet<ShardId> = shards.shards().collect();
        let everything = spliced(&payload, &shards_of_documents, &wanted, shards);
        prop_assert_eq!(read_stream(&everything).len(), documents.len());
    }

    #[test]
    fn no_bytes_make_anything_panic(bytes in vec(any::<u8>(), 0..64), known in any::<String>()) {
        survive(&bytes, &known);
    }

    #[test]
    fn no_broken_json_makes_anything_panic(
        text in "[\\[\\]{}\"\\\\:,.0-9eE +a-bu-]{0,40}",
        known in "[ab.]{0,4}",
    ) {
        survive(text.as_bytes(), &known);
        survive(format!("[{{{text}}}]").as_bytes(), &known);
    }
}

/// Sends the bytes all the way in each format; whatever is accepted must be found again.
fn survive(bytes: &[u8], key: &str) {
    let formats = [PayloadFormat::Json, PayloadFormat::Ndjson, PayloadFormat::Csv { delimiter: b',' }];
    for format in formats {
        let Ok(payload) = check_payload(format, &Bytes::copy_from_slice(bytes)) else { continue };
        let parts = payload.parts.iter().map(|part| part.bytes.clone()).collect();
        assert_eq!(Payload::restore(parts).as_ref(), Ok(&payload));
        for known in [None, Some(key)] {
            let Ok(batch) = judged(&payload, known) else { continue };
            let shards = ShardCount::new(3).unwrap();
            let body = spliced(&payload, &partition(&batch.ids, shards), &shards.shards().collect(), shards);
            assert_eq!(read_stream(&body).len(), payload.len());
        }
    }
}

#[test]
fn the_ids_of_a_whole_batch_decide_where_it_goes() {
    let body = json!([{"id": 1, "title": "Carol"}, {"id": "1", "title": "Heat"}]).to_string();
    let payload = check_payload(PayloadFormat::Json, &body.into()).unwrap();
    let batch = judged(&payload, None).unwrap();
    let shards = ShardCount::new(5).unwrap();
    let shards_of_documents = partition(&batch.ids, shards);
    assert_eq!(shards_of_documents[0], shards_of_documents[1]);
    let body = spliced(&payload, &shards_of_documents, &BTreeSet::from([shards_of_documents[0]]), shards);
    assert_eq!(read_stream(&body).len(), 2);
}
