//! Search and facet search in one index.

use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Map, Value, json};

use super::body::RawBody;
use super::params::Params;
use super::{Answer, Shared, checked_uid, run_blocking};
use crate::engine::facets::{self, FacetQuery};
use crate::engine::search::{self, SearchQuery};
use crate::error::{ApiError, Result};
use crate::refused::{Refused, parse};

const PARAMETERS: [&str; 29] = [
    "q",
    "offset",
    "limit",
    "page",
    "hitsPerPage",
    "attributesToRetrieve",
    "attributesToCrop",
    "cropLength",
    "cropMarker",
    "attributesToHighlight",
    "highlightPreTag",
    "highlightPostTag",
    "showMatchesPosition",
    "filter",
    "sort",
    "distinct",
    "facets",
    "matchingStrategy",
    "attributesToSearchOn",
    "rankingScoreThreshold",
    "locales",
    "hybridEmbedder",
    "hybridSemanticRatio",
    "vector",
    "retrieveVectors",
    "personalizeUserContext",
    "useNetwork",
    "showRankingScore",
    "showRankingScoreDetails",
];

pub async fn post(State(node): Shared, path: Path<String>, body: RawBody) -> Result<Answer> {
    let query = parse_query(body.json()?).map_err(|unfit| unfit.0)?;
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (entry, index) = node.index(&uid)?;
        search::run(&index, &entry.uid, &query).map(Answer)
    })
    .await
}

pub async fn get(State(node): Shared, path: Path<String>, uri: Uri) -> Result<Answer> {
    let query = parse_query(query_of_parameters(&uri)?).map_err(|unfit| as_parameter(unfit.0))?;
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (entry, index) = node.index(&uid)?;
        search::run(&index, &entry.uid, &query).map(Answer)
    })
    .await
}

pub async fn facet_search(State(node): Shared, path: Path<String>, body: RawBody) -> Result<Answer> {
    let query: FacetQuery = parse(body.json()?).map_err(|refused| {
        let is_facets_own = refused
            .path
            .first()
            .is_some_and(|key| matches!(key.as_str(), "facetName" | "facetQuery" | "exhaustiveFacetCount"));
        let prefix = if is_facets_own { "invalid_facet_search_" } else { "invalid_search_" };
        refused
            .coded_or_missing(prefix, "facetName", "missing_facet_search_facet_name")
            .recoded("invalid_facet_search_facet_query", "invalid_facet_search_query")
    })?;
    check_threshold(query.ranking_score_threshold)?;
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let (_, index) = node.index(&uid)?;
        facets::search(&index, &query).map(Answer)
    })
    .await
}

/// A search that cannot be run, with its code.
pub struct Unfit(pub ApiError);

impl From<Refused> for Unfit {
    fn from(refused: Refused) -> Self {
        let code = match refused.path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["hybrid", "embedder", ..] => Some("invalid_search_embedder"),
            ["hybrid", "semanticRatio", ..] => Some("invalid_search_semantic_ratio"),
            ["hybrid", ..] => Some("invalid_search_hybrid_query"),
            _ => None,
        };
        Self(match code {
            Some(code) => ApiError::new(code, refused.message),
            None => refused.coded("invalid_search_"),
        })
    }
}

/// The checked form of a search's body.
pub fn parse_query(body: Value) -> Result<SearchQuery, Unfit> {
    let query: SearchQuery = parse(body)?;
    check_threshold(query.ranking_score_threshold).map_err(Unfit)?;
    if query.hybrid.as_ref().is_some_and(|hybrid| !(0.0..=1.0).contains(&hybrid.semantic_ratio)) {
        return Err(Unfit(ApiError::new(
            "invalid_search_semantic_ratio",
            "Invalid value at `.hybrid.semanticRatio`: the value of `semanticRatio` is invalid, expected a float \
             between `0.0` and `1.0`.",
        )));
    }
    Ok(query)
}

fn check_threshold(threshold: Option<f64>) -> Result<()> {
    if threshold.is_none_or(|threshold| (0.0..=1.0).contains(&threshold)) {
        return Ok(());
    }
    Err(ApiError::new(
        "invalid_search_ranking_score_threshold",
        "Invalid value at `.rankingScoreThreshold`: the value of `rankingScoreThreshold` is invalid, expected a float \
         between `0.0` and `1.0`.",
    ))
}

