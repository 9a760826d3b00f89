//! The two steps of a hybrid search: are the words enough, and if not, one list out of the words' and the vectors'.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value};

use super::details::RuleScore;
use super::distinct::{DistinctFilter, Dropped};
use super::hits::{RankedHit, in_order, read_hits, windows};
use super::pins::{Pinned, Taken, arrange, placed, take_pins, union};
use super::sorted::merge_sorted;
use super::tie::Tie;
use super::weights::{BestRanks, weighted};
use super::{ChosenHits, Merged, answer};
use crate::document::canonical_id;
use crate::search::MergePlan;
use crate::search::plan::HybridPlan;

/// The score that all of the words' hits must have, once weighted, for them to be enough.
const GOOD_ENOUGH: f64 = 0.45;

/// What the words found, before it is clear whether that is enough.
#[derive(Debug)]
pub struct KeywordHits {
    hits: Vec<RankedHit>,
    /// Those that have a place among the first hits, by position.
    pins: Vec<Pinned<RankedHit>>,
    replies: Vec<Map<String, Value>>,
    cut_off: bool,
}

/// What a hit of one of the two lists is compared by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Weighted {
    /// Text rules in one number, or a similarity; times the list's weight.
    Score(f64),
    /// A rule that orders by a value.
    Rule(RuleScore),
}

/// Puts the nodes' hits by words into order.
pub fn rank_keyword_hits(plan: &MergePlan, mut replies: Vec<Map<String, Value>>) -> KeywordHits {
    let (hits, pins) = take_hits(plan, &mut replies);
    let cut_off = hits.iter().any(RankedHit::is_cut_off);
    KeywordHits { hits, pins, replies, cut_off }
}

impl KeywordHits {
    /// Whether there is no need to search by vectors.
    pub fn suffice(&self, plan: &MergePlan) -> bool {
        let Some(hybrid) = &plan.hybrid else { return true };
        let wanted = plan.window.range().end.min(plan.max_total_hits);
        let organic = self.hits.iter().take(wanted.saturating_sub(self.pins.len()));
        let mut hits = organic.chain(self.pins.iter().map(|(_, hit)| hit));
        self.hits.len() + self.pins.len() >= wanted
            && hits.all(|hit| hit.score() * hybrid.keyword_weight() >= GOOD_ENOUGH)
    }

    /// The answer of the words alone.
    pub fn alone(self, plan: &MergePlan) -> Merged {
        let (found, _) = walk(plan, self.hits.into_iter(), self.pins);
        answer(plan, found, self.replies, self.cut_off, Some(0))
    }

    /// The answer of both. The totals and facets are those of the vectors' half, which has every document.
    pub fn with_semantic(self, plan: &MergePlan, mut replies: Vec<Map<String, Value>>) -> Merged {
        let (semantic, pins) = take_hits(plan, &mut replies);
        let pins = union(plan, self.pins, pins);
        let cut_off = self.cut_off || semantic.iter().any(RankedHit::is_cut_off);
        // A half that had to look at words may hold hits that only those found: they are in the other list already.
        let semantic = semantic.into_iter().filter(RankedHit::is_semantic);
        let (keyword_weight, semantic_weight) = plan
            .hybrid
            .as_ref()
            .map_or((1.0, 0.0), |hybrid| (hybrid.keyword_weight(), hybrid.semantic_weight()));
        let keyed = |hits: Vec<RankedHit>, weight: f64| {
            let best = BestRanks::of(&hits.iter().collect::<Vec<_>>());
            let key = |hit| (weighted(plan, &best, &hit, weight), hit);
            hits.into_iter().map(key).collect::<Vec<_>>().into_iter().peekable()
        };
        let two = TwoLists {
            semantic: keyed(semantic.collect(), semantic_weight),
            keyword: keyed(self.hits, keyword_weight),
        };
        let (found, semantic_hits) = walk(plan, two, pins);
        answer(plan, found, replies, cut_off, Some(semantic_hits))
    }
}

/// The hits of a hybrid search that nodes merged from their halves on their own, in order.
pub(super) fn merge_hybrid(
    plan: &MergePlan,
    hybrid: &HybridPlan,
    lists: Vec<Vec<RankedHit>>,
) -> Vec<RankedHit> {
    let best = BestRanks::of(&lists.iter().flatten().collect::<Vec<_>>());
    let lists = lists.into_iter().map(|hits| {
        let weighed = hits.into_iter().map(|hit| {
            let weight = if hit.is_semantic() { hybrid.semantic_weight() } else { hybrid.keyword_weight() };
            // Of equals the vectors' come first, as on a node, and then the primary key decides.
            let equal = (!hit.is_semantic(), Tie::of(plan, &hit));
            (weighted(plan, &best, &hit, weight), equal, hit)
        });
        weighed.collect()
    });
    let merged = merge_sorted(lists.collect(), |(a, equal_a, _), (b, equal_b, _)| {
        compare(b, a).then_with(|| equal_a.cmp(equal_b)).is_lt()
    });
    merged.map(|(_, _, hit)| hit).collect()
}

