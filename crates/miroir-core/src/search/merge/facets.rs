//! Adding facets over nodes, then ordering and cutting them as one Meilisearch would.
//!
//! Order (Meilisearch 1.50, `facet_distribution.rs`): numbers before strings. By name: numbers as text up to
//! [`TEXT_ORDER_CANDIDATES`] candidates and by value above, strings by their normal form. By count: more first, the
//! larger value first among equals.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::distinct::Dropped;
use super::kinds::{ListOrder, Listed, NodeList, count_numbers, number_of};
use super::normal::normalize;
use super::spelling::Spellings;
use crate::document::marker;
use crate::search::MergePlan;

/// Up to so many candidates Meilisearch orders the numbers of a facet as text.
const TEXT_ORDER_CANDIDATES: u64 = 3_000;

/// The facet part of an answer.
#[derive(Debug, Default)]
pub(super) struct Facets {
    pub(super) distribution: Map<String, Value>,
    pub(super) stats: Map<String, Value>,
}

/// One value of a facet over all nodes.
#[derive(Debug, Clone)]
struct Counted {
    spelling: String,
    normal: String,
    /// `None` for a text, also for one that reads like a number.
    number: Option<f64>,
    count: u64,
}

/// Adds the nodes' facets; `candidates` is the number of hits that they are counted over.
pub(super) fn merge_facets(
    plan: &MergePlan,
    replies: &[Map<String, Value>],
    dropped: &Dropped,
    candidates: u64,
) -> Facets {
    let mut ranges = node_ranges(replies);
    let mut distribution: BTreeMap<&str, Vec<NodeList<'_>>> = BTreeMap::new();
    for reply in replies {
        for (facet, list) in node_lists(reply) {
            if !marker::is_reserved(facet) && !plan.hides_facet(facet) {
                distribution.entry(facet).or_default().push(list);
            }
        }
    }
    let mut facets = Facets::default();
    for (facet, lists) in distribution {
        let range = ranges.remove(facet);
        let dropped = dropped.values(facet);
        let order = if plan.facet_order.is_by_count(facet) { ListOrder::Count } else { ListOrder::Name };
        let values = add(&lists, order, |value| dropped.get(value).copied().unwrap_or(0));
        // A hit that does not count may have held a node's extreme value.
        let range = if plan.distinct.is_some() { range.and_then(|_| value_range(&values)) } else { range };
        facets.stats.extend(range.map(|(min, max)| (facet.to_owned(), json!({ "min": min, "max": max }))));
        facets.distribution.insert(facet.to_owned(), Value::Object(arrange(plan, facet, values, candidates)));
    }
    facets
}

/// The values of each facet of an answer, as they are listed.
fn node_lists(reply: &Map<String, Value>) -> impl Iterator<Item = (&str, NodeList<'_>)> {
    let range = |facet: &str| {
        let range = reply.get("facetStats")?.get(facet)?;
        Some((range["min"].as_f64()?, range["max"].as_f64()?))
    };
    let facets = reply.get("facetDistribution").and_then(Value::as_object).into_iter().flatten();
    facets.map(move |(facet, values)| {
        let values = values.as_object().into_iter().flatten();
        let values =
            values.map(|(spelling, count)| Listed { spelling, count: count.as_u64().unwrap_or(0) }).collect();
        (facet.as_str(), NodeList { values, range: range(facet) })
    })
}

fn objects<'a>(
    replies: &'a [Map<String, Value>],
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    replies.iter().filter_map(move |reply| reply.get(key)?.as_object()).flatten()
}

/// Values that normalise alike are one, shown in the spelling that most documents have.
fn add(lists: &[NodeList<'_>], order: ListOrder, dropped: impl Fn(&str) -> u64) -> Vec<Counted> {
    let mut values: BTreeMap<String, (Option<f64>, Spellings<'_>)> = BTreeMap::new();
    for (list, numbers) in lists.iter().zip(count_numbers(lists, order)) {
        for (at, &Listed { spelling, count }) in list.values.iter().enumerate() {
            let number = if at < numbers { number_of(spelling) } else { None };
            let normal = if number.is_some() { spelling.to_owned() } else { normalize(spelling) };
            let (known, spellings) = values.entry(normal).or_default();
            *known = known.or(number);
            spellings.add(spelling, count);
        }
    }
    let counted = values.into_iter().map(|(normal, (number, spellings))| Counted {
        spelling: spellings.best().to_owned(),
        count: spellings.count().saturating_sub(dropped(&normal)),
        normal,
        number,
    });
    counted.filter(|value| value.count > 0).collect()
}

/// The facets of one answer, by name, and of each so many of its most frequent values.
pub fn values_by_count(answer: &Map<String, Value>, cap: usize) -> BTreeMap<&str, Vec<String>> {
    node_lists(answer)
        .map(|(facet, list)| {
            let mut values = add(&[list], ListOrder::Unknown, |_| 0);
            order(&mut values, true, 0);
            cut(cap, &mut values, true);
            (facet, values.into_iter().map(|value| value.spelling).collect())
        })
        .collect()
}

fn arrange(plan: &MergePlan, facet: &str, values: Vec<Counted>, candidates: u64) -> Map<String, Value> {
    let mut values = values;
    let by_count = plan.facet_order.is_by_count(facet);
    order(&mut values, by_count, candidates);
    cut(plan.max_values_per_facet, &mut values, by_count || candidates > TEXT_ORDER_CANDIDATES);
    values.into_iter().map(|value| (value.spelling, json!(value.count))).collect()
}

fn order(values: &mut [Counted], by_count: bool, candidates: u64) {
    values.sort_by(|a, b| {
        let by_kind = a.number.is_none().cmp(&b.number.is_none());
        by_kind.then_with(|| {
            if by_count {
                b.count.cmp(&a.count).then_with(|| by_value(b, a))
            } else if candidates <= TEXT_ORDER_CANDIDATES {
                a.normal.cmp(&b.normal)
            } else {
                by_value(a, b)
            }
        })
    });
}

/// Numbers fill the cap first, strings have what is left. When Meilisearch goes through values one by one, not through
/// documents, and the numbers alone reach the cap, it misses the place to stop and shows every string.
fn cut(cap: usize, values: &mut Vec<Counted>, by_values: bool) {
    let numbers = values.iter().filter(|value| value.number.is_some()).count();
    if by_values && numbers >= cap {
        values.drain(cap..numbers);
    } else {
        values.truncate(cap);
    }
}

fn by_value(a: &Counted, b: &Counted) -> Ordering {
    match (a.number, b.number) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.normal.cmp(&b.normal),
    }
}

/// The smallest and the largest number of each facet, as the nodes say it.
fn node_ranges(replies: &[Map<String, Value>]) -> BTreeMap<String, (f64, f64)> {
    let mut ranges: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (facet, range) in objects(replies, "facetStats") {
        let (Some(min), Some(max)) = (range["min"].as_f64(), range["max"].as_f64()) else { continue };
        let merged = ranges.entry(facet.clone()).or_insert((min, max));
        *merged = (merged.0.min(min), merged.1.max(max));
    }
    ranges
}

/// The same, from the values that count.
fn value_range(values: &[Counted]) -> Option<(f64, f64)> {
    let numbers = values.iter().filter_map(|value| value.number);
    numbers.map(|number| (number, number)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}
