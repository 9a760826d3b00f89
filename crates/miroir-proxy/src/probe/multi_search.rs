//! Several searches in one request, whose faults Meilisearch finds in an order of its own.
//!
//! Meilisearch looks at the form of the whole request first, then at what each federated query may say, then at the
//! indexes. So a node is asked the same about indexes that do not exist: it complains about everything that comes
//! before them. What comes with an index is said by a node that holds it, asked one query of the client's alone.

use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::{IndexUid, NodeId};
use miroir_core::search::{MultiRequest, SubQuery};
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value, json};

use super::{find_fault, find_fault_on, refused_by_miroir};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{ABSENT_SUFFIX, NodeReply, NodeRequest, scrub_reply};

/// `Err` if a node finds fault with the request before it looks for an index. When no node answers nothing is found.
pub(crate) async fn check_queries_form(
    cluster: &Cluster,
    request: &MultiRequest,
) -> Result<(), RequestError> {
    // What queries say about other servers was looked at; nodes know of none.
    let plain = MultiRequest {
        queries: request.queries.iter().map(SubQuery::without_network).collect(),
        federation: request.federation.clone(),
    };
    check_written(cluster, &plain.written(absent)).await
}

/// The error of a request that Miroir could not read.
pub async fn explain_form(cluster: &Cluster, body: &Value) -> RequestError {
    form_fault(cluster, body).await.unwrap_or_else(refused_by_miroir)
}

/// What a node says against the form of a request, whatever is in it.
pub async fn form_fault(cluster: &Cluster, body: &Value) -> Option<RequestError> {
    let mut body = body.clone();
    for query in body.get_mut("queries").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(uid)) = query.get_mut("indexUid") {
            // A uid of a wrong form must stay as it is, to be shown as it is.
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !uid.is_empty() && uid.bytes().all(fits) {
                uid.push_str(ABSENT_SUFFIX);
            }
        }
    }
    check_written(cluster, &body).await.err()
}

/// That there is no index of such a name is what the node was meant to find.
async fn check_written(cluster: &Cluster, body: &Value) -> Result<(), RequestError> {
    let is_ours = |reply: &NodeReply| reply.has_code(ErrorCode::IndexNotFound);
    match find_fault(cluster, with_body(body), is_ours).await {
        Some(reply) => {
            Err(RequestError::Node(with_message(reply, |message| message.replace(ABSENT_SUFFIX, ""))))
        }
        None => Ok(()),
    }
}

fn with_body(body: &Value) -> NodeRequest {
    NodeRequest::post("/multi-search").json(body.to_string())
}

/// What a query says about other servers is wrong; unless something of the form, or of an earlier query, comes first.
pub async fn explain_network_fault(
    cluster: &Cluster,
    request: &MultiRequest,
    position: usize,
    fault: RequestError,
) -> RequestError {
    unless_before(cluster, request, |named| named.is_none_or(|named| named <= position))
        .await
        .unwrap_or_else(|| inside(position, fault))
}

/// A query asks for an index that the caller may not search; unless something of the form comes first.
pub async fn explain_access_fault(
    cluster: &Cluster,
    request: &MultiRequest,
    position: usize,
    fault: RequestError,
) -> RequestError {
    unless_before(cluster, request, |named| named.is_none()).await.unwrap_or_else(|| inside(position, fault))
}

/// The error of a node that comes first, judged by the query that it names.
async fn unless_before(
    cluster: &Cluster,
    request: &MultiRequest,
    comes_first: impl FnOnce(Option<usize>) -> bool,
) -> Option<RequestError> {
    match check_queries_form(cluster, request).await {
        Err(RequestError::Node(reply)) if comes_first(query_named(&reply)) => Some(RequestError::Node(reply)),
        _ => None,
    }
}

/// The query in which a node's error lies.
fn query_named(reply: &NodeReply) -> Option<usize> {
    let error: Value = serde_json::from_slice(&reply.body).ok()?;
    let rest = error["message"].as_str()?.strip_prefix("Inside `.queries[")?;
    rest.split_once(']')?.0.parse().ok()
}

