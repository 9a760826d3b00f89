//! Sending indexes to another Meilisearch: what a client asks for with `POST /export`, and what its task says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{ErrorCode, ResponseError};
use crate::keys::UidPattern;
use crate::secret::mask;
use crate::size;

/// How many bytes of documents go into one request where the client does not say (Meilisearch 1.50).
pub const DEFAULT_PAYLOAD_SIZE: u64 = 20 << 20;

/// Where to send what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// The address of the other server, without a path.
    pub url: String,
    /// Its key.
    pub api_key: Option<String>,
    /// Bytes of documents in one request, before compression.
    pub payload_size: Option<u64>,
    /// The indexes, by pattern; an index belongs to the first pattern that it matches.
    pub indexes: BTreeMap<UidPattern, ExportedIndexes>,
}

/// How the indexes of one pattern are sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportedIndexes {
    /// Which documents, as in a search.
    pub filter: Option<Value>,
    /// Whether an index that the other server has already gets these settings.
    pub override_settings: bool,
}

impl Export {
    /// Reads a request's body. `None` if Meilisearch would refuse it.
    pub fn parse(body: &Value) -> Option<Self> {
        let body = body.as_object()?;
        only(body, &["url", "apiKey", "payloadSize", "indexes"])?;
        let url = match body.get("url") {
            None => String::new(),
            Some(url) => url.as_str()?.to_owned(),
        };
        let api_key = match given(body, "apiKey") {
            None => None,
            Some(key) => Some(key.as_str()?.to_owned()),
        };
        let payload_size = match given(body, "payloadSize") {
            None => None,
            Some(Value::String(text)) => Some(size::parse_given(text)?),
            Some(bytes) => Some(bytes.as_u64()?),
        };
        let indexes = match given(body, "indexes") {
            None => BTreeMap::from([(UidPattern::all(), ExportedIndexes::default())]),
            Some(indexes) => indexes.as_object()?.iter().map(parse_indexes).collect::<Option<_>>()?,
        };
        Some(Self { url, api_key, payload_size, indexes })
    }

    /// How this index is sent, if it is.
    pub fn choice(&self, index: &str) -> Option<&ExportedIndexes> {
        self.indexes.iter().find_map(|(pattern, choice)| pattern.matches(index).then_some(choice))
    }

    /// The task's details before it is done.
    pub fn details(&self) -> Map<String, Value> {
        let indexes: Map<String, Value> = self
            .indexes
            .iter()
            .map(|(pattern, choice)| (pattern.to_string(), choice.details(None)))
            .collect();
        let details = [
            ("url", json!(self.url)),
            ("apiKey", json!(self.api_key.as_deref().map(mask))),
            ("payloadSize", json!(self.payload_size.map(size::exact))),
            ("indexes", Value::Object(indexes)),
        ];
        let shown = details.into_iter().filter(|(_, value)| !value.is_null());
        shown.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl ExportedIndexes {
    /// What the task says of them; of one index with the number of its documents, once they are sent.
    pub fn details(&self, matched_documents: Option<u64>) -> Value {
        let mut details = json!({ "filter": self.filter, "overrideSettings": self.override_settings });
        if let Some(count) = matched_documents {
            details["matchedDocuments"] = count.into();
        }
        details
    }
}

/// The error of a task whose documents the other server refused. `answer` is its error.
pub fn refused_by_remote(answer: &Value) -> Option<ResponseError> {
    let text = |key: &str| answer.get(key)?.as_str();
    let (code, kind, message, link) = (text("code")?, text("type")?, text("message")?, text("link")?);
    let message = format!("Failed to export documents to remote server {code} ({kind}): {message} <{link}>");
    Some(ResponseError::new(ErrorCode::Internal, message))
}

fn parse_indexes((pattern, choice): (&String, &Value)) -> Option<(UidPattern, ExportedIndexes)> {
    let choice = choice.as_object()?;
    only(choice, &["filter", "overrideSettings"])?;
    let override_settings = match choice.get("overrideSettings") {
        None => false,
        Some(flag) => flag.as_bool()?,
    };
    let filter = given(choice, "filter").cloned();
    Some((UidPattern::parse(pattern)?, ExportedIndexes { filter, override_settings }))
}

fn given<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}

fn only(body: &Map<String, Value>, known: &[&str]) -> Option<()> {
    body.keys().all(|key| known.contains(&key.as_str())).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_sent_as_the_first_pattern_that_it_matches_says() {
        let body = json!({"url": "http://other", "indexes": {
            "films": {"overrideSettings": true}, "f*": {"filter": "year > 2000"}}});
        let export = Export::parse(&body).unwrap();
        assert_eq!(export.choice("films").unwrap().filter, Some(json!("year > 2000")));
        assert_eq!(export.choice("books"), None);
        let all = Export::parse(&json!({"url": "http://other", "indexes": null})).unwrap();
        assert_eq!(all.choice("anything"), Some(&ExportedIndexes::default()));
    }

    #[test]
    fn a_size_may_be_a_number_or_a_text_and_secrets_are_masked() {
        let body =
            json!({"url": "u", "apiKey": "a-secret-key", "payloadSize": "1.5 MiB", "indexes": {"a": {}}});
        let details = Export::parse(&body).unwrap().details();
        let expected = json!({"url": "u", "apiKey": "a-XXXX...", "payloadSize": "1.5 MiB",
            "indexes": {"a": {"filter": null, "overrideSettings": false}}});
        assert_eq!(Value::Object(details), expected);
        assert_eq!(Export::parse(&json!({"payloadSize": 7})).unwrap().payload_size, Some(7));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            json!([]),
            json!({"url": null}),
            json!({"urls": "http://other"}),
            json!({"apiKey": 1}),
            json!({"payloadSize": "many"}),
            json!({"payloadSize": -1}),
            json!({"indexes": ["films"]}),
            json!({"indexes": {"a b": {}}}),
            json!({"indexes": {"a": null}}),
            json!({"indexes": {"a": {"overrideSettings": null}}}),
            json!({"indexes": {"a": {"settings": true}}}),
        ] {
            assert_eq!(Export::parse(&body), None, "{body}");
        }
    }

    #[test]
    fn the_other_servers_error_is_told_whole() {
        let answer =
            json!({"message": "No.", "code": "invalid_api_key", "type": "auth", "link": "https://l"});
        let error = refused_by_remote(&answer).unwrap();
        let told = "Failed to export documents to remote server invalid_api_key (auth): No. <https://l>";
        assert_eq!(error, ResponseError::new(ErrorCode::Internal, told));
        assert_eq!(refused_by_remote(&json!({"message": "No."})), None);
    }
}
