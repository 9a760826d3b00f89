//! What stands in the log stays readable, and a form that older versions would misread comes with a new schema version,
//! so that they refuse the database instead.
//!
//! When a test here fails because a form has changed: append a step to the schema (a comment is enough), raise [`SCHEMA`],
//! and write the new form beside the old one, which has to be read for ever.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeSet;

use miroir_core::task::{Errand, Mutation, OpResult, Step};
use miroir_store::SqliteStore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The version that writes the forms below.
const SCHEMA: &str = "16";

fn mutations() -> Vec<Value> {
    vec![
        json!({"addDocuments": {"method": "replace", "primaryKey": null, "skipCreation": false, "received": 2,
            "missingIndex": "create"}}),
        json!({"addDocuments": {"method": "update", "primaryKey": "id", "skipCreation": true, "received": 0,
            "missingIndex": "refuse"}}),
        json!({"deleteDocuments": {"deletion": {"byIds": ["1", "a"]}}}),
        json!({"deleteDocuments": {"deletion": {"byFilter": ["a = 1", ["b = 2"]]}}}),
        json!({"deleteDocuments": {"deletion": "all"}}),
        json!({"settings": {"patch": {"stopWords": null}, "origin": "update", "missingIndex": "create"}}),
        json!({"settings": {"patch": {}, "origin": "reset", "missingIndex": "refuse"}}),
        json!({"createIndex": {"primaryKey": "id"}}),
        json!({"updateIndex": {"primaryKey": null}}),
        json!({"renameIndex": {"oldUid": "a", "newUid": "b", "primaryKey": null}}),
        json!({"swapIndexes": {"swaps": [{"indexes": ["a", "b"], "rename": false}]}}),
        json!({"editDocuments": {"filter": "a = 1", "context": {"b": 2}, "function": "doc.c = 3"}}),
        json!("deleteIndex"),
        json!({"rules": {"change": {"put": {"uid": "r", "update": {"precedence": null, "active": true}}}}}),
        json!({"rules": {"change": {"delete": {"uid": "r"}}}}),
        json!({"rules": {"change": "clear"}}),
        json!({"errand": {"errand": "compactIndex"}}),
        json!({"errand": {"errand": "dump"}}),
        json!({"errand": {"errand": "snapshot"}}),
        json!({"errand": {"errand": {"export": {"url": "http://a", "apiKey": null, "payloadSize": 3,
            "indexes": {"b*": {"filter": "c = 1", "overrideSettings": true}}}}}}),
    ]
}

fn steps() -> Vec<Value> {
    let counting = json!({"0": "node-1", "12": "node-2"});
    vec![
        json!({"createIndex": {"primary_key": null}}),
        json!({"updateIndex": {"primary_key": "id"}}),
        json!("deleteIndex"),
        json!({"settings": {"patch": {"stopWords": ["a"]}}}),
        json!({"addDocuments": {"part": 0, "method": "replace", "primary_key": "id", "skip_creation": false,
            "shards": [0, 12]}}),
        json!({"addDocuments": {"part": 1, "method": "update", "primary_key": "id", "skip_creation": true,
            "shards": [], "replaced": [3, 4]}}),
        json!({"deleteByIds": {"counting": counting}}),
        json!({"deleteByFilter": {"filter": "a = 1", "counting": counting, "grouping": "byCounter"}}),
        json!({"deleteByFilter": {"filter": "a = 1", "counting": counting, "grouping": "byCopies"}}),
        json!({"editDocuments": {"filter": null, "context": null, "function": "doc.a = 1", "counting": counting,
            "grouping": "byCopies"}}),
        json!("clear"),
        json!({"putRule": {"uid": "r", "update": {"active": true}}}),
        json!({"deleteRule": {"uid": "r"}}),
        json!("clearRules"),
    ]
}

fn results() -> Vec<Value> {
    vec![
        json!({"result": "done", "value": {"deleted": 3}}),
        json!({"result": "skipped"}),
        json!({"result": "failed", "value": {"message": "no", "code": "internal", "type": "internal",
            "link": "https://docs.meilisearch.com/errors#internal"}}),
    ]
}

/// Reads each, and writes the same again.
fn assert_stable<T: Serialize + DeserializeOwned>(forms: Vec<Value>) -> Vec<T> {
    let read = |form: Value| {
        let value: T = serde_json::from_value(form.clone()).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(serde_json::to_value(&value).unwrap(), form, "see the head of this file");
        value
    };
    forms.into_iter().map(read).collect()
}

#[test]
fn every_form_in_the_log_is_read_and_written_as_this_schema_version_has_it() {
    let mutations: Vec<Mutation> = assert_stable(mutations());
    let kinds: BTreeSet<_> = mutations.iter().map(Mutation::kind).collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    let steps: Vec<Step> = assert_stable(steps());
    // A new step does not compile until it has a line here, and a form above.
    let number = |step: &Step| match step {
        Step::CreateIndex { .. } => 0,
        Step::UpdateIndex { .. } => 1,
        Step::DeleteIndex => 2,
        Step::Settings { .. } => 3,
        Step::AddDocuments { .. } => 4,
        Step::DeleteByIds { .. } => 5,
        Step::DeleteByFilter { .. } => 6,
        Step::EditDocuments { .. } => 7,
        Step::Clear => 8,
        Step::PutRule { .. } => 9,
        Step::DeleteRule { .. } => 10,
        Step::ClearRules => 11,
    };
    assert_eq!(steps.iter().map(number).collect::<BTreeSet<_>>(), (0..12).collect());
    assert_eq!(assert_stable::<OpResult>(results()).len(), 3);
    let errands = assert_stable::<Errand>(vec![json!("compactIndex"), json!("dump"), json!("snapshot")]);
    assert_eq!(errands.len(), 3);
}

#[test]
fn a_new_database_has_the_version_that_these_forms_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("miroir.db");
    drop(SqliteStore::open(&path).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    let version: String =
        db.query_row("SELECT value FROM meta WHERE name = 'schema_version'", [], |row| row.get(0)).unwrap();
    assert_eq!(version, SCHEMA, "see the head of this file");
}
