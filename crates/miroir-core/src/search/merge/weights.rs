//! The values by which Meilisearch compares hits of two searches: neighbouring text rules folded into one number.
//!
//! A text rule gives a hit a rank among so many. Ranks fold from the first rule to the last as digits of a number do;
//! the share of the highest number is the score (Meilisearch 1.50, `score_details.rs`).

use serde_json::Value;

use super::details::RuleScore;
use super::hits::RankedHit;
use super::hybrid::Weighted;
use crate::search::MergePlan;

/// A rank, 0 for the worst, and the best possible one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rank {
    rank: f64,
    best: f64,
}

/// The largest maximum that a rule's score is taken to be a share of.
const MAX_DENOMINATOR: f64 = 100_000.0;

/// What a hit of a list with this weight is compared by.
pub(super) fn weighted(plan: &MergePlan, hit: &RankedHit, weight: f64) -> Vec<Weighted> {
    let rules: Vec<_> =
        hit.rules().filter(|((name, _), _)| plan.tie_rule.as_deref() != Some(*name)).collect();
    let runs =
        rules.chunk_by(|(_, a), (_, b)| is_text(a) && is_text(b)).filter(|run| is_text(run[0].1)).count();
    let mut values = Vec::new();
    for run in rules.chunk_by(|(_, a), (_, b)| is_text(a) && is_text(b)) {
        let first = run[0].1;
        match first {
            RuleScore::Vector(similarity) => values.push(Weighted::Score(similarity.unwrap_or(0.0) * weight)),
            RuleScore::Sort { .. } | RuleScore::Geo { .. } => values.push(Weighted::Rule(first.clone())),
            RuleScore::Pin(_) => {}
            // All text rules are neighbours: the node's score is theirs, and exact.
            _ if runs == 1 => values.push(Weighted::Score(hit.score() * weight)),
            _ => {
                let described = run.iter().flat_map(|((name, rule), _)| ranks(name, rule));
                let folded = described.reduce(Rank::fold).map_or(0.0, Rank::score);
                values.push(Weighted::Score(folded * weight));
            }
        }
    }
    values
}

/// Whether a rule is about words, so that it folds with its neighbours.
fn is_text(rule: &RuleScore) -> bool {
    match rule {
        RuleScore::Words(_)
        | RuleScore::Typo(_)
        | RuleScore::Score(_)
        | RuleScore::Attribute(..)
        | RuleScore::Exactness(..)
        | RuleScore::Skipped => true,
        RuleScore::Sort { .. } | RuleScore::Geo { .. } | RuleScore::Vector(_) | RuleScore::Pin(_) => false,
    }
}

impl Rank {
    fn score(self) -> f64 {
        self.rank / self.best
    }

    fn fold(self, inner: Self) -> Self {
        Self { rank: (self.rank - 1.0).max(0.0) * inner.best + inner.rank, best: self.best * inner.best }
    }

    /// The rank that has this score, of the smallest maximum that it can have.
    fn from_score(score: f64) -> Self {
        let (mut low, mut high) = ((0.0, 1.0), (1.0, 1.0));
        if score >= 1.0 {
            return Self { rank: 1.0, best: 1.0 };
        }
        loop {
            let (rank, best) = (low.0 + high.0, low.1 + high.1);
            if best > MAX_DENOMINATOR || (rank / best - score).abs() <= f64::EPSILON {
                return Self { rank, best };
            }
            if rank / best < score {
                low = (rank, best);
            } else {
                high = (rank, best);
            }
        }
    }
}

/// The ranks behind a rule's details; some rules are two.
fn ranks(name: &str, rule: &Value) -> Vec<Rank> {
    let number = |key: &str| rule[key].as_f64().unwrap_or(0.0);
    match name {
        "words" => vec![Rank { rank: number("matchingWords"), best: number("maxMatchingWords").max(1.0) }],
        "typo" => {
            let best = number("maxTypoCount") + 1.0;
            vec![Rank { rank: (best - number("typoCount")).max(0.0), best }]
        }
        "attribute" => ["attributeRankingOrderScore", "queryWordDistanceScore"]
            .map(|key| Rank::from_score(number(key)))
            .to_vec(),
        "exactness" => match rule["matchType"].as_str() {
            Some("exactMatch") => vec![Rank { rank: 3.0, best: 3.0 }],
            Some("matchesStart") => vec![Rank { rank: 2.0, best: 3.0 }],
            _ => vec![
                Rank { rank: 1.0, best: 3.0 },
                Rank { rank: number("matchingWords") + 1.0, best: number("maxMatchingWords") + 1.0 },
            ],
        },
        "skipped" => vec![Rank { rank: 0.0, best: 1.0 }],
        _ => vec![Rank::from_score(number("score"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranks_fold_as_digits_do() {
        let rules = [
            ("words", json!({ "matchingWords": 1, "maxMatchingWords": 2 })),
            ("typo", json!({ "typoCount": 1, "maxTypoCount": 2 })),
            ("proximity", json!({ "score": 0.75 })),
        ];
        let ranks = rules.iter().flat_map(|(name, rule)| ranks(name, rule));
        let folded = ranks.reduce(Rank::fold).unwrap();
        assert_eq!(folded, Rank { rank: 7.0, best: 24.0 });
    }

    #[test]
    fn a_score_is_the_share_of_the_smallest_maximum_that_it_can_be() {
        assert_eq!(Rank::from_score(1.0), Rank { rank: 1.0, best: 1.0 });
        assert_eq!(Rank::from_score(2.0 / 3.0), Rank { rank: 2.0, best: 3.0 });
        assert_eq!(Rank::from_score(0.857_142_857_142_857_1), Rank { rank: 6.0, best: 7.0 });
    }
}
