//! `/dynamic-search-rules`. Changes go through the log to every node. Miroir shows its own copy, since nodes know indexes
//! by other names; nodes only search in it.

use std::cmp::Reverse;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{Method, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use miroir_core::document::Payload;
use miroir_core::error::ErrorCode;
use miroir_core::ids::{IndexUid, ShardId};
use miroir_core::path::NodePath;
use miroir_core::rules::{RULES_UID, RuleBook, RuleChange, RuleUpdate};
use miroir_core::task::Mutation;
use serde_json::{Value, json};

use super::TaskResponse;
use super::features::{Feature, require, require_unasked};
use super::page::Window;
use crate::auth::{Authorized, DynamicSearchRulesDelete, DynamicSearchRulesGet, DynamicSearchRulesUpdate};
use crate::error::RequestError;
use crate::http::body::JsonBody;
use crate::http::path::check_uid;
use crate::http::{App, arrival};
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{IMPOSSIBLE_UID, ask_any, find_fault};
use crate::write::NewWrite;

/// Where nodes have the rules.
const RULES: &str = "/dynamic-search-rules";

/// A rule that is only asked about with bodies that every node refuses.
const ANY_RULE: &str = "miroir";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/dynamic-search-rules", post(list).delete(clear))
        .route("/dynamic-search-rules/{uid}", get(one).patch(put).delete(remove))
}

async fn list(
    _: Authorized<DynamicSearchRulesGet>,
    State(app): State<App>,
    request: Request,
) -> Result<Response, RequestError> {
    let asked = put_to_node(&app, Method::POST, RULES.into(), request).await?;
    require(&app, Feature::DynamicSearchRules, asked.clone()).await?;
    let view = app.cluster.view.load();
    let reply = ask_any(&app.cluster, asked.clone()).await.ok_or_else(no_node_answers)?;
    let Some(mut page) = read_object(&reply).filter(|_| reply.status.is_success()) else {
        return Err(RequestError::Node(reply));
    };
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    if body["filter"]["query"].is_string() {
        show_own(&view.rules, &mut page);
        return Ok(Json(page).into_response());
    }
    let number = |field: &str| page[field].as_u64().and_then(|number| usize::try_from(number).ok());
    let window = Window { offset: number("offset").unwrap_or(0), limit: number("limit").unwrap_or(20) };
    let shown = newest_first(&view.rules, body["filter"]["active"].as_bool());
    Ok(Json(window.page(shown.into_iter(), |rule| rule)).into_response())
}

/// What a node found, as Miroir shows it.
fn show_own(book: &RuleBook, page: &mut Value) {
    for rule in page["results"].as_array_mut().into_iter().flatten() {
        if let Some(own) = rule["uid"].as_str().and_then(|uid| book.shown(uid)) {
            *rule = own;
        }
    }
}

fn newest_first(book: &RuleBook, active: Option<bool>) -> Vec<Value> {
    let mut rules = book.by_change();
    rules.sort_by_key(|(_, rule)| Reverse(rule.last_updated_at()));
    let shown = rules.into_iter().filter_map(|(uid, _)| book.shown(uid));
    shown.filter(|rule| active.is_none_or(|active| rule["active"] == active)).collect()
}

async fn one(
    _: Authorized<DynamicSearchRulesGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
    request: Request,
) -> Result<Json<Value>, RequestError> {
    let asked = put_to_node(&app, Method::GET, path_to_ask_about(&uid), request).await?;
    require_rules(&app, &asked, &uid).await?;
    if let Some(rule) = app.cluster.view.load().rules.shown(&uid) {
        return Ok(Json(rule));
    }
    let message = format!("Dynamic search rule `{uid}` not found.");
    Err(RequestError::new(ErrorCode::DynamicSearchRuleNotFound, message))
}

async fn put(
    _: Authorized<DynamicSearchRulesUpdate>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    request: Request,
) -> TaskResponse {
    let asked = put_to_node(&app, Method::PATCH, path_to_ask_about(&uid), request).await?;
    require_rules(&app, &asked, &uid).await?;
    check_rule_form(&app, asked.clone()).await?;
    let body = JsonBody::parse(asked.body)?;
    let Value::Object(fields) = body.value else {
        return Err(RequestError::new(ErrorCode::BadRequest, "The body is no object."));
    };
    let uid = check_uid(&uid)?.to_string();
    append(&app, RuleChange::Put { uid, update: RuleUpdate::new(&fields) }, query.as_deref()).await
}

async fn remove(
    _: Authorized<DynamicSearchRulesDelete>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    request: Request,
) -> TaskResponse {
    let asked = put_to_node(&app, Method::DELETE, path_to_ask_about(&uid), request).await?;
    require_rules(&app, &asked, &uid).await?;
    let query = query.unwrap_or_default();
    check_query(&app, &query).await?;
    append(&app, RuleChange::Delete { uid: check_uid(&uid)?.to_string() }, Some(&query)).await
}