/// Takes the hits of one half out of the answers: in their order, and those with a place of their own.
fn take_hits(
    plan: &MergePlan,
    replies: &mut [Map<String, Value>],
) -> (Vec<RankedHit>, Vec<Pinned<RankedHit>>) {
    let mut lists: Vec<Vec<RankedHit>> = replies.iter_mut().map(read_hits).collect();
    let Taken { pins, .. } = take_pins(plan, &mut lists);
    let hits: Vec<RankedHit> = in_order(lists).collect();
    let end = plan.window.range().end.min(plan.max_total_hits);
    let pins = placed(pins, hits.len().min(end), end);
    (hits, pins)
}

/// Takes the better head of two lists; of equals the vectors'.
struct TwoLists {
    semantic: Peekable<IntoIter<(Vec<Weighted>, RankedHit)>>,
    keyword: Peekable<IntoIter<(Vec<Weighted>, RankedHit)>>,
}

impl Iterator for TwoLists {
    type Item = RankedHit;

    fn next(&mut self) -> Option<RankedHit> {
        let semantic_first = match (self.semantic.peek(), self.keyword.peek()) {
            (Some((semantic, _)), Some((keyword, _))) => compare(semantic, keyword).is_ge(),
            (semantic, _) => semantic.is_some(),
        };
        let list = if semantic_first { &mut self.semantic } else { &mut self.keyword };
        list.next().map(|(_, hit)| hit)
    }
}

/// `Greater` when the hit with the first list of values stands before the other.
fn compare(a: &[Weighted], b: &[Weighted]) -> Ordering {
    use Weighted::{Rule, Score};
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Score(a), Score(b)) if (a - b).abs() <= f64::EPSILON => Ordering::Equal,
            (Score(a), Score(b)) => a.total_cmp(b),
            (Rule(a), Rule(b)) => b.order(a),
            (Score(score), Rule(_)) => {
                if *score == 0.0 {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (Rule(_), Score(score)) => {
                if *score == 0.0 {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// The client's window of a list in which a document may stand twice: its better place counts. Answers too how many of the
/// hits that were looked at were found by their vectors.
fn walk(
    plan: &MergePlan,
    hits: impl Iterator<Item = RankedHit>,
    pins: Vec<Pinned<RankedHit>>,
) -> (ChosenHits, usize) {
    let has_pins = !pins.is_empty();
    let (window, looked_at) = windows(plan, has_pins);
    let (mut ids, mut filter) = (HashSet::new(), DistinctFilter::new(plan.distinct.as_deref()));
    let mut found = ChosenHits { hits: Vec::new(), dropped: Dropped::default(), distinct: None };
    for (_, hit) in &pins {
        is_new(plan, hit, &mut ids);
    }
    let mut place = 0;
    for hit in hits {
        if place >= window.end && plan.distinct.is_none() {
            break;
        }
        if !is_new(plan, &hit, &mut ids) {
            continue;
        }
        if !filter.admits(&hit) {
            found.dropped.push(hit);
            continue;
        }
        if looked_at.contains(&place) {
            found.hits.push(hit);
        }
        place += 1;
    }
    let counted = pins.iter().filter(|(_, hit)| filter.admits(hit)).count();
    found.distinct = plan.distinct.is_some().then_some((place + counted) as u64);
    let mut semantic = found.hits.iter().filter(|hit| hit.is_semantic()).count();
    if has_pins {
        let pins = placed(pins, found.hits.len(), window.end);
        (found.hits, semantic) = arrange(pins, &window, found.hits, RankedHit::is_semantic);
    }
    (found, semantic)
}

fn is_new(plan: &MergePlan, hit: &RankedHit, ids: &mut HashSet<String>) -> bool {
    let key = plan.primary_key.as_deref().unwrap_or_default();
    id_of(hit.object(), key).is_none_or(|id| ids.insert(id))
}

/// A document's id, by a primary key that is a field's name or a path.
pub(super) fn id_of(document: &Map<String, Value>, key: &str) -> Option<String> {
    if let Some(id) = document.get(key) {
        return canonical_id(id);
    }
    key.match_indices('.').find_map(|(at, _)| id_of(document.get(&key[..at])?.as_object()?, &key[at + 1..]))
}
