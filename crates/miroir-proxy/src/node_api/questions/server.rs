//! The node itself: how it is, its features, copies of all that it has.

use miroir_core::path::NodePath;
use miroir_core::rules::RuleUpdate;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Question, Unanswered, done, json, number_of_task, results};
use crate::node_api::{NodeReply, NodeRequest};

/// Asks whether the node is well.
pub fn health() -> Question<()> {
    Question::new(NodeRequest::get("/health").briefly(), done)
}

/// Asks for the version of Meilisearch.
pub fn version() -> Question<String> {
    Question::new(NodeRequest::get("/version").briefly(), |reply| {
        match json::<Value>(reply)?["pkgVersion"].take() {
            Value::String(version) => Ok(version),
            _ => Err(Unanswered::OutOfForm),
        }
    })
}

/// Asks whether it is a Miroir that answers, by a route that only a Miroir has. Whatever else is answered says no.
pub fn is_miroir() -> Question<bool> {
    Question::new(NodeRequest::get("/_miroir/ready").briefly(), |reply| {
        let NodeReply { status, body, .. } = reply;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let says_so = matches!(answer["status"].as_str(), Some("ready" | "not_ready"));
        Ok(says_so && matches!(status.as_u16(), 200 | 503))
    })
}

/// Asks which experimental features are on.
pub fn features() -> Question<Map<String, Value>> {
    Question::new(NodeRequest::get(FEATURES).briefly(), json)
}

/// Wants experimental features switched.
pub fn change_features(changes: &Map<String, Value>) -> Question<()> {
    let body = serde_json::to_vec(changes).expect("a map of values is JSON");
    Question::new(NodeRequest::new(Method::PATCH, FEATURES).json(body), done)
}

const FEATURES: &str = "/experimental-features";

const RULES: &str = "/dynamic-search-rules";

/// More rules than a node has.
const ALL_RULES: usize = 1_000_000;

/// Asks for all dynamic search rules.
pub fn search_rules() -> Question<Vec<Value>> {
    Question::new(NodeRequest::post(RULES).json(json!({ "limit": ALL_RULES }).to_string()), results)
}

/// Wants a dynamic search rule made or changed; the answer is the number of the task.
pub fn change_search_rule(uid: &str, update: &RuleUpdate) -> Question<u64> {
    let request = NodeRequest::new(Method::PATCH, NodePath::from(RULES).then(uid));
    Question::new(request.json(json!(update).to_string()), number_of_task)
}

/// Wants all dynamic search rules deleted; the answer is the number of the task.
pub fn delete_search_rules() -> Question<u64> {
    Question::new(NodeRequest::new(Method::DELETE, RULES), number_of_task)
}

/// Wants a dump made; the answer is the number of the task.
pub fn make_dump() -> Question<u64> {
    Question::new(NodeRequest::post("/dumps"), number_of_task)
}

/// Wants a snapshot made; the answer is the number of the task.
pub fn make_snapshot() -> Question<u64> {
    Question::new(NodeRequest::post("/snapshots"), number_of_task)
}
