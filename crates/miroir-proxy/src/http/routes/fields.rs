//! `POST /indexes/{index}/fields`.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::settings::FieldsRequest;
use serde_json::{Value, json};

use crate::auth::{Authorized, FieldsPost};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::path::IndexPath;
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, check_form};
use crate::read::{existing, list_fields};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/indexes/{index}/fields", post(list))
}

async fn list(
    _: Authorized<FieldsPost>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Json<Value>, RequestError> {
    let Some(request) = body.value.as_object().and_then(FieldsRequest::parse) else {
        check_form(&app.cluster, NodeRequest::post(["indexes", IMPOSSIBLE_UID, "fields"]).json(body.bytes))
            .await?;
        return Err(RequestError::new(ErrorCode::BadRequest, "The body can't be read."));
    };
    let view = app.cluster.view.load();
    let entry = existing(&view, &uid)?;
    let (results, total) = list_fields(&app.cluster, &view, entry, &request).await?;
    Ok(Json(json!({ "results": results, "offset": request.offset, "limit": request.limit, "total": total })))
}
