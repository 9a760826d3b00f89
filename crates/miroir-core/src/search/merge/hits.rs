//! The k-way merge of ordered lists of hits.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::{Map, Value};

use super::details::{RuleScore, read_details, rules_of};
use super::distinct::{DistinctFilter, Dropped};
use super::federated::FEDERATION;
use super::sorted::merge_sorted;
use super::value::{FacetValue, ToldValue};
use crate::search::MergePlan;

/// A hit with what decides its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RankedHit {
    object: Map<String, Value>,
    rules: Vec<RuleScore>,
    /// What the node says to other servers; nothing in a search of its own, where `_federation` is a client's field.
    federation: Map<String, Value>,
}

impl RankedHit {
    /// Whether this hit was found by a vector, be it the last one, without any of its own.
    pub(super) fn is_semantic(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, RuleScore::Vector(_)))
    }

    /// The node's score of the hit, if it was asked for.
    pub(super) fn score(&self) -> f64 {
        self.object.get("_rankingScore").and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// The rules that ranked the hit, in their order: as the node describes them, and as they compare.
    pub(super) fn rules(&self) -> impl Iterator<Item = ((&str, &Value), &RuleScore)> {
        rules_of(&self.object).into_iter().zip(&self.rules)
    }

    /// Whether the node ran out of time before it had ranked this hit.
    pub(super) fn is_cut_off(&self) -> bool {
        self.rules.contains(&RuleScore::Skipped)
    }

    /// The place that a dynamic search rule gives the hit. Servers of a network are told beside the score details.
    pub(super) fn pin(&self) -> Option<u64> {
        match self.rules.first() {
            Some(RuleScore::Pin(position)) => Some(*position),
            _ => self.federation.get("pinnedPosition").and_then(Value::as_u64),
        }
    }

    /// What the node says to other servers.
    pub(super) fn federation(&self) -> &Map<String, Value> {
        &self.federation
    }

    /// Whether the rule of this name was applied to the hit.
    pub(super) fn has_rule(&self, rule: &str) -> bool {
        self.object.get("_rankingScoreDetails").is_some_and(|details| details.get(rule).is_some())
    }

    /// The hit as the node sent it.
    pub(super) fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The same, for good.
    pub(super) fn into_object(self) -> Map<String, Value> {
        self.object
    }

    /// The values of an attribute by which hits are told apart.
    pub(super) fn values(&self, attribute: &str) -> Vec<FacetValue> {
        let mut values = FacetValue::of_attribute(&self.object, attribute);
        // What is not displayed stands here, if a distinct attribute of a whole federation needs it.
        let hidden = self.federation.get("extra_document").and_then(Value::as_object);
        for value in hidden.map_or_else(Vec::new, |hidden| FacetValue::of_attribute(hidden, attribute)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// The same as they are told apart between queries.
    pub(super) fn told_values(&self, attribute: &str) -> Vec<ToldValue> {
        let mut values = ToldValue::of_attribute(&self.object, attribute);
        if let Some(Value::Object(hidden)) = self.federation.get("extra_document") {
            values.extend(ToldValue::of_attribute(hidden, attribute));
        }
        values
    }

    fn order(&self, other: &Self) -> Ordering {
        let rules = self.rules.iter().zip(&other.rules);
        rules.fold(Ordering::Equal, |decided, (a, b)| decided.then_with(|| a.order(b)))
    }
}

/// Takes the hits out of a node's answer.
pub(super) fn read_hits(reply: &mut Map<String, Value>) -> Vec<RankedHit> {
    let Some(Value::Array(hits)) = reply.shift_remove("hits") else { return Vec::new() };
    hits.into_iter()
        .filter_map(|hit| match hit {
            Value::Object(object) => Some(object),
            _ => None,
        })
        .map(|object| RankedHit { rules: read_details(&object), object, federation: Map::new() })
        .collect()
}

/// The same of an answer to a server of a network.
pub(super) fn read_federated_hits(reply: &mut Map<String, Value>) -> Vec<RankedHit> {
    let mut hits = read_hits(reply);
    for hit in &mut hits {
        if let Some(Value::Object(federation)) = hit.object.shift_remove(FEDERATION) {
            hit.federation = federation;
        }
    }
    hits
}

/// The hits of a window, in order, and those dropped because a better one has the same distinct value.
/// Each node's own order is kept; where nothing tells two nodes' hits apart the earlier node goes first.
pub(super) fn merge_hits(
    plan: &MergePlan,
    lists: Vec<Vec<RankedHit>>,
    counted: Vec<RankedHit>,
    window: &Range<usize>,
) -> (Vec<RankedHit>, Dropped) {
    let (hits, rejected) = walk(plan, in_order(lists), counted, window);
    (hits, Dropped::of(rejected))
}

/// Which hits the client gets, and which ones it takes to put pins among them.
pub(super) fn windows(plan: &MergePlan, has_pins: bool) -> (Range<usize>, Range<usize>) {
    let Range { start, end } = plan.window.range();
    let end = end.min(plan.max_total_hits);
    (start..end, if has_pins { 0..end } else { start..end })
}

/// All hits of lists that are each in order.
pub(super) fn in_order(lists: Vec<Vec<RankedHit>>) -> impl Iterator<Item = RankedHit> {
    merge_sorted(lists, |a: &RankedHit, b| a.order(b).is_lt())
}

/// The hits of a window out of all in order, and the dropped ones themselves. `counted` are in no list, and counted by nodes all
/// the same.
pub(super) fn walk(
    plan: &MergePlan,
    mut all: impl Iterator<Item = RankedHit>,
    counted: Vec<RankedHit>,
    window: &Range<usize>,
) -> (Vec<RankedHit>, Vec<RankedHit>) {
    let (mut place, mut hits) = (0, Vec::new());
    let (mut filter, mut dropped) = (DistinctFilter::new(plan.distinct.as_deref()), Vec::new());
    // With a distinct attribute all candidates are walked, to count each value once.
    while place < window.end || plan.distinct.is_some() {
        let Some(hit) = all.next() else { break };
        if !filter.admits(&hit) {
            dropped.push(hit);
            continue;
        }
        if window.contains(&place) {
            hits.push(hit);
        }
        place += 1;
    }
    dropped.extend(counted.into_iter().filter(|hit| !filter.admits(hit)));
    (hits, dropped)
}
