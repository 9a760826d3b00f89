//! Changes of settings that documents are in the way of.

use serde_json::{Value, json};

use super::inspect::{InWay, Inspection};
use crate::error::{ErrorCode, ResponseError};
use crate::ids::IndexUid;
use crate::settings::ClientSettings;

fn settings(settings: &Value) -> ClientSettings {
    serde_json::from_value(settings.clone()).unwrap()
}

fn user_provided(dimensions: u64) -> Value {
    json!({ "source": "userProvided", "dimensions": dimensions })
}

fn embedders(embedders: &Value) -> Value {
    json!({ "embedders": embedders })
}

/// What becomes of a change with these documents, numbered from 0.
fn refusal(before: &Value, after: &Value, documents: &[Value]) -> Option<ResponseError> {
    let mut inspection = Inspection::of(&settings(before), &settings(after))?;
    for (number, document) in documents.iter().enumerate() {
        let raw = |field: &str| {
            let value = document.get(field)?;
            Some(serde_json::value::to_raw_value(value).unwrap())
        };
        let (vectors, geo) = (raw("_vectors"), raw("_geo"));
        let document = InWay { vectors: vectors.as_deref(), geo: geo.as_deref() };
        inspection.look_at(&number.to_string(), document);
    }
    inspection.finish(&IndexUid::new("films"), [("title", 9), ("vectors", 2)])
}

fn with_vectors(vectors: &Value) -> Value {
    json!({ "_vectors": vectors })
}

#[test]
fn only_what_begins_to_ask_something_of_documents_is_looked_at() {
    let rest = |more: Value| {
        let mut rest = json!({ "source": "rest", "url": "http://x" });
        rest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        embedders(&json!({ "m": rest }))
    };
    let mine = embedders(&json!({ "m": user_provided(3) }));
    for (before, after, fields) in [
        (json!({}), json!({ "stopWords": ["a"] }), None),
        (json!({}), mine.clone(), Some(vec!["_vectors", "_geo"])),
        (mine.clone(), json!({}), None),
        (mine.clone(), mine.clone(), None),
        // Only a node can tell how long its vectors are.
        (json!({}), rest(json!({})), None),
        (json!({}), rest(json!({ "dimensions": 3 })), Some(vec!["_vectors", "_geo"])),
        (rest(json!({ "dimensions": 3 })), rest(json!({ "dimensions": 4 })), None),
        (rest(json!({})), mine.clone(), Some(vec!["_vectors", "_geo"])),
        (json!({}), json!({ "sortableAttributes": ["_geo"] }), Some(vec!["_geo"])),
        (json!({ "filterableAttributes": ["_geo"] }), json!({ "sortableAttributes": ["_geo"] }), None),
    ] {
        let inspection = Inspection::of(&settings(&before), &settings(&after));
        assert_eq!(inspection.map(|it| it.fields()), fields, "{before} {after}");
    }
}

#[test]
fn a_vector_of_another_length_is_in_the_way_of_a_new_embedder_in_every_form_of_it() {
    let after = embedders(&json!({ "m": user_provided(3) }));
    let good = [json!([1, 2, 3]), json!([[1, 2, 3], [4, 5, 6]]), json!(null), json!([])];
    let object = json!({ "regenerate": true, "embeddings": [1, 2, 3] });
    let good: Vec<Value> = good
        .iter()
        .chain([&object])
        .map(|vectors| with_vectors(&json!({ "m": vectors, "other": [1] })))
        .collect();
    assert_eq!(refusal(&json!({}), &after, &good), None);
    for bad in [
        json!([1, 2]),
        json!([[1, 2, 3], [4, 5]]),
        json!({ "regenerate": false, "embeddings": [[1, 2, 3, 4]] }),
    ] {
        let documents = [good.clone(), vec![with_vectors(&json!({ "m": bad }))]].concat();
        let error = refusal(&json!({}), &after, &documents).unwrap();
        assert_eq!(error.code, ErrorCode::InvalidVectorDimensions);
        assert!(
            error.message.starts_with(
                "Index `films`: Invalid vector dimensions in document with id `5` in `._vectors.m`."
            ),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_document_without_vectors_is_in_the_way_of_an_embedder_that_makes_none_unless_it_wants_none() {
    let after = embedders(&json!({ "m": user_provided(3), "n": user_provided(1) }));
    let whole = with_vectors(&json!({ "m": [1, 2, 3], "n": null }));
    assert_eq!(refusal(&json!({}), &after, &[whole.clone(), whole.clone()]), None);
    let lacking = with_vectors(&json!({ "m": [1, 2, 3] }));
    let wishing = with_vectors(&json!({ "m": [1, 2, 3], "n": { "regenerate": true } }));
    let error = refusal(&json!({}), &after, &[whole, lacking, wishing]).unwrap();
    assert_eq!(error.code, ErrorCode::VectorEmbeddingError);
    let lines: Vec<&str> = error.message.lines().collect();
    assert_eq!(
        lines[0],
        "Index `films`: While embedding documents for embedder `n`: no vectors provided for document `1` and at least 1 \
         other document(s)"
    );
    assert_eq!(lines[2], "- Hint: try replacing `vectors` by `_vectors` in 2 document(s).");
    let rest = embedders(&json!({ "m": { "source": "rest", "url": "http://x", "dimensions": 3 } }));
    assert_eq!(refusal(&json!({}), &rest, &[json!({})]), None, "it makes them");
}

#[test]
fn what_comes_first_in_a_hundred_documents_is_told_and_places_before_vectors() {
    let after = embedders(&json!({ "m": user_provided(1) }));
    let good = with_vectors(&json!({ "m": [1] }));
    let mut documents = vec![good; 300];
    documents[250] = with_vectors(&json!({ "m": [1, 2] }));
    let told = |documents: &[Value]| refusal(&json!({}), &after, documents).unwrap();
    assert!(told(&documents).message.contains("`250`"));
    documents[120] = json!({});
    assert_eq!(told(&documents).code, ErrorCode::VectorEmbeddingError);
    documents[199] = with_vectors(&json!({ "m": [1, 2] }));
    assert!(told(&documents).message.contains("`199`"), "one too long goes before one that is missing");
    documents[299] = json!({ "_vectors": { "m": [1] }, "_geo": "north" });
    assert_eq!(told(&documents).code, ErrorCode::InvalidDocumentGeoField, "whatever asks for places");
    let geo = json!({ "sortableAttributes": ["_geo"] });
    assert_eq!(refusal(&json!({}), &geo, &documents).unwrap().code, ErrorCode::InvalidDocumentGeoField);
}

#[test]
fn an_embedder_that_stops_making_vectors_needs_documents_that_bring_theirs() {
    let rest = embedders(&json!({ "m": { "source": "rest", "url": "http://x", "dimensions": 1 } }));
    let mine = embedders(&json!({ "m": user_provided(1) }));
    let own = with_vectors(&json!({ "m": { "regenerate": false, "embeddings": [[1]] } }));
    let made = with_vectors(&json!({ "m": { "regenerate": true, "embeddings": [[1]] } }));
    assert_eq!(refusal(&rest, &mine, std::slice::from_ref(&own)), None);
    let error = refusal(&rest, &mine, &[own, made]).unwrap();
    assert_eq!(error.code, ErrorCode::VectorEmbeddingError);
}