/// The body that means the same as the parameters.
fn query_of_parameters(uri: &Uri) -> Result<Value> {
    let params =
        Params::parse(uri, &[&PARAMETERS[..], &["showPerformanceDetails"]].concat(), "invalid_search_")?;
    let mut body = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    for name in ["q", "cropMarker", "highlightPreTag", "highlightPostTag", "distinct", "matchingStrategy"] {
        add(name, params.text(name).map(Value::from));
    }
    for name in ["offset", "limit", "page", "hitsPerPage", "cropLength"] {
        add(name, params.integer(name)?.map(Value::from));
    }
    for name in [
        "showMatchesPosition",
        "retrieveVectors",
        "useNetwork",
        "showRankingScore",
        "showRankingScoreDetails",
        "showPerformanceDetails",
    ] {
        add(name, params.boolean(name)?.map(Value::from));
    }
    for name in [
        "attributesToRetrieve",
        "attributesToCrop",
        "attributesToHighlight",
        "facets",
        "attributesToSearchOn",
        "locales",
    ] {
        add(name, params.list(name).map(Value::from));
    }
    add("sort", params.list("sort").map(|rules| Value::from(join_geo_points(rules))));
    add("filter", params.json_or_text("filter"));
    add("rankingScoreThreshold", number(&params, "rankingScoreThreshold")?);
    add("hybrid", hybrid(&params)?);
    if let Some(list) = params.list("vector") {
        let numbers: Result<Vec<f32>, _> = list.iter().map(|item| item.parse::<f32>()).collect();
        let numbers = numbers.map_err(|error| params.bad_value("vector", &error.to_string()))?;
        add("vector", Some(json!(numbers)));
    }
    Ok(Value::Object(body))
}

fn number(params: &Params, name: &str) -> Result<Option<Value>> {
    let parse = |text: &str| text.parse::<f64>().map_err(|error| params.bad_value(name, &error.to_string()));
    Ok(params.text(name).map(parse).transpose()?.map(Value::from))
}

fn hybrid(params: &Params) -> Result<Option<Value>> {
    let ratio = number(params, "hybridSemanticRatio")?;
    match (params.text("hybridEmbedder"), ratio) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ApiError::new(
            "invalid_search_hybrid_query",
            "`hybridEmbedder` is mandatory when `hybridSemanticRatio` is present",
        )),
        (Some(embedder), None) => Ok(Some(json!({ "embedder": embedder }))),
        (Some(embedder), Some(ratio)) => Ok(Some(json!({ "embedder": embedder, "semanticRatio": ratio }))),
    }
}

/// A comma separates rules, but also the two numbers of a `_geoPoint`.
fn join_geo_points(parts: Vec<String>) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for part in parts {
        match rules.last_mut() {
            Some(open) if open.starts_with("_geoPoint(") && !open.contains(')') => {
                open.push(',');
                open.push_str(&part);
            }
            _ => rules.push(part),
        }
    }
    rules
}

/// The message as it reads for a parameter instead of a field of a body.
fn as_parameter(mut error: ApiError) -> ApiError {
    let (marker, words) = if error.message.starts_with("Unknown value") {
        (" at `.", " for parameter `")
    } else {
        (" at `.", " in parameter `")
    };
    error.message = error.message.replacen(marker, words, 1);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comma_of_a_geo_point_does_not_end_a_rule() {
        let parts = ["_geoPoint(1", "2):asc", "price:desc"].map(str::to_owned).to_vec();
        assert_eq!(join_geo_points(parts), ["_geoPoint(1,2):asc", "price:desc"]);
    }

    #[test]
    fn parameters_become_the_same_query_as_a_body() {
        let uri: Uri = "/search?q=a&limit=2&facets=x,y&hybridEmbedder=e".parse().expect("a valid address");
        let expected = json!({ "q": "a", "limit": 2, "facets": ["x", "y"], "hybrid": { "embedder": "e" } });
        assert_eq!(query_of_parameters(&uri), Ok(expected));
    }

    #[test]
    fn a_threshold_above_one_is_refused() {
        let error = parse_query(json!({ "rankingScoreThreshold": 1.2 })).map_err(|unfit| unfit.0.code);
        assert_eq!(error.err().as_deref(), Some("invalid_search_ranking_score_threshold"));
    }
}
