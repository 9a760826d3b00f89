//! Generated requests of several searches: apart, and merged into one list.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::queries::{self, SearchRequest};
use super::settings::Shape;

/// One `POST /multi-search`. The indexes are named by whether they are the second one.
#[derive(Debug, Clone, PartialEq)]
pub struct SeveralSearches {
    /// The searches, each with whether it asks the second index.
    pub queries: Vec<(bool, SearchRequest)>,
    /// `federation`, but for the facets.
    pub federation: Option<Map<String, Value>>,
    /// The facets of both indexes.
    pub facets: Option<Value>,
    /// Weights of the queries.
    weights: Vec<f64>,
}

/// Of a world's searches one in so many is followed by a request of several.
const ONE_IN: usize = 4;

/// The requests of a world that has `count` searches.
pub fn generate(dice: &mut Dice, shape: &Shape, count: usize) -> Vec<SeveralSearches> {
    (0..count / ONE_IN)
        .map(|_| if dice.chance(30) { apart(dice, shape) } else { merged(dice, shape) })
        .collect()
}

fn apart(dice: &mut Dice, shape: &Shape) -> SeveralSearches {
    let queries = (0..dice.between(1, 4))
        .map(|_| {
            let query = queries::query(dice, shape);
            (false, SearchRequest::post(query.body))
        })
        .collect();
    SeveralSearches { queries, federation: None, facets: None, weights: Vec::new() }
}

fn merged(dice: &mut Dice, shape: &Shape) -> SeveralSearches {
    let mut federation = Map::new();
    let in_pages = dice.chance(40);
    if in_pages {
        federation.insert("hitsPerPage".to_owned(), json!(dice.between(0, 15)));
        federation.insert("page".to_owned(), json!(dice.between(1, 4)));
    } else if dice.chance(70) {
        federation.insert("limit".to_owned(), json!(dice.between(0, 30)));
        federation.insert("offset".to_owned(), json!(dice.between(0, 40)));
    }
    let attribute = *dice.pick(&["brand", "label"]);
    let distinct = shape.filterable.iter().any(|field| field.path == attribute) && dice.chance(10);
    if distinct {
        federation.insert("distinct".to_owned(), json!(attribute));
    }
    let facets = dice.chance(30).then(|| queries::facets(dice, shape));
    if facets.is_some() && dice.chance(40) {
        let cap = if dice.chance(50) { json!(dice.between(1, 8)) } else { Value::Null };
        federation.insert("mergeFacets".to_owned(), json!({ "maxValuesPerFacet": cap }));
    }
    // Rules must compare place by place: mostly, all queries sort alike.
    let sort = queries::query(dice, shape).body.get("sort").cloned();
    let words = dice.chance(85);
    let queries: Vec<(bool, SearchRequest)> = (0..dice.between(1, 4))
        .map(|_| (dice.chance(40), federated_query(dice, shape, (in_pages, distinct, words), sort.as_ref())))
        .collect();
    let weights = queries.iter().map(|_| *dice.pick(&[1.0, 1.0, 1.0, 0.5, 2.0, 0.9])).collect();
    SeveralSearches { queries, federation: Some(federation), facets, weights }
}

fn federated_query(
    dice: &mut Dice,
    shape: &Shape,
    (in_pages, distinct, words): (bool, bool, bool),
    sort: Option<&Value>,
) -> SearchRequest {
    let mut body = queries::query(dice, shape).body;
    for name in ["page", "hitsPerPage", "offset", "limit", "facets"] {
        body.remove(name);
    }
    if !in_pages {
        body.remove("rankingScoreThreshold");
    }
    if distinct {
        body.remove("distinct");
    }
    if dice.chance(90) {
        body.remove("sort");
        body.extend(sort.map(|sort| ("sort".to_owned(), sort.clone())));
    }
    if !words {
        body.insert("q".to_owned(), json!(""));
    } else if body.get("q").is_none_or(|q| q == "") && dice.chance(70) {
        body.insert("q".to_owned(), json!("house"));
    }
    SearchRequest::post(body)
}

impl SeveralSearches {
    /// The body of the request, for an index and its second.
    pub fn body(&self, index: &str, second: &str) -> Value {
        let name = |is_second: bool| if is_second { second } else { index };
        let queries: Vec<Value> = self
            .queries
            .iter()
            .enumerate()
            .map(|(at, (is_second, query))| {
                let mut query = query.body.clone();
                query.insert("indexUid".to_owned(), json!(name(*is_second)));
                if let Some(weight) = self.weights.get(at) {
                    query.insert("federationOptions".to_owned(), json!({ "weight": weight }));
                }
                Value::Object(query)
            })
            .collect();
        let Some(federation) = &self.federation else { return json!({ "queries": queries }) };
        let mut federation = federation.clone();
        if let Some(facets) = &self.facets {
            federation.insert("facetsByIndex".to_owned(), json!({ index: facets, second: facets }));
        }
        json!({ "federation": federation, "queries": queries })
    }

    /// The same request for the first hits of the list, as many as there are, with all that ranks them.
    pub fn whole_body(&self, index: &str, second: &str) -> Value {
        let mut body = self.body(index, second);
        for query in body["queries"].as_array_mut().into_iter().flatten() {
            query["showRankingScoreDetails"] = json!(true);
        }
        if let Some(federation) = body["federation"].as_object_mut() {
            let in_pages = federation.contains_key("hitsPerPage");
            for name in ["page", "hitsPerPage", "offset", "limit"] {
                federation.remove(name);
            }
            let name = if in_pages { "hitsPerPage" } else { "limit" };
            federation.insert(name.to_owned(), json!(super::ranking::WHOLE_LIST));
        }
        body
    }

    /// Whether some hits stand for others with the same value.
    pub fn is_distinct(&self, shape: &Shape) -> bool {
        shape.distinct.is_some()
            || self.federation.as_ref().is_some_and(|federation| federation.contains_key("distinct"))
            || self.queries.iter().any(|(_, query)| query.body.contains_key("distinct"))
    }

    /// Whether totals are exact.
    pub fn in_pages(&self) -> bool {
        self.federation.as_ref().is_some_and(|federation| federation.contains_key("hitsPerPage"))
    }

    /// Whether the facets of both indexes become one list.
    pub fn merges_facets(&self) -> bool {
        self.federation.as_ref().is_some_and(|federation| federation.contains_key("mergeFacets"))
    }

    /// Whether a ranking score threshold is in force.
    pub fn has_threshold(&self) -> bool {
        self.queries.iter().any(|(_, query)| query.body.contains_key("rankingScoreThreshold"))
    }
}
