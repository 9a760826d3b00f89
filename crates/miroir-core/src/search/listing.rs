//! The order of a sorted listing of documents, merged from several ordered lists.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::merge::{SortValue, merge_sorted, metres_to};
use crate::document::fields::FieldSelection;

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

fn order(criteria: &[Criterion], a: &[SortValue], b: &[SortValue]) -> Ordering {
    let values = criteria.iter().zip(a.iter().zip(b));
    values.fold(Ordering::Equal, |decided, (criterion, (a, b))| {
        decided.then_with(|| a.order(b, criterion.ascending))
    })
}

impl Criterion {
    /// Of several values the one that comes first in this direction counts.
    fn value(&self, document: &Map<String, Value>) -> SortValue {
        match &self.subject {
            Subject::Field(field) => SortValue::first_of(document, field, self.ascending),
            Subject::Point(point) => metres_to(point, document).map_or(SortValue::Missing, SortValue::Number),
        }
    }
}

/// The `fields` of a listing, as a list or as the comma list of a query.
pub fn listed_fields(fields: Option<&Value>) -> FieldSelection {
    let names: Option<Vec<String>> = fields
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    FieldSelection::from_list(names.as_deref())
}
