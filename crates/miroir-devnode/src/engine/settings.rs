//! Settings: what clients set is kept as they wrote it, and translated for the engine, whose version knows fewer names.

use std::collections::BTreeMap;

use milli_core::index::PrefixSearch;
use milli_core::order_by_map::OrderByMap;
use milli_core::proximity::ProximityPrecision;
use milli_core::update::{Setting, Settings};
use milli_core::vector::settings::EmbeddingSettings;
use milli_core::{Index, LocalizedAttributesRule, OrderBy};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Engine;
use super::locales::Locale;
use super::settings_patch::{RankingRule, SettingsPatch};
use crate::error::{ApiError, Result};

/// The settings whose parts are merged one by one instead of being replaced as a whole.
const MERGED: [&str; 3] = ["typoTolerance", "faceting", "pagination"];

/// All settings of an index that nobody changed, in the order they are shown.
pub fn defaults() -> Value {
    json!({
        "displayedAttributes": ["*"],
        "searchableAttributes": ["*"],
        "filterableAttributes": [],
        "sortableAttributes": [],
        "foreignKeys": [],
        "rankingRules": ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"],
        "stopWords": [],
        "nonSeparatorTokens": [],
        "separatorTokens": [],
        "dictionary": [],
        "synonyms": {},
        "distinctAttribute": null,
        "proximityPrecision": "byWord",
        "typoTolerance": {
            "enabled": true,
            "minWordSizeForTypos": { "oneTypo": 5, "twoTypos": 9 },
            "disableOnWords": [],
            "disableOnAttributes": [],
            "disableOnNumbers": false,
        },
        "faceting": { "maxValuesPerFacet": 100, "sortFacetValuesBy": { "*": "alpha" } },
        "pagination": { "maxTotalHits": 1000 },
        "embedders": {},
        "searchCutoffMs": null,
        "localizedAttributes": null,
        "facetSearch": true,
        "prefixSearch": "indexingTime",
        "chat": {},
    })
}

/// What is set after the patch: `null` takes a key away, the three objects are merged, all else is replaced.
/// Embedders are left out, since the engine keeps them.
pub fn merge_patch(current: &Value, patch: &Map<String, Value>) -> Value {
    let mut merged = current.clone();
    for (key, value) in patch {
        match value {
            Value::Null => remove(&mut merged, key),
            Value::Object(parts) if MERGED.contains(&key.as_str()) => merge_parts(&mut merged[key], parts),
            _ if key == "embedders" => {}
            value => merged[key] = value.clone(),
        }
    }
    merged
}

/// Every setting with its value in force; embedders come from the index.
pub fn effective(current: &Value, index: &Index) -> Result<Value> {
    let mut settings = effective_without_embedders(current);
    settings["embedders"] = embedders(index)?;
    Ok(settings)
}

/// Gives the engine what the patch touches, with the values of `merged`.
pub fn apply(engine: &Engine, index: &Index, patch: &Map<String, Value>, merged: &Value) -> Result<()> {
    let mut wtxn = index.write_txn()?;
    let mut builder = Settings::new(&mut wtxn, index, engine.config());
    let settings = effective_without_embedders(merged);
    for key in patch.keys() {
        apply_key(&mut builder, key, &settings)?;
    }
    let typed = SettingsPatch::parse(Value::Object(patch.clone()))?;
    match typed.embedders {
        Setting::Set(embedders) => builder.set_embedder_settings(embedders),
        Setting::Reset => builder.reset_embedder_settings(),
        Setting::NotSet => {}
    }
    builder.execute(|_progress| {}, || false)?;
    wtxn.commit()?;
    Ok(())
}

/// Sets the key by which documents are identified.
pub fn set_primary_key(engine: &Engine, index: &Index, primary_key: &str) -> Result<()> {
    let mut wtxn = index.write_txn()?;
    let mut builder = Settings::new(&mut wtxn, index, engine.config());
    builder.set_primary_key(primary_key.to_owned());
    builder.execute(|_progress| {}, || false)?;
    wtxn.commit()?;
    Ok(())
}

