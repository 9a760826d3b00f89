//! Counting when only one hit per value counts, and one value can have a hit on several nodes.
//!
//! A node counts one hit per value among its own. What the cluster counts is what is left when the same is done among
//! the nodes' winners. The merge sees all winners unless there are more than `maxTotalHits` on a node; then the total
//! is taken from the distinct attribute's facet: the number of values, plus the hits that have none.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde_json::{Map, Value};

use super::hits::{RankedHit, in_order, read_hits};
use super::normal::normalize;
use super::pins::{Taken, take_pins};
use super::reply_total;
use super::value::{FacetValue, ToldValue};
use crate::search::MergePlan;

/// What was counted by some node but does not count, since a better hit has the same distinct value.
#[derive(Debug, Default)]
pub(super) struct Dropped(Vec<RankedHit>);

impl Dropped {
    /// These hits, all dropped.
    pub(super) fn of(hits: Vec<RankedHit>) -> Self {
        Self(hits)
    }

    /// Takes note of a dropped hit.
    pub(super) fn push(&mut self, hit: RankedHit) {
        self.0.push(hit);
    }

    /// How often each value of a facet was counted by a hit that does not count; values in their normal form. Which facets
    /// there are is known from the answers: a client's pattern stands for many.
    pub(super) fn values(&self, facet: &str) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for value in self.0.iter().flat_map(|hit| hit.values(facet)) {
            *counts.entry(value.key()).or_default() += 1;
        }
        counts
    }
}

/// Lets the first hit of each value of the distinct attribute through, and every hit without a value.
#[derive(Debug)]
pub(super) struct DistinctFilter<'a> {
    attribute: Option<&'a str>,
    /// The values that went through, as an index keeps them, where that is looked at.
    kept: Option<HashSet<FacetValue>>,
    /// The same as hits tell them.
    told: Option<HashSet<ToldValue>>,
}

impl<'a> DistinctFilter<'a> {
    /// Among the hits of one query. Without an attribute everything is let through.
    pub(super) fn new(attribute: Option<&'a str>) -> Self {
        Self { attribute, kept: Some(HashSet::new()), told: None }
    }

    /// Among those that are left of several queries of one index. A document that two queries find stands in one list only,
    /// and keeps others out of both.
    pub(super) fn between_queries(attribute: Option<&'a str>) -> Self {
        Self { attribute, kept: Some(HashSet::new()), told: Some(HashSet::new()) }
    }

    /// Among those that are left of several indexes.
    pub(super) fn between_indexes(attribute: Option<&'a str>) -> Self {
        Self { attribute, kept: None, told: Some(HashSet::new()) }
    }

    /// Whether the hit, which comes after all that were asked for before, is let through.
    pub(super) fn admits(&mut self, hit: &RankedHit) -> bool {
        let Some(attribute) = self.attribute else { return true };
        let kept = self.kept.as_ref().map_or_else(Vec::new, |_| hit.values(attribute));
        let told = self.told.as_ref().map_or_else(Vec::new, |_| hit.told_values(attribute));
        let is_new = !has_any(self.kept.as_ref(), &kept) && !has_any(self.told.as_ref(), &told);
        if is_new {
            self.kept.iter_mut().for_each(|seen| seen.extend(kept.iter().cloned()));
            self.told.iter_mut().for_each(|seen| seen.extend(told.iter().cloned()));
        }
        is_new
    }
}

fn has_any<T: Eq + Hash>(seen: Option<&HashSet<T>>, values: &[T]) -> bool {
    seen.is_some_and(|seen| values.iter().any(|value| seen.contains(value)))
}

/// How many hits that win have each value of an attribute, by its normal form. `None` if nodes have more hits than they sent.
pub(in crate::search) fn count_winners(
    plan: &MergePlan,
    mut replies: Vec<Map<String, Value>>,
    attribute: &str,
) -> Option<HashMap<String, u64>> {
    if !all_seen(plan, &replies) {
        return None;
    }
    let mut lists: Vec<Vec<RankedHit>> = replies.iter_mut().map(read_hits).collect();
    let Taken { counted, .. } = take_pins(plan, &mut lists);
    let mut filter = DistinctFilter::new(plan.distinct.as_deref());
    let winners = in_order(lists).chain(counted).filter(|hit| filter.admits(hit));
    let mut counts = HashMap::new();
    for value in winners.flat_map(|hit| hit.values(attribute)) {
        // Numbers are not found by a facet search.
        if let FacetValue::Text(text) = value {
            *counts.entry(text).or_default() += 1;
        }
    }
    Some(counts)
}

/// Whether the nodes sent every hit that they counted.
pub(super) fn all_seen(plan: &MergePlan, replies: &[Map<String, Value>]) -> bool {
    replies.iter().all(|reply| reply_total(reply) <= plan.hits_per_node as u64)
}

/// The number of hits that count.
pub(super) fn distinct_total(
    plan: &MergePlan,
    replies: &[Map<String, Value>],
    dropped: &Dropped,
    sum: u64,
) -> u64 {
    match &plan.distinct {
        Some(attribute) if !all_seen(plan, replies) => union(attribute, replies, sum),
        _ => sum.saturating_sub(dropped.0.len() as u64),
    }
}

fn union(attribute: &str, replies: &[Map<String, Value>], sum: u64) -> u64 {
    let facets =
        replies.iter().filter_map(|reply| reply.get("facetDistribution")?.get(attribute)?.as_object());
    let (mut counted, mut values) = (0, HashSet::new());
    for (value, count) in facets.flatten() {
        counted += count.as_u64().unwrap_or(0);
        values.insert(normalize(value));
    }
    values.len() as u64 + sum.saturating_sub(counted)
}
