//! One answer out of several nodes' answers to the same query, each over its own shards.
//!
//! Nodes answer over disjoint shards, so totals and facet counts add up, and the ordered hits are a k-way merge of the
//! nodes' ordered hits. Only `distinct` needs more: one value can win on two nodes, so hits are dropped and the counts
//! corrected for them.

mod details;
mod distinct;
mod facet_hits;
mod facets;
mod federated;
mod hits;
mod hybrid;
mod kinds;
mod near;
mod normal;
mod pins;
mod sorted;
mod spelling;
mod tie;
mod value;
mod weights;

use serde_json::{Map, Value, json};
use thiserror::Error;

use self::details::HIDDEN_RULE;
pub(super) use self::details::metres_to;
pub(super) use self::distinct::count_winners;
use self::distinct::{Dropped, all_seen, distinct_total};
pub(super) use self::facet_hits::merge_facet_hits;
pub use self::facets::values_by_count;
pub use self::federated::{IndexMerge, merge_federated};
use self::hits::{RankedHit, merge_hits, read_hits, windows};
pub use self::hybrid::{KeywordHits, rank_keyword_hits};
pub(super) use self::near::merge_near;
use self::pins::{Taken, arrange, placed, take_pins};
pub(super) use self::sorted::merge_sorted;
pub(super) use self::value::SortValue;
use super::attributes::{DETAILS, SCORE};
use super::reply::take_own_fields;
use super::{MergePlan, Window};
use crate::document::marker;

/// A search answer as the client gets it, but for the time that it took and its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The answer's body.
    pub body: Map<String, Value>,
    /// Some node gave up at its time limit: hits may be missing.
    pub cut_off: bool,
}

/// A node keeps the values back by which it sorted. Taken as equal they would give a wrong order without a word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a node hides the values of its rule `{0}`")]
pub struct HiddenRule(String);

/// Whether the hits of these answers can be compared: what a node hides of one that holds the whole index is hidden from
/// the client, but where answers are merged nodes are to hide nothing.
pub fn check_rules(plan: &MergePlan, replies: &[Map<String, Value>]) -> Result<(), HiddenRule> {
    let hits = replies.iter().filter_map(|reply| reply.get("hits")?.as_array()).flatten();
    let mut rules = hits.filter_map(|hit| hit.get("_rankingScoreDetails")?.as_object()).flat_map(Map::keys);
    match rules.find(|rule| rule.starts_with(HIDDEN_RULE)) {
        Some(rule) if !plan.whole => Err(HiddenRule(rule.clone())),
        _ => Ok(()),
    }
}

/// Merges the nodes' answers, in the order of the plan's parts. They have passed [`check_rules`].
pub fn merge_replies(plan: &MergePlan, replies: Vec<Map<String, Value>>) -> Merged {
    if plan.whole {
        let body = pass_on(replies.into_iter().next().unwrap_or_default());
        return Merged { body, cut_off: false };
    }
    let mut replies = replies;
    let mut lists: Vec<Vec<RankedHit>> = replies.iter_mut().map(read_hits).collect();
    let cut_off = lists.iter().flatten().any(RankedHit::is_cut_off);
    let Taken { pins, counted } = take_pins(plan, &mut lists);
    let has_pins = !pins.is_empty();
    let (window, looked_at) = windows(plan, has_pins);
    let (mut hits, dropped) = merge_hits(plan, lists, counted, &looked_at);
    let mut semantic = hits.iter().filter(|hit| hit.is_semantic()).count();
    if has_pins {
        let pins = placed(pins, hits.len(), window.end);
        (hits, semantic) = arrange(pins, &window, hits, RankedHit::is_semantic);
    }
    let semantic = speak_of_vectors(&replies).then_some(semantic);
    answer(plan, ChosenHits { hits, dropped, distinct: None }, replies, cut_off, semantic)
}

/// The client's hits, and what was found out about the others.
struct ChosenHits {
    hits: Vec<RankedHit>,
    dropped: Dropped,
    /// How many hits with different values there are, where that was counted.
    distinct: Option<u64>,
}

