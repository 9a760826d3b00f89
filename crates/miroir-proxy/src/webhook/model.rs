//! A webhook as clients set it, with Meilisearch's checks and their words.

use std::collections::BTreeMap;

use axum::http::header::{InvalidHeaderName, InvalidHeaderValue};
use axum::http::{HeaderName, HeaderValue};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::secret::mask;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

/// Webhooks at most.
pub const MAX_WEBHOOKS: usize = 20;

/// Headers of one webhook at most.
const MAX_HEADERS: usize = 200;

const BEARER: &str = "Bearer ";

/// Where to send finished tasks, and with which headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The address.
    pub url: String,
    /// Headers of the request.
    pub headers: BTreeMap<String, String>,
}

/// A part of a request that may be left out, or be null.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given<T> {
    Nothing,
    Null,
    Value(T),
}

/// What a client wants a webhook to be, or to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookPatch {
    url: Given<String>,
    headers: Given<BTreeMap<String, Option<String>>>,
}

/// Why a webhook is refused. The client's fault each time.
#[derive(Debug, Clone, Error)]
pub enum WebhookFault {
    /// No address.
    #[error("The URL for the webhook `{0}` is missing.")]
    MissingUrl(Uuid),
    /// One too many.
    #[error(
        "Defining too many webhooks would crush the server. Please limit the number of webhooks to 20. You may use a \
         third-party proxy server to dispatch events to more than 20 endpoints."
    )]
    TooMany,
    /// Too many headers.
    #[error(
        "Too many headers for the webhook `{0}`. Please limit the number of headers to 200. Hint: To remove an already \
         defined header set its value to `null`"
    )]
    TooManyHeaders(Uuid),
    /// The one that Meilisearch keeps for its command line.
    #[error(
        "Webhook `{0}` is immutable. The webhook defined from the command line cannot be modified using the API."
    )]
    Immutable(Uuid),
    /// There is none.
    #[error("Webhook `{0}` not found.")]
    NotFound(Uuid),
    /// No name of a header.
    #[error("Invalid header name `{0}`: {1}")]
    HeaderName(String, String),
    /// No value of a header.
    #[error("Invalid header value `{0}`: {1}")]
    HeaderValue(String, String),
    /// No address.
    #[error("Invalid URL `{0}`: {1}")]
    Url(String, String),
    /// No id of a webhook.
    #[error("Invalid UUID: {0}")]
    Uuid(String),
}

impl From<WebhookFault> for ResponseError {
    fn from(fault: WebhookFault) -> Self {
        let code = match fault {
            WebhookFault::MissingUrl(_) | WebhookFault::Url(..) => ErrorCode::InvalidWebhookUrl,
            WebhookFault::TooMany => ErrorCode::InvalidWebhooks,
            WebhookFault::TooManyHeaders(_)
            | WebhookFault::HeaderName(..)
            | WebhookFault::HeaderValue(..) => ErrorCode::InvalidWebhookHeaders,
            WebhookFault::Immutable(_) => ErrorCode::ImmutableWebhook,
            WebhookFault::NotFound(_) => ErrorCode::WebhookNotFound,
            WebhookFault::Uuid(_) => ErrorCode::InvalidWebhookUuid,
        };
        Self::new(code, fault.to_string())
    }
}

impl WebhookPatch {
    /// `None` for whatever has not the right form.
    pub fn parse(body: &Value) -> Option<Self> {
        let mut patch = Self { url: Given::Nothing, headers: Given::Nothing };
        for (key, value) in body.as_object()? {
            match (key.as_str(), value) {
                ("url", Value::Null) => patch.url = Given::Null,
                ("url", Value::String(url)) => patch.url = Given::Value(url.clone()),
                ("headers", Value::Null) => patch.headers = Given::Null,
                ("headers", Value::Object(headers)) => {
                    let header = |(name, value): (&String, &Value)| match value {
                        Value::Null => Some((name.clone(), None)),
                        Value::String(text) => Some((name.clone(), Some(text.clone()))),
                        _ => None,
                    };
                    patch.headers = Given::Value(headers.iter().map(header).collect::<Option<_>>()?);
                }
                _ => return None,
            }
        }
        Some(patch)
    }

    /// A new webhook. `count` is how many there are already.
    pub fn create(self, uuid: Uuid, count: usize) -> Result<Webhook, WebhookFault> {
        let headers = match self.headers {
            Given::Value(headers) if headers.len() > MAX_HEADERS => {
                return Err(WebhookFault::TooManyHeaders(uuid));
            }
            Given::Value(headers) => headers,
            Given::Nothing | Given::Null => BTreeMap::new(),
        };
        if count >= MAX_WEBHOOKS {
            return Err(WebhookFault::TooMany);
        }
        let Given::Value(url) = self.url else { return Err(WebhookFault::MissingUrl(uuid)) };
        let headers = headers.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        Webhook { url, headers }.checked(uuid)
    }

