//! Counting the values of a text without keeping any of them.

use std::fmt::{Formatter, Result as FmtResult};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::RAW;

/// JSON in a text in JSON, and so on: each level may be as deep as the reader goes at all.
const MAX_NESTED: usize = 3;

/// Why there is no count.
#[derive(Debug)]
pub enum Unmeasured {
    /// It is no JSON. The error is the one that reading it into a tree would give.
    Malformed(serde_json::Error),
    /// It holds more values than allowed; what comes behind them was not looked at.
    TooMany,
}

/// How many values a text holds, at most `max`. Keys count as values: they take no less.
pub fn measure(json: &[u8], max: usize) -> Result<usize, Unmeasured> {
    let mut count = Count { left: max, is_over: false };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let counter = Counter { count: &mut count, nested: 0 };
    match counter.deserialize(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => Ok(max - count.left),
        Err(_) if count.is_over => Err(Unmeasured::TooMany),
        Err(error) => Err(Unmeasured::Malformed(error)),
    }
}

struct Count {
    left: usize,
    is_over: bool,
}

impl Count {
    fn take<E: Error>(&mut self) -> Result<(), E> {
        let left = self.left.checked_sub(1);
        self.is_over |= left.is_none();
        self.left = left.ok_or_else(|| E::custom("too many values"))?;
        Ok(())
    }
}

/// Goes through one value as the reader of trees does, so that it stumbles where that one would.
struct Counter<'a> {
    count: &'a mut Count,
    nested: usize,
}

impl Counter<'_> {
    fn inner(&mut self) -> Counter<'_> {
        Counter { count: self.count, nested: self.nested }
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.count.take()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> FmtResult {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let Some(stands_for_its_value) = fields.next_key_seed(FirstKey)? else { return Ok(()) };
        self.count.take()?;
        if stands_for_its_value {
            let text: String = fields.next_value()?;
            return self.nested_text(&text);
        }
        fields.next_value_seed(self.inner())?;
        while fields.next_key::<IgnoredAny>()?.is_some() {
            self.count.take()?;
            fields.next_value_seed(self.inner())?;
        }
        Ok(())
    }
}

impl Counter<'_> {
    fn nested_text<E: Error>(self, text: &str) -> Result<(), E> {
        if self.nested == MAX_NESTED {
            return Err(E::custom("recursion limit exceeded"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        Counter { count: self.count, nested: self.nested + 1 }
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(E::custom)
    }
}

/// Whether a key is [`RAW`].
struct FirstKey;

impl<'de> DeserializeSeed<'de> for FirstKey {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for FirstKey {
    type Value = bool;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> FmtResult {
        formatter.write_str("a string key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == RAW)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ALL: usize = usize::MAX;

    fn values(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(values).sum(),
            Value::Object(fields) => fields.values().map(|value| 1 + values(value)).sum(),
            _ => 0,
        }
    }

    #[test]
    fn every_value_and_every_key_counts() {
        let counted = |value: &Value| measure(value.to_string().as_bytes(), ALL).unwrap();
        for value in [json!(null), json!([1, -1, 1.5, "a", true]), json!({ "a": [], "b": { "c": {} } })] {
            assert_eq!(counted(&value), values(&value), "{value}");
        }
    }

    #[test]
    fn counting_ends_where_there_are_too_many() {
        let zeros = format!("[{}0]", "0,".repeat(999));
        assert_eq!(measure(zeros.as_bytes(), 1001).unwrap(), 1001);
        // Broken behind its bound, which nobody looks at.
        for json in [&zeros[..], &zeros[..zeros.len() - 1]] {
            assert!(matches!(measure(json.as_bytes(), 1000), Err(Unmeasured::TooMany)));
        }
    }

    #[test]
    fn json_in_a_text_counts_where_it_stands_for_its_object() {
        let mut value = json!(vec![0; 5]).to_string();
        for depth in 0..=MAX_NESTED {
            let read: Value = serde_json::from_str(&value).unwrap();
            assert_eq!(values(&read), 6);
            // Its object and its key count too.
            assert_eq!(measure(value.as_bytes(), ALL).unwrap(), 6 + 2 * depth);
            value = format!("{{{}:{}}}", json!(RAW), json!(value));
        }
        assert!(matches!(measure(value.as_bytes(), ALL), Err(Unmeasured::Malformed(_))));
    }

    proptest! {
        #[test]
        fn what_is_no_json_is_refused_in_the_words_of_who_builds_trees(
            cut in 0_usize..80, put in "[\\[\\]{},:\"\\\\0-9.eE+a-z\u{0}-\u{1f}é-]{0,3}", deep in 0_usize..200
        ) {
            let whole = format!("{}{{\"a\":[1.5e3,\"b\\n\\u00e9\",null],\"c\":{{}}}}", "[".repeat(deep));
            let mut text = whole;
            let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(at.max(deep.min(text.len())));
            text.push_str(&put);
            let built = serde_json::from_slice::<Value>(text.as_bytes());
            match (measure(text.as_bytes(), ALL), built) {
                (Ok(count), Ok(value)) => prop_assert_eq!(count, values(&value)),
                (Err(Unmeasured::Malformed(ours)), Err(theirs)) => prop_assert_eq!(ours.to_string(), theirs.to_string()),
                (ours, theirs) => prop_assert!(false, "{:?} and {:?} for {}", ours, theirs, text),
            }
        }
    }
}
