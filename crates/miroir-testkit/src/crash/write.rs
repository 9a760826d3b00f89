//! The writes that clients make: what is sent, and what it does to the documents.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::model::Documents;
use crate::oracle::Dice;

/// Indexes that only lose and win documents.
pub(super) const LASTING: [&str; 3] = ["alpha", "beta", "gamma"];
/// An index that is dropped now and then, and comes back with the next documents.
pub(super) const PASSING: &str = "passing";
/// Ids are below this: few enough that clients meet at the same documents.
const IDS: usize = 80;
const GROUPS: usize = 12;
const MOST_DOCUMENTS: usize = 15;

/// A write as one client makes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    /// The `customMetadata` that tells this write from all others.
    pub(super) tag: String,
    pub(super) index: &'static str,
    pub(super) act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// `POST`: documents that replace what is there.
    Replace(Vec<Map<String, Value>>),
    /// `PUT`: fields that replace fields.
    Update(Vec<Map<String, Value>>),
    DeleteOne(u64),
    DeleteBatch(Vec<u64>),
    /// All documents of a group.
    DeleteGroup(String),
    /// All documents with a number from here on.
    DeleteFrom(u64),
    DeleteAll,
    /// Documents of which the last has an impossible id: the task fails as a whole.
    Invalid(Vec<Map<String, Value>>),
    /// A body that is not JSON: refused at once.
    Malformed,
    /// A change of settings that no document depends on. Carries no mark.
    Settings(Value),
    /// Drops the index. Carries no mark.
    DropIndex,
}

impl Write {
    /// The next write of a client.
    pub(super) fn throw(dice: &mut Dice, tag: String) -> Self {
        let passing = dice.chance(12);
        let index = if passing { PASSING } else { *dice.pick(&LASTING) };
        let act = match dice.between(0, 99) {
            0..=34 => Act::Replace(documents(dice, &tag, Fields::All)),
            35..=64 => Act::Update(documents(dice, &tag, Fields::Some)),
            65..=72 => Act::DeleteOne(id(dice)),
            73..=80 => Act::DeleteBatch((0..dice.between(1, 8)).map(|_| id(dice)).collect()),
            81..=85 if passing => Act::DropIndex,
            81..=87 if !passing => Act::DeleteGroup(group(dice)),
            88..=91 if !passing => Act::DeleteFrom(as_u64(dice.between(85, 99))),
            92 => Act::DeleteAll,
            93..=94 => Act::Malformed,
            95..=96 => Act::Invalid(invalid(dice, &tag)),
            _ => Act::Settings(json!({"stopWords": [*dice.pick(&["the", "a", "of"])]})),
        };
        Self { tag, index, act }
    }

    /// The next write of a client that only changes documents.
    pub(super) fn throw_documents(dice: &mut Dice, tag: &str) -> Self {
        loop {
            let write = Self::throw(dice, tag.to_owned());
            if write.index != PASSING && !matches!(write.act, Act::Settings(_) | Act::DropIndex) {
                return write;
            }
        }
    }

    /// Method, path and body of the request.
    pub(super) fn request(&self) -> (Method, String, Vec<u8>) {
        let index = format!("/indexes/{}", self.index);
        let documents = format!("{index}/documents");
        let mark = format!("customMetadata={}", self.tag);
        let of = |value: &Value| value.to_string().into_bytes();
        match &self.act {
            Act::Replace(list) | Act::Invalid(list) => {
                (Method::POST, format!("{documents}?primaryKey=id&{mark}"), of(&json!(list)))
            }
            Act::Update(list) => (Method::PUT, format!("{documents}?primaryKey=id&{mark}"), of(&json!(list))),
            Act::DeleteOne(id) => (Method::DELETE, format!("{documents}/{id}?{mark}"), Vec::new()),
            Act::DeleteBatch(ids) => {
                (Method::POST, format!("{documents}/delete-batch?{mark}"), of(&json!(ids)))
            }
            Act::DeleteGroup(group) => {
                let filter = json!({"filter": format!("group = {group}")});
                (Method::POST, format!("{documents}/delete?{mark}"), of(&filter))
            }
            Act::DeleteFrom(number) => {
                let filter = json!({"filter": format!("number >= {number}")});
                (Method::POST, format!("{documents}/delete?{mark}"), of(&filter))
            }
            Act::DeleteAll => (Method::DELETE, format!("{documents}?{mark}"), Vec::new()),
            Act::Malformed => (Method::POST, format!("{documents}?{mark}"), b"[{\"id\": 1".to_vec()),
            Act::Settings(patch) => (Method::PATCH, format!("{index}/settings"), of(patch)),
            Act::DropIndex => (Method::DELETE, index, Vec::new()),
        }
    }

