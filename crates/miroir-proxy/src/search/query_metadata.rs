//! What an answer says about the request itself.

use miroir_core::search::SubQuery;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What an answer says of the request that it answers, whichever query of it that is.
#[derive(Debug, Clone, Copy)]
pub struct QueryMetadata {
    /// Its name in every answer to it.
    pub request_uid: Uuid,
    /// The client wants to know which index was searched under which name, with which primary key.
    pub wants_metadata: bool,
}

impl QueryMetadata {
    /// A new request.
    pub fn new(wants_metadata: bool) -> Self {
        Self { request_uid: Uuid::now_v7(), wants_metadata }
    }

    /// Puts the request's name, and what the client wants to know, into the answer to a search of one index for `query`.
    pub fn sign(self, body: &mut Map<String, Value>, entry: &IndexEntry, query: &Map<String, Value>) {
        body.insert("requestUid".to_owned(), json!(self.request_uid));
        if self.wants_metadata {
            let metadata = describe(entry.uid.as_str(), entry.primary_key.as_deref(), query);
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
                let mut metadata = describe(query.index.as_str(), key, &query.body);
                metadata.extend(server.map(|server| ("remote".to_owned(), json!(server))));
                Value::Object(metadata)
            });
            body.insert("metadata".to_owned(), metadata.collect());
        }
    }
}

fn describe(uid: &str, primary_key: Option<&str>, query: &Map<String, Value>) -> Map<String, Value> {
    let words = query.get("q").filter(|q| q.is_string());
    let parts = [
        words.map(|words| ("query", words.clone())),
        Some(("queryUid", json!(Uuid::now_v7()))),
        Some(("indexUid", json!(uid))),
        primary_key.map(|key| ("primaryKey", json!(key))),
    ];
    parts.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_described_by_its_words_if_it_has_any() {
        let names = |query: Value| {
            let metadata = describe("films", Some("id"), query.as_object().unwrap());
            metadata.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(json!({ "q": "red" })), "query queryUid indexUid primaryKey");
        assert_eq!(names(json!({ "q": null })), "queryUid indexUid primaryKey");
    }
}
