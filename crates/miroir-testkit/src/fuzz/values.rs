//! Any JSON, and texts that are none.

use serde_json::{Map, Value, json};

use crate::oracle::Dice;

/// Words that mean something to a search server, or look as if they did.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "films",
    "id",
    "title",
    "genre",
    "*",
    "_geo",
    "_vectors",
    "_geoPoint(1,2):asc",
    "title:asc",
    "price:desc",
    "price > 3",
    "genre = drama OR",
    "genre EXISTS",
    "((genre = a",
    "genre IN [a, b",
    "_geoRadius(1,2,3)",
    "NOT",
    "last",
    "all",
    "frequency",
    "words",
    "sort",
    "byWord",
    "\u{0}",
    "é\u{301}",
    "😀",
    "%00",
    "null",
    "-1",
    "1e999",
    "<em>",
    "2020-01-01T00:00:00Z",
];

const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "2",
    "20",
    "1.5",
    "-0.0",
    "1e308",
    "-1e-308",
    "255",
    "65536",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
];

/// A value of any kind; objects and lists get smaller with the depth.
pub(super) fn any(dice: &mut Dice, depth: usize) -> Value {
    match dice.between(0, if depth == 0 { 4 } else { 7 }) {
        0 => Value::Null,
        1 => Value::Bool(dice.chance(50)),
        2 => number(dice),
        3 | 4 => text(dice),
        5 => (0..dice.between(0, 3)).map(|_| any(dice, depth - 1)).collect(),
        6 => {
            let fields = (0..dice.between(0, 3)).map(|_| {
                let name = (*dice.pick(&TEXTS)).to_owned();
                (name, any(dice, depth - 1))
            });
            Value::Object(fields.collect())
        }
        _ => nested(dice),
    }
}

/// The value with something in it changed.
pub(super) fn mutate(dice: &mut Dice, value: &Value) -> Value {
    match value {
        _ if dice.chance(15) => any(dice, 2),
        Value::Object(fields) if !fields.is_empty() => Value::Object(mutate_object(dice, fields)),
        Value::Array(items) if !items.is_empty() => {
            let mut items = items.clone();
            let at = dice.between(0, items.len() - 1);
            match dice.between(0, 3) {
                0 => {
                    items.remove(at);
                }
                1 => items.push(any(dice, 1)),
                2 => items.push(items[at].clone()),
                _ => items[at] = mutate(dice, &items[at]),
            }
            Value::Array(items)
        }
        _ => any(dice, 2),
    }
}

fn mutate_object(dice: &mut Dice, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = dice.pick(&names).clone();
    match dice.between(0, 4) {
        0 => {
            fields.shift_remove(&name);
        }
        1 => {
            fields.insert((*dice.pick(&TEXTS)).to_owned(), any(dice, 1));
        }
        _ => {
            let changed = mutate(dice, &fields[&name]);
            fields.insert(name, changed);
        }
    }
    fields
}

fn number(dice: &mut Dice) -> Value {
    let text = *dice.pick(&NUMBERS);
    serde_json::from_str(text).unwrap_or(json!(3))
}

fn text(dice: &mut Dice) -> Value {
    if dice.chance(4) { json!("x".repeat(dice.between(400, 2000))) } else { json!(*dice.pick(&TEXTS)) }
}

/// Deeper than anybody needs, and not so deep that it is a matter of the parser's limit.
fn nested(dice: &mut Dice) -> Value {
    let is_list = dice.chance(50);
    (0..dice.between(5, 40))
        .fold(json!("x"), |inner, _| if is_list { json!([inner]) } else { json!({ "a": inner }) })
}

/// The text of a body, at times not quite.
pub(super) fn written(dice: &mut Dice, value: &Value) -> Vec<u8> {
    let mut bytes = value.to_string().into_bytes();
    if dice.chance(90) {
        return bytes;
    }
    match dice.between(0, 3) {
        0 => bytes.truncate(dice.between(0, bytes.len())),
        1 => bytes.extend_from_slice(b" x"),
        2 => bytes.clear(),
        _ => {
            let more = bytes.clone();
            bytes.extend(more);
        }
    }
    bytes
}
