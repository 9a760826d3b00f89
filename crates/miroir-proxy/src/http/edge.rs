//! Methods, where Meilisearch's server and ours differ: `HEAD` and `OPTIONS` are methods that no route has.

use axum::extract::Request;
use axum::http::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

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

/// The methods of a route are listed without `HEAD`.
pub(super) async fn list_methods(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(allowed) = response.headers().get(ALLOW).and_then(|allowed| allowed.to_str().ok())
    {
        let allowed: Vec<&str> = allowed.split(',').map(str::trim).filter(|name| *name != "HEAD").collect();
        if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
            response.headers_mut().insert(ALLOW, allowed);
        }
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
