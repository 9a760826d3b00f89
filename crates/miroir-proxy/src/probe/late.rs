//! What a node only checks right before it acts.
//!
//! A few faults are found after the index uid was looked at ([`super::check_form`] can't get there), right before a task is
//! made. A node is asked about them with a fault of ours behind the client's: whatever it answers, it does not act, and
//! if the fault that it finds is ours there is none before it.

use miroir_core::error::ErrorCode;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{ANY_INDEX, find_fault};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest};

/// Nobody has an index, an embedder or an attribute of this name; as the name of an embedder it comes last.
const POISON: &str = "~miroir";

/// Settings of which parts are looked at only then.
const LATE: [&str; 4] = ["embedders", "chat", "foreignKeys", "rankingRules"];

/// Refuses a filter that can't be read, or that selects nothing in particular, as `documents/delete` does.
pub(crate) async fn check_deletion_filter(cluster: &Cluster, filter: &Value) -> Result<(), RequestError> {
    let refused = |message: String| Err(RequestError::new(ErrorCode::InvalidDocumentFilter, message));
    let mut conditions = match filter {
        Value::String(text) => vec![json!(text)],
        Value::Array(conditions) => conditions.clone(),
        other => {
            return refused(format!(
                "Invalid syntax for the filter parameter: `expected String, Array, found: {other}`."
            ));
        }
    };
    if conditions.iter().all(selects_nothing) {
        return refused("Sending an empty filter is forbidden.".to_owned());
    }
    conditions.push(json!(format!("'{POISON}' >")));
    let request = NodeRequest::post(["indexes", ANY_INDEX, "documents", "delete"])
        .json(json!({ "filter": conditions }).to_string());
    check(cluster, request).await
}

fn selects_nothing(condition: &Value) -> bool {
    match condition {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(either) => either.iter().all(selects_nothing),
        _ => false,
    }
}

/// Refuses settings of embedders that can't work, ranking rules that exclude each other, and settings that need a feature
/// which is switched off.
pub(crate) async fn check_late_settings(
    cluster: &Cluster,
    patch: &Map<String, Value>,
) -> Result<(), RequestError> {
    if !LATE.iter().any(|key| patch.get(*key).is_some_and(|value| !value.is_null())) {
        return Ok(());
    }
    let mut patch = patch.clone();
    let mut embedders = match patch.get("embedders") {
        Some(Value::Object(embedders)) => embedders.clone(),
        _ => Map::new(),
    };
    embedders.insert(POISON.to_owned(), json!({ "source": "userProvided", "dimensions": 0 }));
    patch.insert("embedders".to_owned(), Value::Object(embedders));
    let request = NodeRequest::new(Method::PATCH, ["indexes", ANY_INDEX, "settings"])
        .json(Value::Object(patch).to_string());
    check(cluster, request).await
}

async fn check(cluster: &Cluster, request: NodeRequest) -> Result<(), RequestError> {
    match find_fault(cluster, request, is_ours).await {
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}

fn is_ours(reply: &NodeReply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    body["message"].as_str().is_some_and(|message| message.contains(POISON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_any_condition_selects_nothing() {
        for nothing in [json!(" "), json!([]), json!(["", []])] {
            assert!(selects_nothing(&nothing), "{nothing}");
        }
        for something in [json!("a = 1"), json!([[" ", "a = 1"]]), json!(5), json!(null)] {
            assert!(!selects_nothing(&something), "{something}");
        }
    }
}
