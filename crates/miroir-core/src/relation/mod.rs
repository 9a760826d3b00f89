//! Relations between documents (`foreignKeys`): a field of one index has ids of documents of another one.
//!
//! Nodes never hear of them: a node would look at its own documents only, under its own names, and show what it displays.
//! Miroir looks the others up itself, wherever they lie. Before a search the ids are found that a condition `_foreign(…)`
//! stands for; after it the ids in hits give way to documents, as their own index displays them.

mod fill;

use serde_json::Value;
use thiserror::Error;

use crate::filter::{self, Filter};
use crate::ids::IndexUid;
use crate::settings::ClientSettings;

pub use fill::{RelatedDocuments, fill_hit, wanted_ids};

/// The setting.
pub const SETTING: &str = "foreignKeys";

const OPENING: &str = "_foreign(";

/// More documents than so many of one index can't be meant by conditions (Meilisearch 1.50).
pub const MOST_MATCHING: usize = 100;

/// A field with ids of another index's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The field, or a path to it.
    pub field: String,
    /// The other index.
    pub index: IndexUid,
}

/// The relations of an index, in the client's order.
pub fn relations_of(settings: &ClientSettings) -> Vec<Relation> {
    let keys = settings.get(SETTING).and_then(Value::as_array).into_iter().flatten();
    keys.filter_map(|key| {
        let field = key.get("fieldName")?.as_str()?.to_owned();
        Some(Relation { field, index: IndexUid::new(key.get("foreignIndexUid")?.as_str()?) })
    })
    .collect()
}

/// A condition on another index's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The field that has their ids.
    pub field: String,
    /// The other index.
    pub index: IndexUid,
    /// What must hold of the documents.
    pub filter: String,
}

/// Why a condition on another index's documents has no answer, in Meilisearch's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotRelated {
    /// The index has no such relation.
    #[error("Field `{0}` is not a foreign key")]
    NoKey(String),
    /// The condition has another one in it.
    #[error("Nested foreign filters are not supported")]
    Nested,
}

/// Whether a filter has such conditions. One that is no filter has none: a node refuses it.
pub fn is_related(filter: &Value) -> bool {
    !conditions_in(filter).is_empty()
}

/// What one Meilisearch says of such a condition where it takes none; `None` if there is none.
pub fn unsupported(filter: &Value) -> Option<String> {
    const SAID: &str = "Filter condition `_foreign` is not supported for this endpoint.";
    let text = match filter {
        Value::Array(items) => return items.iter().find_map(unsupported),
        Value::String(text) => text,
        _ => return None,
    };
    let Ok(Some(read)) = filter::parse(text) else { return None };
    let (field, _) = read.foreign().into_iter().next()?;
    // It shows where the field's name stands, and everything from the condition on.
    let shown = text.match_indices(OPENING).find_map(|(place, _)| {
        let behind = &text[place + OPENING.len()..];
        let name = behind.trim_start();
        let quote = usize::from(field.written.starts_with(['\'', '"']));
        let skipped = text.len() - name.len() + quote;
        let from = text.get(..skipped)?.chars().count() + 1;
        let to = from + field.written.chars().count() - 2 * quote;
        name.starts_with(&field.written).then(|| format!("{from}:{to} {}", &text[place..]))
    });
    Some(shown.map_or_else(|| SAID.to_owned(), |shown| format!("{SAID}\n{shown}")))
}

/// The conditions of a filter, in the order in which [`answered`] wants their answers.
pub fn questions(filter: &Value, relations: &[Relation]) -> Result<Vec<Question>, NotRelated> {
    let ask = |(field, inner): (String, Filter)| {
        let relation = relations.iter().find(|relation| relation.field == field);
        let Some(relation) = relation else { return Err(NotRelated::NoKey(field)) };
        if !inner.foreign().is_empty() {
            return Err(NotRelated::Nested);
        }
        Ok(Question { field, index: relation.index.clone(), filter: inner.to_string() })
    };
    conditions_in(filter).into_iter().map(ask).collect()
}

fn conditions_in(filter: &Value) -> Vec<(String, Filter)> {
    if !filter::mentions(filter, OPENING) {
        return Vec::new();
    }
    let Ok(Some(read)) = filter::read(filter) else { return Vec::new() };
    read.foreign().into_iter().map(|(field, inner)| (field.text.clone(), inner.clone())).collect()
}

/// The filter with the ids that were found in the place of the conditions. Expressions without one stay as they are.
pub fn answered(filter: &Value, found: &mut impl Iterator<Item = Vec<String>>) -> Value {
    match filter {
        Value::Array(items) => items.iter().map(|item| answered(item, found)).collect(),
        Value::String(text) => match filter::parse(text) {
            Ok(Some(read)) if !read.foreign().is_empty() => {
                let replaced = read.replace_foreign(&mut |field, _| {
                    Filter::one_of(&field.text, found.next().unwrap_or_default())
                });
                Value::String(replaced.to_string())
            }
            _ => filter.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn relations() -> Vec<Relation> {
        let keys = json!([
            { "foreignIndexUid": "people", "fieldName": "author" },
            { "foreignIndexUid": "places", "fieldName": "from.place" },
        ]);
        let mut settings = ClientSettings::default();
        settings.apply(&[(SETTING.to_owned(), keys)].into_iter().collect());
        relations_of(&settings)
    }

    #[test]
    fn conditions_are_asked_of_their_index_and_answered_at_their_place() {
        let filter = json!([
            "a = 1",
            ["NOT _foreign(author, fame >= 1 OR x = 2)", "_foreign('from.place', z EXISTS) AND b=2"],
        ]);
        let asked = questions(&filter, &relations()).unwrap();
        let asked: Vec<_> = asked.iter().map(|it| (it.index.as_str(), it.filter.as_str())).collect();
        assert_eq!(asked, [("people", "fame >= 1 OR x = 2"), ("places", "z EXISTS")]);
        let mut found = [vec!["w1".to_owned(), "AND".to_owned()], Vec::new()].into_iter();
        assert_eq!(
            answered(&filter, &mut found),
            json!(["a = 1", [r#"NOT "author" IN ["w1", "AND"]"#, r#""from.place" IN [] AND b=2"#]])
        );
    }

    #[test]
    fn what_is_no_relation_is_refused_in_meilisearchs_words() {
        let refused = |text: &str| questions(&json!(text), &relations()).unwrap_err().to_string();
        assert_eq!(refused("_foreign(title, a = 1)"), "Field `title` is not a foreign key");
        assert_eq!(
            refused("_foreign(author, _foreign(author, a = 1))"),
            "Nested foreign filters are not supported"
        );
    }

    #[test]
    fn what_takes_no_conditions_names_the_first_one() {
        let said = |filter: Value| {
            unsupported(&filter).map(|text| text.lines().nth(1).unwrap_or_default().to_owned())
        };
        assert_eq!(
            said(json!("_foreign(author, id = a1)")).as_deref(),
            Some("10:16 _foreign(author, id = a1)")
        );
        assert_eq!(
            said(json!(["a = 1", ["é = 1 AND _foreign( 'é' , b=1)"]])).as_deref(),
            Some("22:23 _foreign( 'é' , b=1)")
        );
        assert_eq!(said(json!(["a = 1", 3])), None);
    }

    #[test]
    fn only_whole_filters_are_looked_at() {
        for unrelated in ["a = '_foreign(author, b = 1)'", "_foreign(author, b = 1", "_foreign = 1"] {
            assert!(!is_related(&json!([unrelated])), "{unrelated}");
        }
        assert!(is_related(&json!("NOT (a = 1 OR _foreign(author, b = 1))")));
    }
}
