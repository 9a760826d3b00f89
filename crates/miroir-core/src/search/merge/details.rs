//! What a node says of how a hit ranks (`_rankingScoreDetails`), rule by rule, in a form that compares across nodes.
//!
//! Merging by `_rankingScore` would be wrong as soon as there is a sort, which it leaves out, and imprecise where a
//! rule's maximum differs between nodes; so rules are compared one by one, by their counts where they have counts.
//! The shapes are those of Meilisearch 1.50 (`crates/milli/src/score_details.rs`).

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::value::SortValue;

/// One ranking rule's say on one hit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RuleScore {
    /// More matching words first.
    Words(u64),
    /// Fewer typos first.
    Typo(u64),
    /// Any rule of which only the score is known: higher first.
    Score(f64),
    /// The better place of the attribute first, then the closer words.
    Attribute(f64, f64),
    /// The better kind of match first, then more exact words.
    Exactness(u8, u64),
    /// By the values of a field.
    Sort { ascending: bool, value: SortValue },
    /// By distance in metres; no place comes last in both directions.
    Geo { ascending: bool, metres: Option<f64> },
    /// Higher similarity first; no vector comes last.
    Vector(Option<f64>),
    /// A fixed place in the list.
    Pin(u64),
    /// The node gave up at its time limit before this rule.
    Skipped,
}

impl RuleScore {
    /// `Less` when `self` stands before `other`.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        use RuleScore as R;
        match (self, other) {
            (R::Words(a), R::Words(b)) => b.cmp(a),
            (R::Typo(a), R::Typo(b)) | (R::Pin(a), R::Pin(b)) => a.cmp(b),
            (R::Score(a), R::Score(b)) => b.total_cmp(a),
            (R::Attribute(a, c), R::Attribute(b, d)) => b.total_cmp(a).then(d.total_cmp(c)),
            (R::Exactness(a, c), R::Exactness(b, d)) => b.cmp(a).then(d.cmp(c)),
            (R::Sort { ascending, value: a }, R::Sort { value: b, .. }) => a.order(b, *ascending),
            (R::Geo { ascending, metres: a }, R::Geo { metres: b, .. }) => {
                missing_last(*a, *b, |a, b| if *ascending { a.total_cmp(&b) } else { b.total_cmp(&a) })
            }
            (R::Vector(a), R::Vector(b)) => missing_last(*a, *b, |a, b| b.total_cmp(&a)),
            (R::Skipped, R::Skipped) => Ordering::Equal,
            (R::Skipped, _) => Ordering::Greater,
            (_, R::Skipped) => Ordering::Less,
            // The same query gives the same rules on all nodes; nothing can be said of two different ones.
            _ => Ordering::Equal,
        }
    }
}

fn missing_last(a: Option<f64>, b: Option<f64>, order: impl FnOnce(f64, f64) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => order(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The beginning of the name of a sort rule whose field the node does not display.
pub(super) const HIDDEN_RULE: &str = "<hidden-rule-";

/// The rules of a hit in the order in which they were applied.
pub(super) fn read_details(hit: &Map<String, Value>) -> Vec<RuleScore> {
    rules_of(hit).into_iter().map(|(name, rule)| read_rule(name, rule, hit)).collect()
}

/// The rules of a hit as the node describes them, in the order in which they were applied.
pub(super) fn rules_of(hit: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let Some(Value::Object(details)) = hit.get("_rankingScoreDetails") else { return Vec::new() };
    let mut rules: Vec<(&str, &Value)> = details.iter().map(|(name, rule)| (name.as_str(), rule)).collect();
    rules.sort_by_key(|(_, rule)| rule["order"].as_u64().unwrap_or(u64::MAX));
    rules
}

fn read_rule(name: &str, rule: &Value, hit: &Map<String, Value>) -> RuleScore {
    let number = |key: &str| rule[key].as_f64().unwrap_or(0.0);
    match name {
        "words" => RuleScore::Words(rule["matchingWords"].as_u64().unwrap_or(0)),
        "typo" => RuleScore::Typo(rule["typoCount"].as_u64().unwrap_or(0)),
        "attribute" => {
            RuleScore::Attribute(number("attributeRankingOrderScore"), number("queryWordDistanceScore"))
        }
        "exactness" => RuleScore::Exactness(match_kind(rule), rule["matchingWords"].as_u64().unwrap_or(0)),
        "vectorSort" => RuleScore::Vector(rule["similarity"].as_f64()),
        "skipped" => RuleScore::Skipped,
        "pin" => RuleScore::Pin(rule["position"].as_u64().unwrap_or(u64::MAX)),
        name => read_sort(name, rule, hit).unwrap_or_else(|| RuleScore::Score(number("score"))),
    }
}

fn match_kind(rule: &Value) -> u8 {
    match rule["matchType"].as_str() {
        Some("exactMatch") => 2,
        Some("matchesStart") => 1,
        _ => 0,
    }
}

/// `field:asc`, `field:desc` and `_geoPoint(lat, lng):asc`.
fn read_sort(name: &str, rule: &Value, hit: &Map<String, Value>) -> Option<RuleScore> {
    let (subject, direction) = name.rsplit_once(':')?;
    let ascending = match direction {
        "asc" => true,
        "desc" => false,
        _ => return None,
    };
    if let Some(point) = subject.strip_prefix("_geoPoint(").and_then(|rest| rest.strip_suffix(')')) {
        return Some(RuleScore::Geo { ascending, metres: metres_to(point, hit) });
    }
    Some(RuleScore::Sort { ascending, value: SortValue::read(&rule["value"]) })
}

/// The hit's own distance. The details hold that of the first hit in a bucket of hits one metre wide, and nodes cut
/// their buckets differently.
pub(in crate::search) fn metres_to(point: &str, hit: &Map<String, Value>) -> Option<f64> {
    let (lat, lng) = point.split_once(',')?;
    let from = (lat.trim().parse().ok()?, lng.trim().parse().ok()?);
    let place = hit.get("_geo")?;
    Some(metres_between(from, (coordinate(&place["lat"])?, coordinate(&place["lng"])?)))
}

/// Meilisearch takes numbers and numbers written as text.
fn coordinate(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The great-circle distance (haversine) on a sphere of the earth's mean radius.
fn metres_between(a: (f64, f64), b: (f64, f64)) -> f64 {
    const EARTH_RADIUS_METRES: f64 = 6_371_008.8;
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lng = ((b.1 - a.1).to_radians() / 2.0).sin();
    let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lng * half_lng;
    2.0 * EARTH_RADIUS_METRES * chord.sqrt().min(1.0).asin()
}
