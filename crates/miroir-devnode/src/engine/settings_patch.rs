//! The settings a client sends, checked as far as that is possible without the index.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use deserr::{Deserr, ValuePointerRef};
use milli_core::update::{Setting, validate_embedding_settings};
use milli_core::vector::settings::EmbeddingSettings;
use milli_core::{Criterion, FilterableAttributesRule};
use serde::Serialize;
use serde_json::{Map, Value};

use super::locales::Locale;
use crate::error::{ApiError, Result};
use crate::refused::{Refused, bad_value, parse};

/// Every setting; one that is not set is left as it is.
#[derive(Debug, Default, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct SettingsPatch {
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub displayed_attributes: Setting<Vec<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub searchable_attributes: Setting<Vec<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub filterable_attributes: Setting<Vec<FilterableAttributesRule>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub sortable_attributes: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub foreign_keys: Setting<Vec<Value>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub ranking_rules: Setting<Vec<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub stop_words: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub non_separator_tokens: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub separator_tokens: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub dictionary: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub synonyms: Setting<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub distinct_attribute: Setting<String>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub proximity_precision: Setting<Precision>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub typo_tolerance: Setting<TypoTolerance>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub faceting: Setting<Faceting>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub pagination: Setting<Pagination>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub embedders: Setting<BTreeMap<String, Setting<EmbeddingSettings>>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub search_cutoff_ms: Setting<u64>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub localized_attributes: Setting<Vec<LocalizedRule>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub facet_search: Setting<bool>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub prefix_search: Setting<Prefixes>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub chat: Setting<BTreeMap<String, Value>>,
}

/// How exactly distances between words are kept.
#[derive(Debug, Clone, Copy, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Precision {
    ByWord,
    ByAttribute,
}

/// Whether prefixes of words are found.
#[derive(Debug, Clone, Copy, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum Prefixes {
    IndexingTime,
    Disabled,
}

/// The order of facet values.
#[derive(Debug, Clone, Copy, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase)]
pub enum FacetOrder {
    Alpha,
    Count,
}

/// The `typoTolerance` object.
#[derive(Debug, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct TypoTolerance {
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub enabled: Setting<bool>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub min_word_size_for_typos: Setting<WordSizes>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub disable_on_words: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub disable_on_attributes: Setting<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub disable_on_numbers: Setting<bool>,
}

/// From how many characters on a word may have one typo, or two.
#[derive(Debug, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct WordSizes {
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub one_typo: Setting<u8>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub two_typos: Setting<u8>,
}

/// The `faceting` object.
#[derive(Debug, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Faceting {
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub max_values_per_facet: Setting<usize>,
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub sort_facet_values_by: Setting<BTreeMap<String, FacetOrder>>,
}

/// The `pagination` object.
#[derive(Debug, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Pagination {
    #[serde(skip_serializing_if = "Setting::is_not_set")]
    #[deserr(default)]
    pub max_total_hits: Setting<usize>,
}

/// The languages of some attributes.
#[derive(Debug, Deserr, Serialize)]
#[serde(rename_all = "camelCase")]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct LocalizedRule {
    pub attribute_patterns: Vec<String>,
    pub locales: Vec<Locale>,
}

/// A ranking rule by its name of today, or of the engine's version.
#[derive(Debug, Clone, PartialEq)]
pub enum RankingRule {
    /// One the engine has.
    Engine(Criterion),
    /// One that the engine's `attribute` covers already.
    Covered,
}

impl RankingRule {
    /// The rule of this name; the engine's message when there is none.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "attributeRank" => Ok(Self::Engine(Criterion::Attribute)),
            "wordPosition" => Ok(Self::Covered),
            other => Criterion::from_str(other).map(Self::Engine).map_err(|error| error.to_string()),
        }
    }
}

impl SettingsPatch {
    /// The checked form of what a client sent to `/settings`.
    pub fn parse(sent: Value) -> Result<Self> {
        Self::check(sent).map_err(|refused| match refused {
            Unfit::Value(refused) => coded(refused),
            Unfit::Embedder(error) => error,
        })
    }

    /// The checked form of what a client sent to a sub-route; places in messages count from the value itself.
    pub fn parse_one(key: &str, sent: Value) -> Result<Self> {
        Self::check(Value::Object(Map::from_iter([(key.to_owned(), sent)]))).map_err(
            |refused| match refused {
                Unfit::Value(mut refused) => {
                    refused.message = without_place(&refused.message, key);
                    coded(refused)
                }
                Unfit::Embedder(error) => error,
            },
        )
    }

