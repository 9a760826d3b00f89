//! The one place where anything that went wrong becomes an HTTP answer.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use miroir_core::error::ResponseError;

use crate::error::RequestError;
use crate::node_api::NodeReply;

/// How long a client should wait before it asks again, when the cluster can't answer now. Meilisearch says the same.
const RETRY_AFTER_SECONDS: &str = "10";

impl IntoResponse for RequestError {
    fn into_response(self) -> Response<Body> {
        if let Self::BadRequest(error) = self {
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
        match self.into_response_error() {
            Ok(error) => respond(&error),
            Err(reply) => pass_on(reply),
        }
    }
}

fn respond(error: &ResponseError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(code = %error.code, message = %error.message, "request failed");
    }
    let mut response = (status, Json(error)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    response
}

/// A node's answer as the client's answer.
pub fn pass_on(reply: NodeReply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    if let Some(content_type) = reply.content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
