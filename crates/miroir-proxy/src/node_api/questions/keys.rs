//! The API keys of a node.

use miroir_core::path::NodePath;
use reqwest::Method;
use serde_json::Value;

use super::{Question, Unanswered, done, json, results};
use crate::node_api::NodeRequest;

const ROUTE: &str = "/keys";

/// More keys than a node has.
const ALL_KEYS: usize = 100_000;

/// Asks for all keys, the newest first.
pub fn keys() -> Question<Vec<Value>> {
    Question::new(NodeRequest::get(NodePath::from(ROUTE).with("limit", ALL_KEYS)), results)
}

/// Wants a key made, as it is described; the answer is its value.
pub fn make_key(description: &Value) -> Question<String> {
    Question::new(NodeRequest::post(ROUTE).json(description.to_string()), |reply| {
        match json::<Value>(reply)?["key"].take() {
            Value::String(value) => Ok(value),
            _ => Err(Unanswered::OutOfForm),
        }
    })
}

/// Wants the key of this uid deleted.
pub fn delete_key(uid: &str) -> Question<()> {
    Question::new(NodeRequest::new(Method::DELETE, NodePath::from(ROUTE).then(uid)), done)
}
