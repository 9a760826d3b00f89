//! `POST /_miroir/nodes/{id}/adopt`: takes a node over that is not this cluster's.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use miroir_core::error::ErrorCode;
use miroir_core::identity::Stranger;
use miroir_core::ids::{NodeId, PhysicalUid};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::AdminAuthorized;
use crate::cluster::{Unusable, ask_traces};
use crate::error::RequestError;
use crate::http::App;
use crate::node_api::Node;

/// Indexes that a message names.
const NAMED: usize = 10;

/// What whoever asks has to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// That all that the node has may go.
    #[serde(default)]
    give_up_data: bool,
}

/// Puts this cluster's mark on the node, and has its data made anew from its peers. What it has is gone then.
pub(super) async fn adopt(
    _: AdminAuthorized,
    Path(node): Path<String>,
    State(app): State<App>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), RequestError> {
    let order = read_order(&body)?;
    let id = NodeId::new(node);
    let membership = &app.cluster.membership;
    let Some(node) = membership.node(&id) else {
        return Err(RequestError::new(ErrorCode::MiroirNodeNotFound, format!("There is no node `{id}`.")));
    };
    let Some(stranger) = membership.sighting(&id).foreign else {
        let message =
            format!("Node `{id}` is this cluster's, or does not answer: there is nothing to take over.");
        return Err(RequestError::new(ErrorCode::MiroirNodeNotForeign, message));
    };
    if let Stranger::OtherNode(other) = &stranger
        && membership.standing(other).is_some_and(|standing| standing.reachable)
    {
        let message = format!(
            "Node `{other}` answers under its own address: both addresses reach one server. Correct `nodes` in the \
             configuration."
        );
        return Err(RequestError::new(ErrorCode::MiroirNodeNotForeign, message));
    }
    let traces =
        ask_traces(&node, app.cluster.node_timeout).await.map_err(|error| unavailable(&node, &error))?;
    if !traces.indexes.is_empty() && !order.give_up_data {
        let message = has_data(&id, traces.indexes.iter());
        return Err(RequestError::new(ErrorCode::MiroirNodeHasData, message));
    }
    // Before anything may be read from it.
    if !app.writer.give_up_data(&id).await? {
        let message = format!("It can't be stored now that node `{id}` is to be made anew.");
        return Err(RequestError::new(ErrorCode::MiroirNodeUnavailable, message));
    }
    app.identities.adopt(&node).await.map_err(|error| unavailable(&node, &error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "node": id, "adopted": true }))))
}

fn read_order(body: &[u8]) -> Result<Order, RequestError> {
    if body.is_empty() {
        return Ok(Order::default());
    }
    serde_json::from_slice(body).map_err(|error| RequestError::new(ErrorCode::BadRequest, error.to_string()))
}

fn has_data<'a>(node: &NodeId, indexes: impl ExactSizeIterator<Item = &'a PhysicalUid>) -> String {
    let count = indexes.len();
    let named: Vec<_> = indexes.take(NAMED).map(|index| format!("`{index}`")).collect();
    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
    format!(
        "Node `{node}` has indexes: {}{more}. To take it over gives them up. If that is meant, send \
         `{{\"give_up_data\": true}}`.",
        named.join(", ")
    )
}

fn unavailable(node: &Node, error: &Unusable) -> RequestError {
    RequestError::new(
        ErrorCode::MiroirNodeUnavailable,
        format!("Node `{}` can't be taken over now: {error}", node.id()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_given_up_only_by_a_clear_word() {
        for body in ["", "{}", r#"{"give_up_data": false}"#] {
            assert!(!read_order(body.as_bytes()).unwrap().give_up_data, "{body}");
        }
        assert!(read_order(br#"{"give_up_data": true}"#).unwrap().give_up_data);
        for body in ["true", r#"{"give_up": true}"#, r#"{"give_up_data": 1}"#] {
            assert!(read_order(body.as_bytes()).is_err(), "{body}");
        }
    }
}
