//! Methods and origins, where Meilisearch's server and ours differ: `HEAD` and `OPTIONS` are methods that no route has, and
//! only pages are told that pages may ask.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

/// The methods of routes, in the order in which Meilisearch lists them.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// How long a browser may remember that pages may ask.
const PREFLIGHT_AGE: Duration = Duration::from_hours(24);

/// A method that no route has.
const REFUSED: &[u8] = b"REFUSED";

/// `HEAD` is no `GET` here, and `OPTIONS` without what makes it a preflight is refused by every route. For the
/// outside of the router.
pub fn refuse_methods<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let has = |name| request.headers().contains_key(name);
    let is_preflight = has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD);
    let refused = match *request.method() {
        Method::HEAD => true,
        Method::OPTIONS => !is_preflight,
        _ => false,
    };
    if refused && let Ok(method) = Method::from_bytes(REFUSED) {
        *request.method_mut() = method;
    }
    request
}

/// The methods of a route are listed without `HEAD`, in Meilisearch's order, and only where another one was asked for. For
/// the outside of the router, which lists them itself.
pub fn list_methods<B>(mut response: axum::http::Response<B>) -> axum::http::Response<B> {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().remove(ALLOW);
    } else if let Some(allowed) = response.headers().get(ALLOW).and_then(|allowed| allowed.to_str().ok()) {
        let listed: Vec<&str> = allowed.split(',').map(str::trim).collect();
        let allowed: Vec<&str> = METHODS.into_iter().filter(|method| listed.contains(method)).collect();
        if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
            response.headers_mut().insert(ALLOW, allowed);
        }
    }
    response
}

/// Any page may ask anything, as with Meilisearch: keys decide.
pub(super) fn cors() -> CorsLayer {
    let methods = [
        Method::POST,
        Method::GET,
        Method::PATCH,
        Method::PUT,
        Method::OPTIONS,
        Method::DELETE,
        Method::HEAD,
        Method::CONNECT,
        Method::TRACE,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(methods)
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(PREFLIGHT_AGE)
        .vary([ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS])
}

/// Who does not say that a page asks is not told that pages may.
pub(super) async fn answer_origin(request: Request, next: Next) -> Response {
    let is_page = request.headers().contains_key(ORIGIN);
    let mut response = next.run(request).await;
    if !is_page {
        response.headers_mut().remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> axum::http::Request<()> {
        let mut request = axum::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn methods_are_listed_in_one_order_and_without_the_head() {
        let mut response = axum::http::Response::new(());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("DELETE,GET,HEAD,PATCH"));
        assert_eq!(list_methods(response).headers()[ALLOW], "GET, PATCH, DELETE");
    }

    #[test]
    fn only_a_preflight_may_ask_for_options_and_nobody_for_the_head() {
        let method = |name: &str, headers: &[(&str, &str)]| {
            refuse_methods(request(name, "/", headers)).method().to_string()
        };
        let preflight = [("origin", "http://a.example"), ("access-control-request-method", "POST")];
        assert_eq!(method("OPTIONS", &preflight), "OPTIONS");
        assert_eq!(method("OPTIONS", &preflight[..1]), "REFUSED");
        assert_eq!(method("HEAD", &[]), "REFUSED");
        assert_eq!(method("GET", &[]), "GET");
    }
}
