//! Facets: how many found documents have which value, and the search among values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use deserr::Deserr;
use milli_core::heed::RoTxn;
use milli_core::score_details::ScoringStrategy;
use milli_core::{
    DEFAULT_VALUES_PER_FACET, FilterableAttributesRule, Index, PatternMatch, SearchForFacetValues,
};
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use super::locales::Locale;
use super::search::{Hybrid, MatchingStrategy, elapsed_ms, time_budget};
use super::{embedders, read};
use crate::error::{ApiError, Result};

/// The two facet parts of an answer.
pub struct Facets {
    pub distribution: Value,
    pub stats: Value,
}

/// The body of a facet search; fields it does not know are ignored.
#[derive(Debug, Clone, Deserr)]
#[deserr(rename_all = camelCase)]
#[expect(clippy::struct_field_names, reason = "the names clients use")]
pub struct FacetQuery {
    pub facet_name: String,
    #[deserr(default)]
    pub facet_query: Option<String>,
    #[deserr(default)]
    pub q: Option<String>,
    #[deserr(default)]
    pub vector: Option<Vec<f32>>,
    #[deserr(default)]
    pub hybrid: Option<Hybrid>,
    #[deserr(default)]
    pub filter: Option<Value>,
    #[deserr(default)]
    pub matching_strategy: MatchingStrategy,
    #[deserr(default)]
    pub attributes_to_search_on: Option<Vec<String>>,
    #[deserr(default)]
    pub ranking_score_threshold: Option<f64>,
    #[deserr(default)]
    pub locales: Option<Vec<Locale>>,
    #[deserr(default)]
    pub exhaustive_facet_count: Option<bool>,
}

