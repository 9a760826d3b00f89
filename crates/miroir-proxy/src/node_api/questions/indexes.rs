//! Indexes, their settings and their statistics.

use std::collections::BTreeMap;

use miroir_core::ids::PhysicalUid;
use miroir_core::path::NodePath;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{NodeReply, Question, Unanswered, json, number_of_task, results};
use crate::node_api::NodeRequest;

/// More indexes than a node has.
const ALL_INDEXES: usize = 1_000_000;

/// Whether the sizes of the databases inside an index are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InternalSizes {
    /// They are.
    Show,
    /// They are not.
    Hide,
}

impl InternalSizes {
    fn asked_at(self, path: NodePath) -> NodeRequest {
        NodeRequest::get(match self {
            Self::Show => path.with("showInternalDatabaseSizes", true),
            Self::Hide => path,
        })
    }
}

/// Asks for all indexes, with their primary keys.
pub fn indexes() -> Question<BTreeMap<PhysicalUid, Option<String>>> {
    let request = NodeRequest::get(NodePath::from("/indexes").with("limit", ALL_INDEXES));
    Question::new(request, read_indexes)
}

fn read_indexes(reply: NodeReply) -> Result<BTreeMap<PhysicalUid, Option<String>>, Unanswered> {
    let index = |index: &Value| {
        let primary_key = index["primaryKey"].as_str().map(str::to_owned);
        Some((PhysicalUid::new(index["uid"].as_str()?), primary_key))
    };
    let indexes: Option<_> = results(reply)?.iter().map(index).collect();
    indexes.ok_or(Unanswered::OutOfForm)
}

/// Asks for the primary key of an index; none if there is no such index.
pub fn find_index(index: &PhysicalUid) -> Question<Option<Option<String>>> {
    Question::new(NodeRequest::get(["indexes", index.as_str()]), |reply| {
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(json::<Value>(reply)?["primaryKey"].as_str().map(str::to_owned)))
    })
}

/// Wants an index made; the answer is the number of the task.
pub fn create_index(index: &PhysicalUid, primary_key: &str) -> Question<u64> {
    let body = serde_json::json!({ "uid": index, "primaryKey": primary_key });
    Question::new(NodeRequest::post("/indexes").json(body.to_string()), number_of_task)
}

/// Wants an index deleted; the answer is the number of the task.
pub fn delete_index(index: &PhysicalUid) -> Question<u64> {
    Question::new(NodeRequest::new(Method::DELETE, ["indexes", index.as_str()]), number_of_task)
}

/// Wants an index compacted; the answer is the number of the task.
pub fn compact_index(index: &PhysicalUid) -> Question<u64> {
    Question::new(NodeRequest::post(["indexes", index.as_str(), "compact"]), number_of_task)
}

/// Asks for the settings of an index, by the names that Meilisearch gives them.
pub fn settings(index: &PhysicalUid) -> Question<Map<String, Value>> {
    Question::new(NodeRequest::get(["indexes", index.as_str(), "settings"]), json)
}

/// Asks for one setting, by the name of its own route.
pub fn setting(index: &PhysicalUid, route: &str) -> Question<Value> {
    Question::new(NodeRequest::get(["indexes", index.as_str(), "settings", route]), json)
}

/// Wants settings changed, as `PATCH` does; the answer is the number of the task.
pub fn change_settings(index: &PhysicalUid, patch: Map<String, Value>) -> Question<u64> {
    let request = NodeRequest::new(Method::PATCH, ["indexes", index.as_str(), "settings"]);
    Question::new(request.json(Value::Object(patch).to_string()), number_of_task)
}

/// Wants all settings as they are in a new index; the answer is the number of the task.
pub fn reset_settings(index: &PhysicalUid) -> Question<u64> {
    let path = ["indexes", index.as_str(), "settings"];
    Question::new(NodeRequest::new(Method::DELETE, path), number_of_task)
}

/// Asks for the statistics of an index.
pub fn index_stats(index: &PhysicalUid, internal: InternalSizes) -> Question<Map<String, Value>> {
    Question::new(internal.asked_at(["indexes", index.as_str(), "stats"].into()), json)
}

/// Asks for the statistics of the node and of all its indexes.
pub fn all_stats(internal: InternalSizes) -> Question<Map<String, Value>> {
    Question::new(internal.asked_at("/stats".into()), json)
}

/// Asks for the fields of an index; `query` is the body of `POST /indexes/{uid}/fields`.
pub fn fields(index: &PhysicalUid, query: &Value) -> Question<Vec<Map<String, Value>>> {
    let request = NodeRequest::post(["indexes", index.as_str(), "fields"]).json(query.to_string());
    Question::new(request, |reply| {
        let field = |field| match field {
            Value::Object(field) => Some(field),
            _ => None,
        };
        Ok(results(reply)?.into_iter().filter_map(field).collect())
    })
}
