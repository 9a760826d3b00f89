//! The order of a listing of documents that several nodes tell parts of.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::merge::{SortValue, merge_sorted, metres_to};
use crate::arrival::ArrivalBook;
use crate::document::fields::FieldSelection;

const VECTORS: &str = "_vectors";

/// One `field:asc`, `field:desc` or `_geoPoint(lat,lng):asc`.
#[derive(Debug, Clone, PartialEq)]
pub struct Criterion {
    subject: Subject,
    ascending: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Subject {
    Field(String),
    Point(String),
}

/// A document of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its id, in canonical form.
    pub id: String,
    /// Its fields, or some of them.
    pub document: Map<String, Value>,
}

/// The criteria of a request; what a node would refuse is left out.
pub fn sort_criteria(body: &Map<String, Value>) -> Vec<Criterion> {
    let sort = body.get("sort").and_then(Value::as_array);
    sort.into_iter().flatten().filter_map(Value::as_str).filter_map(criterion).collect()
}

fn criterion(text: &str) -> Option<Criterion> {
    let (subject, direction) = text.rsplit_once(':')?;
    let point = subject.strip_prefix("_geoPoint(").and_then(|rest| rest.strip_suffix(')'));
    let subject =
        point.map_or_else(|| Subject::Field(subject.to_owned()), |point| Subject::Point(point.to_owned()));
    Some(Criterion { subject, ascending: direction == "asc" })
}

/// Merges lists that are each in order. Documents that nothing tells apart come in the order of the lists.
///
/// A document that has several values of what is sorted by is listed with each of them; `primary_key` tells which one it is
/// when it comes again.
pub fn order_documents(
    criteria: &[Criterion],
    primary_key: Option<&str>,
    lists: Vec<Vec<Map<String, Value>>>,
) -> Vec<Map<String, Value>> {
    let in_order = |list: Vec<Map<String, Value>>| {
        let mut seen = Occurrences::default();
        let keyed = list.into_iter().map(|document| {
            let id = primary_key.and_then(|key| document.get(key)).map(Value::to_string);
            let occurrence = id.map_or(0, |id| seen.count(id));
            (key_of(criteria, &document, occurrence), document)
        });
        keyed.collect::<Vec<_>>()
    };
    let lists: Vec<Vec<_>> = lists.into_iter().map(in_order).collect();
    let merged = merge_sorted(lists, |(a, _), (b, _)| order(criteria, a, b).is_lt());
    merged.map(|(_, document)| document).collect()
}

/// How often each id has come.
#[derive(Debug, Default)]
struct Occurrences(HashMap<String, usize>);

impl Occurrences {
    /// How often this one had come before.
    fn count(&mut self, id: String) -> usize {
        let count = self.0.entry(id).or_default();
        *count += 1;
        *count - 1
    }
}

/// What a document is sorted by where it is listed for the n-th time. It is listed with each of its first criterion's values,
/// and with each of these with each of the second one's, and so on.
fn key_of(criteria: &[Criterion], document: &Map<String, Value>, occurrence: usize) -> Vec<SortValue> {
    let mut values: Vec<Vec<SortValue>> =
        criteria.iter().map(|criterion| criterion.values(document)).collect();
    let mut rest = occurrence;
    for values in values.iter_mut().rev() {
        let at = rest % values.len();
        rest /= values.len();
        values.swap(0, at);
        values.truncate(1);
    }
    values.into_iter().flatten().collect()
}

/// Puts documents in order. Those that nothing tells apart come as they arrived; those that are not in the book, because
/// they are on their way in or out, come last.
pub fn arrange_documents(criteria: &[Criterion], documents: Vec<Listed>, book: &ArrivalBook) -> Vec<Listed> {
    let places = book.places();
    let mut seen = Occurrences::default();
    let keyed = |listed: Listed| {
        let values = key_of(criteria, &listed.document, seen.count(listed.id.clone()));
        let place = places.get(listed.id.as_str()).copied().unwrap_or(usize::MAX);
        (values, place, listed)
    };
    let mut keyed: Vec<_> = documents.into_iter().map(keyed).collect();
    keyed.sort_by(|(a, a_place, a_listed), (b, b_place, b_listed)| {
        order(criteria, a, b).then(a_place.cmp(b_place)).then_with(|| a_listed.id.cmp(&b_listed.id))
    });
    keyed.into_iter().map(|(_, _, listed)| listed).collect()
}