    /// A webhook after a change. A header is taken out by null, all of them by null in their place.
    pub fn apply(self, uuid: Uuid, old: Webhook) -> Result<Webhook, WebhookFault> {
        let Webhook { url, mut headers } = old;
        let url = match self.url {
            Given::Value(url) => url,
            Given::Nothing => url,
            Given::Null => return Err(WebhookFault::MissingUrl(uuid)),
        };
        match self.headers {
            Given::Value(changes) => {
                for (name, value) in changes {
                    match value {
                        Some(value) => headers.insert(name, value),
                        None => headers.remove(&name),
                    };
                }
            }
            Given::Null => headers.clear(),
            Given::Nothing => {}
        }
        Webhook { url, headers }.checked(uuid)
    }
}

impl Webhook {
    fn checked(self, uuid: Uuid) -> Result<Self, WebhookFault> {
        if self.url.is_empty() {
            return Err(WebhookFault::MissingUrl(uuid));
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(WebhookFault::TooManyHeaders(uuid));
        }
        for (name, value) in &self.headers {
            HeaderName::from_bytes(name.as_bytes()).map_err(|error: InvalidHeaderName| {
                WebhookFault::HeaderName(name.clone(), error.to_string())
            })?;
            HeaderValue::from_str(value).map_err(|error: InvalidHeaderValue| {
                WebhookFault::HeaderValue(name.clone(), error.to_string())
            })?;
        }
        match Url::parse(&self.url) {
            Ok(_) => Ok(self),
            Err(error) => Err(WebhookFault::Url(self.url, error.to_string())),
        }
    }

    /// As clients see it: without the secret in its headers.
    pub fn shown(&self, uuid: &str) -> Value {
        let masked = |(name, value): (&String, &String)| {
            let shown = match value.strip_prefix(BEARER) {
                _ if !name.eq_ignore_ascii_case("authorization") => value.clone(),
                Some(token) => format!("{BEARER}{}", mask(token)),
                None => mask(value),
            };
            (name.clone(), shown)
        };
        let headers: BTreeMap<String, String> = self.headers.iter().map(masked).collect();
        json!({ "uuid": uuid, "isEditable": true, "url": self.url, "headers": headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(body: &Value) -> WebhookPatch {
        WebhookPatch::parse(body).unwrap()
    }

    fn code(result: Result<Webhook, WebhookFault>) -> ErrorCode {
        ResponseError::from(result.unwrap_err()).code
    }

    #[test]
    fn a_webhook_needs_an_address_and_headers_that_can_be_sent() {
        let create = |body: Value, count| patch(&body).create(Uuid::nil(), count);
        assert!(
            create(json!({ "url": "https://a.example/x", "headers": { "X-A": "b", "X-C": null } }), 0)
                .is_ok()
        );
        for body in [json!({}), json!({ "url": null }), json!({ "url": "" }), json!({ "url": "no address" })]
        {
            assert_eq!(code(create(body, 0)), ErrorCode::InvalidWebhookUrl);
        }
        for headers in [json!({ "a b": "c" }), json!({ "a": "b\nc" })] {
            assert_eq!(
                code(create(json!({ "url": "http://a", "headers": headers }), 0)),
                ErrorCode::InvalidWebhookHeaders
            );
        }
        assert_eq!(code(create(json!({ "url": "http://a" }), MAX_WEBHOOKS)), ErrorCode::InvalidWebhooks);
        let many: BTreeMap<String, &str> =
            (0..=MAX_HEADERS).map(|number| (format!("h{number}"), "x")).collect();
        assert_eq!(
            code(create(json!({ "url": "http://a", "headers": many }), 0)),
            ErrorCode::InvalidWebhookHeaders
        );
    }

    #[test]
    fn a_change_adds_and_takes_out_headers_and_keeps_the_rest() {
        let old = || Webhook {
            url: "http://a".to_owned(),
            headers: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into(),
        };
        let apply = |body: Value| patch(&body).apply(Uuid::nil(), old());
        let changed = apply(json!({ "headers": { "a": null, "c": "3" } })).unwrap();
        assert_eq!(changed.url, "http://a");
        assert_eq!(changed.headers.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert!(apply(json!({ "headers": null })).unwrap().headers.is_empty());
        assert_eq!(code(apply(json!({ "url": null }))), ErrorCode::InvalidWebhookUrl);
    }

    #[test]
    fn what_has_another_form_is_not_understood() {
        for body in [json!([]), json!({ "uuid": "a" }), json!({ "url": 1 }), json!({ "headers": { "a": 1 } })]
        {
            assert_eq!(WebhookPatch::parse(&body), None, "{body}");
        }
    }

    #[test]
    fn the_secret_in_the_authorization_is_not_shown() {
        let header = |name: &str, value: &str| Webhook {
            url: "http://a".to_owned(),
            headers: [(name.to_owned(), value.to_owned())].into(),
        };
        let shown = |name: &str, value: &str| header(name, value).shown("u")["headers"][name].clone();
        assert_eq!(shown("authorization", "Bearer a-secret-token"), "Bearer a-XXXX...");
        assert_eq!(shown("Authorization", "secret"), "XXX...");
        assert_eq!(shown("X-Key", "secret"), "secret");
    }
}
