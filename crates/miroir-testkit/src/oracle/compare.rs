//! The comparison of two answers to one search. Pure: what it needs to know about ties is handed in.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::difference::{Difference, Kind};
use super::ranking::Ranking;

/// Answer keys that are never compared.
const VOLATILE: [&str; 2] = ["processingTimeMs", "requestUid"];
/// Answer keys that repeat what was asked.
const ECHOES: [&str; 5] = ["query", "limit", "offset", "page", "hitsPerPage"];
/// Answer keys with totals.
const TOTALS: [&str; 3] = ["estimatedTotalHits", "totalHits", "totalPages"];
/// How much of a facet value tells it from others.
const LONGEST_VALUE: usize = 468;
/// How far scores may be apart.
const TOLERANCE: f64 = 1e-6;

/// What the comparison has to know about the query.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a query")]
pub struct Rules {
    /// A distinct attribute is in force.
    pub distinct: bool,
    /// Totals are exact (page mode).
    pub in_pages: bool,
    /// A ranking score threshold is in force.
    pub threshold: bool,
    /// The page is the first one. What one server skips to reach a later one it counts whole, below the threshold too.
    pub first_page: bool,
    /// The nodes are real, see [`Options::real_nodes`](super::Options::real_nodes).
    pub real_nodes: bool,
}

impl Rules {
    /// Whether one server says the same total for every page of the query.
    fn totals_are_defined(self) -> bool {
        (self.in_pages || !self.distinct) && (self.real_nodes && self.first_page || !self.threshold)
    }

    /// Whether one server counts the same facets whatever order its documents came in.
    pub fn counts_are_defined(self) -> bool {
        !self.distinct && self.totals_are_defined()
    }
}

/// Compares the error (or the refusal to be one) of two answers; both statuses are given.
pub fn compare_errors(rules: Rules, expected: (u16, &Value), actual: (u16, &Value)) -> Vec<Difference> {
    let shown = |(status, body): (u16, &Value)| {
        if status == 200 {
            return json!({"status": status});
        }
        let mut shown = json!({"status": status});
        for name in ["code", "type", "link", "message"] {
            if name != "message" || rules.real_nodes {
                shown[name] = body[name].clone();
            }
        }
        shown
    };
    Difference::unless_equal(Kind::Error, "the error", &shown(expected), &shown(actual)).into_iter().collect()
}

/// Compares everything of two successful answers but hits and facet values.
pub fn compare_frame(rules: Rules, expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    let keys = |answer: &Value| {
        let mut keys: Vec<String> = answer.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        keys.sort();
        json!(keys)
    };
    differences.extend(Difference::unless_equal(Kind::Shape, "the keys", &keys(expected), &keys(actual)));
    for name in ECHOES {
        differences.extend(Difference::unless_equal(Kind::Shape, name, &expected[name], &actual[name]));
    }
    for name in TOTALS {
        if !rules.totals_are_defined() {
            continue;
        }
        differences.extend(Difference::unless_equal(Kind::Totals, name, &expected[name], &actual[name]));
    }
    if rules.counts_are_defined() {
        let name = "facetStats";
        differences.extend(Difference::unless_equal(Kind::Facets, name, &expected[name], &actual[name]));
    }
    let known = [&ECHOES[..], &TOTALS, &VOLATILE, &["hits", "facetDistribution", "facetStats"]].concat();
    for (name, value) in expected.as_object().into_iter().flatten() {
        if !known.contains(&name.as_str()) {
            differences.extend(Difference::unless_equal(Kind::Shape, name, value, &actual[name]));
        }
    }
    differences
}

