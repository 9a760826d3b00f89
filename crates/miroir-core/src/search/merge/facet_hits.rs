//! Adding the values that nodes found in a facet search, then ordering and cutting them as one Meilisearch would.
//!
//! Order (Meilisearch 1.50, `search/facet/search.rs`): values are visited in the order of their normal form. By name the
//! first ones are shown; by count the best ones, the larger spelling first among equals.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::normal::normalize;
use super::spelling::Spellings;
use crate::search::facet_search::FacetHitsPlan;

/// Where a value stands: without its marks, as Meilisearch finds it by a query, then in its normal form.
type ValueOrder = (String, String);

/// A value over all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CountedValue {
    spelling: String,
    count: u64,
}

/// The `facetHits` of the answer. With `counts` nodes only say which values there are, and how they are written.
pub(in crate::search) fn merge_facet_hits(
    plan: &FacetHitsPlan,
    replies: &[Map<String, Value>],
    counts: Option<&HashMap<String, u64>>,
) -> Vec<Value> {
    let lists: Vec<Vec<(ValueOrder, CountedValue)>> =
        replies.iter().map(|reply| read_list(reply, plan.query.is_some())).collect();
    let mut values = add(&lists);
    if let Some(counts) = counts {
        values.retain(|(_, normal), found| {
            found.count = counts.get(normal).copied().unwrap_or(0);
            found.count > 0
        });
    }
    let found =
        if plan.by_count { best(plan.max_values, values) } else { first(plan.max_values, &lists, values) };
    found.into_iter().map(|found| json!({ "value": found.spelling, "count": found.count })).collect()
}

fn read_list(reply: &Map<String, Value>, has_query: bool) -> Vec<(ValueOrder, CountedValue)> {
    let hits = reply.get("facetHits").and_then(Value::as_array).into_iter().flatten();
    hits.filter_map(|hit| {
        let spelling = hit["value"].as_str()?.to_owned();
        let normal = normalize(&spelling);
        let bare = if has_query { without_marks(&normal) } else { String::new() };
        Some(((bare, normal), CountedValue { spelling, count: hit["count"].as_u64()? }))
    })
    .collect()
}

fn without_marks(text: &str) -> String {
    text.nfkd().filter(|character| !is_combining_mark(*character)).collect()
}

/// Values that normalise alike are one, shown in the spelling that most documents have.
fn add(lists: &[Vec<(ValueOrder, CountedValue)>]) -> BTreeMap<ValueOrder, CountedValue> {
    let mut values: BTreeMap<ValueOrder, Spellings<'_>> = BTreeMap::new();
    for (place, found) in lists.iter().flatten() {
        values.entry(place.clone()).or_default().add(&found.spelling, found.count);
    }
    let found = |spellings: &Spellings<'_>| CountedValue {
        spelling: spellings.best().to_owned(),
        count: spellings.count(),
    };
    values.into_iter().map(|(place, spellings)| (place, found(&spellings))).collect()
}

/// The first values. Each node's own order is kept, since it knows more of languages than the places here do; they only
/// decide between nodes.
fn first(
    max: usize,
    lists: &[Vec<(ValueOrder, CountedValue)>],
    values: BTreeMap<ValueOrder, CountedValue>,
) -> Vec<CountedValue> {
    let mut places: Vec<VecDeque<ValueOrder>> =
        lists.iter().map(|list| list.iter().map(|(place, _)| place.clone()).collect()).collect();
    let mut values = values;
    let (mut seen, mut first) = (HashSet::new(), Vec::new());
    while first.len() < max {
        for list in &mut places {
            while list.front().is_some_and(|place| seen.contains(place)) {
                list.pop_front();
            }
        }
        let Some(next) = places.iter().filter_map(VecDeque::front).min().cloned() else { break };
        first.extend(values.remove(&next));
        seen.insert(next);
    }
    first
}

/// The best values, found as Meilisearch finds them: one that comes later displaces an equally frequent worst one.
fn best(max: usize, values: BTreeMap<ValueOrder, CountedValue>) -> Vec<CountedValue> {
    let mut heap: BinaryHeap<Reverse<CountedValue>> = BinaryHeap::new();
    for found in values.into_values() {
        if heap.len() < max {
            heap.push(Reverse(found));
        } else if let Some(mut worst) = heap.peek_mut()
            && worst.0.count <= found.count
        {
            *worst = Reverse(found);
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect()
}

impl PartialOrd for CountedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CountedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.count.cmp(&other.count).then_with(|| self.spelling.cmp(&other.spelling))
    }
}
