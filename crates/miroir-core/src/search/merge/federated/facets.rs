//! The facets of several indexes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::IndexMerge;
use crate::error::{ErrorCode, ResponseError};
use crate::ids::IndexUid;
use crate::search::merge::facets::Facets;
use crate::search::{Fault, IndexPlan, MergeFacets};

/// Refuses to merge a facet whose values one index orders by name and another by count.
pub(super) fn check_orders(indexes: &[IndexMerge<'_>]) -> Result<(), Fault> {
    let mut orders: BTreeMap<&str, (&IndexUid, &str)> = BTreeMap::new();
    for index in indexes.iter().filter(|index| index.plan.shows_facets) {
        for facet in index.facet_names() {
            let ours = order(index.plan, facet);
            let (uid, theirs) = *orders.entry(facet).or_insert((&index.plan.uid, ours));
            if theirs != ours {
                let current = &index.plan.uid;
                let message = format!(
                    "Inside `.federation.facetsByIndex.{current}`: Inconsistent order for values in facet `{facet}`: \
                     index `{uid}` orders {theirs}, but index `{current}` orders {ours}.\n - Hint: Remove \
                     `federation.mergeFacets` or change `faceting.sortFacetValuesBy` to be consistent in settings."
                );
                return Err(Fault::Query {
                    ordinal: index.plan.queries[0].ordinal,
                    position: index.plan.queries[0].position,
                    index: current.clone(),
                    error: ResponseError::new(ErrorCode::InvalidMultiSearchFacetOrder, message),
                });
            }
        }
    }
    Ok(())
}

fn order(plan: &IndexPlan, facet: &str) -> &'static str {
    if plan.facets.facet_order.is_by_count(facet) { "by count" } else { "alphabetically" }
}

/// One list for each facet. Meilisearch adds what each index would show, and orders names byte by byte.
pub(super) fn merge_all(merge: MergeFacets, indexes: Vec<(&IndexPlan, Facets)>) -> Map<String, Value> {
    if indexes.is_empty() {
        return Map::new();
    }
    let mut merged = Facets::default();
    let mut by_count: Vec<String> = Vec::new();
    for (plan, facets) in indexes {
        for (facet, values) in facets.distribution {
            if plan.facets.facet_order.is_by_count(&facet) {
                by_count.push(facet.clone());
            }
            add_counts(merged.distribution.entry(facet).or_insert_with(|| json!({})), values);
        }
        for (facet, range) in facets.stats {
            widen(merged.stats.entry(facet).or_insert_with(|| range.clone()), &range);
        }
    }
    merged.distribution.sort_keys();
    merged.stats.sort_keys();
    for (facet, values) in &mut merged.distribution {
        if let Value::Object(values) = values {
            arrange(values, by_count.contains(facet), merge.max_values_per_facet);
        }
    }
    Map::from_iter([
        ("facetDistribution".to_owned(), Value::Object(merged.distribution)),
        ("facetStats".to_owned(), Value::Object(merged.stats)),
    ])
}

/// When a query names a server, Meilisearch orders each index's values as it orders merged ones.
pub(super) fn order_for_remotes(plan: &IndexPlan, facets: &mut Facets) {
    for (facet, values) in &mut facets.distribution {
        if let Value::Object(values) = values {
            arrange(values, plan.facets.facet_order.is_by_count(facet), None);
        }
    }
}

fn add_counts(sum: &mut Value, values: Value) {
    let (Value::Object(sum), Value::Object(values)) = (sum, values) else { return };
    for (value, count) in values {
        let total = sum.get(&value).and_then(Value::as_u64).unwrap_or(0) + count.as_u64().unwrap_or(0);
        sum.insert(value, json!(total));
    }
}

fn widen(range: &mut Value, other: &Value) {
    let bound = |range: &Value, key: &str| range[key].as_f64().unwrap_or(0.0);
    let (min, max) =
        (bound(range, "min").min(bound(other, "min")), bound(range, "max").max(bound(other, "max")));
    *range = json!({ "min": min, "max": max });
}

fn arrange(values: &mut Map<String, Value>, by_count: bool, cap: Option<usize>) {
    let mut list: Vec<(String, Value)> = std::mem::take(values).into_iter().collect();
    if by_count {
        list.sort_by_key(|(_, count)| std::cmp::Reverse(count.as_u64()));
    } else {
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    *values = list.into_iter().take(cap.unwrap_or(usize::MAX)).collect();
}