/// Compares facets where they differ: equal but for ties, when their order is that of the counts.
///
/// `whole` has the same facets with all their values: a list cut inside a tie may show other values of the tie (two
/// equal servers do too), but only with their right counts.
pub fn compare_facets(by_count: bool, whole: &Value, expected: &Value, actual: &Value) -> Option<Difference> {
    let names =
        |facets: &Value| json!(facets.as_object().into_iter().flat_map(Map::keys).collect::<Vec<_>>());
    let name = "the names of facets";
    if let Some(difference) = Difference::unless_equal(Kind::Facets, name, &names(expected), &names(actual)) {
        return Some(difference);
    }
    expected.as_object().into_iter().flatten().find_map(|(name, values)| {
        let (expected, actual) = (pairs(values), pairs(&actual[name]));
        let tied = by_count && name != "year" && same_counts(&pairs(&whole[name]), &expected, &actual);
        let equal = expected == actual || tied;
        (!equal)
            .then(|| Difference::new(Kind::Facets, format!("facet {name}"), json!(expected), json!(actual)))
    })
}

/// The values of a facet with their counts. Of a long one a server shows any spelling that begins like it.
fn pairs(values: &Value) -> Vec<(String, &Value)> {
    let name = |name: &String| name.chars().take(LONGEST_VALUE).collect();
    values.as_object().into_iter().flatten().map(|(value, count)| (name(value), count)).collect()
}

/// Whether the counts are the same one by one and every value has the count it has in the whole list.
fn same_counts(
    whole: &[(String, &Value)],
    expected: &[(String, &Value)],
    actual: &[(String, &Value)],
) -> bool {
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(left, right)| left.1 == right.1)
        && actual.iter().all(|pair| whole.contains(pair))
}

/// Whether the hits are equal one by one, so that ties need not be looked at.
pub fn hits_equal(expected: &Value, actual: &Value) -> bool {
    let (Some(expected), Some(actual)) = (expected.as_array(), actual.as_array()) else { return false };
    expected.len() == actual.len() && expected.iter().zip(actual).all(|(left, right)| same(left, right))
}

/// Compares the hits of two pages that start at `offset`, with ties resolved by `ranking`.
pub fn compare_hits(
    ranking: &Ranking,
    offset: usize,
    expected: &[Value],
    actual: &[Value],
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let list = |hits: &[Value]| json!(hits.iter().map(|hit| ranking.identity(hit)).collect::<Vec<_>>());
    let mut counts: HashMap<String, usize> = HashMap::new();
    for hit in actual {
        let (part, allowed) = ranking.unique_part(hit);
        let count = counts.entry(part.clone()).or_default();
        *count += 1;
        if *count == allowed + 1 {
            differences.push(Difference::new(Kind::Duplicate, part, list(expected), list(actual)));
        }
    }
    let misplaced = expected.iter().zip(actual).enumerate().find(|(position, (expected, actual))| {
        let group = ranking.expected_group(expected, offset, *position);
        group.is_none_or(|group| !ranking.may_stand_in(actual, group))
    });
    if expected.len() != actual.len() {
        let place = format!("{} hits instead of {}", actual.len(), expected.len());
        differences.push(Difference::new(Kind::Membership, place, list(expected), list(actual)));
    } else if let Some((position, (_, hit))) = misplaced {
        let kind = if ranking.may_have(hit) { Kind::Order } else { Kind::Membership };
        differences.push(Difference::new(kind, format!("hit {position}"), list(expected), list(actual)));
    }
    for kind in [Kind::Fields, Kind::Scores, Kind::Formatting] {
        differences.extend(actual.iter().enumerate().find_map(|(position, hit)| {
            let (left, right) = closest_version(ranking, hit, kind)?;
            let place = format!("hit {position} ({})", ranking.identity(hit));
            Some(Difference::new(kind, place, left, right))
        }));
    }
    differences
}

/// What differs in the keys of this kind between a hit and each of its versions on the single node; none when one
/// version is equal in them.
fn closest_version(ranking: &Ranking, hit: &Value, kind: Kind) -> Option<(Value, Value)> {
    let mut versions = ranking.visible(hit).iter().map(|version| differing_in(kind, version, hit));
    let first = versions.next()??;
    versions.all(|parts| parts.is_some()).then_some(first)
}

