//! Putting documents in the place of their ids, in hits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::Relation;
use crate::document::canonical_id;
use crate::ids::IndexUid;

/// Parts of a hit that are none of its document.
const PARTS_OF_A_HIT: [&str; 5] =
    ["_formatted", "_matchesPosition", "_rankingScore", "_rankingScoreDetails", "_federation"];

const FORMATTED: &str = "_formatted";
const SEPARATOR: char = '.';

/// Documents by their index and id. An id that was looked for and names none has an empty document.
pub type RelatedDocuments = HashMap<IndexUid, HashMap<String, Map<String, Value>>>;

/// The documents that a hit wants to be filled with: a relation's field holds one id or several, up to the first value that is
/// none. What is only in the highlighted form wants nothing (Meilisearch 1.50).
pub fn wanted_ids(
    hit: &Map<String, Value>,
    relations: &[Relation],
    wanted: &mut BTreeMap<IndexUid, BTreeSet<String>>,
) {
    for relation in relations {
        visit(hit, &relation.field, &mut |value| {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for id in values.iter().map_while(canonical_id) {
                wanted.entry(relation.index.clone()).or_default().insert(id);
            }
        });
    }
}

/// Puts the documents into a hit, also into its highlighted form, wherever below the field an id of one of them stands.
pub fn fill_hit(hit: &mut Map<String, Value>, relations: &[Relation], documents: &RelatedDocuments) {
    for relation in relations {
        let Some(documents) = documents.get(&relation.index) else { continue };
        walk_hit(hit, &relation.field, &mut |value| {
            if let Some(document) = canonical_id(value).and_then(|id| documents.get(&id)) {
                *value = Value::Object(document.clone());
            }
        });
    }
}

fn walk_hit(hit: &mut Map<String, Value>, field: &str, look: &mut impl FnMut(&mut Value)) {
    for (name, value) in hit.iter_mut() {
        if !PARTS_OF_A_HIT.contains(&name.as_str()) {
            walk_field(name, value, field, look);
        } else if let (FORMATTED, Value::Object(formatted)) = (name.as_str(), value) {
            walk(formatted, "", field, look);
        }
    }
}

fn walk(object: &mut Map<String, Value>, above: &str, field: &str, look: &mut impl FnMut(&mut Value)) {
    for (name, value) in object.iter_mut() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}{SEPARATOR}{name}") };
        walk_field(&path, value, field, look);
    }
}

fn walk_field(path: &str, value: &mut Value, field: &str, look: &mut impl FnMut(&mut Value)) {
    if is_above(path, field) || is_above(field, path) {
        walk_value(path, value, field, look);
    }
}

fn walk_value(path: &str, value: &mut Value, field: &str, look: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(object) => walk(object, path, field, look),
        Value::Array(values) => values.iter_mut().for_each(|value| walk_value(path, value, field, look)),
        value => look(value),
    }
}

/// Whether a path leads to what the other one leads to, or to something that it is a part of.
fn is_above(path: &str, below: &str) -> bool {
    below.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
}

/// The values that a path leads to, whichever of its dots are parts of names.
fn visit(object: &Map<String, Value>, path: &str, look: &mut impl FnMut(&Value)) {
    if let Some(value) = object.get(path) {
        look(value);
    }
    for (dot, _) in path.rmatch_indices(SEPARATOR) {
        let rest = &path[dot + SEPARATOR.len_utf8()..];
        match object.get(&path[..dot]) {
            Some(Value::Object(inner)) => visit(inner, rest, look),
            Some(Value::Array(values)) => {
                values.iter().filter_map(Value::as_object).for_each(|inner| visit(inner, rest, look));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn relation(field: &str) -> Vec<Relation> {
        vec![Relation { field: field.to_owned(), index: IndexUid::new("people") }]
    }

    fn filled(hit: &Value, field: &str) -> (Vec<String>, Value) {
        let mut wanted = BTreeMap::new();
        let mut hit = object(hit);
        wanted_ids(&hit, &relation(field), &mut wanted);
        let ids: Vec<String> = wanted.into_values().flatten().collect();
        let document = |id: &String| {
            let known = if id == "gone" { json!({}) } else { json!({ "name": id }) };
            (id.clone(), object(&known))
        };
        let documents = ids.iter().map(document).collect();
        fill_hit(&mut hit, &relation(field), &HashMap::from([(IndexUid::new("people"), documents)]));
        (ids, Value::Object(hit))
    }

    #[test]
    fn ids_give_way_to_documents_and_what_is_no_id_stays() {
        let hit = json!({
            "author": ["w1", 2, "gone", [{ "deep": "w1" }, "w3"], "w4"],
            "title": "w1",
            "_formatted": { "author": ["<em>w1</em>", "2"] },
            "_rankingScore": 1,
        });
        let (ids, filled) = filled(&hit, "author");
        assert_eq!(ids, ["2", "gone", "w1"]);
        let expected = json!({
            "author": [{ "name": "w1" }, { "name": "2" }, {}, [{ "deep": { "name": "w1" } }, "w3"], "w4"],
            "title": "w1",
            "_formatted": { "author": ["<em>w1</em>", { "name": "2" }] },
            "_rankingScore": 1,
        });
        assert_eq!(filled, expected);
    }

    #[test]
    fn nothing_is_wanted_for_the_highlighted_form_alone() {
        for hit in [json!({ "_formatted": { "author": "w1" } }), json!({ "author": null })] {
            assert_eq!(filled(&hit, "author"), (Vec::new(), hit.clone()));
        }
    }

    #[test]
    fn a_path_leads_through_objects_lists_and_names_with_dots() {
        let hit = json!({ "a": [{ "b": "x" }, { "c": "y" }], "a.b": "z", "ab": "w" });
        let (ids, filled) = filled(&hit, "a.b");
        assert_eq!(ids, ["x", "z"]);
        assert_eq!(
            filled,
            json!({ "a": [{ "b": { "name": "x" } }, { "c": "y" }], "a.b": { "name": "z" }, "ab": "w" })
        );
    }
}
