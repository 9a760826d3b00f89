//! The k-way merge of lists of hits of different queries: each list keeps its order.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::FEDERATION;
use super::scores::{Score, compare};
use crate::search::QueryPlan;
use crate::search::merge::hits::RankedHit;

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
        let nothing = Map::new();
        let federation = ranked.object().get(FEDERATION).and_then(Value::as_object).unwrap_or(&nothing);
        let mut scores = Score::read_all(federation);
        // The tie rule decides between nodes, not between queries, which do not have it on one server.
        if plan.merge.tie_rule.as_deref().is_some_and(|rule| ranked.has_rule(rule)) {
            scores.pop();
        }
        let global = federation.get("weightedRankingScore").and_then(Value::as_f64).unwrap_or(0.0);
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

/// All hits of some lists, the best of their heads first.
pub(super) struct Merging(Vec<VecDeque<FederatedHit>>);

impl Merging {
    pub(super) fn new(lists: Vec<Vec<FederatedHit>>) -> Self {
        Self(lists.into_iter().map(VecDeque::from).collect())
    }
}

impl Iterator for Merging {
    type Item = FederatedHit;

    fn next(&mut self) -> Option<FederatedHit> {
        let heads = self.0.iter().enumerate().filter_map(|(list, hits)| Some((list, hits.front()?)));
        let (best, _) = heads.reduce(|best, head| if head.1.is_before(best.1) { head } else { best })?;
        self.0[best].pop_front()
    }
}