/// What a node that holds the index says against one query of a federated search.
pub(crate) async fn explain_query(
    cluster: &Cluster,
    node: &NodeId,
    entry: &IndexEntry,
    request: &MultiRequest,
    (position, query): (usize, &SubQuery),
) -> Option<RequestError> {
    let node = cluster.membership.node(node)?;
    let mut federation =
        request.federation.as_ref().map_or_else(Map::new, |federation| federation.written.clone());
    federation.shift_remove("mergeFacets");
    if let Some(Value::Object(facets)) = federation.get_mut("facetsByIndex") {
        let names = facets.shift_remove(entry.uid.as_str());
        *facets = names.map(|names| (entry.physical.to_string(), names)).into_iter().collect();
    }
    let query = query.without_network().written(entry.physical.as_str());
    let body = json!({ "queries": [query], "federation": federation });
    let reply = find_fault_on(cluster, &node, with_body(&body)).await?;
    Some(inside(position, RequestError::Node(rename_facets(scrub_reply(reply, entry), entry))))
}

/// What a node says against facets of an index that no query searches.
pub(crate) async fn explain_unused_facets(
    cluster: &Cluster,
    node: &NodeId,
    entry: &IndexEntry,
    names: &[String],
) -> Option<RequestError> {
    let node = cluster.membership.node(node)?;
    let facets = json!({ entry.physical.as_str(): names });
    let body = json!({ "queries": [], "federation": { "facetsByIndex": facets } });
    let reply = find_fault_on(cluster, &node, with_body(&body)).await?;
    Some(RequestError::Node(rename_facets(scrub_reply(reply, entry), entry)))
}

/// In a path the index's name stands without backticks of its own.
fn rename_facets(reply: NodeReply, entry: &IndexEntry) -> NodeReply {
    with_message(reply, |message| {
        message.replace(
            &format!(".facetsByIndex.{}`", entry.physical),
            &format!(".facetsByIndex.{}`", entry.uid),
        )
    })
}

/// The message of a node that was asked the client's own request, with the client's names.
pub(crate) fn scrub_for_all<'a>(
    reply: NodeReply,
    entries: impl Iterator<Item = &'a IndexEntry>,
) -> NodeReply {
    entries.fold(with_message(reply, |message| message.replace(ABSENT_SUFFIX, "")), |reply, entry| {
        let reply = rename_facets(scrub_reply(reply, entry), entry);
        with_message(reply, |message| {
            message.replace(&format!("`{}.ranking", entry.physical), &format!("`{}.ranking", entry.uid))
        })
    })
}

/// The name that stands for an index which does not exist.
pub(crate) fn absent(uid: &IndexUid) -> String {
    format!("{uid}{ABSENT_SUFFIX}")
}

fn with_message(reply: NodeReply, change: impl FnOnce(&str) -> String) -> NodeReply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else { return reply };
    if let Some(Value::String(message)) = body.get_mut("message") {
        *message = change(message);
    }
    NodeReply { body: Value::Object(body).to_string().into(), ..reply }
}

/// Says in which query an error lies, if a query is at fault.
pub fn inside(position: usize, error: RequestError) -> RequestError {
    let place = |message: &str| {
        // A node that was asked one query alone calls it the first.
        let message = message.strip_prefix("Inside `.queries[0]`: ").unwrap_or(message);
        format!("Inside `.queries[{position}]`: {message}")
    };
    with_error_message(error, place)
}

/// The same error with another message, if the client is at fault.
pub(crate) fn with_error_message(error: RequestError, change: impl FnOnce(&str) -> String) -> RequestError {
    match error {
        RequestError::Refused(error) => {
            RequestError::Refused(ResponseError { message: change(&error.message), ..error })
        }
        RequestError::BadRequest(error) => {
            RequestError::BadRequest(ResponseError { message: change(&error.message), ..error })
        }
        RequestError::Node(reply) if reply.status.is_client_error() => {
            RequestError::Node(with_message(reply, change))
        }
        other => other,
    }
}

/// Not a 404, since the index is not what the request's path names.
pub(crate) fn missing_index(uid: &IndexUid) -> RequestError {
    RequestError::BadRequest(ResponseError::new(
        ErrorCode::IndexNotFound,
        format!("Index `{uid}` not found."),
    ))
}
