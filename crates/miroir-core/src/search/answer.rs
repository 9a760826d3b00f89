//! Whether what a node sent is an answer to what it was asked. What is merged is believed, so an answer without its list,
//! or with scores that can't be compared, must never get that far.

use serde_json::{Map, Value};

use super::{PartPlan, Route};

/// Whether an answer has everything that the merge reads of it, in the form in which a server of Meilisearch writes it.
pub fn is_answer(part: &PartPlan, answer: &Map<String, Value>) -> bool {
    match part.route {
        Route::FacetSearch => is_list(answer, "facetHits", is_facet_hit),
        Route::Search | Route::Similar => {
            let scored = part.body.get("showRankingScoreDetails") == Some(&Value::Bool(true));
            is_list(answer, "hits", |hit| is_hit(hit, scored))
                && TOTALS.iter().any(|total| answer.get(*total).is_some_and(Value::is_u64))
                && answer.get("facetDistribution").is_none_or(is_distribution)
        }
    }
}

/// How many hits there are, by the kind of window that was asked for.
const TOTALS: [&str; 2] = ["estimatedTotalHits", "totalHits"];

fn is_list(answer: &Map<String, Value>, name: &str, is_item: impl Fn(&Value) -> bool) -> bool {
    answer.get(name).and_then(Value::as_array).is_some_and(|items| items.iter().all(is_item))
}

fn is_hit(hit: &Value, scored: bool) -> bool {
    hit.is_object() && (!scored || hit["_rankingScoreDetails"].is_object())
}

fn is_facet_hit(hit: &Value) -> bool {
    hit["value"].is_string() && hit["count"].is_u64()
}

fn is_distribution(facets: &Value) -> bool {
    let is_facet =
        |values: &Value| values.as_object().is_some_and(|values| values.values().all(Value::is_u64));
    facets.as_object().is_some_and(|facets| facets.values().all(is_facet))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cover::{CoverPart, CoverReason};
    use crate::ids::NodeId;

    fn part(route: Route, body: &Value) -> PartPlan {
        let because = CoverReason::WholeGroup;
        let cover = CoverPart { node: NodeId::new("a"), shards: Vec::new(), holds_exactly: true, because };
        PartPlan { cover, route, body: body.as_object().cloned().unwrap() }
    }

    fn judge(part: &PartPlan, answer: &Value) -> bool {
        is_answer(part, answer.as_object().unwrap())
    }

    #[test]
    fn an_answer_without_what_is_merged_is_none() {
        let plain = part(Route::Search, &json!({ "q": "a" }));
        let good = json!({ "hits": [{ "id": 1 }], "estimatedTotalHits": 1 });
        assert!(judge(&plain, &good));
        for bad in [
            json!({}),
            json!({ "hits": {}, "estimatedTotalHits": 1 }),
            json!({ "hits": [1], "estimatedTotalHits": 1 }),
            json!({ "hits": [] }),
            json!({ "hits": [], "estimatedTotalHits": -1 }),
            json!({ "hits": [], "totalHits": 0, "facetDistribution": { "a": { "b": "c" } } }),
            json!({ "hits": [], "totalHits": 0, "facetDistribution": null }),
        ] {
            assert!(!judge(&plain, &bad), "{bad}");
        }
    }

    #[test]
    fn scores_that_were_asked_for_must_be_there() {
        let scored = part(Route::Search, &json!({ "showRankingScoreDetails": true }));
        let hit = |details: Value| json!({ "hits": [{ "id": 1, "_rankingScoreDetails": details }], "totalHits": 1 });
        assert!(judge(&scored, &hit(json!({}))));
        assert!(!judge(&scored, &hit(json!(null))));
        assert!(!judge(&scored, &json!({ "hits": [{ "id": 1 }], "totalHits": 1 })));
    }

    #[test]
    fn values_of_a_facet_are_texts_with_counts() {
        let facets = part(Route::FacetSearch, &json!({}));
        assert!(judge(&facets, &json!({ "facetHits": [{ "value": "a", "count": 1 }] })));
        for bad in
            [json!({}), json!({ "facetHits": [{ "value": 1, "count": 1 }] }), json!({ "facetHits": ["a"] })]
        {
            assert!(!judge(&facets, &bad), "{bad}");
        }
    }
}
