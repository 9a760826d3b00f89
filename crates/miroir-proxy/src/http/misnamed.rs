//! Requests about an index that nobody can have. Meilisearch reads query and body before it looks at the uid of the path,
//! so that the first fault is the form's. Most routes here look at the uid at once; then a node, which must refuse the
//! same request too, says what is wrong with it.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use miroir_core::error::ErrorCode;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::App;
use super::body;
use super::dry_run::ask_any;
use super::error::{HttpError, pass_on};
use super::path::check_uid;
use crate::cluster::NodeRequest;

/// Larger bodies are not looked at twice.
const MAX_BODY: usize = 1 << 20;

/// For the inside of the router, where bodies are decoded.
pub(super) async fn name_form_first(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, HttpError> {
    if !is_misnamed(request.uri().path()) || is_large(request.headers()) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, app.max_body_bytes).await?;
    let asked = to_node(&parts.method, parts.uri.path_and_query(), &parts.headers, bytes.clone());
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if response.status() != StatusCode::BAD_REQUEST {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if answer["code"] == ErrorCode::InvalidIndexUid.as_str()
        && let Some(reply) = ask_any(&app.cluster, asked).await
        && reply.status.is_client_error()
        && reply.content_type.is_some()
    {
        return Ok(pass_on(reply));
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// Whether the path names an index that nobody can have.
fn is_misnamed(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/indexes/") else { return false };
    let segment = rest.split('/').next().unwrap_or_default();
    check_uid(&percent_decode_str(segment).decode_utf8_lossy()).is_err()
}

fn is_large(headers: &HeaderMap) -> bool {
    let length =
        headers.get(axum::http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: usize| length > MAX_BODY)
}

fn to_node(method: &Method, path: Option<&PathAndQuery>, headers: &HeaderMap, body: Bytes) -> NodeRequest {
    let mut request = NodeRequest::new(method.clone(), path.map_or("/", PathAndQuery::as_str));
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, content_type.clone());
    }
    request.body = body;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_indexes_that_nobody_can_have_are_looked_at() {
        for path in
            ["/indexes/~", "/indexes/a%2Fb/search", "/indexes/f%C3%BClm/documents/fetch", "/indexes//search"]
        {
            assert!(is_misnamed(path), "{path}");
        }
        for path in ["/indexes", "/indexes/films/search", "/tasks/~", "/indexes/a-b_1/documents/~"] {
            assert!(!is_misnamed(path), "{path}");
        }
    }
}
