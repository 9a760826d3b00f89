//! What is wrong with the form of a JSON body, in Meilisearch's words. Only for bodies that no node can be asked about.

use serde_json::Value;

/// Fewest letters of a word that a suggestion is made for, and the typos it may hold: so many from that length on.
const TYPOS: [(usize, usize); 5] = [(25, 5), (18, 4), (13, 3), (8, 2), (4, 1)];

/// A value of another type than expected. `place` is like `.actions[0]`, and empty for the body as a whole.
pub fn wrong_type(place: &str, expected: &str, found: &Value) -> String {
    format!("Invalid value type{}: expected {expected}, but found {}", at(place), described(found))
}

/// A value of the right type that means nothing.
pub fn wrong_value(place: &str, reason: &str) -> String {
    format!("Invalid value{}: {reason}", at(place))
}

/// A word that is none of those known.
pub fn unknown_value(place: &str, found: &str, accepted: &[&str]) -> String {
    format!("Unknown value `{found}`{}: {}", at(place), suggest(found, accepted))
}

/// A field of the body that is none of those known.
pub fn unknown_field(found: &str, accepted: &[&str]) -> String {
    format!("Unknown field `{found}`: {}", suggest(found, accepted))
}

/// A query parameter that is none of those known.
pub fn unknown_parameter(found: &str, accepted: &[&str]) -> String {
    format!("Unknown parameter `{found}`: {}", suggest(found, accepted))
}

/// A field that can be read, but not changed.
pub fn immutable_field(found: &str, accepted: &[&str]) -> String {
    format!("Immutable field `{found}`: {}", one_of(accepted))
}

/// A field that must be there.
pub fn missing_field(name: &str) -> String {
    format!("Missing field `{name}`")
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at `{place}`") }
}

/// A value after the name of its kind.
pub(crate) fn described(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_u64() => "a positive integer",
        Value::Number(number) if number.is_i64() => "a negative integer",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    format!("{kind}: `{value}`")
}

fn one_of(accepted: &[&str]) -> String {
    let names: Vec<String> = accepted.iter().map(|name| format!("`{name}`")).collect();
    format!("expected one of {}", names.join(", "))
}

fn suggest(found: &str, accepted: &[&str]) -> String {
    let typos = TYPOS.iter().find(|(length, _)| found.len() >= *length).map_or(0, |(_, typos)| *typos);
    let distance = |name: &&str| strsim::damerau_levenshtein(found, name);
    let near = accepted.iter().map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= typos);
    match near.min_by_key(|(distance, _)| *distance) {
        Some((_, name)) if typos > 0 => format!("did you mean `{name}`? {}", one_of(accepted)),
        _ => one_of(accepted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_named_by_its_type_and_shown() {
        let found = wrong_type(".uid", "a string", &json!(4));
        assert_eq!(
            found,
            "Invalid value type at `.uid`: expected a string, but found a positive integer: `4`"
        );
        let found = wrong_type("", "an object", &json!([{ "a": null }]));
        assert_eq!(found, "Invalid value type: expected an object, but found an array: `[{\"a\":null}]`");
        assert!(wrong_type(".a", "b", &json!(null)).ends_with("but found null"));
        assert!(wrong_type(".a", "b", &json!(-1)).ends_with("a negative integer: `-1`"));
        assert!(wrong_type(".a", "b", &json!(1.5)).ends_with("a number: `1.5`"));
    }

    #[test]
    fn a_word_is_suggested_only_when_it_is_near() {
        let names = ["name", "description"];
        assert_eq!(
            unknown_field("nome", &names),
            "Unknown field `nome`: did you mean `name`? expected one of `name`, `description`"
        );
        assert_eq!(
            unknown_field("nam", &names),
            "Unknown field `nam`: expected one of `name`, `description`"
        );
        assert!(unknown_value(".a[1]", "descripton", &names).contains("did you mean `description`?"));
        assert!(!unknown_parameter("page", &names).contains("did you mean"));
        assert_eq!(immutable_field("uid", &["name"]), "Immutable field `uid`: expected one of `name`");
    }
}
