//! `/render-template`: a node renders. Where a document of an index is the input, it is a node that holds its shard.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use miroir_core::document::marker::RESERVED_PREFIX;
use miroir_core::hash::shard_of;
use miroir_core::ids::{IndexUid, ShardId};
use serde_json::{Value, json};

use super::features::{Feature, require};
use crate::cluster::{NodeReply, NodeRequest};
use crate::http::App;
use crate::http::auth::{Authorized, DocumentsGet, SettingsGet};
use crate::http::body::JsonBody;
use crate::http::dry_run::ask_any;
use crate::http::error::{HttpError, pass_on};
use crate::read::{Reader, ask_replica, get_document};
use crate::search::scrub_reply;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/render-template", post(render))
}

async fn render(
    settings: Authorized<SettingsGet>,
    documents: Authorized<DocumentsGet>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Response, HttpError> {
    let as_sent = NodeRequest::post("/render-template").json(body.bytes);
    require(&app, Feature::RenderRoute, as_sent.clone()).await?;
    let view = app.cluster.view.load();
    let mut asked = body.value;
    let mut entry = None;
    for part in ["template", "input"] {
        let Some(uid) = asked[part]["indexUid"].as_str().map(IndexUid::new) else { continue };
        settings.require(&uid)?;
        documents.require(&uid)?;
        // An index that is not there is left to the node, which says so.
        if let Some(found) = view.index(&uid) {
            asked[part]["indexUid"] = json!(found.physical);
            entry = Some(found);
        }
    }
    let Some(entry) = entry else {
        let reply = ask_any(&app.cluster, as_sent).await;
        return Ok(pass_on(reply.ok_or_else(|| HttpError::ShardsUnavailable(vec![ShardId(0)]))?));
    };
    let id = asked["input"]["id"].as_str().map(str::to_owned);
    let shard = id.as_ref().map_or(ShardId(0), |id| shard_of(id, entry.shards));
    let reader = Reader::new(&app.cluster, &view, entry);
    let send = async |asked: &Value| {
        let request = NodeRequest::post("/render-template").json(asked.to_string());
        ask_replica(&reader, shard, &request).await
    };
    let (_, mut reply) = send(&asked).await?;
    if let Some(id) = id.filter(|_| names_a_marker(&reply)) {
        let document = get_document(&reader, &id, "").await?;
        asked["input"] = json!({ "kind": "inlineDocument", "inline": document });
        (_, reply) = send(&asked).await?;
    }
    Ok(pass_on(scrub_reply(reply, entry)))
}

/// A template that goes through all fields of the node's document meets its marker too.
fn names_a_marker(reply: &NodeReply) -> bool {
    reply.status.is_success()
        && reply.body.windows(RESERVED_PREFIX.len()).any(|at| at == RESERVED_PREFIX.as_bytes())
}
