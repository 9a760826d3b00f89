//! The k-way merge of lists of hits of different queries: each list keeps its order.

use std::cmp::Ordering;

use serde_json::Value;

use super::scores::{Score, compare};
use crate::search::QueryPlan;
use crate::search::merge::hits::RankedHit;
use crate::search::merge::sorted::merge_sorted;

/// A hit with what decides its place among other queries' hits.
#[derive(Debug)]
pub(super) struct FederatedHit {
    /// The place of its index in the plan.
    pub(super) index: usize,
    /// The place of its query in the index's plan.
    pub(super) query: usize,
    /// The hit.
    pub(super) ranked: RankedHit,
    /// Its score as a whole, times the weight.
    pub(super) global: f64,
    position: usize,
    scores: Vec<Score>,
}

impl FederatedHit {
    pub(super) fn new(index: usize, query: usize, plan: &QueryPlan, ranked: RankedHit) -> Self {
        let mut scores = Score::read_all(ranked.federation());
        // The tie rule decides between nodes, not between queries, which do not have it on one server.
        if plan.merge.tie_rule.as_deref().is_some_and(|rule| ranked.has_rule(rule)) {
            scores.pop();
        }
        let global = ranked.federation().get("weightedRankingScore").and_then(Value::as_f64).unwrap_or(0.0);
        Self { index, query, global, position: plan.position, scores, ranked }
    }

    /// Whether a vector decided this hit's place.
    pub(super) fn is_semantic(&self) -> bool {
        self.scores.iter().any(|score| matches!(score, Score::Weighted { semantic: true, .. }))
    }

    /// Whether this hit goes before the other one. Of equals the one of the earlier query does.
    fn is_before(&self, other: &Self) -> bool {
        match compare((&self.scores, self.global), (&other.scores, other.global)) {
            Ordering::Greater => true,
            Ordering::Equal => self.position < other.position,
            Ordering::Less => false,
        }
    }
}

/// All hits of some lists, each of which is in order.
pub(super) fn in_order(lists: Vec<Vec<FederatedHit>>) -> impl Iterator<Item = FederatedHit> {
    merge_sorted(lists, FederatedHit::is_before)
}
