//! Batches judged by what the settings ask of values.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::document::{PayloadFormat, check_payload};

/// A batch and its circumstances, the usual ones unless changed.
struct Case {
    body: String,
    settings: Value,
    method: WriteMethod,
    skip_creation: bool,
    existing: Option<BTreeSet<String>>,
}

impl Case {
    fn new(settings: Value, body: impl Into<String>) -> Self {
        let existing = Some(BTreeSet::new());
        Self { body: body.into(), settings, method: WriteMethod::Replace, skip_creation: false, existing }
    }

    fn judge(&self) -> Result<Judged, BatchError> {
        let payload =
            check_payload(PayloadFormat::Json, &Bytes::copy_from_slice(self.body.as_bytes())).unwrap();
        judge_batch(&Batch {
            payload: &payload,
            index_uid: &IndexUid::new("films"),
            known_key: Some("id"),
            requested_key: None,
            method: self.method,
            skip_creation: self.skip_creation,
            demands: &Demands::of(&serde_json::from_value(self.settings.clone()).unwrap()),
            existing: self.existing.as_ref().map_or(Existing::Unknown, Existing::These),
        })
    }

    /// Code and first line of the message.
    fn refusal(&self) -> (&'static str, String) {
        let error = self.judge().unwrap_err();
        (error.code().as_str(), error.to_string().lines().next().unwrap_or_default().to_owned())
    }

    fn assert_accepted(&self) {
        assert!(matches!(self.judge(), Ok(Judged::Accepted(_))), "{}: {:?}", self.body, self.judge());
    }

    fn asks(&self) -> Vec<String> {
        match self.judge() {
            Ok(Judged::DependsOn(ids)) => ids.into_iter().collect(),
            other => panic!("{}: {other:?}", self.body),
        }
    }
}

fn geo() -> Value {
    json!({ "sortableAttributes": ["_geo"] })
}

fn sky() -> Value {
    json!({ "embedders": { "sky": { "source": "userProvided", "dimensions": 3 } } })
}

