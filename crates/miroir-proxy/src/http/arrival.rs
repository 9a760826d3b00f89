//! JSON bodies on their way in. What a body becomes in memory has a bound of its own, since a byte of JSON can become forty
//! there, and a byte of a packed body a hundred thousand: its values are counted before any of them is built, and it waits
//! until there is room for all of them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use miroir_core::error::ErrorCode;
use miroir_core::json::{Unmeasured, abridge, measure, tree_bytes};
use serde_json::Value;

use super::App;
use super::body::{JsonBody, Unread, malformed};
use super::encodings::Packed;
use super::spool::{Spooled, blocking, collect};
use crate::error::RequestError;
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::node_api::NodeRequest;
use crate::probe::{at_impossible_index, check_form, form_fault};

/// Bodies up to this size need no room. Nearly all are smaller, and a thousand of them fit beside the others.
const SMALL: usize = 16 << 10;

/// Bytes of a body on its way in that are held in memory; the others wait in a file.
const IN_MEMORY: usize = 128 << 10;

/// What the trees of all bodies take together that are worked on, with the bodies themselves. Work on one needs some more
/// memory than its tree: what nodes are sent, and what they answer with.
const ROOM: usize = 48 << 20;

/// So many values may stand in a body that lists documents, settings or searches.
const MAX_LISTED: usize = 1 << 21;

/// So many may stand in any other.
const MAX_VALUES: usize = 1 << 18;

const MULTI_SEARCH: &str = "/multi-search";

/// Routes whose bodies are lists: of ids, words, synonyms, searches, and so on.
const LISTS: [&str; 7] = [
    "/indexes/{index}/documents/fetch",
    "/indexes/{index}/documents/delete-batch",
    "/indexes/{index}/documents/delete",
    "/indexes/{index}/documents/edit",
    "/indexes/{index}/settings",
    MULTI_SEARCH,
    "/swap-indexes",
];

/// The longest short form of a body that a node is shown.
const MAX_SHOWN: usize = 256 << 10;

/// Memory for the bodies that are worked on. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct JsonBudget(MemoryBudget);

impl Default for JsonBudget {
    fn default() -> Self {
        Self(MemoryBudget::new(ROOM))
    }
}

/// The places of a request in the room. Work that goes on when the client has given up holds them too.
#[derive(Debug, Clone, Default)]
struct Held(Arc<Mutex<Vec<MemoryPermit>>>);

/// Gives the places of a request back when it is answered. For the outside of all handlers.
pub(super) async fn hold_places(mut request: Request, next: Next) -> Response {
    let held = Held::default();
    request.extensions_mut().insert(held.clone());
    let response = next.run(request).await;
    drop(held);
    response
}

/// Reads a body that came with the right headers.
pub(super) async fn read(app: &App, parts: &Parts, body: Body) -> Result<JsonBody, RequestError> {
    let bytes = read_bytes(app, parts, body).await?;
    if bytes.len() <= SMALL {
        return JsonBody::parse(bytes);
    }
    let held = parts.extensions.get::<Held>().cloned();
    blocking(move || {
        let parsed = JsonBody::parse(bytes);
        drop(held);
        Ok(parsed)
    })
    .await?
}

/// The same for a body that a node is shown before anything is made of it. A small one may still be no JSON.
pub(super) async fn read_bytes(app: &App, parts: &Parts, body: Body) -> Result<Bytes, RequestError> {
    let packed = parts.extensions.get::<Packed>().copied();
    let (spooled, size) = match (collect(body, app.max_body_bytes, IN_MEMORY, &app.spool).await, packed) {
        (Err(Unread::Broken(cause)), Some(packed)) => return Err(packed.fault(&cause)),
        (Ok((_, 0)), Some(packed @ Packed::Gzip)) => return Err(packed.fault("")),
        (read, _) => read?,
    };
    match spooled {
        Spooled::Small(bytes) if size <= SMALL => Ok(bytes),
        spooled => read_large(app, parts, spooled, size).await,
    }
}

async fn read_large(
    app: &App,
    parts: &Parts,
    mut spooled: Spooled,
    size: usize,
) -> Result<Bytes, RequestError> {
    let max = max_values(route(parts));
    // A body in a file needs room to be looked at as well; another one is in memory anyway.
    let place = match spooled {
        Spooled::Large(..) => Some(app.json_budget.0.enter(size).await),
        Spooled::Small(_) => None,
    };
    let (found, mut spooled) = blocking(move || {
        let found = look_at(&spooled.bytes(size)?, max);
        drop(place);
        Ok((found, spooled))
    })
    .await?;
    let values = match found {
        Measured::Values(values) => values,
        Measured::NoJson(error) => return Err(malformed(&error)),
        Measured::TooMany(short) => return Err(too_many(app, parts, short, max).await),
    };
    let place = app.json_budget.0.enter(tree_bytes(size, values)).await;
    let held = parts.extensions.get::<Held>().cloned().unwrap_or_default();
    held.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    blocking(move || {
        let bytes = spooled.bytes(size);
        drop(held);
        bytes
    })
    .await
}

fn route(parts: &Parts) -> &str {
    parts.extensions.get().map_or("", MatchedPath::as_str)
}

fn max_values(route: &str) -> usize {
    let is_below =
        |list: &str| route.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if LISTS.into_iter().any(is_below) { MAX_LISTED } else { MAX_VALUES }
}

/// What was found in a body.
enum Measured {
    /// So many values.
    Values(usize),
    NoJson(serde_json::Error),
    /// Too many. The short form of all of it.
    TooMany(Value),
}

fn look_at(bytes: &[u8], max: usize) -> Measured {
    match measure(bytes, max) {
        Ok(values) => return Measured::Values(values),
        Err(Unmeasured::Malformed(error)) => return Measured::NoJson(error),
        Err(Unmeasured::TooMany) => {}
    }
    // Wrong JSON comes before wrong values, wherever it stands.
    abridge(bytes).map_or_else(
        |error| match measure(bytes, usize::MAX) {
            Err(Unmeasured::Malformed(told)) => Measured::NoJson(told),
            _ => Measured::NoJson(error),
        },
        Measured::TooMany,
    )
}

/// Where most of a body stands where none of it belongs, a node says so of its short form. Nothing but the form is looked
/// at: the node is asked about an index that nobody can have.
async fn too_many(app: &App, parts: &Parts, short: Value, max: usize) -> RequestError {
    let text = short.to_string();
    let fault = match route(parts) {
        _ if text.len() > MAX_SHOWN => None,
        MULTI_SEARCH => form_fault(&app.cluster, &short).await,
        route if route.starts_with("/indexes/{index}/") => {
            let request = NodeRequest::new(parts.method.clone(), at_impossible_index(route)).json(text);
            check_form(&app.cluster, request).await.err()
        }
        _ => None,
    };
    if let Some(fault) = fault {
        return fault;
    }
    let message = format!(
        "The provided payload reached the size limit. The maximum accepted number of values in it is {max}."
    );
    RequestError::new(ErrorCode::PayloadTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_be_long_and_other_bodies_may_not() {
        for list in
            ["/multi-search", "/indexes/{index}/settings/stop-words", "/indexes/{index}/documents/delete"]
        {
            assert_eq!(max_values(list), MAX_LISTED, "{list}");
        }
        for other in ["/indexes/{index}/search", "/keys", "/indexes/{index}/settingss", ""] {
            assert_eq!(max_values(other), MAX_VALUES, "{other}");
        }
    }
}