    /// The keys that are set, with their values in normal form.
    pub fn into_json(self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(patch) => Ok(patch),
            other => Err(ApiError::internal(format!("settings became {other}"))),
        }
    }

    fn check(sent: Value) -> Result<Self, Unfit> {
        let mut patch: Self = parse(sent).map_err(Unfit::Value)?;
        patch.check_ranking_rules().map_err(Unfit::Value)?;
        patch.check_numbers().map_err(Unfit::Value)?;
        if let Setting::Set(embedders) = &mut patch.embedders {
            for (name, embedder) in embedders {
                let given = std::mem::take(embedder);
                *embedder =
                    validate_embedding_settings(given, name).map_err(|e| Unfit::Embedder(e.into()))?;
            }
        }
        Ok(patch)
    }

    fn check_ranking_rules(&self) -> Result<(), Refused> {
        let Setting::Set(rules) = &self.ranking_rules else { return Ok(()) };
        let origin = ValuePointerRef::Origin;
        let list = ValuePointerRef::Key { key: "rankingRules", prev: &origin };
        for (index, rule) in rules.iter().enumerate() {
            let place = ValuePointerRef::Index { index, prev: &list };
            RankingRule::parse(rule).map_err(|message| bad_value(&message, place))?;
        }
        let has = |name: &str| rules.iter().any(|rule| rule == name);
        if has("attribute") && (has("attributeRank") || has("wordPosition")) {
            let message = "`attribute` ranking rule cannot be used together with `attributeRank` or `wordPosition` \
                           ranking rules.";
            return Err(bad_value(message, list));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Refused> {
        let origin = ValuePointerRef::Origin;
        if let Setting::Set(Pagination { max_total_hits: Setting::Set(0) }) = &self.pagination {
            let object = ValuePointerRef::Key { key: "pagination", prev: &origin };
            let place = ValuePointerRef::Key { key: "maxTotalHits", prev: &object };
            return Err(bad_value(
                "a non-zero integer value lower than `18446744073709551615` was expected, but found a zero",
                place,
            ));
        }
        if let Setting::Set(TypoTolerance { min_word_size_for_typos: Setting::Set(sizes), .. }) =
            &self.typo_tolerance
            && let (Setting::Set(one), Setting::Set(two)) = (sizes.one_typo, sizes.two_typos)
            && one > two
        {
            let object = ValuePointerRef::Key { key: "typoTolerance", prev: &origin };
            let place = ValuePointerRef::Key { key: "minWordSizeForTypos", prev: &object };
            let error = milli_core::UserError::InvalidMinTypoWordLenSetting(one, two);
            return Err(bad_value(&error.to_string(), place));
        }
        Ok(())
    }
}

enum Unfit {
    Value(Refused),
    Embedder(ApiError),
}

fn coded(refused: Refused) -> ApiError {
    let from =
        if refused.path.first().is_some_and(|key| key == "chat") { "invalid_settings_chat" } else { "" };
    refused.coded("invalid_settings_").recoded(from, "invalid_settings_index_chat")
}

/// The message as it reads when the value stands alone and not under its key.
fn without_place(message: &str, key: &str) -> String {
    let alone =
        message.replacen(&format!(" at `.{key}`"), "", 1).replacen(&format!(" inside `.{key}`"), "", 1);
    alone.replacen(&format!("`.{key}"), "`", 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_both_engine_versions_are_ranking_rules() {
        assert_eq!(RankingRule::parse("attributeRank"), Ok(RankingRule::Engine(Criterion::Attribute)));
        assert_eq!(RankingRule::parse("wordPosition"), Ok(RankingRule::Covered));
        assert_eq!(
            RankingRule::parse("price:asc"),
            Ok(RankingRule::Engine(Criterion::Asc("price".to_owned())))
        );
        assert!(RankingRule::parse("luck").is_err());
    }

    #[test]
    fn a_bad_rule_is_refused_at_its_place() {
        let error = SettingsPatch::parse(json!({ "rankingRules": ["words", "luck"] })).unwrap_err();
        assert_eq!(error.code, "invalid_settings_ranking_rules");
        assert!(
            error.message.starts_with("Invalid value at `.rankingRules[1]`: `luck`"),
            "{}",
            error.message
        );
        let error = SettingsPatch::parse_one("rankingRules", json!(["luck"])).unwrap_err();
        assert!(error.message.starts_with("Invalid value at `[0]`: `luck`"), "{}", error.message);
    }

    #[test]
    fn only_what_is_set_is_kept_and_sets_are_sorted() {
        let patch = SettingsPatch::parse(json!({ "stopWords": ["of", "a", "of"], "synonyms": null }));
        let patch = patch.and_then(SettingsPatch::into_json).map(Value::Object);
        assert_eq!(patch, Ok(json!({ "stopWords": ["a", "of"], "synonyms": null })));
    }

    #[test]
    fn an_unknown_key_is_a_bad_request() {
        assert_eq!(SettingsPatch::parse(json!({ "colour": 1 })).unwrap_err().code, "bad_request");
    }
}
