//! What an answer says about the request itself.

use miroir_core::search::SubQuery;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// One request of a client.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Its name in every answer to it.
    pub request_uid: Uuid,
    /// The client wants to know which index was searched under which name, with which primary key.
    pub wants_metadata: bool,
}

impl Asking {
    /// A new request.
    pub fn new(wants_metadata: bool) -> Self {
        Self { request_uid: Uuid::now_v7(), wants_metadata }
    }

    /// Puts the request's name, and what the client wants to know, into the answer to a search of one index.
    pub fn sign(self, body: &mut Map<String, Value>, entry: &IndexEntry) {
        body.insert("requestUid".to_owned(), json!(self.request_uid));
        if self.wants_metadata {
            let metadata = describe(entry.uid.as_str(), entry.primary_key.as_deref());
            body.insert("metadata".to_owned(), Value::Object(metadata));
        }
    }

    /// The same for a search of several indexes. `server` is this server's name, if some query named one.
    pub fn sign_all(
        self,
        body: &mut Map<String, Value>,
        view: &View,
        queries: &[SubQuery],
        server: Option<&str>,
    ) {
        body.insert("requestUid".to_owned(), json!(self.request_uid));
        if self.wants_metadata {
            let metadata = queries.iter().map(|query| {
                let key = view.index(&query.index).and_then(|entry| entry.primary_key.as_deref());
                let mut metadata = describe(query.index.as_str(), key);
                metadata.extend(
                    query.body.get("q").filter(|q| q.is_string()).map(|q| ("query".to_owned(), q.clone())),
                );
                metadata.extend(server.map(|server| ("remote".to_owned(), json!(server))));
                Value::Object(metadata)
            });
            body.insert("metadata".to_owned(), metadata.collect());
        }
    }
}

fn describe(uid: &str, primary_key: Option<&str>) -> Map<String, Value> {
    let mut metadata =
        Map::from_iter([("queryUid".to_owned(), json!(Uuid::now_v7())), ("indexUid".to_owned(), json!(uid))]);
    metadata.extend(primary_key.map(|key| ("primaryKey".to_owned(), json!(key))));
    metadata
}
