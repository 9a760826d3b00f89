//! The values by which Meilisearch compares hits of two searches: neighbouring text rules folded into one number.
//!
//! A text rule gives a hit a rank among so many. Ranks fold from the first rule to the last as digits of a number do;
//! the share of the highest number is the score (Meilisearch 1.50, `score_details.rs`). Where a sort stands between the
//! text rules, the score of each run has to be computed from the details, and these tell only the share of some rules,
//! not of how many it is one. What all hits of a list have in common tells the rest.

use std::collections::BTreeMap;

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

/// What a rule's details say of a hit's rank.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Described {
    Exactly(Rank),
    Share(f64),
}

/// A rule that may be two, for hits with so many matching words: what follows depends on how many words are left.
type RuleKey<'a> = (&'a str, usize, u64);

/// The best ranks of rules that tell only shares, for one list of hits.
#[derive(Debug, Default)]
pub(super) struct BestRanks(BTreeMap<(String, usize, u64), f64>);

/// The highest best rank that shares are taken to come from.
const MAX_BEST: f64 = 10_000.0;

/// The highest best rank that is tried where no hit tells anything.
const MAX_GUESS: u32 = 64;

/// How many hits a guess is tried on.
const TRIED_HITS: usize = 8;

/// What a hit of a list with this weight is compared by.
pub(super) fn weighted(plan: &MergePlan, best: &BestRanks, hit: &RankedHit, weight: f64) -> Vec<Weighted> {
    let words = matching_words(hit);
    let rules: Vec<_> =
        hit.rules().filter(|((name, _), _)| plan.tie_rule.as_deref() != Some(*name)).collect();
    let runs = || rules.chunk_by(|(_, a), (_, b)| is_text(a) && is_text(b));
    let is_one_run = runs().filter(|run| is_text(run[0].1)).count() == 1;
    let mut values = Vec::new();
    for run in runs() {
        match run[0].1 {
            RuleScore::Vector(similarity) => {
                values.push(Weighted::Score(similarity.unwrap_or(0.0) * weight));
            }
            rule @ (RuleScore::Sort { .. } | RuleScore::Geo { .. }) => {
                values.push(Weighted::Rule(rule.clone()));
            }
            RuleScore::Pin(_) => {}
            // All text rules are neighbours: the node's score is theirs, and exact.
            _ if is_one_run => values.push(Weighted::Score(hit.score() * weight)),
            _ => {
                let folded = best.fold(words, run.iter().map(|(described, _)| *described));
                values.push(Weighted::Score(folded * weight));
            }
        }
    }
    values
}

fn has_text_behind_a_sort(hit: &RankedHit) -> bool {
    let rules: Vec<_> = hit.rules().map(|(_, rule)| rule).collect();
    let mut behind = rules.iter().skip_while(|rule| !is_text(rule)).skip_while(|rule| is_text(rule));
    behind.any(|rule| is_text(rule))
}

/// How many words of the query the hit has, as far as a rule says it.
fn matching_words(hit: &RankedHit) -> u64 {
    hit.rules()
        .find(|((name, _), _)| *name == "words")
        .map_or(0, |((_, rule), _)| rule["matchingWords"].as_u64().unwrap_or(0))
}

impl BestRanks {
    /// What these hits tell; nothing where it is not needed, since all text rules are neighbours.
    pub(super) fn of(hits: &[&RankedHit]) -> Self {
        let mut best = Self::default();
        if !hits.iter().any(|hit| has_text_behind_a_sort(hit)) {
            return best;
        }
        let mut unknown = Vec::new();
        for hit in hits {
            let words = matching_words(hit);
            for ((name, rule), _) in hit.rules().filter(|(_, score)| is_text(score)) {
                for (place, described) in describe(name, rule).into_iter().enumerate() {
                    let Described::Share(share) = described else { continue };
                    let key = (name.to_owned(), place, words);
                    if share < 1.0 {
                        let known = best.0.entry(key).or_insert(1.0);
                        *known = common_multiple(*known, Rank::from_share(share).best);
                    } else if !unknown.contains(&key) {
                        unknown.push(key);
                    }
                }
            }
        }
        unknown.retain(|key| !best.0.contains_key(key));
        best.guess(&unknown, hits);
        best
    }

    /// Where all hits have the best rank, the guess is taken with which their scores come out best.
    fn guess(&mut self, unknown: &[(String, usize, u64)], hits: &[&RankedHit]) {
        if unknown.is_empty() {
            return;
        }
        let off = |best: &Self| {
            hits.iter().take(TRIED_HITS).map(|hit| (best.whole(hit) - hit.score()).abs()).sum::<f64>()
        };
        let mut nearest = (f64::INFINITY, 1);
        for guess in 1..=MAX_GUESS {
            self.0.extend(unknown.iter().map(|key| (key.clone(), f64::from(guess))));
            let off = off(self);
            if off < nearest.0 - f64::EPSILON {
                nearest = (off, guess);
            }
        }
        self.0.extend(unknown.iter().map(|key| (key.clone(), f64::from(nearest.1))));
    }

    /// The score of a hit, folded from all of its text rules.
    fn whole(&self, hit: &RankedHit) -> f64 {
        let rules = hit.rules().filter(|(_, score)| is_text(score)).map(|(described, _)| described);
        self.fold(matching_words(hit), rules)
    }

