//! Requests about an index that nobody can have. Meilisearch reads query and body before it looks at the uid of the path,
//! so that the first fault is the form's. Most routes here look at the uid at once; then a node says what is wrong with
//! query and body, asked at the same route of an index that it refuses too.
//!
//! The caller is known by then: a route's handler refuses the uid only after it has looked at the key. And what a node is
//! asked is built here of the route's own words: of what the client wrote only query and body go to it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use miroir_core::error::ErrorCode;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::App;
use super::error::pass_on;
use super::path::check_uid;
use crate::error::RequestError;
use crate::node_api::NodeRequest;
use crate::probe::{at_impossible_index, form_fault_at};

/// Larger bodies are not looked at twice.
const MAX_BODY: usize = 1 << 20;

/// For the inside of the router, where bodies are decoded.
pub(super) async fn name_form_first(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, RequestError> {
    if !names_invalid_uid(request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let (lent, kept) = lend(body);
    let asked = as_asked(&parts);
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
        && let Some(reply) = form_fault_at(&app.cluster, NodeRequest { body, ..asked }).await
    {
        return Ok(pass_on(reply));
    }
    Ok(Response::from_parts(parts, Body::from(answer)))
}

/// Whether the path names an index that nobody can have.
fn names_invalid_uid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/indexes/") else { return false };
    let segment = rest.split('/').next().unwrap_or_default();
    check_uid(&percent_decode_str(segment).decode_utf8_lossy()).is_err()
}

/// What a node is asked, but for the body: the same route of an index that nobody can have; none for what no route is for.
fn as_asked(parts: &Parts) -> Option<NodeRequest> {
    let route = parts.extensions.get::<MatchedPath>()?;
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let method = methods.into_iter().find(|method| *method == parts.method)?;
    let path = at_impossible_index(route.as_str()).with_query(parts.uri.query().unwrap_or_default());
    let request = NodeRequest::new(method, path);
    Some(match parts.headers.get(CONTENT_TYPE) {
        Some(content_type) => request.header(CONTENT_TYPE, content_type.clone()),
        None => request,
    })
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
            assert!(names_invalid_uid(path), "{path}");
        }
        for path in ["/indexes", "/indexes/films/search", "/tasks/~", "/indexes/a-b_1/documents/~"] {
            assert!(!names_invalid_uid(path), "{path}");
        }
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