/// Hides all but the first letters of the embedders' keys.
pub fn mask_secrets(embedders: &mut Value) {
    let Value::Object(embedders) = embedders else { return };
    for embedder in embedders.values_mut() {
        let Value::Object(fields) = embedder else { continue };
        if let Some(Value::String(secret)) = fields.get_mut("apiKey") {
            let shown = match secret.len() {
                0..10 => 0,
                10..20 => 2,
                20..30 => 3,
                _ => 5,
            };
            *secret = format!("{}XXX...", secret.chars().take(shown).collect::<String>());
        }
        for part in ["searchEmbedder", "indexingEmbedder"] {
            if let Some(inner) = fields.get_mut(part) {
                let mut wrapped = json!({ part: inner.take() });
                mask_secrets(&mut wrapped);
                *inner = wrapped[part].take();
            }
        }
    }
}

fn effective_without_embedders(current: &Value) -> Value {
    let mut settings = defaults();
    if let Value::Object(current) = current {
        for (key, value) in current {
            match value {
                Value::Object(parts) if MERGED.contains(&key.as_str()) => {
                    merge_parts(&mut settings[key], parts);
                }
                value => settings[key] = value.clone(),
            }
        }
    }
    for list in ["displayedAttributes", "searchableAttributes"] {
        if settings[list].as_array().is_some_and(|names| names.iter().any(|name| name == "*")) {
            settings[list] = json!(["*"]);
        }
    }
    let orders = &mut settings["faceting"]["sortFacetValuesBy"];
    if orders.get("*").is_none() {
        orders["*"] = json!("alpha");
    }
    if let Value::Array(words) = &settings["typoTolerance"]["disableOnWords"] {
        let mut lower: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_lowercase).collect();
        lower.sort_unstable();
        lower.dedup();
        settings["typoTolerance"]["disableOnWords"] = json!(lower);
    }
    settings
}

