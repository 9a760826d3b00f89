//! What `filterableAttributes` allows (Meilisearch 1.50, `filterable_attributes_rules.rs`). A rule is an attribute, with
//! everything below it, or a list of patterns with features. The first rule that matches an attribute decides.

use serde_json::Value;

use super::ClientSettings;
use crate::document::marker;

/// Whether a pattern (`a`, `a*`, `*a`, `*a*`, `*`) is for this name.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some("")) => true,
        (Some(end), Some(_)) => name.contains(end.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(beginning)) => name.starts_with(beginning),
        (None, None) => name == pattern,
    }
}

/// Whether one of two patterns is for the other, read as a name.
fn intersect(a: &str, b: &str) -> bool {
    matches_pattern(a, b) || matches_pattern(b, a)
}

/// Whether `name` is `parent` or a path below it.
pub(crate) fn lies_in(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl ClientSettings {
    /// Whether this attribute may be filtered by, made distinct, or be a facet.
    pub fn is_filterable(&self, attribute: &str) -> bool {
        let rule = self.filterable_rules().iter().find(|rule| match rule {
            Value::String(name) => lies_in(attribute, name),
            rule => patterns(rule).any(|pattern| matches_pattern(pattern, attribute)),
        });
        rule.is_some_and(allows_filters)
    }

    /// Attributes that together hold the values of every attribute that may be filtered by; `*` for all.
    pub(crate) fn filterable_sources(&self) -> Vec<&str> {
        let names = self.filterable_rules().iter().flat_map(|rule| match rule {
            Value::String(name) => vec![name.as_str()],
            rule => patterns(rule).map(source).collect(),
        });
        names.collect()
    }

    /// Whether a facet is a pattern that fits Miroir's marker, and no attribute that the client may filter by.
    pub fn finds_only_marker(&self, facet: &str) -> bool {
        let mut rules = self.filterable_rules().iter().filter(|rule| allows_filters(rule));
        facet.contains('*')
            && intersect(facet, marker::PATTERN)
            && !rules.any(|rule| match rule {
                Value::String(name) => intersect(facet, name) || lies_in(facet, name),
                rule => patterns(rule).any(|pattern| intersect(facet, pattern)),
            })
    }

    fn filterable_rules(&self) -> &[Value] {
        self.get("filterableAttributes").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

fn patterns(rule: &Value) -> impl Iterator<Item = &str> {
    rule["attributePatterns"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn allows_filters(rule: &Value) -> bool {
    let filter = &rule["features"]["filter"];
    rule.is_string()
        || filter["equality"].as_bool().unwrap_or(true)
        || filter["comparison"].as_bool().unwrap_or(false)
}

/// The attribute under which everything lies that a pattern is for.
fn source(pattern: &str) -> &str {
    match pattern.split_once('.') {
        _ if !pattern.contains('*') => pattern,
        Some((root, _)) if !root.contains('*') => root,
        _ => "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(rules: &Value) -> ClientSettings {
        let mut settings = ClientSettings::default();
        let patch = json!({ "filterableAttributes": rules });
        settings.apply(patch.as_object().unwrap());
        settings
    }

    #[test]
    fn a_star_stands_for_any_beginning_or_end() {
        assert!(matches_pattern("*", "color"));
        assert!(matches_pattern("col*", "color") && !matches_pattern("col*", "a_color"));
        assert!(matches_pattern("*or", "color") && !matches_pattern("*or", "colors"));
        assert!(matches_pattern("*lo*", "color") && !matches_pattern("*lo*", "size"));
        assert!(matches_pattern("color", "color") && !matches_pattern("color", "color.dark"));
    }

    #[test]
    fn an_attribute_covers_what_is_below_it_and_a_pattern_only_what_it_matches() {
        let settings = settings(&json!(["info", { "attributePatterns": ["size", "tag_*"] }]));
        assert!(["info", "info.sku", "size", "tag_a"].iter().all(|name| settings.is_filterable(name)));
        assert!(!["information", "size.eu", "title"].iter().any(|name| settings.is_filterable(name)));
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let no_filter = json!({ "filter": { "equality": false, "comparison": false } });
        let rule = json!({ "attributePatterns": ["info.*"], "features": no_filter });
        assert!(!settings(&json!([rule, "info"])).is_filterable("info.sku"));
        assert!(settings(&json!(["info", rule])).is_filterable("info.sku"));
    }

    #[test]
    fn a_facet_that_only_the_marker_fits_is_none_of_the_clients() {
        let none = settings(&json!([]));
        assert!(["*", "_*", "*_shard_*", "*r*"].iter().all(|facet| none.finds_only_marker(facet)));
        assert!(!["a*", "*a", "size"].iter().any(|facet| none.finds_only_marker(facet)));
        let some = settings(&json!(["color", { "attributePatterns": ["_tag_*"] }]));
        assert!(!["*", "_*", "*r*"].iter().any(|facet| some.finds_only_marker(facet)));
        assert!(some.finds_only_marker("_mir*"));
    }

    #[test]
    fn the_values_of_patterns_lie_below_a_common_attribute_or_anywhere() {
        let of = |pattern: &str| {
            settings(&json!([{ "attributePatterns": [pattern] }])).filterable_sources().join("")
        };
        assert_eq!((of("size").as_str(), of("info.*").as_str(), of("tag_*").as_str()), ("size", "info", "*"));
    }
}
