//! One list of hits out of several queries' over several indexes, each over several nodes.
//!
//! Three merges follow each other. The nodes' hits of *one query* are merged rule by rule, as those of a search of its
//! own. The *queries of an index* are merged by what Meilisearch compares across queries ([`scores`]): the text rules
//! as one number times the weight, sort values, distances. So are then the *indexes*. A document that several queries
//! find stays at its best place, which its node has seen to; only where queries had to be asked apart it is done here.

mod facets;
mod index;
mod lists;
mod scores;

use serde_json::{Map, Value, json};

use self::facets::{check_orders, merge_all, order_for_remotes};
pub use self::index::IndexMerge;
use self::lists::{FederatedHit, in_order};
use super::distinct::DistinctFilter;
use super::pins::{Pinned, by_position, insert};
use super::{Merged, describe_window, present};
use crate::document::marker;
use crate::search::{Fault, FederatedPlan, IndexPlan};

/// What a hit says about where it comes from.
pub(super) const FEDERATION: &str = "_federation";

/// Merges what there is of each index of the plan.
///
/// # Errors
/// When facets are to be merged whose values the indexes order differently.
pub fn merge_federated(plan: &FederatedPlan, mut indexes: Vec<IndexMerge<'_>>) -> Result<Merged, Fault> {
    let mut extras = Extras::default();
    for index in &mut indexes {
        extras.join(std::mem::take(&mut index.extras));
        index.place_pins();
    }
    if plan.merge_facets.is_some() {
        check_orders(&indexes)?;
    }
    let cut_off = indexes.iter().any(|index| index.cut_off);
    let (hits, semantic) = choose_hits(plan, &mut indexes);
    let total: u64 = indexes.iter().map(IndexMerge::total).sum();
    let semantic = extras.has_semantic.then_some(semantic);

    let shown: Vec<Value> = hits.into_iter().map(|hit| Value::Object(show(plan, hit))).collect();
    let mut body = Map::from_iter([("hits".to_owned(), Value::Array(shown))]);
    body.extend(extras.query_vectors.map(|vectors| ("queryVectors".to_owned(), Value::Object(vectors))));
    body.extend(describe_window(plan.window, total));
    body.extend(describe_facets(plan, &indexes));
    body.extend(plan.remote.is_some().then(|| ("remoteErrors".to_owned(), json!({}))));
    body.extend(semantic.map(|count| ("semanticHitCount".to_owned(), json!(count))));
    body.extend(extras.performance.map(|details| ("performanceDetails".to_owned(), details)));
    Ok(Merged { body, cut_off })
}

/// What nodes say besides hits, totals and facets.
#[derive(Debug, Default)]
pub(super) struct Extras {
    query_vectors: Option<Map<String, Value>>,
    has_semantic: bool,
    performance: Option<Value>,
}

impl Extras {
    fn note(&mut self, reply: &Map<String, Value>) {
        if let Some(vectors) = reply.get("queryVectors").and_then(Value::as_object) {
            self.query_vectors.get_or_insert_default().extend(vectors.clone());
        }
        self.has_semantic |= reply.contains_key("semanticHitCount");
        if self.performance.is_none() {
            self.performance = reply.get("performanceDetails").cloned();
        }
    }

    fn join(&mut self, other: Self) {
        if let Some(vectors) = other.query_vectors {
            self.query_vectors.get_or_insert_default().extend(vectors);
        }
        self.has_semantic |= other.has_semantic;
        self.performance = self.performance.take().or(other.performance);
    }
}

/// The hits of the client's window, and how many of those that were looked at were found by their vectors. With a distinct
/// attribute the rest is looked at too, to count each value once.
fn choose_hits(plan: &FederatedPlan, indexes: &mut [IndexMerge<'_>]) -> (Vec<FederatedHit>, usize) {
    let window = plan.window.range();
    let pins = indexes.iter_mut().flat_map(|index| std::mem::take(&mut index.pins)).collect();
    let pins: Vec<Pinned<FederatedHit>> = by_position(pins);
    let looked_at = if pins.is_empty() { window.clone() } else { 0..window.end };
    let lists = indexes.iter_mut().map(|index| std::mem::take(&mut index.hits)).collect();
    let mut filter = DistinctFilter::between_indexes(plan.distinct.as_deref());
    let (mut place, mut chosen) = (0, Vec::new());
    for hit in in_order(lists) {
        if !filter.admits(&hit.ranked) {
            indexes[hit.index].dropped.push(hit.ranked);
            continue;
        }
        if looked_at.contains(&place) {
            chosen.push(hit);
        }
        place += 1;
        if place >= window.end && plan.distinct.is_none() {
            break;
        }
    }
    let semantic = chosen.iter().filter(|hit: &&FederatedHit| hit.is_semantic()).count();
    let hits = if pins.is_empty() { chosen } else { insert(pins, &window, chosen) };
    (hits, semantic)
}

fn describe_facets(plan: &FederatedPlan, indexes: &[IndexMerge<'_>]) -> Map<String, Value> {
    let by_index = indexes.iter().filter_map(|index| Some((index, index.facets()?)));
    if let Some(merge) = plan.merge_facets {
        let facets: Vec<_> = by_index.map(|(index, facets)| (index.plan, facets)).collect();
        return merge_all(merge, facets);
    }
    let described: Map<String, Value> = by_index
        .map(|(index, mut facets)| {
            if plan.remote.is_some() {
                order_for_remotes(index.plan, &mut facets);
            }
            let shown = json!({ "distribution": facets.distribution, "stats": facets.stats });
            (index.plan.uid.to_string(), shown)
        })
        .collect();
    let found = (!described.is_empty()).then(|| ("facetsByIndex".to_owned(), Value::Object(described)));
    found.into_iter().collect()
}

/// A hit as the client sees it.
fn show(plan: &FederatedPlan, hit: FederatedHit) -> Map<String, Value> {
    let index: &IndexPlan = &plan.indexes[hit.index];
    let query = &index.queries[hit.query];
    let mut shown = if query.merge.whole {
        let mut object = hit.ranked.into_object();
        marker::strip_document(&mut object);
        object
    } else {
        present(&query.merge, hit.ranked)
    };
    let mut about = json!({
        "indexUid": index.uid,
        "queriesPosition": query.position,
        "weightedRankingScore": hit.global,
    });
    if let Some(remote) = &plan.remote {
        about["remote"] = json!(remote);
    }
    shown.insert(FEDERATION.to_owned(), about);
    shown
}
