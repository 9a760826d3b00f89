//! `/indexes/{index}/documents`: adding, changing, deleting, reading one. Listings are in [`super::list_documents`].

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use miroir_core::document::{Payload, PayloadFormat, reserved};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::IndexUid;
use miroir_core::path::NodePath;
use miroir_core::task::{Deletion, Mutation, WriteMethod};
use reqwest::Method;
use serde_json::{Map, Value};

use super::TaskResponse;
use super::list_documents;
use crate::auth::{Authorized, DocumentsAdd, DocumentsDelete, DocumentsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::{JsonBody, content_type, content_type_error};
use crate::http::headers::degraded;
use crate::http::path::{IndexPath, check_uid};
use crate::http::spool::{self, Checked};
use crate::node_api::NodeRequest;
use crate::probe::{IMPOSSIBLE_UID, check_deletion_filter, check_form};
use crate::read::{Reader, existing, get_document};
use crate::write::NewWrite;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

pub(super) fn routes() -> Router<App> {
    let documents = get(list_documents::by_query).post(replace).put(update).delete(delete_all);
    Router::new()
        .route("/indexes/{index}/documents", documents)
        .route("/indexes/{index}/documents/fetch", post(list_documents::by_body))
        .route("/indexes/{index}/documents/delete-batch", post(delete_batch))
        .route("/indexes/{index}/documents/delete", post(delete_by_filter))
        .route("/indexes/{index}/documents/{id}", get(one).delete(delete_one))
}

/// The query of a document route.
#[derive(Debug, Default)]
struct WriteQuery {
    primary_key: Option<String>,
    csv_delimiter: Option<u8>,
    custom_metadata: Option<String>,
    skip_creation: bool,
}

impl WriteQuery {
    /// The query of a request that brings documents.
    async fn of_documents(app: &App, method: &Method, query: Option<&str>) -> Result<Self, RequestError> {
        Self::read(
            app,
            method,
            None,
            query,
            &["primaryKey", "customMetadata", "csvDelimiter", "skipCreation"],
        )
        .await
    }

    /// The query of a deletion; `route` stands behind `documents`.
    async fn of_deletion(
        app: &App,
        method: &Method,
        route: Option<&str>,
        query: Option<&str>,
    ) -> Result<Self, RequestError> {
        Self::read(app, method, route, query, &["customMetadata"]).await
    }

    /// Anything out of the ordinary is shown to a node, which knows what to say.
    async fn read(
        app: &App,
        method: &Method,
        route: Option<&str>,
        query: Option<&str>,
        known: &[&str],
    ) -> Result<Self, RequestError> {
        let query = query.unwrap_or_default();
        if let Some(read) = Self::parse(query, known) {
            return Ok(read);
        }
        let path =
            NodePath::of(["indexes", IMPOSSIBLE_UID, "documents"].into_iter().chain(route)).with_query(query);
        check_form(&app.cluster, NodeRequest::new(method.clone(), path).json("[]")).await?;
        Err(RequestError::new(ErrorCode::BadRequest, "The query parameters can't be read."))
    }

    fn parse(query: &str, known: &[&str]) -> Option<Self> {
        let mut read = Self::default();
        for (name, text) in form_pairs(query)? {
            match name.as_str() {
                name if !known.contains(&name) => return None,
                "primaryKey" => read.primary_key = Some(text),
                "customMetadata" => read.custom_metadata = Some(text),
                "csvDelimiter" => match text.as_bytes() {
                    [delimiter] if delimiter.is_ascii() => read.csv_delimiter = Some(*delimiter),
                    _ => return None,
                },
                "skipCreation" => read.skip_creation = text.to_ascii_lowercase().parse().ok()?,
                _ => return None,
            }
        }
        Some(read)
    }
}

fn form_pairs(query: &str) -> Option<Vec<(String, String)>> {
    let uri = format!("/?{query}").parse().ok()?;
    axum::extract::Query::try_from_uri(&uri).ok().map(|axum::extract::Query(pairs)| pairs)
}

async fn replace(
    caller: Authorized<DocumentsAdd>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    request: Request,
) -> TaskResponse {
    add(&app, &caller, (&uid, query.as_deref()), request, WriteMethod::Replace).await
}

async fn update(
    caller: Authorized<DocumentsAdd>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    request: Request,
) -> TaskResponse {
    add(&app, &caller, (&uid, query.as_deref()), request, WriteMethod::Update).await
}

async fn add(
    app: &App,
    caller: &Authorized<DocumentsAdd>,
    (uid, query): (&str, Option<&str>),
    request: Request,
    method: WriteMethod,
) -> TaskResponse {
    let verb = match method {
        WriteMethod::Replace => Method::POST,
        WriteMethod::Update => Method::PUT,
    };
    let query = WriteQuery::of_documents(app, &verb, query).await?;
    let index = check_uid(uid)?;
    let (parts, body) = request.into_parts();
    let format = payload_format(content_type(&parts.headers).as_deref(), query.csv_delimiter)?;
    let Checked { payload, place } =
        spool::read(body, format, app.max_body_bytes, &app.spool, &app.writer).await?;
    let mutation = Mutation::AddDocuments {
        method,
        primary_key: query.primary_key,
        skip_creation: query.skip_creation,
        received: payload.len() as u64,
        missing_index: caller.missing_index(&index),
    };
    let write = NewWrite { index, mutation, payload, custom_metadata: query.custom_metadata };
    let accepted = app.writer.append(write).await?;
    drop(place);
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

fn payload_format(content_type: Option<&str>, delimiter: Option<u8>) -> Result<PayloadFormat, ResponseError> {
    let format = match content_type {
        Some(JSON) => PayloadFormat::Json,
        Some(NDJSON) => PayloadFormat::Ndjson,
        Some(CSV) => return Ok(PayloadFormat::Csv { delimiter: delimiter.unwrap_or(b',') }),
        given => return Err(content_type_error(given, &[JSON, NDJSON, CSV])),
    };
    match (delimiter, content_type) {
        (Some(_), Some(given)) => Err(ResponseError::new(
            ErrorCode::InvalidContentType,
            format!(
                "The Content-Type `{given}` does not support the use of a csv delimiter. The csv delimiter can only be used with the Content-Type `{CSV}`."
            ),
        )),
        _ => Ok(format),
    }
}

async fn one(
    _: Authorized<DocumentsGet>,
    IndexPath(uid): IndexPath,
    Path((_, id)): Path<(String, String)>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Map<String, Value>>), RequestError> {
    let query = query.unwrap_or_default();
    let view = app.cluster.view.load();
    let entry = match existing(&view, &uid) {
        Ok(entry) => entry,
        // A node that has the index looks at the query itself.
        Err(missing) => {
            let path = NodePath::from(["indexes", IMPOSSIBLE_UID, "documents", "x"]).with_query(&query);
            check_form(&app.cluster, NodeRequest::get(path)).await?;
            return Err(missing);
        }
    };
    let reader = Reader::new(&app.cluster, &view, entry);
    let document = get_document(&reader, &id, &query).await?;
    Ok((degraded(&reader.shortfall()), Json(document)))
}

async fn delete_one(
    _: Authorized<DocumentsDelete>,
    Path((uid, id)): Path<(String, String)>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> TaskResponse {
    let query = WriteQuery::of_deletion(&app, &Method::DELETE, Some("x"), query.as_deref()).await?;
    delete(&app, check_uid(&uid)?, Deletion::ByIds(vec![id]), query).await
}

async fn delete_all(
    _: Authorized<DocumentsDelete>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> TaskResponse {
    let query = WriteQuery::of_deletion(&app, &Method::DELETE, None, query.as_deref()).await?;
    delete(&app, check_uid(&uid)?, Deletion::All, query).await
}

async fn delete_batch(
    _: Authorized<DocumentsDelete>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> TaskResponse {
    let path = NodePath::from(["indexes", IMPOSSIBLE_UID, "documents", "delete-batch"]);
    let path = path.with_query(query.as_deref().unwrap_or_default());
    check_form(&app.cluster, NodeRequest::post(path).json(body.bytes.clone())).await?;
    let query = WriteQuery::of_deletion(&app, &Method::POST, Some("delete-batch"), query.as_deref()).await?;
    let Value::Array(ids) = body.value else {
        return Err(RequestError::new(ErrorCode::BadRequest, "The body is not an array of document ids."));
    };
    let ids = ids.iter().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).collect();
    delete(&app, check_uid(&uid)?, Deletion::ByIds(ids), query).await
}

async fn delete_by_filter(
    _: Authorized<DocumentsDelete>,
    Path(uid): Path<String>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: JsonBody,
) -> TaskResponse {
    let path = NodePath::from(["indexes", IMPOSSIBLE_UID, "documents", "delete"]);
    let path = path.with_query(query.as_deref().unwrap_or_default());
    check_form(&app.cluster, NodeRequest::post(path).json(body.bytes.clone())).await?;
    let query = WriteQuery::of_deletion(&app, &Method::POST, Some("delete"), query.as_deref()).await?;
    let Value::Object(selection) = body.value else {
        return Err(RequestError::new(ErrorCode::BadRequest, "The body is not an object with a `filter`."));
    };
    let index = check_uid(&uid)?;
    let filter = selection.get("filter").cloned().unwrap_or(Value::Null);
    check_deletion_filter(&app.cluster, &filter).await?;
    app.relations(&app.cluster.view.load()).refuse_conditions(None, &filter).await?;
    reserved::check_selection(&selection)?;
    delete(&app, index, Deletion::ByFilter(filter), query).await
}

async fn delete(app: &App, index: IndexUid, deletion: Deletion, query: WriteQuery) -> TaskResponse {
    let mutation = Mutation::DeleteDocuments { deletion };
    let write =
        NewWrite { index, mutation, payload: Payload::default(), custom_metadata: query.custom_metadata };
    Ok((StatusCode::ACCEPTED, Json(app.writer.append(write).await?)))
}