fn order(criteria: &[Criterion], a: &[SortValue], b: &[SortValue]) -> Ordering {
    let values = criteria.iter().zip(a.iter().zip(b));
    values.fold(Ordering::Equal, |decided, (criterion, (a, b))| {
        decided.then_with(|| a.order(b, criterion.ascending))
    })
}

impl Criterion {
    /// The field that it reads.
    pub fn field(&self) -> &str {
        match &self.subject {
            Subject::Field(field) => field,
            Subject::Point(_) => "_geo",
        }
    }

    /// The document's values, each once, in this direction; never none.
    fn values(&self, document: &Map<String, Value>) -> Vec<SortValue> {
        match &self.subject {
            Subject::Field(field) => SortValue::all_of(document, field, self.ascending),
            Subject::Point(point) => {
                vec![metres_to(point, document).map_or(SortValue::Missing, SortValue::Number)]
            }
        }
    }
}

/// The fields of a document that the client asked for. Vectors are in a document because the client asked for them, whatever
/// fields it named.
pub fn select_listed(selection: &FieldSelection, mut document: Map<String, Value>) -> Map<String, Value> {
    let vectors = document.shift_remove(VECTORS);
    let mut selected = selection.apply(document);
    selected.extend(vectors.map(|vectors| (VECTORS.to_owned(), vectors)));
    selected
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arrival::ArrivalChange;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn documents_come_as_they_arrived_and_those_on_their_way_come_last() {
        let ids = ["9", "10", "a"].into_iter().collect();
        let book = ArrivalBook::after(Some(ArrivalBook::default()), &ArrivalChange::Add(ids)).unwrap();
        let arranged = |sort: Value| {
            let documents = [("new", 1), ("a", 2), ("10", 1), ("again", 1), ("9", 2)];
            let documents = documents.map(|(id, rank)| Listed {
                id: id.to_owned(),
                document: object(&json!({ "id": id, "rank": rank })),
            });
            let criteria = sort_criteria(&object(&json!({ "sort": sort })));
            let arranged = arrange_documents(&criteria, documents.into(), &book);
            arranged.into_iter().map(|listed| listed.id).collect::<Vec<_>>()
        };
        assert_eq!(arranged(json!(null)), ["9", "10", "a", "again", "new"]);
        assert_eq!(arranged(json!(["rank:desc"])), ["9", "a", "10", "again", "new"]);
        assert_eq!(arranged(json!(["rank:asc", "id:desc"])), ["new", "again", "10", "a", "9"]);
    }

    #[test]
    fn a_document_with_several_values_is_listed_with_each_of_them() {
        let document = |id: u32, a: Value| object(&json!({ "id": id, "a": a }));
        let criteria = sort_criteria(&object(&json!({ "sort": ["a:asc", "id:asc"] })));
        // As two nodes list theirs: numbers before texts.
        let first = [(1, json!([1, "t1"])), (2, json!(2)), (1, json!([1, "t1"]))];
        let second =
            [(3, json!([3, "t0"])), (4, json!([3, "t1"])), (3, json!([3, "t0"])), (4, json!([3, "t1"]))];
        let lists = [first.to_vec(), second.to_vec()];
        let lists = lists.map(|list| list.into_iter().map(|(id, a)| document(id, a)).collect::<Vec<_>>());
        let ids = |documents: Vec<Map<String, Value>>| {
            documents.iter().map(|document| document["id"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        let expected = [1, 2, 3, 4, 3, 1, 4];
        assert_eq!(ids(order_documents(&criteria, Some("id"), lists.to_vec())), expected);
        let listed =
            lists.concat().into_iter().map(|document| Listed { id: document["id"].to_string(), document });
        let arranged = arrange_documents(&criteria, listed.collect(), &ArrivalBook::default());
        assert_eq!(ids(arranged.into_iter().map(|listed| listed.document).collect()), expected);
    }

    #[test]
    fn vectors_are_shown_whatever_fields_are() {
        let document = object(&json!({ "id": 1, "title": "a", "_vectors": {} }));
        let shown = |fields: &FieldSelection| Value::Object(select_listed(fields, document.clone()));
        let only = |name: &str| FieldSelection::Only(vec![name.to_owned()]);
        assert_eq!(shown(&only("title")), json!({ "title": "a", "_vectors": {} }));
        assert_eq!(shown(&only("*")), json!({ "_vectors": {} }));
        assert_eq!(shown(&FieldSelection::All), Value::Object(document.clone()));
    }
}