#[test]
fn places_are_judged_only_where_the_settings_ask_for_them() {
    let body = r#"[{"id":1,"_geo":{"lat":1,"lng":2}},{"id":2,"_geo":"Paris"}]"#;
    Case::new(json!({}), body).assert_accepted();
    Case::new(json!({}), r#"[{"id":1,"_geo":1E400}]"#).assert_accepted();
    let (code, message) = Case::new(geo(), body).refusal();
    assert_eq!(code, "invalid_document_geo_field");
    assert!(message.starts_with(
        "Index `films`: The `_geo` field in the document with the id: `\"2\"` is not an object."
    ));
}

#[test]
fn forms_of_vectors_are_judged_whether_there_is_an_embedder_or_not() {
    for (entry, end) in [
        ("5", "but got the integer `5`"),
        ("1e3", "but got the number `1000`"),
        ("\"x\"", "but got the string `x`"),
        ("1E400", "Could not parse `._vectors.sky`: number out of range at line 1 column 5"),
        ("{}", "Missing field `._vectors.sky.regenerate`"),
        ("{\"embeddings\":[1,2,3]}", "Missing field `._vectors.sky.regenerate`"),
        ("{\"x\":1}", "Could not parse `._vectors.sky`: trailing characters at line 1 column 5"),
        (
            "{\"regenerate\":1}",
            "Could not parse `._vectors.sky.regenerate`: invalid type: integer `1`, expected a boolean at line 1 column 15",
        ),
        (
            "{\"regenerate\":\"x\",\"embeddings\":[1]}",
            "Could not parse `._vectors.sky`: trailing comma at line 1 column 18",
        ),
    ] {
        for settings in [json!({}), sky()] {
            let body = format!("[{{\"id\":\"a\",\"_vectors\":{{\"sky\":{entry}}}}}]");
            let (code, message) = Case::new(settings, body).refusal();
            assert_eq!(code, "invalid_vectors_type", "{entry}");
            let beginning = "Index `films`: Bad embedder configuration in the document with id: `a`. ";
            assert!(message.starts_with(beginning) && message.ends_with(end), "{entry}: {message}");
        }
    }
}

#[test]
fn the_content_of_vectors_is_judged_for_embedders_that_exist() {
    let body = |vectors: &str| format!("[{{\"id\":\"a\",\"_vectors\":{{\"sky\":{vectors}}}}}]");
    for vectors in [
        "null",
        "[]",
        "[1,-2,0.5]",
        "[[1,2,3],[4,5,6]]",
        "{\"regenerate\":false}",
        "{\"regenerate\":true,\"embeddings\":[1,2,3]}",
    ] {
        Case::new(sky(), body(vectors)).assert_accepted();
    }
    for (vectors, reason) in [
        ("[\"a\",2,3]", "`._vectors.sky[0]`: expected a number or an array, but found a string: `\"a\"`"),
        ("[null]", "`._vectors.sky[0]`: expected a number or an array, but found null"),
        ("[1,null,3]", "`._vectors.sky[1]`: expected a number, but found null"),
        ("[1,2,[3]]", "`._vectors.sky[2]`: expected a number, but found an array: `[3]`"),
        ("[[1,2,3],-5]", "`._vectors.sky[1]`: expected an array, but found a negative integer: `-5`"),
        ("[[1,2,true]]", "`._vectors.sky[0][2]`: expected a number, but found a boolean: `true`"),
        (
            "{\"regenerate\":false,\"embeddings\":0.5}",
            "`._vectors.sky.embeddings`: expected null or an array, but found a number: `0.5`",
        ),
    ] {
        let (code, message) = Case::new(sky(), body(vectors)).refusal();
        assert_eq!(code, "invalid_vectors_type");
        assert!(message.ends_with(&format!("Invalid value type at {reason}")), "{message}");
        Case::new(json!({}), body(vectors)).assert_accepted();
    }
    let error = Case::new(sky(), body("[[1,2,3],[]]")).judge().unwrap_err();
    assert_eq!(error.code().as_str(), "invalid_vector_dimensions");
    assert_eq!(
        error.to_string(),
        "Index `films`: Invalid vector dimensions in document with id `a` in `._vectors.sky`.\n  \
         - note: embedding #1 has dimensions 0\n  - note: embedder `sky` requires 3"
    );
}

#[test]
fn what_makes_meilisearch_crash_is_refused_in_its_last_words() {
    let crash = "An unexpected crash occurred when processing the task: called `Result::unwrap()` on an `Err` value: ";
    for (settings, document, rest) in [
        (sky(), r#"{"id":1,"_vectors":{"sky":[1,2,1E400]}}"#, "Any { .. }"),
        (sky(), r#"{"id":1,"_vectors":{"sky":[{"a":1}]}}"#, "Any { .. }"),
        (json!({}), r#"{"id":1,"_vectors":{"sea":[1E400]}}"#, "Any { .. }"),
        (json!({}), r#"{"id":1E400}"#, r#"Error("number out of range", line: 1, column: 5)"#),
        (json!({}), r#"{"a":1E400}"#, r#"Error("number out of range", line: 1, column: 10)"#),
    ] {
        let refusal = Case::new(settings, format!("[{document}]")).refusal();
        assert_eq!(refusal, ("internal", format!("{crash}{rest}")), "{document}");
    }
}

#[test]
fn vectors_of_a_length_nobody_knows_are_left_to_the_nodes() {
    let settings = json!({ "embedders": { "sky": { "source": "rest", "url": "http://x" } } });
    Case::new(settings.clone(), r#"[{"id":1,"_vectors":{"sky":[1]}}]"#).assert_accepted();
    Case::new(settings.clone(), r#"[{"id":1}]"#).assert_accepted();
    Case::new(settings, r#"[{"id":1,"_vectors":{"sky":{"regenerate":true}}}]"#).assert_accepted();
}

#[test]
fn new_documents_must_bring_vectors_where_nobody_makes_them() {
    let body =
        r#"[{"id":1,"_vectors":{"sky":[1,2,3]}},{"id":"b"},{"id":3,"vectors":1,"_vectors":{"ski":[1,2,3]}}]"#;
    let error = Case::new(sky(), body).judge().unwrap_err();
    assert_eq!(error.code().as_str(), "vector_embedding_error");
    assert_eq!(
        error.to_string(),
        "Index `films`: While embedding documents for embedder `sky`: no vectors provided for document `b` and at least 1 \
         other document(s)\n\
         - Note: `sky` has `source: userProvided`, so documents must provide embeddings as an array in `_vectors.sky`.\n\
         - Hint: try replacing `vectors` by `_vectors` in 1 document(s).\n\
         - Hint: try replacing `_vectors.ski` by `_vectors.sky` in 1 document(s)."
    );
}

#[test]
fn whether_documents_without_vectors_are_new_has_to_be_asked() {
    let body = r#"[{"id":1,"_vectors":{"sky":null}},{"id":2},{"id":"c"}]"#;
    let unknown = Case { existing: None, ..Case::new(sky(), body) };
    assert_eq!(unknown.asks(), ["2", "c"]);
    let there = ["2".to_owned(), "c".to_owned()].into();
    Case { existing: Some(there), ..Case::new(sky(), body) }.assert_accepted();
    let (code, message) =
        Case { existing: Some(["2".to_owned()].into()), ..Case::new(sky(), body) }.refusal();
    assert_eq!(code, "vector_embedding_error");
    assert!(message.ends_with("no vectors provided for document `c`"), "{message}");
    // A fault that is found earlier needs no answer.
    let body = r#"[{"id":1,"a":1E400},{"id":2}]"#;
    assert_eq!(Case { existing: None, ..Case::new(sky(), body) }.refusal().0, "internal");
}

#[test]
fn vectors_that_nobody_makes_can_not_be_asked_for() {
    let body = r#"[{"id":1,"_vectors":{"sky":{"regenerate":true}}}]"#;
    for existing in [BTreeSet::new(), ["1".to_owned()].into()] {
        let case = Case { existing: Some(existing), ..Case::new(sky(), body) };
        assert_eq!(case.refusal().0, "vector_embedding_error");
    }
}

#[test]
fn documents_that_are_left_out_are_not_judged() {
    let body = r#"[{"id":1,"_geo":5},{"id":2}]"#;
    let case = |existing| Case { existing, skip_creation: true, ..Case::new(geo(), body) };
    case(Some(BTreeSet::new())).assert_accepted();
    assert_eq!(case(Some(["1".to_owned()].into())).refusal().0, "invalid_document_geo_field");
    assert_eq!(case(None).asks(), ["1"]);
}

#[test]
fn only_what_a_batch_leaves_of_a_document_is_judged() {
    let judged = |method, body: &str| Case { method, ..Case::new(geo(), body) };
    judged(WriteMethod::Replace, r#"[{"id":1,"_geo":5,"a":1E400},{"id":1}]"#).assert_accepted();
    judged(WriteMethod::Update, r#"[{"id":1,"_geo":5,"a":1E400},{"id":1,"_geo":null,"a":2}]"#)
        .assert_accepted();
    let kept = judged(WriteMethod::Update, r#"[{"id":1,"_geo":5},{"id":1}]"#);
    assert_eq!(kept.refusal().0, "invalid_document_geo_field");
    let body = r#"[{"id":2,"_geo":5},{"id":1,"_geo":6},{"id":2,"_geo":7}]"#;
    assert!(judged(WriteMethod::Replace, body).refusal().1.ends_with("instead got `6`."));
    assert!(judged(WriteMethod::Update, body).refusal().1.ends_with("instead got `7`."));
}

#[test]
fn faults_are_reported_in_the_order_in_which_meilisearch_comes_to_them() {
    let mut settings = geo();
    settings["embedders"] = sky()["embedders"].clone();
    let mut documents = vec![
        r#"{"id":1,"_vectors":{"sky":null},"a":1E400}"#,
        r#"{"id":2,"_vectors":{"sky":[1]}}"#,
        r#"{"id":3}"#,
        r#"{"id":4,"_geo":5,"_vectors":{"sky":null}}"#,
        r#"{"id":5,"_vectors":{"sky":5}}"#,
        r#"{"id":null}"#,
    ];
    for code in ["invalid_document_id", "invalid_vectors_type", "invalid_document_geo_field"] {
        assert_eq!(Case::new(settings.clone(), format!("[{}]", documents.join(","))).refusal().0, code);
        documents.pop();
    }
    assert_eq!(Case::new(settings.clone(), format!("[{}]", documents.join(","))).refusal().0, "internal");
    documents.remove(0);
    documents.reverse();
    for code in ["invalid_vector_dimensions", "vector_embedding_error"] {
        assert_eq!(Case::new(settings.clone(), format!("[{}]", documents.join(","))).refusal().0, code);
        documents.pop();
    }
}

#[test]
fn missing_vectors_are_counted_among_a_hundred_documents() {
    let body: Vec<_> = (0..250)
        .map(|id| match id {
            0..130 => format!("{{\"id\":{id},\"_vectors\":{{\"sky\":[1,2,3]}}}}"),
            _ => format!("{{\"id\":{id}}}"),
        })
        .collect();
    let (_, message) = Case::new(sky(), format!("[{}]", body.join(","))).refusal();
    assert!(message.ends_with("for document `130` and at least 69 other document(s)"), "{message}");
}
