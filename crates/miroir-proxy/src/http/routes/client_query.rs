//! What a client asks of an index's content (search, facet search, similar documents), read the same way everywhere.
//!
//! Here such a request becomes a body for nodes and the [`Original`] that errors are explained with, and here both get the
//! filter that the caller's token imposes.

use std::sync::Arc;

use miroir_core::ids::IndexUid;
use miroir_core::keys::Confined;
use miroir_core::search::NotUnderstood;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::auth::{Authorized, Search};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::probe::{IMPOSSIBLE_UID, Original, Said, check_form};
use crate::read::existing;

/// A request as it came, and as a body.
#[derive(Debug)]
pub(super) struct ClientQuery {
    /// `Err` for what only a node can explain.
    pub(super) body: Result<Map<String, Value>, NotUnderstood>,
    /// To be repeated word for word.
    pub(super) original: Original,
}

impl ClientQuery {
    /// A `POST` to this route of an index.
    pub(super) fn by_body(route: &'static str, body: JsonBody) -> Self {
        let value = match body.value {
            Value::Object(body) => Ok(body),
            _ => Err(NotUnderstood("the body")),
        };
        let original = Original { route, said: Said::Body(body.bytes) };
        Self { body: value, original }
    }

    /// A `GET` with this query, which stands for `body`.
    pub(super) fn by_query(
        route: &'static str,
        query: Option<String>,
        body: Result<Map<String, Value>, NotUnderstood>,
    ) -> Self {
        let said = Said::Query(query.unwrap_or_default());
        Self { body, original: Original { route, said } }
    }

    /// The same, confined to what the caller may find in this index.
    pub(super) fn confined(self, caller: &Authorized<Search>, uid: &IndexUid) -> Result<Self, RequestError> {
        let Self { body: Ok(mut body), original } = self else { return Ok(self) };
        let original = match caller.confine(uid, &mut body)? {
            Confined::AsSent => original,
            Confined::Filtered => original.confined(&body),
        };
        Ok(Self { body: Ok(body), original })
    }

    /// The same, with ids in the place of conditions on other indexes' documents.
    pub(super) async fn related(
        self,
        app: &App,
        view: &View,
        entry: &IndexEntry,
    ) -> Result<Self, RequestError> {
        let Self { body: Ok(mut body), original } = self else { return Ok(self) };
        let changed = app.relations(view).answer_conditions(entry, &mut body).await?;
        let original = if changed { original.confined(&body) } else { original };
        Ok(Self { body: Ok(body), original })
    }
}

/// The index that is asked. Meilisearch reads a request before it looks for its index, so that the form of a request for
/// none is judged first.
pub(super) async fn queried_index<'a>(
    app: &App,
    view: &'a View,
    uid: &IndexUid,
    original: &Original,
) -> Result<&'a Arc<IndexEntry>, RequestError> {
    let found = existing(view, uid);
    if found.is_err() {
        check_form(&app.cluster, original.to_request_for(IMPOSSIBLE_UID)).await?;
    }
    found
}

/// A search of nothing but what the caller's token imposes on this index.
pub(super) fn imposed(
    caller: &Authorized<Search>,
    uid: &IndexUid,
) -> Result<Map<String, Value>, RequestError> {
    let mut nothing = Map::new();
    caller.confine(uid, &mut nothing)?;
    Ok(nothing)
}
