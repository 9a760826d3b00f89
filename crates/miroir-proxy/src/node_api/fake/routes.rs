//! What a node in memory answers.

use bytes::Bytes;
use miroir_core::path::NodePath;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::filter::selects;
use super::settings;
use super::state::{Index, State, Task, Work, error};
use crate::node_api::{NodeReply, NodeRequest};

/// Meilisearch's default page of tasks.
const TASKS: usize = 20;

pub(super) fn answer(state: &mut State, request: &NodeRequest) -> NodeReply {
    let path = request.path.path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let reads = request.method == Method::GET;
    match (&request.method, segments.as_slice()) {
        (_, ["health"]) => ok(json!({ "status": "available" })),
        (_, ["version"]) => ok(json!({ "pkgVersion": "1.50.0", "commitSha": "", "commitDate": "" })),
        (_, ["experimental-features"]) => {
            if let Value::Object(changes) = body {
                state.features.extend(changes);
            }
            ok(json!(state.features))
        }
        (_, ["tasks"]) => ok(list_tasks(state, &request.path)),
        (_, ["snapshots"]) => accepted(state, "", request, Work::Snapshot),
        (_, ["batches"]) => ok(json!({ "results": [], "total": 0, "limit": 20, "from": null, "next": null })),
        (_, ["tasks", number]) => {
            let task = state.tasks.iter().find(|task| task.uid.to_string() == *number);
            task.map_or_else(
                || {
                    refused(
                        StatusCode::NOT_FOUND,
                        &error("task_not_found", &format!("Task `{number}` not found.")),
                    )
                },
                |task| ok(shown(task)),
            )
        }
        (_, ["indexes"]) if reads => {
            let listed = state
                .indexes
                .iter()
                .map(|(uid, index)| json!({ "uid": uid, "primaryKey": index.primary_key }));
            let listed: Vec<Value> = listed.collect();
            ok(json!({ "total": listed.len(), "results": listed, "offset": 0, "limit": 20 }))
        }
        (_, ["indexes"]) => {
            let uid = body["uid"].as_str().unwrap_or_default().to_owned();
            let primary_key = body["primaryKey"].as_str().map(str::to_owned);
            accepted(state, &uid, request, Work::CreateIndex { primary_key })
        }
        (_, ["stats"]) => {
            let indexes = state.indexes.keys().map(|uid| (uid.clone(), stats(state, uid)));
            let indexes: Map<String, Value> = indexes.collect();
            ok(json!({ "databaseSize": 0, "lastUpdate": null, "indexes": indexes }))
        }
        (&Method::PATCH, ["dynamic-search-rules", uid]) => {
            let fields = body.as_object().cloned().unwrap_or_default();
            accepted(state, "", request, Work::PutRule((*uid).to_owned(), fields))
        }
        (&Method::DELETE, ["dynamic-search-rules"]) => accepted(state, "", request, Work::ClearRules),
        (_, ["dynamic-search-rules"]) => ok(list_rules(state)),
        (_, ["indexes", uid, rest @ ..]) => of_index(state, request, uid, rest, body),
        _ => NodeReply { status: StatusCode::NOT_FOUND, content_type: None, body: Bytes::new() },
    }
}

fn of_index(state: &mut State, request: &NodeRequest, uid: &str, rest: &[&str], body: Value) -> NodeReply {
    let replaces = request.method == Method::POST;
    match (&request.method, rest) {
        (&Method::DELETE, []) => accepted(state, uid, request, Work::DeleteIndex),
        (&Method::PATCH, ["settings"]) => {
            let Value::Object(changes) = body else {
                return refused(
                    StatusCode::BAD_REQUEST,
                    &error("bad_request", "The settings are no object."),
                );
            };
            accepted(state, uid, request, Work::Settings(changes))
        }
        (&Method::DELETE, ["settings"]) => accepted(state, uid, request, Work::ResetSettings),
        (&Method::POST | &Method::PUT, ["documents"]) => {
            let lines = request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let documents: Result<Vec<Map<String, Value>>, _> = lines.map(serde_json::from_slice).collect();
            let primary_key = parameter(&request.path, "primaryKey");
            match documents {
                Ok(documents) => {
                    accepted(state, uid, request, Work::Add { primary_key, documents, replaces })
                }
                Err(fault) => {
                    refused(StatusCode::BAD_REQUEST, &error("malformed_payload", &fault.to_string()))
                }
            }
        }
        (&Method::POST, ["documents", "delete-batch"]) => {
            let ids = body.as_array().into_iter().flatten().map(as_id).collect();
            accepted(state, uid, request, Work::DeleteIds(ids))
        }
        (&Method::POST, ["documents", "delete"]) => {
            accepted(state, uid, request, Work::DeleteByFilter(body["filter"].clone()))
        }
        (&Method::DELETE, ["documents"]) => accepted(state, uid, request, Work::Clear),
        _ => read_index(state, uid, rest, &body),
    }
}

