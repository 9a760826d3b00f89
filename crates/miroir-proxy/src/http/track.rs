//! Around every request: an id that stands in all its log lines and in its answer, one line that says how it ended,
//! and its counts.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::App;
use crate::observe::RequestLabels;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The route of paths that no route serves: their texts are the client's, and without end.
const NO_ROUTE: &str = "unmatched";

/// The route in whose path a key's value may stand, which is for no log.
const NAMES_A_KEY: &str = "/keys/{key}";

/// Follows one request from the outside. When the client gives up, the future is dropped, and the request is no longer
/// in flight but not counted as answered.
pub(super) async fn track(State(app): State<App>, request: Request, next: Next) -> Response {
    let _in_flight = app.metrics.requests.begin();
    let began = Instant::now();
    let id = request_id(request.headers());
    let matched = request.extensions().get::<MatchedPath>();
    let template = matched.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = method_name(request.method());
    // Of the highest level, so that it is there for a warning when only warnings are logged.
    let path = if template == NAMES_A_KEY { &template } else { request.uri().path() };
    let span = tracing::error_span!("request", request_id = %id, method, path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status(), began.elapsed());
    span.in_scope(|| log_answer(status, took));
    let labels = RequestLabels { method, path_template: template, status: status.as_u16() };
    app.metrics.requests.note(&labels, took);
    let id = HeaderValue::from_str(&id).expect("letters, digits and `-_.:` may stand in a header");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn log_answer(status: StatusCode, took: Duration) {
    let (status, milliseconds) = (status.as_u16(), took.as_secs_f64() * 1000.0);
    if status >= 500 {
        tracing::warn!(status, milliseconds, "request answered");
    } else {
        tracing::debug!(status, milliseconds, "request answered");
    }
}

/// The client's own id, if it has a form that can do no harm in logs; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    given.filter(|id| is_request_id(id)).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed)
}

/// A client may send any word as a method; a label may not be any word.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
        request_id(&headers)
    }

    #[test]
    fn a_clients_id_is_kept_if_it_is_short_and_plain() {
        let longest = "x".repeat(MAX_ID_BYTES);
        for id in ["a", "order-7_v1.2:3", &longest] {
            assert_eq!(id_for(id), id);
        }
    }

    #[test]
    fn any_other_id_is_replaced_by_a_new_one() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for given in ["", "two words", "a\"b", "<script>", &long] {
            let id = id_for(given);
            assert_ne!(id, given);
            assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn methods_that_nobody_knows_share_one_name() {
        assert_eq!(method_name(&Method::PATCH), "PATCH");
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