/// The first kind of difference between two versions of a hit, the gravest first.
pub fn compare_versions(place: &str, expected: &Value, actual: &Value) -> Option<Difference> {
    [Kind::Fields, Kind::Scores, Kind::Formatting].into_iter().find_map(|kind| {
        let (left, right) = differing_in(kind, expected, actual)?;
        Some(Difference::new(kind, place, left, right))
    })
}

/// What two versions of a hit don't share in the keys of this kind.
fn differing_in(kind: Kind, expected: &Value, actual: &Value) -> Option<(Value, Value)> {
    let part = |hit: &Value| {
        let keys = hit.as_object().into_iter().flatten().filter(|(name, _)| kind_of_key(name) == kind);
        Value::Object(keys.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    differing_parts(&part(expected), &part(actual))
}

/// The kind of difference that another value under this key of a hit is.
fn kind_of_key(name: &str) -> Kind {
    match name {
        "_formatted" | "_matchesPosition" => Kind::Formatting,
        "_rankingScore" | "_rankingScoreDetails" | "_federation" => Kind::Scores,
        _ => Kind::Fields,
    }
}

/// What two versions of an object don't share, cut down to the innermost keys; none when they are equal.
pub fn differing_parts(expected: &Value, actual: &Value) -> Option<(Value, Value)> {
    if same(expected, actual) {
        return None;
    }
    let (Some(left), Some(right)) = (expected.as_object(), actual.as_object()) else {
        return Some((expected.clone(), actual.clone()));
    };
    let (mut only_left, mut only_right) = (Map::new(), Map::new());
    for (name, value) in left {
        let parts = match right.get(name) {
            Some(_) if is_node_dependent(name) => None,
            Some(other) => differing_parts(value, other),
            None => Some((value.clone(), Value::Null)),
        };
        if let Some((value, other)) = parts {
            only_left.insert(name.clone(), value);
            only_right.insert(name.clone(), other);
        }
    }
    let extra = right.iter().filter(|(name, _)| !left.contains_key(*name));
    only_right.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
    Some((Value::Object(only_left), Value::Object(only_right)))
}

/// The most typos a rule would accept depends on a node's own vocabulary; its score does not.
fn is_node_dependent(name: &str) -> bool {
    name == "maxTypoCount"
}

/// Equality of hits: numbers may differ by float noise.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right
                || left
                    .as_f64()
                    .zip(right.as_f64())
                    .is_some_and(|(a, b)| left.is_f64() == right.is_f64() && (a - b).abs() < TOLERANCE)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| {
                    right.get(name).is_some_and(|other| is_node_dependent(name) || same(value, other))
                })
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::{Rules, compare_facets, compare_frame, compare_hits, hits_equal};
    use crate::oracle::Kind;
    use crate::oracle::ranking::Ranking;
    use serde_json::{Value, json};

    const RULES: Rules =
        Rules { distinct: false, in_pages: false, threshold: false, first_page: true, real_nodes: true };

    #[test]
    fn equal_counts_may_change_places_only_in_count_order() {
        let expected = json!({"genre": {"b": 3, "a": 2, "c": 2}});
        let swapped = json!({"genre": {"b": 3, "c": 2, "a": 2}});
        assert_eq!(compare_facets(true, &expected, &expected, &swapped), None);
        assert!(compare_facets(false, &expected, &expected, &swapped).is_some());
        assert_eq!(compare_facets(false, &expected, &expected, &expected), None);
    }

    #[test]
    fn a_list_cut_inside_a_tie_may_show_other_values_but_no_other_counts() {
        let whole = json!({"genre": {"b": 3, "a": 2, "c": 2, "d": 1}});
        let expected = json!({"genre": {"b": 3, "a": 2}});
        assert_eq!(compare_facets(true, &whole, &expected, &json!({"genre": {"b": 3, "c": 2}})), None);
        assert!(compare_facets(true, &whole, &expected, &json!({"genre": {"b": 3, "d": 2}})).is_some());
        assert!(compare_facets(true, &whole, &expected, &json!({"genre": {"b": 3, "d": 1}})).is_some());
        assert!(compare_facets(true, &whole, &expected, &json!({"genre": {"b": 3}})).is_some());
    }

    #[test]
    fn a_missing_key_and_a_wrong_total_are_told_apart() {
        let expected =
            json!({"hits": [], "limit": 20, "offset": 0, "estimatedTotalHits": 4, "requestUid": "a"});
        let actual = json!({"hits": [], "limit": 20, "estimatedTotalHits": 3, "requestUid": "b"});
        let kinds: Vec<Kind> =
            compare_frame(RULES, &expected, &actual).into_iter().map(|difference| difference.kind).collect();
        assert_eq!(kinds, [Kind::Shape, Kind::Shape, Kind::Totals]);
    }

    #[test]
    fn hits_are_equal_up_to_key_order_and_float_noise() {
        let expected = json!([{"id": 1, "a": {"x": 1, "y": 2}, "_rankingScore": 0.5}]);
        assert!(hits_equal(
            &expected,
            &json!([{"_rankingScore": 0.500_000_1, "a": {"y": 2, "x": 1}, "id": 1}])
        ));
        assert!(!hits_equal(&expected, &json!([{"id": 1.0, "a": {"x": 1, "y": 2}, "_rankingScore": 0.5}])));
        assert!(!hits_equal(&expected, &json!([])));
    }

    /// The kinds of difference of a page of two, where documents 1 and 2 are tied, and behind them 3 and 4.
    fn kinds(offset: usize, actual: [u32; 2]) -> Vec<Kind> {
        let hit = |id: u32| json!({"id": id, "_rankingScoreDetails": {"words": {"score": id.div_ceil(2)}}});
        let all: Vec<Value> = [1, 2, 3, 4].into_iter().map(hit).collect();
        let ranking = Ranking::build("id", None, &all, &all).unwrap();
        let actual = actual.map(hit);
        let differences = compare_hits(&ranking, offset, &all[offset..offset + 2], &actual);
        differences.into_iter().map(|difference| difference.kind).collect()
    }

    #[test]
    fn hits_may_be_swapped_within_a_tie_and_nowhere_else() {
        assert_eq!(kinds(0, [2, 1]), []);
        assert_eq!(kinds(1, [2, 3]), []);
        assert_eq!(kinds(1, [3, 2]), [Kind::Order]);
        assert_eq!(kinds(0, [1, 3]), [Kind::Order]);
        assert_eq!(kinds(0, [1, 9]), [Kind::Membership]);
    }

    #[test]
    fn a_page_that_cuts_a_tie_may_show_any_document_of_it_but_none_twice() {
        assert_eq!(kinds(1, [1, 4]), []);
        assert_eq!(kinds(0, [1, 1]), [Kind::Duplicate]);
    }

    #[test]
    fn the_same_document_with_other_fields_highlights_or_scores_is_noticed() {
        let hit = |title: &str, formatted: &str, score: f64| {
            json!({"id": 1, "title": title, "_formatted": {"title": formatted}, "_rankingScore": score,
                "_rankingScoreDetails": {}})
        };
        let all = [hit("a", "<em>a</em>", 0.5)];
        let ranking = Ranking::build("id", None, &all, &all).unwrap();
        let kinds = |actual: Value| {
            let differences = compare_hits(&ranking, 0, &all, &[actual]);
            differences.into_iter().map(|difference| difference.kind).collect::<Vec<Kind>>()
        };
        assert_eq!(kinds(hit("a", "<em>a</em>", 0.5)), []);
        assert_eq!(kinds(hit("b", "<em>a</em>", 0.5)), [Kind::Fields]);
        assert_eq!(kinds(hit("a", "a", 0.5)), [Kind::Formatting]);
        assert_eq!(kinds(hit("a", "a", 0.4)), [Kind::Scores, Kind::Formatting]);
    }
}
