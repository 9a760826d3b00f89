//! Reading a node's answer to a search without losing a client's fields.
//!
//! What Meilisearch says about a hit (`_rankingScore`, `_formatted` and the like) stands beside the fields of its document.
//! A document may have a field of such a name, saved with a hit: then the name stands twice in the hit, first as the
//! document has it (1.50), and whoever reads it sees the second one. Where only Miroir asked for the second one the client
//! is to see the first, so it is kept under a name that no document can have.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The client's fields of a hit behind names that the node used too. Reserved, as everything of Miroir's is.
const OWN_FIELDS: &str = "_miroir_own_fields";

/// Reads the object that a node answers with.
///
/// # Errors
/// If it is none.
pub fn read_reply(body: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice::<Reply>(body).map(|Reply(reply)| reply)
}

/// Takes the client's fields out of a hit that a node said something else about under the same name.
pub(super) fn take_own_fields(hit: &mut Map<String, Value>) -> Map<String, Value> {
    match hit.shift_remove(OWN_FIELDS) {
        Some(Value::Object(own)) => own,
        _ => Map::new(),
    }
}

struct Reply(Map<String, Value>);

struct Hit(Map<String, Value>);

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReplyVisitor)
    }
}

impl<'de> Deserialize<'de> for Hit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HitVisitor)
    }
}

struct ReplyVisitor;

impl<'de> Visitor<'de> for ReplyVisitor {
    type Value = Reply;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the answer to a search")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reply, A::Error> {
        let mut reply = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = if key == "hits" {
                map.next_value::<Vec<Hit>>()?.into_iter().map(|Hit(hit)| Value::Object(hit)).collect()
            } else {
                map.next_value::<Value>()?
            };
            reply.insert(key, value);
        }
        Ok(Reply(reply))
    }
}

struct HitVisitor;

impl<'de> Visitor<'de> for HitVisitor {
    type Value = Hit;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a hit")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hit, A::Error> {
        let (mut hit, mut own) = (Map::new(), Map::new());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if let Some(first) = hit.insert(name.clone(), value) {
                own.insert(name, first);
            }
        }
        if !own.is_empty() {
            hit.insert(OWN_FIELDS.to_owned(), Value::Object(own));
        }
        Ok(Hit(hit))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_stands_twice_is_kept_as_the_document_has_it() {
        let body = br#"{"hits":[{"id":1,"_rankingScore":"mine","_rankingScore":0.5},{"id":2,"a":{"b":1}}],"limit":20}"#;
        let mut reply = read_reply(body).unwrap();
        assert_eq!(reply["limit"], 20);
        let hits = reply["hits"].as_array_mut().unwrap();
        let first = hits[0].as_object_mut().unwrap();
        assert_eq!(Value::Object(take_own_fields(first)), json!({ "_rankingScore": "mine" }));
        assert_eq!(Value::Object(first.clone()), json!({ "id": 1, "_rankingScore": 0.5 }));
        let second = hits[1].as_object_mut().unwrap();
        assert_eq!(take_own_fields(second), Map::new());
        assert_eq!(Value::Object(second.clone()), json!({ "id": 2, "a": { "b": 1 } }));
    }

    #[test]
    fn what_is_no_answer_to_a_search_is_an_error() {
        for body in [&b"[]"[..], b"{\"hits\":[1]}", b"{\"hits\":{}}", b"{", b""] {
            assert!(read_reply(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