/// The values of the named facets among the candidates; names may be patterns.
pub fn distribution(
    index: &Index,
    rtxn: &RoTxn<'_>,
    names: &[String],
    candidates: RoaringBitmap,
) -> Result<Facets> {
    let rules = index.filterable_attributes_rules(rtxn)?;
    for name in names {
        check_facet(name, &rules)?;
    }
    let fields = index.fields_ids_map(rtxn)?;
    let orders = index.sort_facet_values_by(rtxn)?;
    let chosen: Vec<_> = fields
        .iter()
        .map(|(_, field)| field)
        .filter(|field| names.iter().any(|name| matches_facet(name, field)) && is_filterable(field, &rules))
        .map(|field| (field.to_owned(), orders.get(field)))
        .collect();
    let max_values = index.max_values_per_facet(rtxn)?;
    let max_values =
        max_values.map_or(DEFAULT_VALUES_PER_FACET, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let wanted: BTreeSet<String> = chosen.iter().map(|(field, _)| field.clone()).collect();
    let mut facets = index.facets_distribution(rtxn);
    facets
        .max_values_per_facet(max_values)
        .candidates(candidates)
        .default_order_by(orders.get("*"))
        .facets(chosen);
    // The engine adds nested fields of a chosen one.
    let stats: BTreeMap<String, Value> = facets
        .compute_stats()?
        .into_iter()
        .filter(|(field, _)| wanted.contains(field))
        .map(|(field, (min, max))| (field, json!({ "min": min, "max": max })))
        .collect();
    let mut distribution = facets.execute()?;
    distribution.retain(|field, _| wanted.contains(field));
    Ok(Facets { distribution: serde_json::to_value(distribution)?, stats: serde_json::to_value(stats)? })
}

/// The answer of `/facet-search`.
pub fn search(index: &Index, query: &FacetQuery) -> Result<Value> {
    let started = Instant::now();
    let rtxn = index.read_txn()?;
    if !index.facet_search(&rtxn)? {
        return Err(ApiError::new("facet_search_disabled", "The facet search is disabled for this index"));
    }
    let filter = query.filter.as_ref().map(read::parse_filter).transpose()?.flatten();
    let mut search = index.search(&rtxn);
    search.terms_matching_strategy(query.matching_strategy.into()).time_budget(time_budget(index, &rtxn)?);
    search.exhaustive_number_hits(query.exhaustive_facet_count.unwrap_or(false));
    if let Some(filter) = filter {
        search.filter(filter);
    }
    if let Some(q) = &query.q {
        search.query(q);
    }
    if let Some(attributes) = &query.attributes_to_search_on {
        search.searchable_attributes(attributes);
    }
    if let Some(threshold) = query.ranking_score_threshold {
        search.ranking_score_threshold(threshold).scoring_strategy(ScoringStrategy::Detailed);
    }
    if let Some(hybrid) = &query.hybrid {
        let ready = embedders::find(index, &rtxn, &hybrid.embedder)?;
        search.semantic(ready.name, ready.embedder, ready.is_quantized, query.vector.clone());
    }
    let locales =
        query.locales.as_ref().map(|locales| locales.iter().map(Locale::language).collect::<Vec<_>>());
    if let Some(locales) = &locales {
        search.locales(locales.clone());
    }
    let mut facets = SearchForFacetValues::new(query.facet_name.clone(), search, query.hybrid.is_some());
    if let Some(text) = &query.facet_query {
        facets.query(text);
    }
    if let Some(max) = index.max_values_per_facet(&rtxn)? {
        facets.max_values(usize::try_from(max).unwrap_or(usize::MAX));
    }
    if let Some(locales) = locales {
        facets.locales(locales);
    }
    let hits = facets.execute()?;
    let hits: Vec<Value> =
        hits.into_iter().map(|hit| json!({ "value": hit.value, "count": hit.count })).collect();
    Ok(json!({ "facetHits": hits, "facetQuery": query.facet_query, "processingTimeMs": elapsed_ms(started) }))
}

/// Refuses a name that no filterable rule can give values to.
fn check_facet(name: &str, rules: &[FilterableAttributesRule]) -> Result<()> {
    for (number, rule) in rules.iter().enumerate() {
        if rule.features().is_filterable() {
            if rule_patterns(rule).iter().any(|pattern| patterns_meet(pattern, name)) {
                return Ok(());
            }
        } else if rule.match_str(name) == PatternMatch::Match {
            return Err(ApiError::new(
                "invalid_search_facets",
                format!(
                    "Invalid facet distribution: Attribute `{name}` matched rule #{number} in filterableAttributes, \
                     but this rule does not enable filtering.\nHint: enable filtering in rule #{number} by modifying \
                     the features.filter object\nHint: prepend another rule matching `{name}` with appropriate \
                     filter features before rule #{number}"
                ),
            ));
        }
    }
    let filterable: Vec<&str> =
        rules.iter().filter(|rule| rule.features().is_filterable()).flat_map(rule_patterns).collect();
    let known = if filterable.is_empty() {
        "This index does not have configured filterable attributes.".to_owned()
    } else {
        let mut sorted = filterable;
        sorted.sort_unstable();
        sorted.dedup();
        format!("Available filterable attributes patterns are: `{}`.", sorted.join(", "))
    };
    Err(ApiError::new(
        "invalid_search_facets",
        format!("Invalid facet distribution: Pattern `{name}` is not filterable. {known}"),
    ))
}

fn rule_patterns(rule: &FilterableAttributesRule) -> Vec<&str> {
    match rule {
        FilterableAttributesRule::Field(field) => vec![field],
        FilterableAttributesRule::Pattern(patterns) => {
            patterns.attribute_patterns.patterns.iter().map(String::as_str).collect()
        }
    }
}

/// Whether the first rule for the field lets it be filtered.
fn is_filterable(field: &str, rules: &[FilterableAttributesRule]) -> bool {
    let first = rules.iter().find(|rule| rule.match_str(field) == PatternMatch::Match);
    first.is_some_and(|rule| rule.features().is_filterable())
}

/// Whether some field could fit both patterns.
fn patterns_meet(rule: &str, wanted: &str) -> bool {
    matches_facet(wanted, rule.trim_matches('*'))
        || matches_facet(rule, wanted.trim_matches('*'))
        || wanted.strip_prefix(rule).is_some_and(|rest| rest.starts_with('.'))
        || (rule.contains('*') && wanted.contains('*') && rule_ends_agree(rule, wanted))
}

/// `a*` and `*b` always have a field in common; two prefixes or two suffixes only if one continues the other.
fn rule_ends_agree(left: &str, right: &str) -> bool {
    let bare = |pattern: &str| pattern.trim_matches('*').to_owned();
    let (left_bare, right_bare) = (bare(left), bare(right));
    match (left.starts_with('*'), right.starts_with('*'), left.ends_with('*'), right.ends_with('*')) {
        (false, false, _, _) => left_bare.starts_with(&right_bare) || right_bare.starts_with(&left_bare),
        (_, _, false, false) => left_bare.ends_with(&right_bare) || right_bare.ends_with(&left_bare),
        _ => true,
    }
}

/// `a`, `a*`, `*a`, `*a*` or `*` against a field name.
fn matches_facet(pattern: &str, field: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(rest), Some(_)) => field.contains(rest.trim_end_matches('*')),
        (Some(suffix), None) => field.ends_with(suffix),
        (None, Some(prefix)) => field.starts_with(prefix),
        (None, None) => field == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facet_names_may_be_patterns() {
        assert!(matches_facet("*", "a") && matches_facet("a*", "ab") && matches_facet("*b", "ab"));
        assert!(matches_facet("*b*", "abc") && matches_facet("a", "a"));
        assert!(!matches_facet("a", "ab") && !matches_facet("b*", "ab"));
    }

    #[test]
    fn patterns_meet_when_a_field_can_fit_both() {
        assert!(patterns_meet("brand", "br*") && patterns_meet("_miroir_*", "*"));
        assert!(patterns_meet("a*", "*b") && patterns_meet("size", "size.w"));
        assert!(!patterns_meet("brand", "author") && !patterns_meet("a*", "b*"));
    }
}