async fn clear(
    _: Authorized<DynamicSearchRulesDelete>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> TaskResponse {
    let feature = ("dynamic search rules", 884);
    require_unasked(&app, Feature::DynamicSearchRules, "Using the `/dynamic-search-rules` routes", feature)
        .await?;
    let query = query.unwrap_or_default();
    check_query(&app, &query).await?;
    append(&app, RuleChange::Clear, Some(&query)).await
}

async fn append(app: &App, change: RuleChange, query: Option<&str>) -> TaskResponse {
    let custom_metadata = query.map(pairs).unwrap_or_default().pop().map(|(_, text)| text);
    let write = NewWrite {
        index: IndexUid::new(RULES_UID),
        mutation: Mutation::Rules { change },
        payload: Payload::default(),
        custom_metadata,
    };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}

/// The rule that nobody can have.
fn impossible_rule() -> NodePath {
    NodePath::from(RULES).then(IMPOSSIBLE_UID)
}

/// Where a node is asked about a rule: one that it has for nothing else, or nobody's where no rule can have the name.
fn path_to_ask_about(uid: &str) -> NodePath {
    if check_uid(uid).is_ok() { NodePath::from(RULES).then(ANY_RULE) } else { impossible_rule() }
}

/// Refuses a rule that can't have its name, which Meilisearch sees first, and then anything while rules are switched off.
async fn require_rules(app: &App, asked: &NodeRequest, uid: &str) -> Result<(), RequestError> {
    if check_uid(uid).is_err() {
        let reply = ask_any(&app.cluster, asked.clone()).await.ok_or_else(no_node_answers)?;
        return Err(RequestError::Node(renamed(reply, uid)));
    }
    require(app, Feature::DynamicSearchRules, asked.clone()).await
}

/// Has a node say what is wrong with the query of a deletion.
async fn check_query(app: &App, query: &str) -> Result<(), RequestError> {
    if is_plain(query) {
        return Ok(());
    }
    let asked = NodeRequest::new(Method::DELETE, impossible_rule().with_query(query));
    match ask_any(&app.cluster, asked).await {
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}

/// A node's error, which is bare text, as it would speak of the name that the client wrote.
fn renamed(reply: NodeReply, uid: &str) -> NodeReply {
    let text = String::from_utf8_lossy(&reply.body);
    let body = text.replacen(&format!("`{IMPOSSIBLE_UID}`"), &format!("`{uid}`"), 1).into();
    NodeReply { body, ..reply }
}

/// Whether the query has nothing but the client's own text.
fn is_plain(query: &str) -> bool {
    pairs(query).iter().all(|(name, _)| name == "customMetadata")
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = reqwest::Url::parse(&format!("http://miroir/?{query}"));
    pairs.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

/// Has a node look at path, query and body. It reads the fields of the body in their order, so it comes last to one that no
/// rule has, and does nothing.
async fn check_rule_form(app: &App, mut asked: NodeRequest) -> Result<(), RequestError> {
    if let Ok(Value::Object(mut fields)) = serde_json::from_slice(&asked.body) {
        fields.shift_remove(IMPOSSIBLE_UID);
        fields.insert(IMPOSSIBLE_UID.to_owned(), json!(null));
        asked.body = Value::Object(fields).to_string().into();
    }
    let is_ours =
        |reply: &NodeReply| reply.message().starts_with(&format!("Unknown field `{IMPOSSIBLE_UID}`:"));
    match find_fault(&app.cluster, asked, is_ours).await {
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}

fn read_object(reply: &NodeReply) -> Option<Value> {
    serde_json::from_slice(&reply.body).ok().filter(Value::is_object)
}

fn no_node_answers() -> RequestError {
    RequestError::ShardsUnavailable(vec![ShardId(0)])
}

/// What the client said, asked of a node at a path of our own.
async fn put_to_node(
    app: &App,
    method: Method,
    path: NodePath,
    request: Request<Body>,
) -> Result<NodeRequest, RequestError> {
    let (parts, body) = request.into_parts();
    let mut asked = NodeRequest::new(method, path.with_query(parts.uri.query().unwrap_or_default()));
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        asked = asked.header(CONTENT_TYPE, content_type.clone());
    }
    asked.body = arrival::read_bytes(app, &parts, body).await?;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_list_begins_with_the_rule_that_was_changed_last() {
        let mut book = RuleBook::default();
        for (uid, second, active) in [("a", 1, true), ("b", 3, false), ("c", 2, true)] {
            let fields = [("active".to_owned(), json!(active))].into_iter().collect();
            let change = RuleChange::Put { uid: uid.to_owned(), update: RuleUpdate::new(&fields) };
            book.apply(&change, OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second));
        }
        let uids = |active| -> Vec<String> {
            let shown = newest_first(&book, active);
            shown.iter().filter_map(|rule| Some(rule["uid"].as_str()?.to_owned())).collect()
        };
        assert_eq!(uids(None), ["b", "c", "a"]);
        assert_eq!(uids(Some(true)), ["c", "a"]);
        assert_eq!(uids(Some(false)), ["b"]);
    }

    #[test]
    fn only_the_clients_own_text_makes_a_plain_query() {
        assert!(is_plain("") && is_plain("customMetadata=a&customMetadata=b"));
        assert!(!is_plain("customMetadta=a"));
        assert_eq!(pairs("customMetadata=a&customMetadata=b%20c").pop().unwrap().1, "b c");
    }
}
