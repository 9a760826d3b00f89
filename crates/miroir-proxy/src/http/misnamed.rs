//! Requests about an index that nobody can have. Meilisearch reads query and body before it looks at the uid of the path,
//! so that the first fault is the form's. Most routes here look at the uid at once; then a node says what is wrong with
//! query and body, asked at the same route of an index that it refuses too.
//!
//! The caller is known by then: a route's handler refuses the uid only after it has looked at the key. And what a node is
//! asked is built here of the route's own words: of what the client wrote only query and body go to it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, BodyDataStream, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use miroir_core::error::ErrorCode;
use miroir_core::path::NodePath;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::App;
use super::dry_run::{IMPOSSIBLE_UID, ask_any};
use super::error::pass_on;
use super::path::check_uid;
use crate::error::RequestError;
use crate::node_api::NodeRequest;

/// Larger bodies are not looked at twice.
const MAX_BODY: usize = 1 << 20;

/// Stands for whatever else a route has a name for, such as a document.
const ANYTHING: &str = "x";

/// For the inside of the router, where bodies are decoded.
pub(super) async fn name_form_first(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, RequestError> {
    if !is_misnamed(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let (lent, kept) = lend(body);
    let asked = Asked::of(&parts);
    let response = next.run(Request::from_parts(parts, lent)).await;
    let (Some(asked), Some(body)) = (asked, kept.take()) else { return Ok(response) };
    if response.status() != StatusCode::BAD_REQUEST {
        return Ok(response);
    }
    let (parts, answer) = response.into_parts();
    let answer = to_bytes(answer, MAX_BODY).await.unwrap_or_default();
    let error: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if error["code"] == ErrorCode::InvalidIndexUid.as_str()
        && let Ok(body) = to_bytes(body, MAX_BODY).await
        && let Some(reply) = ask_any(&app.cluster, asked.with(body)).await
        && reply.status.is_client_error()
        && reply.content_type.is_some()
        && !is_about_uid(&reply.body)
    {
        return Ok(pass_on(reply));
    }
    Ok(Response::from_parts(parts, Body::from(answer)))
}

/// Whether the path names an index that nobody can have.
fn is_misnamed(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/indexes/") else { return false };
    let segment = rest.split('/').next().unwrap_or_default();
    check_uid(&percent_decode_str(segment).decode_utf8_lossy()).is_err()
}

fn is_about_uid(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|error| error["code"] == ErrorCode::InvalidIndexUid.as_str())
}

/// What a node is asked.
struct Asked(NodeRequest);

impl Asked {
    /// The same route of an index that nobody can have; none for what no route is for.
    fn of(parts: &Parts) -> Option<Self> {
        let route = parts.extensions.get::<MatchedPath>()?;
        let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = methods.into_iter().find(|method| *method == parts.method)?;
        let path = nobodys(route.as_str()).with_query(parts.uri.query().unwrap_or_default());
        let mut request = NodeRequest::new(method, path);
        if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, content_type.clone());
        }
        Some(Self(request))
    }

    fn with(self, body: Bytes) -> NodeRequest {
        NodeRequest { body, ..self.0 }
    }
}

/// The path of a route, such as `/indexes/{index}/documents/{id}`, where it is about nobody's index.
pub(super) fn nobodys(route: &str) -> NodePath {
    let segments = route.split('/').filter(|segment| !segment.is_empty());
    NodePath::of(segments.map(|segment| match segment {
        "{index}" => IMPOSSIBLE_UID,
        name if name.starts_with('{') => ANYTHING,
        word => word,
    }))
}

/// A body for a handler, and the same body for whoever wants it if the handler did not.
fn lend(body: Body) -> (Body, Kept) {
    let kept = Arc::new(Mutex::new(Lent { body: body.into_data_stream(), touched: false }));
    let lent = Arc::clone(&kept);
    let read = stream::poll_fn(move |context| {
        let mut lent = lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.touched = true;
        lent.body.poll_next_unpin(context)
    });
    (Body::from_stream(read), Kept(kept))
}

struct Lent {
    body: BodyDataStream,
    touched: bool,
}

struct Kept(Arc<Mutex<Lent>>);

impl Kept {
    /// The body, if nobody has begun to read it.
    fn take(self) -> Option<Body> {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.touched {
            return None;
        }
        let body = std::mem::replace(&mut lent.body, Body::empty().into_data_stream());
        Some(Body::from_stream(body))
    }
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

    #[test]
    fn a_node_is_asked_for_nothing_that_the_client_named() {
        assert_eq!(nobodys("/indexes/{index}/documents/{id}").to_string(), "/indexes/~/documents/x");
        assert_eq!(
            nobodys("/indexes/{index}/settings/stop-words").to_string(),
            "/indexes/~/settings/stop-words"
        );
    }

    #[tokio::test]
    async fn a_body_that_a_handler_read_is_read_once() {
        let (lent, kept) = lend(Body::from("a"));
        assert_eq!(to_bytes(lent, 10).await.unwrap(), "a");
        assert!(kept.take().is_none());
        let (lent, kept) = lend(Body::from("a"));
        drop(lent);
        assert_eq!(to_bytes(kept.take().unwrap(), 10).await.unwrap(), "a");
    }
}