fn read_index(state: &State, uid: &str, rest: &[&str], body: &Value) -> NodeReply {
    let Some(index) = state.indexes.get(uid) else {
        return refused(
            StatusCode::NOT_FOUND,
            &error("index_not_found", &format!("Index `{uid}` not found.")),
        );
    };
    match rest {
        [] => ok(json!({ "uid": uid, "primaryKey": index.primary_key })),
        ["settings"] => ok(settings::show(&index.settings)),
        ["stats"] => ok(stats(state, uid)),
        ["documents" | "fetch", ..] if rest.len() == 1 || rest[1] == "fetch" => {
            let found = match find(index, body) {
                Ok(found) => found,
                Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
            };
            let (offset, limit) = window(body);
            let page: Vec<_> = found.iter().skip(offset).take(limit).collect();
            ok(json!({ "total": found.len(), "results": page, "offset": offset, "limit": limit }))
        }
        ["search"] => match find(index, body) {
            Ok(found) => ok(search(&found, body)),
            Err(error) => refused(StatusCode::BAD_REQUEST, &error),
        },
        ["documents", id] => index.documents.get(*id).map_or_else(
            || {
                refused(
                    StatusCode::NOT_FOUND,
                    &error("document_not_found", &format!("Document `{id}` not found.")),
                )
            },
            |document| ok(json!(document)),
        ),
        _ => NodeReply { status: StatusCode::NOT_FOUND, content_type: None, body: Bytes::new() },
    }
}

/// The documents with these ids that the filter selects.
fn find<'a>(index: &'a Index, body: &Value) -> Result<Vec<&'a Map<String, Value>>, Value> {
    let ids: Option<Vec<String>> = body["ids"].as_array().map(|ids| ids.iter().map(as_id).collect());
    let mut found = Vec::new();
    for (id, document) in &index.documents {
        if ids.as_ref().is_none_or(|ids| ids.contains(id)) && selects(index, &body["filter"], document)? {
            found.push(document);
        }
    }
    Ok(found)
}

fn window(body: &Value) -> (usize, usize) {
    let number = |name: &str| body[name].as_u64().and_then(|number| usize::try_from(number).ok());
    (number("offset").unwrap_or(0), number("limit").unwrap_or(20))
}

/// A search without words, which finds all documents that its filter selects, in the order of their ids.
fn search(found: &[&Map<String, Value>], body: &Value) -> Value {
    let (offset, limit) = window(body);
    let hits: Vec<Value> = found
        .iter()
        .skip(offset)
        .take(limit)
        .map(|document| {
            let mut hit = (*document).clone();
            if body["showRankingScoreDetails"] == true {
                hit.insert("_rankingScoreDetails".to_owned(), json!({}));
            }
            Value::Object(hit)
        })
        .collect();
    json!({ "hits": hits, "query": "", "estimatedTotalHits": found.len(), "offset": offset, "limit": limit, "processingTimeMs": 0 })
}

fn as_id(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn stats(state: &State, uid: &str) -> Value {
    let documents = state.indexes.get(uid).map(|index| &index.documents);
    let mut fields = Map::new();
    for name in documents.into_iter().flat_map(|documents| documents.values()).flat_map(Map::keys) {
        let count = fields.get(name).and_then(Value::as_u64).unwrap_or(0) + 1;
        fields.insert(name.clone(), json!(count));
    }
    let count = documents.map_or(0, std::collections::BTreeMap::len);
    json!({ "numberOfDocuments": count, "isIndexing": false, "fieldDistribution": fields })
}

fn list_rules(state: &State) -> Value {
    let shown = |(uid, fields): (&String, &Map<String, Value>)| {
        let mut fields = fields.clone();
        fields.insert("uid".to_owned(), json!(uid));
        fields
    };
    json!({ "results": state.rules.iter().map(shown).collect::<Vec<_>>() })
}

fn list_tasks(state: &State, path: &NodePath) -> Value {
    let number = |name: &str| parameter(path, name).and_then(|text| text.parse::<u64>().ok());
    let set =
        |name: &str| parameter(path, name).map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
    let (uids, statuses, indexes) = (set("uids"), set("statuses"), set("indexUids"));
    let reverse = parameter(path, "reverse").as_deref() == Some("true");
    let from = number("from");
    let is_in_range = |uid: u64| from.is_none_or(|from| if reverse { uid >= from } else { uid <= from });
    let mut found: Vec<&Task> = state
        .tasks
        .iter()
        .filter(|task| uids.as_ref().is_none_or(|uids| uids.contains(&task.uid.to_string())))
        .filter(|task| {
            statuses.as_ref().is_none_or(|statuses| statuses.iter().any(|status| status == task.status))
        })
        .filter(|task| indexes.as_ref().is_none_or(|indexes| indexes.contains(&task.index)))
        .filter(|task| is_in_range(task.uid))
        .collect();
    if !reverse {
        found.reverse();
    }
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TASKS);
    let total = found.len();
    let results: Vec<Value> = found.into_iter().take(limit).map(shown).collect();
    json!({ "results": results, "total": total, "limit": limit, "from": null, "next": null })
}

fn shown(task: &Task) -> Value {
    json!({
        "uid": task.uid,
        "indexUid": task.index,
        "status": task.status,
        "type": task.work.kind(),
        "error": task.error,
        "details": task.details,
        "customMetadata": task.metadata,
        "enqueuedAt": "2026-01-01T00:00:00Z",
    })
}

fn accepted(state: &mut State, index: &str, request: &NodeRequest, work: Work) -> NodeReply {
    let kind = work.kind();
    let uid = state.enqueue(index, parameter(&request.path, "customMetadata"), work);
    let summary = json!({ "taskUid": uid, "indexUid": index, "status": "enqueued", "type": kind });
    NodeReply { status: StatusCode::ACCEPTED, ..ok(summary) }
}

fn parameter(path: &NodePath, name: &str) -> Option<String> {
    let url = path.at("http://in-memory").ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "JSON literals read better without a reference")]
fn ok(body: Value) -> NodeReply {
    NodeReply { status: StatusCode::OK, content_type: None, body: body.to_string().into() }
}

fn refused(status: StatusCode, body: &Value) -> NodeReply {
    NodeReply { status, content_type: None, body: body.to_string().into() }
}
