//! `/render-template`: a node renders, and never a document of its own: that one has a marker, which a template can count, cut
//! or change into what nobody would know for one. It gets the document as clients see it.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use miroir_core::chat::DocumentTemplate;
use miroir_core::ids::{IndexUid, ShardId};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::features::{Feature, require};
use crate::auth::{Authorized, DocumentsGet, SettingsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::error::pass_on;
use crate::node_api::{NodeReply, NodeRequest, scrub_reply};
use crate::probe::ask_any;
use crate::read::{Reader, get_document, send_to_replica};

/// Fields of a document that templates don't see (Meilisearch 1.50).
const UNSEEN: [&str; 3] = ["_vectors", "_geo", "_geojson"];

/// How often a document is looked for that comes and goes.
const MAX_TRIES: usize = 3;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/render-template", post(render))
}

async fn render(
    settings: Authorized<SettingsGet>,
    documents: Authorized<DocumentsGet>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Response, RequestError> {
    let as_sent = NodeRequest::post("/render-template").json(body.bytes);
    require(&app, Feature::RenderRoute, as_sent.clone()).await?;
    let view = app.cluster.view.load();
    let mut asked = body.value;
    let [mut template, mut input] = [None, None];
    for (part, entry) in [("template", &mut template), ("input", &mut input)] {
        let Some(uid) = asked[part]["indexUid"].as_str().map(IndexUid::new) else { continue };
        settings.require(&uid)?;
        documents.require(&uid)?;
        // An index that is not there is left to the node, which says so.
        if let Some(found) = view.index(&uid) {
            asked[part]["indexUid"] = json!(found.physical);
            *entry = Some(found);
        }
    }
    let indexes = [template, input];
    let Some(entry) = indexes.into_iter().flatten().next_back() else {
        let reply = ask_any(&app.cluster, as_sent).await;
        return Ok(pass_on(reply.ok_or_else(|| RequestError::ShardsUnavailable(vec![ShardId(0)]))?));
    };
    let reply = match input.and_then(|input| Some((input, asked_document(&asked["input"])?))) {
        Some((input, id)) => render_document(&app, &view, input, &id, asked).await?,
        None => send(&app, &view, entry, &asked).await?,
    };
    Ok(pass_on(indexes.into_iter().flatten().fold(reply, |reply, entry| scrub_reply(reply, entry))))
}

/// The id of the document that is to be rendered, if it is one of an index. Nodes refuse what is said of it besides.
fn asked_document(input: &Value) -> Option<String> {
    let is_of_index = input["kind"] == "indexDocument" && input["inline"].is_null();
    input["id"].as_str().filter(|_| is_of_index).map(str::to_owned)
}

async fn render_document(
    app: &App,
    view: &View,
    entry: &IndexEntry,
    id: &str,
    asked: Value,
) -> Result<NodeReply, RequestError> {
    for _ in 0..MAX_TRIES {
        match get_document(&Reader::new(&app.cluster, view, entry), id, "").await {
            Ok(mut document) => {
                document.retain(|name, _| !UNSEEN.contains(&name.as_str()));
                let reply = send(app, view, entry, &inline(asked, &document)).await?;
                return with_searchable_fields(reply, entry, &document);
            }
            // That there is none is said in other words here, by a node that must not render it if it came just now.
            Err(RequestError::Node(_) | RequestError::Refused(_)) => {
                let reply = send(app, view, entry, &asked).await?;
                if !reply.status.is_success() {
                    return Ok(reply);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(RequestError::Unreadable(format!("node(s) disagree on whether document `{id}` exists")))
}

/// The same request with the document in place of its id.
fn inline(mut asked: Value, document: &Map<String, Value>) -> Value {
    if let Some(input) = asked["input"].as_object_mut() {
        input.retain(|name, _| !["id", "indexUid"].contains(&name.as_str()));
        input.insert("kind".to_owned(), json!("inlineDocument"));
        input.insert("inline".to_owned(), json!(document));
    }
    asked
}

async fn send(app: &App, view: &View, entry: &IndexEntry, asked: &Value) -> Result<NodeReply, RequestError> {
    let request = NodeRequest::post("/render-template").json(asked.to_string());
    Ok(send_to_replica(&Reader::new(&app.cluster, view, entry), ShardId(0), &request).await?.1)
}

/// A node does not know which fields of a document that comes with the request are searchable, and takes all of them for it.
/// Where a template can ask for that, it is rendered here.
fn with_searchable_fields(
    reply: NodeReply,
    entry: &IndexEntry,
    document: &Map<String, Value>,
) -> Result<NodeReply, RequestError> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(&reply.body) else { return Ok(reply) };
    let all_are = entry.settings.list("searchableAttributes").is_none_or(|list| list.contains(&"*"));
    let text = answer.get("template").and_then(Value::as_str).filter(|text| text.contains("fields"));
    let Some(text) = text.filter(|_| !all_are && reply.status.is_success()) else { return Ok(reply) };
    let rendered = DocumentTemplate::new(text, &entry.settings)
        .and_then(|template| template.render("", document))
        .map_err(|fault| RequestError::Unreadable(format!("a template that a node renders: {fault}")))?;
    answer.insert("rendered".to_owned(), json!(rendered));
    Ok(NodeReply { body: Value::Object(answer).to_string().into(), ..reply })
}