    /// Whether its task carries the tag.
    pub(super) const fn is_marked(&self) -> bool {
        !matches!(self.act, Act::Settings(_) | Act::DropIndex)
    }

    /// What it does to the documents of its index, when its task succeeds.
    pub(super) fn apply(&self, documents: &mut Documents) {
        let number = |document: &Map<String, Value>| document.get("number").and_then(Value::as_u64);
        match &self.act {
            Act::Replace(list) => {
                for document in list {
                    documents.insert(id_of(document), document.clone());
                }
            }
            Act::Update(list) => {
                for document in list {
                    documents.entry(id_of(document)).or_default().extend(document.clone());
                }
            }
            Act::DeleteOne(id) => {
                documents.remove(id);
            }
            Act::DeleteBatch(ids) => documents.retain(|id, _| !ids.contains(id)),
            Act::DeleteGroup(group) => documents.retain(|_, it| it.get("group") != Some(&json!(group))),
            Act::DeleteFrom(from) => {
                documents.retain(|_, it| number(it).is_none_or(|number| number < *from));
            }
            Act::DeleteAll | Act::DropIndex => documents.clear(),
            Act::Invalid(_) | Act::Malformed | Act::Settings(_) => {}
        }
    }
}

/// Whether documents bring all their fields.
#[derive(Clone, Copy)]
enum Fields {
    All,
    Some,
}

fn documents(dice: &mut Dice, tag: &str, fields: Fields) -> Vec<Map<String, Value>> {
    let most = if dice.chance(50) { 1 } else { MOST_DOCUMENTS };
    (0..dice.between(1, most)).map(|_| document(dice, tag, fields)).collect()
}

fn document(dice: &mut Dice, tag: &str, fields: Fields) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("id".to_owned(), json!(id(dice)));
    let keep = |dice: &mut Dice| matches!(fields, Fields::All) || dice.chance(50);
    for (name, value) in [
        ("group", json!(group(dice))),
        ("number", json!(dice.between(0, 99))),
        ("title", json!(format!("written by {tag}"))),
    ] {
        if keep(dice) {
            document.insert(name.to_owned(), value);
        }
    }
    // A field of its own shows what a partial update kept of earlier ones.
    document.insert(format!("note{}", dice.between(0, 4)), json!(tag));
    document
}

fn invalid(dice: &mut Dice, tag: &str) -> Vec<Map<String, Value>> {
    let mut list = documents(dice, tag, Fields::All);
    let mut closing = document(dice, tag, Fields::All);
    closing.insert("id".to_owned(), json!("not an id!"));
    list.push(closing);
    list
}

fn id(dice: &mut Dice) -> u64 {
    as_u64(dice.between(0, IDS - 1))
}

fn group(dice: &mut Dice) -> String {
    format!("g{}", dice.between(0, GROUPS - 1))
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn id_of(document: &Map<String, Value>) -> u64 {
    document.get("id").and_then(Value::as_u64).expect("generated documents have a number as id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => panic!("no document: {other}"),
        }
    }

    fn after(acts: Vec<Act>) -> Value {
        let mut documents = Documents::new();
        for act in acts {
            Write { tag: String::new(), index: "alpha", act }.apply(&mut documents);
        }
        json!(documents)
    }

    #[test]
    fn updates_keep_other_fields_and_replacements_do_not() {
        let one = Act::Replace(vec![fields(json!({"id": 1, "group": "g1", "number": 7}))]);
        let other = fields(json!({"id": 1, "number": 9}));
        let updated = after(vec![one.clone(), Act::Update(vec![other.clone()])]);
        assert_eq!(updated, json!({"1": {"id": 1, "group": "g1", "number": 9}}));
        assert_eq!(after(vec![one, Act::Replace(vec![other])]), json!({"1": {"id": 1, "number": 9}}));
    }

    #[test]
    fn deletions_by_filter_spare_documents_without_the_field() {
        let two = Act::Replace(vec![fields(json!({"id": 1, "number": 90})), fields(json!({"id": 2}))]);
        assert_eq!(after(vec![two.clone(), Act::DeleteFrom(90)]), json!({"2": {"id": 2}}));
        assert_eq!(after(vec![two, Act::DeleteAll]), json!({}));
    }

    #[test]
    fn all_kinds_of_writes_are_thrown() {
        let mut dice = Dice::new(1);
        let kinds: std::collections::BTreeSet<String> = (0..2000)
            .map(|number| format!("{:?}", Write::throw(&mut dice, number.to_string()).act))
            .map(|act| act.split('(').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds.len(), 11, "{kinds:?}");
    }
}
