//! Listing documents, by query parameters and by a body.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use miroir_core::document::reserved;
use miroir_core::error::ErrorCode;
use miroir_core::ids::IndexUid;
use miroir_core::path::NodePath;
use miroir_core::search::listing_of_query;
use miroir_core::view::View;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::remote_servers::remote_servers;
use crate::auth::{Authorized, DocumentsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::http::headers::degraded;
use crate::http::path::IndexPath;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{IMPOSSIBLE_UID, NO_INDEX, check_form, find_fault};
use crate::read::{ListingRequest, Reader, existing, list_documents};
use crate::search::{ServersAsked, read_uniformly};

/// So many ids of a body are shown to a node that only looks at its form.
const SHOWN_IDS: usize = 1000;
pub(super) type ListingResponse = (HeaderMap, Json<ListingPage>);

/// A page of documents.
#[derive(Debug, Serialize)]
pub(super) struct ListingPage {
    results: Vec<Value>,
    offset: u64,
    limit: u64,
    total: u64,
}

pub(super) async fn by_query(
    _: Authorized<DocumentsGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<ListingResponse, RequestError> {
    let query = query.unwrap_or_default();
    if !query.is_empty() {
        check_form(
            &app.cluster,
            NodeRequest::get(NodePath::from(["indexes", IMPOSSIBLE_UID, "documents"]).with_query(&query)),
        )
        .await?;
    }
    let body = listing_of_query(&pairs).map_err(|error| match error.0 {
        "filter" => wrong_filter(&Value::Null),
        _ => {
            RequestError::new(ErrorCode::BadRequest, format!("The query parameters can't be read: {error}."))
        }
    })?;
    list(&app, &uid, body).await
}

/// What is wrong with a sort, which Meilisearch reads before it looks for the index.
async fn wrong_sort(app: &App, body: Map<String, Value>) -> Option<RequestError> {
    let sort = body.get("sort")?;
    let path = ["indexes", NO_INDEX, "documents", "fetch"];
    let request = NodeRequest::post(path).json(json!({ "sort": sort }).to_string());
    let is_other = |reply: &NodeReply| !reply.has_code(ErrorCode::InvalidDocumentSort);
    find_fault(&app.cluster, request, is_other).await.map(RequestError::Node)
}

fn wrong_filter(filter: &Value) -> RequestError {
    let message =
        format!("Invalid syntax for the filter parameter: `expected String, Array, found: {filter}`.");
    RequestError::new(ErrorCode::InvalidDocumentFilter, message)
}

pub(super) async fn by_body(
    _: Authorized<DocumentsGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    body: JsonBody,
) -> Result<ListingResponse, RequestError> {
    let JsonBody { bytes, mut value } = body;
    let shown = with_few_ids(&mut value).unwrap_or(bytes);
    let request = NodeRequest::post(["indexes", IMPOSSIBLE_UID, "documents", "fetch"]).json(shown);
    check_form(&app.cluster, request).await?;
    let Value::Object(body) = value else {
        return Err(RequestError::new(ErrorCode::BadRequest, "The body is not an object."));
    };
    let asks_nobody = body.contains_key("useNetwork")
        && remote_servers(&app).await?.asked_by(&body)? == ServersAsked::Nobody;
    let (headers, Json(mut page)) = list(&app, &uid, body).await?;
    if asks_nobody {
        page.results.clear();
        page.total = 0;
    }
    Ok((headers, Json(page)))
}

/// The same body with few of its ids, if it has many: of which form each of them is is looked at later.
fn with_few_ids(body: &mut Value) -> Option<Bytes> {
    let Some(Value::Array(ids)) = body.get_mut("ids") else { return None };
    let mut rest = ids.split_off(SHOWN_IDS.min(ids.len()));
    let shown = (!rest.is_empty()).then(|| body.to_string().into());
    if let Some(Value::Array(ids)) = body.get_mut("ids") {
        ids.append(&mut rest);
    }
    shown
}

async fn list(
    app: &App,
    uid: &IndexUid,
    mut body: Map<String, Value>,
) -> Result<ListingResponse, RequestError> {
    let view = app.cluster.view.load();
    let entry = match existing(&view, uid) {
        Ok(entry) => entry,
        Err(missing) => return Err(wrong_sort(app, body).await.unwrap_or(missing)),
    };
    reserved::check_selection(&body)?;
    // Nodes get the filter as one of several, and would speak of it as of an element of a list.
    if let Some(filter) = body.get("filter")
        && !(filter.is_string() || filter.is_array() || filter.is_null())
    {
        return Err(wrong_filter(filter));
    }
    app.relations(&view).answer_conditions(entry, &mut body).await?;
    let request = ListingRequest::parse(body).ok_or_else(|| {
        RequestError::new(ErrorCode::BadRequest, "`offset` and `limit` must be positive integers.")
    })?;
    let request = &request;
    let ask = |view: Arc<View>| async move {
        let entry = existing(&view, uid)?;
        // Before nodes are asked: whatever they have by now the book knows already.
        let book = if entry.shards.get() > 1 {
            app.records.arrival_book(entry.physical.clone()).await?
        } else {
            None
        };
        let reader = Reader::new(&app.cluster, &view, entry);
        let listing = list_documents(&reader, request, book.as_ref()).await?;
        Ok((listing, reader.shortfall()))
    };
    let ((listing, shortfall), _) = read_uniformly(&app.cluster, &view, [uid.clone()], None, ask).await?;
    let (offset, limit, total) = (listing.offset, listing.limit, listing.total);
    let page = ListingPage { results: listing.results, offset, limit, total };
    Ok((degraded(&shortfall), Json(page)))
}
