use bytes::Bytes;

use super::*;
use crate::document::{PayloadFormat, check_payload};

fn payload(body: &str) -> Payload {
    check_payload(PayloadFormat::Ndjson, &Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn judged(body: &str, known: Option<&str>, requested: Option<&str>) -> Result<JudgedBatch, BatchError> {
    let judged = judge_batch(&Batch {
        payload: &payload(body),
        index_uid: &IndexUid::new("movies"),
        known_key: known,
        requested_key: requested,
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

fn refused(body: &str, known: Option<&str>, requested: Option<&str>) -> (&'static str, String) {
    let error = judged(body, known, requested).unwrap_err();
    (error.code().as_str(), error.to_string())
}

#[test]
fn ids_come_in_the_order_of_the_documents_and_are_counted_once() {
    let batch = judged(r#"{"id":"b"}{"id":1}{"id":"1"}{"id":"01"}"#, Some("id"), None).unwrap();
    assert_eq!(batch.ids.iter().collect::<Vec<_>>(), ["b", "1", "1", "01"]);
    assert_eq!(batch.ids.len(), 4);
    assert_eq!(batch.distinct_ids, 3);
    assert_eq!(batch.primary_key.as_deref(), Some("id"));
}

#[test]
fn documents_with_the_same_id_go_to_the_same_shard() {
    let batch = judged(r#"{"id":1}{"id":2}{"id":"1"}"#, None, None).unwrap();
    let shards = ShardCount::new(64).unwrap();
    let partition = partition(&batch.ids, shards);
    assert_eq!(partition, [shard_of("1", shards), shard_of("2", shards), shard_of("1", shards)]);
}

#[test]
fn the_key_is_the_only_field_of_the_first_document_that_ends_with_id() {
    let inferred = |body| judged(body, None, None).unwrap().primary_key.unwrap();
    assert_eq!(inferred(r#"{"title":"x","movieId":3}{"id":9,"movieId":4}"#), "movieId");
    assert_eq!(inferred(r#"{"paid":3,"identity":1}"#), "paid");
    assert_eq!(inferred(r#"{"ID":3,"Id2":1}"#), "ID");
}

#[test]
fn without_or_with_several_candidates_the_key_must_be_named() {
    let (code, message) = refused(r#"{"title":"x"}{"id":1}"#, None, None);
    assert_eq!(code, "index_primary_key_no_candidate_found");
    assert!(message.starts_with("The primary key inference failed as the engine did not find any field"));

    let (code, message) = refused(r#"{"object_id":1,"paid":2,"id":3}"#, None, None);
    assert_eq!(code, "index_primary_key_multiple_candidates_found");
    assert!(message.contains("found 3 fields ending with `id` in their names: 'id' and 'object_id'."));

    let named = judged(r#"{"object_id":1,"paid":2,"id":3}"#, None, Some("paid")).unwrap();
    assert_eq!(named.primary_key.as_deref(), Some("paid"));
    assert_eq!(named.ids.iter().collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_known_key_can_only_be_named_again() {
    assert!(judged(r#"{"id":1}"#, Some("id"), Some("id")).is_ok());
    let (code, message) = refused(r#"{"id":1,"sku":2}"#, Some("id"), Some("sku"));
    assert_eq!(code, "index_primary_key_already_exists");
    assert_eq!(message, "Index already has a primary key: `id`.");
}

#[test]
fn one_document_without_a_usable_id_refuses_the_batch() {
    let (code, message) = refused("{\"id\":1} {\"a\" : 1.40,\n\"b\":[ ]}", Some("id"), None);
    assert_eq!(code, "missing_document_id");
    assert_eq!(message, r#"Document doesn't have a `id` attribute: `{"a":1.4,"b":[]}`."#);

    let (code, message) = refused(r#"{"id":"a b"}"#, None, None);
    assert_eq!(code, "invalid_document_id");
    assert!(message.starts_with(r#"Document identifier `"a b"` is invalid. A document identifier can be"#));

    let (code, message) = refused(r#"{"a":{"b":1},"a.b":2}"#, Some("a.b"), None);
    assert_eq!(code, "invalid_document_id");
    assert_eq!(message, r#"Document have too many matching `a.b` attribute: `{"a":{"b":1},"a.b":2}`."#);
}

#[test]
fn an_empty_batch_changes_nothing_and_is_never_refused() {
    let empty = judged(" ", None, None).unwrap();
    assert_eq!(empty, JudgedBatch { primary_key: None, ids: DocumentIds::default(), distinct_ids: 0 });
    let kept = judged(" ", Some("id"), Some("sku")).unwrap();
    assert_eq!(kept.primary_key.as_deref(), Some("id"));
}

#[test]
fn an_empty_batch_may_name_the_key_of_an_index_that_has_none() {
    let named = judged(" ", None, Some("sku")).unwrap();
    assert_eq!(named.primary_key.as_deref(), Some("sku"));
}

#[test]
fn values_that_only_look_like_json_refuse_the_batch() {
    let nested = format!(r#"{{"id":1,"a":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    for (body, message) in [
        (
            r#"{"id":1}{"id":2,"a":1E400}"#,
            "Index `movies`: internal: number out of range at line 1 column 5.",
        ),
        (
            r#"{"id":1,"a":"\ud800"}"#,
            "Index `movies`: internal: unexpected end of hex escape at line 1 column 8.",
        ),
        (&nested, "Index `movies`: internal: recursion limit exceeded at line 1 column 128."),
        (
            r#"{"id":1,"_vectors":null}"#,
            "Index `movies`: invalid type: null, expected a map at line 1 column 4",
        ),
    ] {
        assert_eq!(refused(body, None, None), ("internal", message.to_owned()));
    }
    assert!(judged(&nested.replacen("[[", "[", 1).replacen("]]", "]", 1), None, None).is_ok());
    assert!(judged(r#"{"id":1,"_vectors":{"mine":[0.5]}}"#, None, None).is_ok());
}

#[test]
fn an_id_further_on_is_judged_before_any_value() {
    let (code, _) = refused(r#"{"id":1,"a":1E400}{"id":null}"#, None, None);
    assert_eq!(code, "invalid_document_id");
}

#[test]
fn a_batch_has_a_limited_number_of_different_fields() {
    let batch = |fields: usize| {
        let documents: Vec<_> =
            (1..fields).map(|field| format!(r#"{{"id":{field},"f{field}":null}}"#)).collect();
        documents.concat()
    };
    assert_eq!(judged(&batch(65_536), None, None).unwrap().distinct_ids, 65_535);
    let (code, message) = refused(&batch(65_537), None, None);
    assert_eq!(code, "max_fields_limit_exceeded");
    assert_eq!(message, "A document cannot contain more than 65,535 fields.");
}