fn merge_parts(target: &mut Value, parts: &Map<String, Value>) {
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in parts {
        match value {
            Value::Null => remove(target, key),
            Value::Object(inner) if key == "minWordSizeForTypos" => merge_parts(&mut target[key], inner),
            value => target[key] = value.clone(),
        }
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(object) = object {
        object.shift_remove(key);
    }
}

fn embedders(index: &Index) -> Result<Value> {
    let rtxn = index.read_txn()?;
    let mut shown = Map::new();
    for configured in index.embedding_configs(&rtxn)? {
        shown.insert(configured.name, serde_json::to_value(EmbeddingSettings::from(configured.config))?);
    }
    let mut shown = Value::Object(shown);
    mask_secrets(&mut shown);
    Ok(shown)
}

fn apply_key(builder: &mut Settings<'_, '_, '_>, key: &str, settings: &Value) -> Result<()> {
    match key {
        "displayedAttributes" | "searchableAttributes" => apply_fields(builder, key, settings)?,
        "filterableAttributes" => builder.set_filterable_fields(typed(settings, key)?),
        "sortableAttributes" => builder.set_sortable_fields(typed(settings, key)?),
        "rankingRules" => builder.set_criteria(criteria(&typed::<Vec<String>>(settings, key)?)?),
        "stopWords" => builder.set_stop_words(typed(settings, key)?),
        "nonSeparatorTokens" => builder.set_non_separator_tokens(typed(settings, key)?),
        "separatorTokens" => builder.set_separator_tokens(typed(settings, key)?),
        "dictionary" => builder.set_dictionary(typed(settings, key)?),
        "synonyms" => builder.set_synonyms(typed(settings, key)?),
        "distinctAttribute" => match typed::<Option<String>>(settings, key)? {
            Some(field) => builder.set_distinct_field(field),
            None => builder.reset_distinct_field(),
        },
        "proximityPrecision" => builder.set_proximity_precision(typed::<ProximityPrecision>(settings, key)?),
        "typoTolerance" => apply_typo_tolerance(builder, &settings[key])?,
        "faceting" => {
            builder.set_max_values_per_facet(typed(&settings[key], "maxValuesPerFacet")?);
            builder.set_sort_facet_values_by(facet_orders(&settings[key]["sortFacetValuesBy"])?);
        }
        "pagination" => builder.set_pagination_max_total_hits(typed(&settings[key], "maxTotalHits")?),
        "searchCutoffMs" => match typed::<Option<u64>>(settings, key)? {
            Some(milliseconds) => builder.set_search_cutoff(milliseconds),
            None => builder.reset_search_cutoff(),
        },
        "localizedAttributes" => match &settings[key] {
            Value::Array(rules) => builder.set_localized_attributes_rules(localized_rules(rules)?),
            _ => builder.reset_localized_attributes_rules(),
        },
        "facetSearch" => builder.set_facet_search(typed(settings, key)?),
        "prefixSearch" => builder.set_prefix_search(typed::<PrefixSearch>(settings, key)?),
        // Kept beside the index only: this engine has neither foreign keys nor chat, and embedders go another way.
        _ => {}
    }
    Ok(())
}

fn apply_fields(builder: &mut Settings<'_, '_, '_>, key: &str, settings: &Value) -> Result<()> {
    let names: Vec<String> = typed(settings, key)?;
    let is_everything = names.iter().any(|name| name == "*");
    match (key, is_everything) {
        ("displayedAttributes", true) => builder.reset_displayed_fields(),
        ("displayedAttributes", false) => builder.set_displayed_fields(names),
        (_, true) => builder.reset_searchable_fields(),
        (_, false) => builder.set_searchable_fields(names),
    }
    Ok(())
}

fn apply_typo_tolerance(builder: &mut Settings<'_, '_, '_>, typo: &Value) -> Result<()> {
    builder.set_autorize_typos(typed(typo, "enabled")?);
    builder.set_min_word_len_one_typo(typed(&typo["minWordSizeForTypos"], "oneTypo")?);
    builder.set_min_word_len_two_typos(typed(&typo["minWordSizeForTypos"], "twoTypos")?);
    builder.set_exact_words(typed(typo, "disableOnWords")?);
    builder.set_exact_attributes(typed(typo, "disableOnAttributes")?);
    builder.set_disable_on_numbers(typed(typo, "disableOnNumbers")?);
    Ok(())
}

fn criteria(names: &[String]) -> Result<Vec<milli_core::Criterion>> {
    let mut criteria = Vec::new();
    for name in names {
        let rule = RankingRule::parse(name);
        match rule.map_err(|message| ApiError::new("invalid_settings_ranking_rules", message))? {
            RankingRule::Engine(criterion) => criteria.push(criterion),
            RankingRule::Covered => {}
        }
    }
    Ok(criteria)
}

fn facet_orders(orders: &Value) -> Result<OrderByMap> {
    let orders: BTreeMap<String, String> = serde_json::from_value(orders.clone())?;
    Ok(orders
        .into_iter()
        .map(|(field, order)| (field, if order == "count" { OrderBy::Count } else { OrderBy::Lexicographic }))
        .collect())
}

fn localized_rules(rules: &[Value]) -> Result<Vec<LocalizedAttributesRule>> {
    rules
        .iter()
        .map(|rule| {
            let codes: Vec<String> = typed(rule, "locales")?;
            let languages =
                codes.iter().filter_map(|code| Locale::parse(code)).map(|locale| locale.language());
            Ok(LocalizedAttributesRule::new(typed(rule, "attributePatterns")?, languages.collect()))
        })
        .collect()
}

fn typed<T: DeserializeOwned>(settings: &Value, key: &str) -> Result<T> {
    Ok(serde_json::from_value(settings[key].clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_patch_merges_objects_and_replaces_lists() {
        let first = merge_patch(
            &json!({}),
            &patch(
                &json!({ "typoTolerance": { "minWordSizeForTypos": { "oneTypo": 4 } }, "stopWords": ["a"] }),
            ),
        );
        let second = merge_patch(
            &first,
            &patch(
                &json!({ "typoTolerance": { "enabled": false, "minWordSizeForTypos": { "twoTypos": 11 } },
                            "stopWords": ["b"] }),
            ),
        );
        let settings = effective_without_embedders(&second);
        assert_eq!(settings["typoTolerance"]["minWordSizeForTypos"], json!({ "oneTypo": 4, "twoTypos": 11 }));
        assert_eq!(settings["typoTolerance"]["enabled"], json!(false));
        assert_eq!(settings["stopWords"], json!(["b"]));
    }

    #[test]
    fn null_brings_the_default_back() {
        let changed = merge_patch(
            &json!({}),
            &patch(&json!({ "rankingRules": ["words"], "pagination": { "maxTotalHits": 3 } })),
        );
        let reset = merge_patch(
            &changed,
            &patch(&json!({ "rankingRules": null, "pagination": { "maxTotalHits": null } })),
        );
        assert_eq!(effective_without_embedders(&reset), defaults());
    }

    #[test]
    fn keys_of_embedders_are_hidden() {
        let mut embedders = json!({ "a": { "apiKey": "0123456789abcdef" }, "b": { "apiKey": "short" } });
        mask_secrets(&mut embedders);
        assert_eq!(embedders, json!({ "a": { "apiKey": "01XXX..." }, "b": { "apiKey": "XXX..." } }));
    }
}
