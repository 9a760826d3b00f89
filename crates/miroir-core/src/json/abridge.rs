//! The short form of a body that holds too much: who refuses the whole for its form mostly refuses this too.

use std::fmt::{Formatter, Result as FmtResult};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// So many items of a list, and fields of an object, are kept.
const KEPT_ITEMS: usize = 8;
const KEPT_FIELDS: usize = 64;

/// So many values are kept, wherever they stand.
const KEPT: usize = 4096;

/// The first items and fields of everything in a text. `Err` if it is no JSON; what is left out is only glanced at.
pub fn abridge(json: &[u8]) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Short { left: &mut KEPT.clone() }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// One value, and how many more may be kept.
struct Short<'a> {
    left: &'a mut usize,
}

impl Short<'_> {
    fn inner(&mut self) -> Short<'_> {
        Short { left: self.left }
    }

    /// Whether one more value may be kept.
    fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        *self.left = left.unwrap_or(0);
        left.is_some()
    }
}

impl<'de> DeserializeSeed<'de> for Short<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Short<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> FmtResult {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < KEPT_ITEMS && self.take() {
            let Some(item) = items.next_element_seed(self.inner())? else { return Ok(Value::Array(kept)) };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while kept.len() < KEPT_FIELDS && self.take() {
            let Some(key) = fields.next_key()? else { return Ok(Value::Object(kept)) };
            kept.insert(key, fields.next_value_seed(self.inner())?);
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(kept))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_of_everything_is_kept() {
        let zeros = |count: usize| json!(vec![0; count]);
        let read = |value: &Value| abridge(value.to_string().as_bytes()).unwrap();
        assert_eq!(
            read(&json!({ "q": zeros(100), "limit": 3 })),
            json!({ "q": zeros(KEPT_ITEMS), "limit": 3 })
        );
        let same = json!([null, true, -1, 1.5, "text", { "a": [], "b": {} }]);
        assert_eq!(read(&same), same);
        let many: Map<String, Value> = (0..100).map(|field| (field.to_string(), json!(field))).collect();
        assert_eq!(read(&Value::Object(many)).as_object().map(Map::len), Some(KEPT_FIELDS));
    }

    #[test]
    fn a_tree_of_lists_is_cut_too() {
        let tree = (0..6).fold(json!(0), |tree, _| json!(vec![tree; KEPT_ITEMS]));
        let short = abridge(tree.to_string().as_bytes()).unwrap().to_string();
        assert!(short.len() < 4 * KEPT, "{} bytes", short.len());
    }

    #[test]
    fn what_is_broken_behind_what_is_kept_is_no_json() {
        assert!(abridge(format!("[{}", "0,".repeat(100)).as_bytes()).is_err());
    }
}
