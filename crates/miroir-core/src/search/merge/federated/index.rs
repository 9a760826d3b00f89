//! One index of a federated search: its queries' hits in one list, its total, its facets.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::lists::{self, FederatedHit};
use super::{Extras, FEDERATION};
use crate::document::marker;
use crate::search::merge::distinct::{DistinctFilter, Dropped, distinct_total};
use crate::search::merge::facets::{Facets, merge_facets};
use crate::search::merge::hits::{RankedHit, in_order, read_federated_hits, walk, windows};
use crate::search::merge::hybrid::{id_of, merge_hybrid};
use crate::search::merge::pins::{Pinned, Taken, by_position, placed, take_pins};
use crate::search::merge::reply_total;
use crate::search::{Batch, FederatedPlan, IndexPlan};

/// What the nodes answered for one index, as far as it has come: batch after batch of [`IndexPlan::batches`].
#[derive(Debug)]
pub struct IndexMerge<'a> {
    pub(super) plan: &'a IndexPlan,
    /// In order; each document once.
    pub(super) hits: Vec<FederatedHit>,
    /// Hits that rules give a place, of all queries, by position.
    pub(super) pins: Vec<Pinned<FederatedHit>>,
    /// What nodes counted and what does not count, since a better hit has the same distinct value.
    pub(super) dropped: Vec<RankedHit>,
    /// What nodes say besides hits, totals and facets.
    pub(super) extras: Extras,
    /// Some node gave up at its time limit.
    pub(super) cut_off: bool,
    /// The place of the index in the plan.
    at: usize,
    distinct: Option<&'a str>,
    /// Behind so many hits nobody looks.
    end: usize,
    /// The place of a query in the plan, by its name towards nodes.
    queries: HashMap<u64, usize>,
    /// The answers that count, in the form of a single search's: each document in one of them.
    counts: Vec<Map<String, Value>>,
}

/// One query's hits, from each node.
type Lists = BTreeMap<usize, Vec<Vec<RankedHit>>>;

impl<'a> IndexMerge<'a> {
    /// Nothing of the index at this place in the plan.
    ///
    /// # Panics
    /// If there is no such index.
    pub fn begin(plan: &'a FederatedPlan, at: usize) -> Self {
        let index = &plan.indexes[at];
        let queries = index.queries.iter().enumerate().map(|(query, plan)| (plan.ordinal as u64, query));
        Self {
            plan: index,
            hits: Vec::new(),
            pins: Vec::new(),
            dropped: Vec::new(),
            extras: Extras::default(),
            cut_off: false,
            at,
            distinct: plan.distinct.as_deref(),
            end: plan.window.range().end.min(index.facets.max_total_hits),
            queries: queries.collect(),
            counts: Vec::new(),
        }
    }

    /// Takes in the answers to one batch: for each node those to [`IndexPlan::bodies`].
    pub fn add(&mut self, batch: &Batch, parts: Vec<Vec<Map<String, Value>>>) {
        let mut lists = Lists::new();
        for part in parts {
            let last = part.len().saturating_sub(1);
            for (request, mut reply) in part.into_iter().enumerate() {
                self.extras.note(&reply);
                let only_counts = batch.counts && request == last;
                if !only_counts {
                    let group = self.plan.groups.get(batch.groups.start + request);
                    split_by_query(&self.queries, group.map_or(&[], Vec::as_slice), &mut reply, &mut lists);
                }
                if only_counts || !self.plan.counts_apart {
                    self.counts.push(as_single(self.plan, &mut reply));
                }
            }
        }
        self.cut_off |= lists.values().flatten().flatten().any(RankedHit::is_cut_off);
        let mut queries = vec![std::mem::take(&mut self.hits)];
        for (query, lists) in lists {
            queries.push(self.merge_query(query, lists));
        }
        self.merge_queries(queries);
    }

    /// Gives the hits that have a place theirs, once all is there.
    pub(super) fn place_pins(&mut self) {
        let pins = by_position(std::mem::take(&mut self.pins));
        self.pins = placed(pins, self.hits.len().min(self.end), self.end);
        if !self.pins.is_empty() && self.distinct.is_none() {
            self.hits.truncate(self.end.saturating_sub(self.pins.len()));
        }
    }

    /// The hits of one query, from all nodes.
    fn merge_query(&mut self, query: usize, mut lists: Vec<Vec<RankedHit>>) -> Vec<FederatedHit> {
        let (at, end, plan) = (self.at, self.end, &self.plan.queries[query]);
        let Taken { pins, counted } = take_pins(&plan.merge, &mut lists);
        let federate = |hit| FederatedHit::new(at, query, plan, hit);
        let hits: Vec<RankedHit> = if plan.merge.whole {
            lists.into_iter().flatten().collect()
        } else {
            let hits = match &plan.merge.hybrid {
                Some(hybrid) => merge_hybrid(&plan.merge, hybrid, lists),
                None => in_order(lists).collect(),
            };
            let (_, window) = windows(&plan.merge, true);
            let (hits, dropped) = walk(&plan.merge, hits.into_iter(), counted, &window);
            self.dropped.extend(dropped);
            hits
        };
        let pins = placed(pins, hits.len().min(end), end);
        self.pins.extend(pins.into_iter().map(|(position, hit)| (position, federate(hit))));
        hits.into_iter().map(federate).collect()
    }

