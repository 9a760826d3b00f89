//! `POST /indexes/{index}/documents/edit`.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::document::edit::check_function as check_end;
use miroir_core::document::{Payload, reserved};
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::path::NodePath;
use miroir_core::task::Mutation;
use serde_json::{Value, json};

use super::TaskResponse;
use crate::auth::{Authorized, DocumentsAll};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::check_uid;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{IMPOSSIBLE_UID, check_form, find_fault};
use crate::write::NewWrite;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/documents/edit", post(edit))
}

async fn edit(
    _: Authorized<DocumentsAll>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> TaskResponse {
    let query = query.unwrap_or_default();
    let path = NodePath::from(["indexes", IMPOSSIBLE_UID, "documents", "edit"]).with_query(&query);
    check_form(&app.cluster, NodeRequest::post(path).json(body.bytes.clone())).await?;
    let index = check_uid(&uid)?;
    check_function(&app, &index, &body.value).await?;
    let given = |name: &str| body.value.get(name).filter(|value| !value.is_null()).cloned();
    let context = given("context");
    if context.as_ref().is_some_and(|context| !context.is_object()) {
        return Err(RequestError::new(
            ErrorCode::InvalidDocumentEditionContext,
            "The context must be an object",
        ));
    }
    reserved::check_edition(&body.value)?;
    let view = app.cluster.view.load();
    app.relations(&view).refuse_conditions(Some(&index), &body.value["filter"]).await?;
    let function = body.value["function"].as_str().unwrap_or_default().to_owned();
    check_end(&function)
        .map_err(|error| RequestError::new(ErrorCode::MiroirNotSupported, error.to_string()))?;
    let mutation = Mutation::EditDocuments { filter: given("filter"), context, function };
    let write = NewWrite { index, mutation, payload: Payload::default(), custom_metadata: metadata(&query) };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}

fn metadata(query: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://miroir/?{query}")).ok()?;
    url.query_pairs().find(|(name, _)| name == "customMetadata").map(|(_, text)| text.into_owned())
}

/// Has a node compile the function and parse the filter. Meilisearch looks at the context after these two, so with a
/// context that it can't accept it finds their faults and yet does nothing. What it says of a filter names the index.
async fn check_function(app: &App, index: &IndexUid, body: &Value) -> Result<(), RequestError> {
    let Value::Object(mut asked) = body.clone() else {
        return Err(RequestError::new(ErrorCode::BadRequest, "The body is not an object with a `function`."));
    };
    asked.insert("context".to_owned(), json!(1));
    let request = NodeRequest::post(["indexes", index.as_str(), "documents", "edit"]);
    let request = request.json(Value::Object(asked).to_string());
    let is_ours = |reply: &NodeReply| reply.has_code(ErrorCode::InvalidDocumentEditionContext);
    match find_fault(&app.cluster, request, is_ours).await {
        Some(reply) => Err(RequestError::Node(reply)),
        None => Ok(()),
    }
}
