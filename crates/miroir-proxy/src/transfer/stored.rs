//! Documents as nodes show them, to be sent on: their fields are not parsed any further.

use std::borrow::Cow;
use std::collections::BTreeMap;

use miroir_core::document::id::find_id;
use miroir_core::document::marker::is_reserved;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use xxhash_rust::xxh64::Xxh64;

/// The documents in a node's answer to a listing with `retrieveVectors`.
///
/// # Errors
/// When that is none.
pub fn read_page(page: &[u8]) -> Result<Vec<StoredDocument<'_>>, serde_json::Error> {
    let page: Page<'_> = serde_json::from_slice(page)?;
    page.results.into_iter().map(StoredDocument::read).collect()
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// A document's fields by name: nodes print them in the order in which they met them.
#[derive(Debug)]
pub struct StoredDocument<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> StoredDocument<'a> {
    fn read(text: &'a RawValue) -> Result<Self, serde_json::Error> {
        let mut fields: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(text.get())?;
        // So nodes show a document without vectors, which must not get a field for that.
        if fields.get("_vectors").is_some_and(|vectors| vectors.get() == "{}") {
            fields.remove("_vectors");
        }
        Ok(Self(fields))
    }

    /// Its id, in the form that decides about its shard.
    pub fn id(&self, primary_key: &str) -> Option<String> {
        find_id(self.0.iter().map(|(name, value)| (&**name, *value)), primary_key)
    }

    /// What it has in a field.
    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// The document as clients know it.
    pub fn without_markers(mut self) -> Self {
        self.0.retain(|name, _| !is_reserved(name));
        self
    }

    /// The same for the same fields and values in whatever order.
    pub fn hash(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        for (name, value) in &self.0 {
            for part in [name.as_bytes(), value.get().as_bytes()] {
                hash.update(&part.len().to_le_bytes());
                hash.update(part);
            }
        }
        hash.digest()
    }

    /// Appends one line of NDJSON.
    pub fn write(&self, body: &mut Vec<u8>) {
        body.push(b'{');
        for (place, (name, value)) in self.0.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend(json!(name).to_string().into_bytes());
            body.push(b':');
            body.extend(value.get().as_bytes());
        }
        body.extend(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(document: &StoredDocument<'_>) -> String {
        let mut body = Vec::new();
        document.write(&mut body);
        String::from_utf8(body).unwrap()
    }

    fn document(text: &str) -> (u64, String) {
        let page = format!("{{\"results\": [{text}], \"offset\": 0}}");
        let documents = read_page(page.as_bytes()).unwrap();
        assert_eq!(documents.len(), 1);
        (documents[0].hash(), line(&documents[0]))
    }

    #[test]
    fn the_order_of_fields_and_an_empty_list_of_vectors_make_no_difference() {
        let (hash, line) = document(r#"{"id": 1, "a\"b": [1, 2.50]}"#);
        assert_eq!(line, "{\"a\\\"b\":[1, 2.50],\"id\":1}\n");
        assert_eq!(document(r#"{"a\"b": [1, 2.50], "_vectors": {}, "id": 1}"#).0, hash);
        assert_ne!(document(r#"{"a\"b": [1, 2.5], "id": 1}"#).0, hash);
        assert_ne!(document(r#"{"a\"b": [1, 2.50], "_vectors": {"e": null}, "id": 1}"#).0, hash);
    }

    #[test]
    fn markers_are_left_out_and_the_id_is_found() {
        let page = br#"{"results": [{"id": 7, "_miroir_shard_003": null, "title": "a"}]}"#;
        let document = read_page(page).unwrap().pop().unwrap();
        assert_eq!(document.id("id").as_deref(), Some("7"));
        assert_eq!(line(&document.without_markers()), "{\"id\":7,\"title\":\"a\"}\n");
    }
}
