//! Generated documents: every kind of value Meilisearch treats in its own way.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::settings::Shape;
use super::words::{BRANDS, COLORS, COUNTRIES, GENRES, LABELS, WORDS, text};

/// Points are whole multiples of this many degrees (kilometres apart) or equal: Meilisearch sorts points closer than
/// one metre to each other as one, with the first as their common place.
const GEO_STEP: f64 = 0.05;

/// A whole document with the id of place `number`.
pub fn generate(dice: &mut Dice, shape: &Shape, number: usize) -> Value {
    let mut document = Map::new();
    document.insert(shape.primary_key.to_owned(), id(shape, number));
    for name in FIELDS {
        if let Some(value) = value(dice, name) {
            document.insert((*name).to_owned(), value);
        }
    }
    Value::Object(document)
}

/// A partial document: the id of place `number` and one to three other fields.
pub fn generate_update(dice: &mut Dice, shape: &Shape, number: usize) -> Value {
    let mut document = Map::new();
    document.insert(shape.primary_key.to_owned(), id(shape, number));
    for name in dice.some(FIELDS, 1, 3) {
        if let Some(value) = value(dice, name) {
            document.insert(name.to_owned(), value);
        }
    }
    Value::Object(document)
}

/// The id of place `number`; integers with gaps or strings that don't sort like their numbers.
pub fn id(shape: &Shape, number: usize) -> Value {
    if shape.string_ids { json!(format!("doc-{}_{number}", number % 7)) } else { json!(number * 3 + 1) }
}

const FIELDS: &[&str] = &[
    "title",
    "overview",
    "tags",
    "genre",
    "brand",
    "code",
    "price",
    "year",
    "rating",
    "available",
    "note",
    "info",
    "authors",
    "label",
    "part",
    "_geo",
];

/// A value for the field, or none when this document goes without it.
fn value(dice: &mut Dice, field: &str) -> Option<Value> {
    let value = match field {
        "title" => json!(text(dice, 1, 6)),
        "overview" if dice.chance(90) => json!(text(dice, 4, 25)),
        "tags" => tags(dice)?,
        "genre" if dice.chance(92) => json!(dice.pick_skewed(GENRES)),
        "brand" if dice.chance(85) => json!(dice.pick_skewed(BRANDS)),
        "code" => {
            json!(format!("{}{} {}", dice.pick(&["ab", "x", "QR-"]), dice.between(1, 99), dice.pick(WORDS)))
        }
        "price" => price(dice)?,
        "year" => json!(dice.between(1950, 2025)),
        "rating" if dice.chance(80) => json!(f64::from(u8::try_from(dice.between(2, 10)).unwrap_or(0)) / 2.0),
        "available" if dice.chance(90) => json!(dice.chance(60)),
        "note" => note(dice)?,
        "info" if dice.chance(85) => info(dice),
        "authors" if dice.chance(50) => authors(dice),
        "label" if dice.chance(60) => json!(dice.pick(LABELS)),
        "part" => part(dice)?,
        "_geo" if dice.chance(60) => geo(dice),
        _ => return None,
    };
    Some(value)
}

fn tags(dice: &mut Dice) -> Option<Value> {
    match dice.between(0, 9) {
        0 => None,
        1 => Some(json!([])),
        2 => Some(Value::Null),
        3 => Some(json!(dice.pick(WORDS))),
        4 => Some(json!([dice.pick(WORDS), {"k": dice.pick(WORDS), "l": 1}, [{"l": 2}]])),
        _ => Some(json!(dice.some(&WORDS[..60], 1, 4))),
    }
}

/// Numbers, and texts that read like one but like none of these: as facets the two would be one key with the count of either.
fn part(dice: &mut Dice) -> Option<Value> {
    match dice.between(0, 9) {
        0..=4 => Some(json!(dice.between(40, 99))),
        5 | 6 => Some(json!(dice.between(10, 39).to_string())),
        7 => Some(json!(format!("C{}", dice.between(1, 5)))),
        8 => Some(json!(dice.pick(&["007", "1e2", "50.0"]))),
        _ => None,
    }
}

fn price(dice: &mut Dice) -> Option<Value> {
    match dice.between(0, 19) {
        0 => None,
        1 => Some(Value::Null),
        // No string that prints like a number: as facets the two would be one key with the count of either.
        2 => Some(json!(dice.pick(&["on request", "Free"]))),
        3 => Some(json!([dice.between(1, 40), dice.between(1, 40)])),
        4 => Some(json!([])),
        9 => Some(json!({"usd": dice.between(1, 40), "eur": 3})),
        5..=8 => Some(json!(f64::from(u8::try_from(dice.between(1, 120)).unwrap_or(0)) / 4.0 + 0.125)),
        _ => Some(json!(dice.between(1, 40))),
    }
}

fn note(dice: &mut Dice) -> Option<Value> {
    match dice.between(0, 6) {
        0 | 1 => None,
        2 => Some(Value::Null),
        3 => Some(json!("")),
        4 => Some(json!([])),
        5 => Some(json!({})),
        _ => Some(json!(dice.pick(WORDS))),
    }
}

fn info(dice: &mut Dice) -> Value {
    let mut info = json!({"color": dice.pick(COLORS), "maker": {"name": text(dice, 1, 2)}});
    if dice.chance(80) {
        info["size"] = json!(dice.between(1, 12));
    }
    if dice.chance(80) {
        info["maker"]["country"] = json!(dice.pick(COUNTRIES));
    }
    info
}

fn authors(dice: &mut Dice) -> Value {
    let count = dice.between(1, 3);
    let author = |dice: &mut Dice| json!({"name": text(dice, 1, 2), "born": dice.between(1900, 1999)});
    Value::Array((0..count).map(|_| author(dice)).collect())
}

fn geo(dice: &mut Dice) -> Value {
    let step =
        |dice: &mut Dice, steps| f64::from(u8::try_from(dice.between(0, steps)).unwrap_or(0)) * GEO_STEP;
    json!({"lat": 45.0 + step(dice, 40), "lng": 4.0 + step(dice, 60)})
}
