//! What Meilisearch compares the hits of different queries by. (1.50, `search/federated/weighted_scores.rs` and
//! `WeightedScoreValue`.)
//!
//! Nodes give these values for each hit to whoever asks as a server of a network does. Score details would not do: a
//! text rule's share in the common number depends on maxima that they leave out, and they hide sort values of fields
//! that are not displayed.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::search::merge::value::SortValue;

/// One value of the list by which a hit is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Score {
    /// Neighbouring text rules in one number, or a similarity; times the weight.
    Weighted { score: f64, semantic: bool },
    /// By the values of a field.
    Sort { ascending: bool, value: SortValue },
    /// By distance in metres.
    Distance { ascending: bool, metres: Option<f64> },
}

impl Score {
    /// Reads `_federation.weightedScoreValues`; what is not understood is left out.
    pub(super) fn read_all(federation: &Map<String, Value>) -> Vec<Self> {
        let values = federation.get("weightedScoreValues").and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Self::read).collect()
    }

    fn read(value: &Value) -> Option<Self> {
        let (kind, value) = value.as_object()?.iter().next()?;
        let ascending = || value["asc"].as_bool();
        match kind.as_str() {
            "weightedScore" => Some(Self::Weighted { score: value.as_f64()?, semantic: false }),
            "vectorSort" => Some(Self::Weighted { score: value.as_f64()?, semantic: true }),
            "sort" => Some(Self::Sort { ascending: ascending()?, value: SortValue::read(&value["value"]) }),
            "geoSort" => Some(Self::Distance { ascending: ascending()?, metres: value["distance"].as_f64() }),
            _ => None,
        }
    }

    /// `Greater` when `self` stands before `other`; `None` when they can't be compared.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Weighted { score: a, .. }, Self::Weighted { score: b, .. }) => Some(nearly(*a, *b)),
            (Self::Sort { ascending, value: a }, Self::Sort { ascending: other, value: b })
                if ascending == other =>
            {
                Some(a.order(b, *ascending).reverse())
            }
            (Self::Distance { ascending, metres: a }, Self::Distance { ascending: other, metres: b })
                if ascending == other =>
            {
                Some(match (a, b) {
                    (None, None) => Ordering::Equal,
                    (None, Some(_)) => Ordering::Less,
                    (Some(_), None) => Ordering::Greater,
                    // As Meilisearch does it, whatever the direction.
                    (Some(a), Some(b)) => nearly(*a, *b),
                })
            }
            _ => None,
        }
    }
}

/// `Greater` when the hit with the first list stands before the one with the second. Where nothing compares, the list
/// that goes on longer wins, then the higher score as a whole.
pub(super) fn compare(left: (&[Score], f64), right: (&[Score], f64)) -> Ordering {
    let (a, b) = (left.0, right.0);
    for (place, (x, y)) in a.iter().zip(b).enumerate() {
        match x.compare(y) {
            Some(Ordering::Equal) => {}
            Some(order) => return order,
            None => {
                let rest = (a.len() - place).cmp(&(b.len() - place));
                return rest.then_with(|| left.1.total_cmp(&right.1));
            }
        }
    }
    a.len().cmp(&b.len())
}

fn nearly(a: f64, b: f64) -> Ordering {
    if (a - b).abs() <= f64::EPSILON { Ordering::Equal } else { a.total_cmp(&b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scores(values: &Value) -> Vec<Score> {
        Score::read_all(json!({ "weightedScoreValues": values }).as_object().unwrap())
    }

    #[expect(clippy::needless_pass_by_value, reason = "JSON literals read better without a reference")]
    fn order(a: Value, b: Value) -> Ordering {
        compare((&scores(&a), 0.5), (&scores(&b), 0.25))
    }

    #[test]
    fn the_first_value_that_differs_decides() {
        let text = |score: f64| json!({ "weightedScore": score });
        let sort = |value: Value| json!({ "sort": { "asc": true, "value": value } });
        assert_eq!(order(json!([text(0.9)]), json!([text(0.8)])), Ordering::Greater);
        assert_eq!(
            order(json!([text(0.8), sort(json!(1))]), json!([text(0.8), sort(json!(2))])),
            Ordering::Greater
        );
        assert_eq!(
            order(json!([text(0.8), sort(Value::Null)]), json!([text(0.8), sort(json!("a"))])),
            Ordering::Less
        );
        assert_eq!(order(json!([sort(json!(3))]), json!([sort(json!("a"))])), Ordering::Greater);
        assert_eq!(order(json!([text(0.8)]), json!([text(0.8)])), Ordering::Equal);
        assert_eq!(order(json!([text(0.8)]), json!([{ "vectorSort": 0.9 }])), Ordering::Less);
    }

    #[test]
    fn the_longer_list_wins_over_its_beginning_and_over_what_does_not_compare() {
        let text = json!({ "weightedScore": 0.5 });
        let sort = json!({ "sort": { "asc": true, "value": 1 } });
        assert_eq!(order(json!([text]), json!([text, sort])), Ordering::Less);
        assert_eq!(order(json!([text]), json!([sort, text])), Ordering::Less);
        assert_eq!(order(json!([text]), json!([sort])), Ordering::Greater);
    }
}