    /// The hits of all queries: each document once, and with a distinct attribute each value.
    fn merge_queries(&mut self, queries: Vec<Vec<FederatedHit>>) {
        let key = self.plan.primary_key.as_deref().filter(|_| self.plan.groups.len() > 1);
        let (mut ids, mut filter) = (HashSet::new(), DistinctFilter::between_queries(self.distinct));
        for hit in lists::in_order(queries) {
            if let Some(id) = key.and_then(|key| id_of(hit.ranked.object(), key))
                && !ids.insert(id)
            {
                continue;
            }
            if !filter.admits(&hit.ranked) {
                self.dropped.push(hit.ranked);
                continue;
            }
            self.hits.push(hit);
        }
        if let Some(key) = key {
            // What one query drops another one may have kept, and two may have dropped the same.
            self.dropped.retain(|hit| id_of(hit.object(), key).is_none_or(|id| ids.insert(id)));
        }
        let kept = if self.distinct.is_some() { self.plan.facets.max_total_hits } else { self.end };
        self.hits.truncate(kept);
    }

    /// How many documents the queries find.
    pub(super) fn total(&self) -> u64 {
        let sum = self.counts.iter().map(reply_total).sum();
        if self.plan.facets.whole || self.plan.groups.len() > 1 || self.plan.facets.distinct.is_none() {
            return u64::saturating_sub(sum, self.dropped.len() as u64);
        }
        distinct_total(&self.plan.facets, &self.counts, &self.dropped(), sum)
    }

    /// The facets, if the client asked for any of this index.
    pub(super) fn facets(&self) -> Option<Facets> {
        if !self.plan.shows_facets {
            return None;
        }
        if self.plan.facets.whole
            && self.dropped.is_empty()
            && let [only] = self.counts.as_slice()
        {
            let part = |key: &str| {
                let values = only.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                values.into_iter().filter(|(facet, _)| !marker::is_reserved(facet)).collect()
            };
            return Some(Facets { distribution: part("facetDistribution"), stats: part("facetStats") });
        }
        Some(merge_facets(&self.plan.facets, &self.counts, &self.dropped(), self.total()))
    }

    /// The names of the facets that the nodes report.
    pub(super) fn facet_names(&self) -> impl Iterator<Item = &String> {
        let distributions =
            self.counts.iter().filter_map(|reply| reply.get("facetDistribution").and_then(Value::as_object));
        distributions
            .flat_map(Map::keys)
            .filter(|facet| !marker::is_reserved(facet) && !self.plan.facets.hides_facet(facet))
    }

    fn dropped(&self) -> Dropped {
        Dropped::of(self.dropped.clone())
    }
}

/// Takes the hits out of a node's answer and gives each query of its group its own. There can be as many groups as queries,
/// so nothing here goes through all of either.
fn split_by_query(
    queries: &HashMap<u64, usize>,
    group: &[usize],
    reply: &mut Map<String, Value>,
    lists: &mut Lists,
) {
    let mut hits: BTreeMap<usize, Vec<Value>> = group.iter().map(|&query| (query, Vec::new())).collect();
    let Some(Value::Array(all)) = reply.shift_remove("hits") else { return };
    for hit in all {
        let ordinal = hit[FEDERATION]["queriesPosition"].as_u64();
        let query = ordinal.and_then(|ordinal| queries.get(&ordinal));
        if let Some(hits) = query.and_then(|query| hits.get_mut(query)) {
            hits.push(hit);
        }
    }
    for (query, hits) in hits {
        let mut list = Map::from_iter([("hits".to_owned(), Value::Array(hits))]);
        lists.entry(query).or_default().push(read_federated_hits(&mut list));
    }
}

/// The counts of an answer under the names that they have in a single search's.
fn as_single(plan: &IndexPlan, reply: &mut Map<String, Value>) -> Map<String, Value> {
    let mut counts = std::mem::take(reply);
    if let Some(Value::Object(mut by_index)) = counts.shift_remove("facetsByIndex")
        && let Some(Value::Object(mut facets)) = by_index.shift_remove(plan.physical.as_str())
    {
        for (from, to) in [("distribution", "facetDistribution"), ("stats", "facetStats")] {
            counts.extend(facets.shift_remove(from).map(|facets| (to.to_owned(), facets)));
        }
    }
    counts
}