    fn fold<'a>(&self, words: u64, rules: impl Iterator<Item = (&'a str, &'a Value)>) -> f64 {
        let ranks = rules.flat_map(|(name, rule)| {
            let described = describe(name, rule).into_iter().enumerate();
            described
                .map(move |(place, described)| self.rank((name, place, words), described))
                .collect::<Vec<_>>()
        });
        ranks.reduce(Rank::fold).map_or(0.0, Rank::score)
    }

    fn rank(&self, (name, place, words): RuleKey<'_>, described: Described) -> Rank {
        match described {
            Described::Exactly(rank) => rank,
            Described::Share(share) => {
                let best = self.0.get(&(name.to_owned(), place, words)).copied().unwrap_or(1.0);
                Rank { rank: (share * best).round(), best }
            }
        }
    }
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

    /// The rank that is this share, of the smallest best one that it can be of.
    fn from_share(share: f64) -> Self {
        let (mut low, mut high) = ((0.0, 1.0), (1.0, 1.0));
        loop {
            let (rank, best) = (low.0 + high.0, low.1 + high.1);
            if best > MAX_BEST || (rank / best - share).abs() <= f64::EPSILON {
                return Self { rank, best };
            }
            if rank / best < share {
                low = (rank, best);
            } else {
                high = (rank, best);
            }
        }
    }
}

/// The least common multiple of two whole numbers, or the larger one if that is out of bounds.
fn common_multiple(a: f64, b: f64) -> f64 {
    let (mut divisor, mut rest) = (a, b);
    while rest >= 1.0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let multiple = a / divisor * b;
    if multiple <= MAX_BEST { multiple } else { a.max(b) }
}

/// The ranks behind a rule's details; some rules are two.
fn describe(name: &str, rule: &Value) -> Vec<Described> {
    use Described::{Exactly, Share};
    let number = |key: &str| rule[key].as_f64().unwrap_or(0.0);
    let exactly = |rank: f64, best: f64| Exactly(Rank { rank, best });
    match name {
        "words" => vec![exactly(number("matchingWords"), number("maxMatchingWords").max(1.0))],
        "typo" => {
            let best = number("maxTypoCount") + 1.0;
            vec![exactly((best - number("typoCount")).max(0.0), best)]
        }
        "attribute" => {
            vec![Share(number("attributeRankingOrderScore")), Share(number("queryWordDistanceScore"))]
        }
        "exactness" => match rule["matchType"].as_str() {
            Some("exactMatch") => vec![exactly(3.0, 3.0)],
            Some("matchesStart") => vec![exactly(2.0, 3.0)],
            _ => vec![
                exactly(1.0, 3.0),
                exactly(number("matchingWords") + 1.0, number("maxMatchingWords") + 1.0),
            ],
        },
        "skipped" => vec![exactly(0.0, 1.0)],
        _ => vec![Share(number("score"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::search::merge::hits::read_hits;

    fn hit(proximity: f64, attribute: f64, position: f64, matching: u32, score: f64) -> Value {
        json!({ "_rankingScore": score, "_rankingScoreDetails": {
            "typo": { "order": 0, "typoCount": 0, "maxTypoCount": 3, "score": 1.0 },
            "proximity": { "order": 1, "score": proximity },
            "attributeRank": { "order": 2, "score": attribute },
            "n:asc": { "order": 3, "value": 1.0 },
            "wordPosition": { "order": 4, "score": position },
            "exactness": { "order": 5, "matchType": "noExactMatch", "matchingWords": matching, "maxMatchingWords": 2 },
        }})
    }

    fn hits(hits: &[Value]) -> Vec<RankedHit> {
        read_hits(json!({ "hits": hits }).as_object_mut().unwrap())
    }

    /// Details and scores as a real server gave them.
    #[test]
    fn the_score_of_the_rules_before_a_sort_is_found_from_what_all_hits_tell() {
        let some = hits(&[
            hit(1.0, 1.0 / 3.0, 0.809_523_809_523_809_5, 1, 0.953_593_474_426_807_8),
            hit(0.75, 1.0, 0.904_761_904_761_904_8, 1, 0.934_744_268_077_601_4),
            hit(0.75, 2.0 / 3.0, 0.761_904_761_904_761_9, 1, 0.910_934_744_268_077_6),
        ]);
        let best = BestRanks::of(&some.iter().collect::<Vec<_>>());
        for hit in &some {
            assert!((best.whole(hit) - hit.score()).abs() < 1e-12, "{} {}", best.whole(hit), hit.score());
        }
    }

    #[test]
    fn a_best_rank_that_no_hit_tells_is_the_one_with_which_the_scores_come_out() {
        let some = hits(&[hit(1.0, 1.0 / 3.0, 0.809_523_809_523_809_5, 1, 0.953_593_474_426_807_8)]);
        let best = BestRanks::of(&some.iter().collect::<Vec<_>>());
        assert!((best.whole(&some[0]) - some[0].score()).abs() < 1e-12);
    }

    #[test]
    fn a_share_is_one_of_the_smallest_best_rank_that_it_can_be_of() {
        assert_eq!(Rank::from_share(2.0 / 3.0), Rank { rank: 2.0, best: 3.0 });
        assert_eq!(Rank::from_share(0.857_142_857_142_857_1), Rank { rank: 6.0, best: 7.0 });
        assert!((common_multiple(4.0, 6.0) - 12.0).abs() < f64::EPSILON);
    }
}
