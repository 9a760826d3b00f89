//! The order of a listing of documents that several nodes tell parts of.

use std::cmp::Ordering;

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
pub fn order_documents(
    criteria: &[Criterion],
    lists: Vec<Vec<Map<String, Value>>>,
) -> Vec<Map<String, Value>> {
    let keyed = |document: Map<String, Value>| {
        let key: Vec<SortValue> = criteria.iter().map(|criterion| criterion.value(&document)).collect();
        (key, document)
    };
    let lists: Vec<Vec<_>> = lists.into_iter().map(|list| list.into_iter().map(keyed).collect()).collect();
    let merged = merge_sorted(lists, |(a, _), (b, _)| order(criteria, a, b).is_lt());
    merged.map(|(_, document)| document).collect()
}

/// Puts documents in order. Those that nothing tells apart come as they arrived; those that are not in the book, because
/// they are on their way in or out, come last.
pub fn arrange_documents(criteria: &[Criterion], documents: Vec<Listed>, book: &ArrivalBook) -> Vec<Listed> {
    let places = book.places();
    let keyed = |listed: Listed| {
        let values: Vec<SortValue> =
            criteria.iter().map(|criterion| criterion.value(&listed.document)).collect();
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

    /// Of several values the one that comes first in this direction counts.
    fn value(&self, document: &Map<String, Value>) -> SortValue {
        match &self.subject {
            Subject::Field(field) => SortValue::first_of(document, field, self.ascending),
            Subject::Point(point) => metres_to(point, document).map_or(SortValue::Missing, SortValue::Number),
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

/// The `fields` of a listing, in which `*` is a name like any other; where a query says `*` there are none.
pub fn listed_fields(fields: Option<&Value>) -> FieldSelection {
    let names: Option<Vec<String>> = fields
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    names.map_or(FieldSelection::All, FieldSelection::Only)
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
    fn vectors_are_shown_whatever_fields_are() {
        let document = object(&json!({ "id": 1, "title": "a", "_vectors": {} }));
        let shown =
            |fields: Value| Value::Object(select_listed(&listed_fields(Some(&fields)), document.clone()));
        assert_eq!(shown(json!(["title"])), json!({ "title": "a", "_vectors": {} }));
        assert_eq!(shown(json!(["*"])), json!({ "_vectors": {} }));
        assert_eq!(shown(json!(null)), Value::Object(document.clone()));
    }
}