/// The answer with these hits; everything else adds up from the replies.
fn answer(
    plan: &MergePlan,
    found: ChosenHits,
    replies: Vec<Map<String, Value>>,
    cut_off: bool,
    semantic_hits: Option<usize>,
) -> Merged {
    let total = total(plan, &replies, &found);
    let facets = plan_has_facets(plan).then(|| facets::merge_facets(plan, &replies, &found.dropped, total));
    let shown: Vec<Value> = found.hits.into_iter().map(|hit| Value::Object(present(plan, hit))).collect();

    let mut rest = replies.into_iter().next().unwrap_or_default();
    let mut body = Map::from_iter([("hits".to_owned(), Value::Array(shown))]);
    for key in ["query", "queryVector", "processingTimeMs"] {
        body.extend(rest.shift_remove_entry(key));
    }
    body.extend(describe_window(plan.window, total));
    if let Some(facets) = facets {
        body.insert("facetDistribution".to_owned(), Value::Object(facets.distribution));
        body.insert("facetStats".to_owned(), Value::Object(facets.stats));
    }
    for key in WINDOW_KEYS.into_iter().chain(["facetDistribution", "facetStats"]) {
        rest.shift_remove(key);
    }
    body.append(&mut rest);
    if let Some(semantic) = semantic_hits {
        body.insert("semanticHitCount".to_owned(), json!(semantic));
    }
    Merged { body, cut_off }
}

/// The answer of a node that holds the whole index, without the markers.
pub fn pass_on(mut body: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(hits)) = body.get_mut("hits") {
        hits.iter_mut().filter_map(Value::as_object_mut).for_each(marker::strip_document);
    }
    for facets in ["facetDistribution", "facetStats"] {
        if let Some(Value::Object(facets)) = body.get_mut(facets) {
            facets.retain(|facet, _| !marker::is_reserved(facet));
        }
    }
    body
}

/// Whether the client asked for facets; the merge's own one does not count.
fn plan_has_facets(plan: &MergePlan) -> bool {
    plan.node_facets.len() > usize::from(plan.hidden_facet.is_some())
}

fn total(plan: &MergePlan, replies: &[Map<String, Value>], found: &ChosenHits) -> u64 {
    let sum = replies.iter().map(reply_total).sum();
    match found.distinct {
        _ if plan.distinct.is_none() => sum,
        Some(counted) if all_seen(plan, replies) => counted,
        _ => distinct_total(plan, replies, &found.dropped, sum),
    }
}

/// A node's total, whichever kind of window it was asked for.
fn reply_total(reply: &Map<String, Value>) -> u64 {
    ["totalHits", "estimatedTotalHits"].iter().find_map(|key| reply.get(*key)?.as_u64()).unwrap_or(0)
}

/// Whether some node says how many hits were found by their vectors.
fn speak_of_vectors(replies: &[Map<String, Value>]) -> bool {
    replies.iter().any(|reply| reply.contains_key("semanticHitCount"))
}

/// Every key that describes a window of either kind.
const WINDOW_KEYS: [&str; 7] =
    ["limit", "offset", "estimatedTotalHits", "hitsPerPage", "page", "totalPages", "totalHits"];

/// The fields of the answer that describe the window, in Meilisearch's order.
fn describe_window(window: Window, total: u64) -> Map<String, Value> {
    let described = match window {
        Window::Offset { offset, limit } => {
            vec![("limit", json!(limit)), ("offset", json!(offset)), ("estimatedTotalHits", json!(total))]
        }
        Window::Page { page, hits_per_page } => {
            // Meilisearch's own sum, which wraps around for the largest pages.
            let all = total.wrapping_add(hits_per_page as u64).wrapping_sub(1);
            let pages = all.checked_div(hits_per_page as u64).unwrap_or(0);
            vec![
                ("hitsPerPage", json!(hits_per_page)),
                ("page", json!(page)),
                ("totalPages", json!(pages)),
                ("totalHits", json!(total)),
            ]
        }
    };
    described.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A hit as the client sees it.
fn present(plan: &MergePlan, hit: RankedHit) -> Map<String, Value> {
    let mut hit = hit.into_object();
    let mut own = take_own_fields(&mut hit);
    marker::strip_document(&mut hit);
    plan.shown.trim(&mut hit, &mut own);
    for (name, is_shown) in [(SCORE, plan.show_score), (DETAILS, plan.show_details)] {
        if !is_shown && plan.shown.is_told(name) {
            hit.shift_remove(name);
            hit.extend(own.shift_remove_entry(name));
        }
    }
    if plan.show_details
        && let Some(Value::Object(details)) = hit.get_mut(DETAILS)
    {
        if let Some(tie) = &plan.tie_rule {
            details.shift_remove(tie);
        }
        plan.shown.trim_details(details);
    }
    hit
}
