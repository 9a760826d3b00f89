//! `POST /multi-search` as far as Miroir must understand it. Whatever is not of the form that Meilisearch accepts is
//! [`NotUnderstood`]: a node says what is wrong with it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::document::paths::PathsMet;
use crate::ids::IndexUid;
use crate::search::request::{count, flag, not_null, parse_window, present, string};
use crate::search::{NotUnderstood, Window};

/// The longest uid that Meilisearch accepts, in bytes.
const MAX_UID_BYTES: usize = 400;

/// Several searches in one request.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiRequest {
    /// The searches, in the client's order; their place is their name in errors and answers.
    pub queries: Vec<SubQuery>,
    /// How their hits become one list; `None` for searches that have nothing to do with each other.
    pub federation: Option<Federation>,
}

/// One of several searches.
#[derive(Debug, Clone, PartialEq)]
pub struct SubQuery {
    /// The index, by the client's name.
    pub index: IndexUid,
    /// The search body, without the index and the options.
    pub body: Map<String, Value>,
    /// What only concerns a federated search.
    pub options: Option<FederationOptions>,
    /// What nodes say of the paths that the query names.
    pub paths: PathsMet,
    /// The same as the client wrote it.
    written_options: Option<Value>,
}

/// `federationOptions` of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct FederationOptions {
    /// What the scores of the query's hits are multiplied with.
    pub weight: f64,
    /// The server of a network that is to answer.
    pub remote: Option<String>,
    /// The place that hits and errors name instead of the query's own.
    pub query_position: Option<usize>,
}

/// `federation`: one list of hits out of all queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Federation {
    /// Which hits of the merged list.
    pub window: Window,
    /// The facets of each index; `None` where the client wrote `null`.
    pub facets: BTreeMap<IndexUid, Option<Vec<String>>>,
    /// Whether the facets of all indexes become one list, and how long it may be.
    pub merge_facets: Option<MergeFacets>,
    /// The attribute of which only one hit per value is kept, over all queries.
    pub distinct: Option<String>,
    /// Whether the answer says what took how long.
    pub show_performance_details: bool,
    /// The whole object as the client wrote it.
    pub written: Map<String, Value>,
}

/// `federation.mergeFacets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MergeFacets {
    /// The longest list of values; `None` for the indexes' own bounds.
    pub max_values_per_facet: Option<usize>,
}

impl MultiRequest {
    /// Reads a body. `Err` for whatever Meilisearch would refuse by its form, as far as it is looked at here.
    pub fn parse(body: &Value) -> Result<Self, NotUnderstood> {
        let body = body.as_object().ok_or(NotUnderstood("the body"))?;
        if body.keys().any(|key| key != "queries" && key != "federation") {
            return Err(NotUnderstood("the body"));
        }
        let queries = body.get("queries").and_then(Value::as_array).ok_or(NotUnderstood("queries"))?;
        let federation = match present(body, "federation") {
            Some(Value::Object(federation)) => Some(Federation::parse(federation)?),
            Some(_) => return Err(NotUnderstood("federation")),
            None => None,
        };
        Ok(Self { queries: queries.iter().map(SubQuery::parse).collect::<Result<_, _>>()?, federation })
    }

    /// The request as the client wrote it, every index under the name that `rename` gives it.
    pub fn written(&self, rename: impl Fn(&IndexUid) -> String) -> Value {
        let queries: Vec<Value> =
            self.queries.iter().map(|query| query.written(&rename(&query.index))).collect();
        let mut body = Map::from_iter([("queries".to_owned(), Value::Array(queries))]);
        if let Some(federation) = &self.federation {
            body.insert("federation".to_owned(), federation.written_with(rename));
        }
        Value::Object(body)
    }
}

impl SubQuery {
    fn parse(query: &Value) -> Result<Self, NotUnderstood> {
        let mut body = query.as_object().cloned().ok_or(NotUnderstood("queries"))?;
        let Some(Value::String(uid)) = body.shift_remove("indexUid") else {
            return Err(NotUnderstood("indexUid"));
        };
        let written_options = body.shift_remove("federationOptions").filter(|options| !options.is_null());
        let options = written_options.as_ref().map(FederationOptions::parse).transpose()?;
        Ok(Self { index: parse_uid(&uid)?, body, options, paths: PathsMet::default(), written_options })
    }

    /// The query as the client wrote it, for the index of this name.
    pub fn written(&self, index: &str) -> Value {
        let mut query = Map::from_iter([("indexUid".to_owned(), json!(index))]);
        query.extend(self.body.clone());
        query.extend(self.written_options.clone().map(|options| ("federationOptions".to_owned(), options)));
        Value::Object(query)
    }

    /// The same query without what needs a network: the server and the place in the list.
    #[must_use]
    pub fn without_network(&self) -> Self {
        let mut query = self.clone();
        query.body.shift_remove("useNetwork");
        if let Some(Value::Object(options)) = &mut query.written_options {
            options.shift_remove("remote");
            options.shift_remove("queryPosition");
        }
        query
    }

    /// Has the server of this name asked.
    pub fn ask(&mut self, server: &str) {
        self.options_mut().remote = Some(server.to_owned());
        self.write_option("remote", json!(server));
    }

    /// Lets hits and errors name this place, unless the client named one.
    pub fn stand_at(&mut self, position: usize) {
        let position = *self.options_mut().query_position.get_or_insert(position);
        self.write_option("queryPosition", json!(position));
    }

    fn options_mut(&mut self) -> &mut FederationOptions {
        const PLAIN: FederationOptions =
            FederationOptions { weight: 1.0, remote: None, query_position: None };
        self.options.get_or_insert(PLAIN)
    }

    fn write_option(&mut self, name: &str, value: Value) {
        self.written_options.get_or_insert_with(|| json!({}))[name] = value;
    }

    /// What the scores of the query's hits are multiplied with.
    pub fn weight(&self) -> f64 {
        self.options.as_ref().map_or(1.0, |options| options.weight)
    }
}

impl FederationOptions {
    fn parse(options: &Value) -> Result<Self, NotUnderstood> {
        const NAMES: [&str; 3] = ["weight", "remote", "queryPosition"];
        let refuse = NotUnderstood("federationOptions");
        let options = options.as_object().ok_or(refuse)?;
        if options.keys().any(|name| !NAMES.contains(&name.as_str())) {
            return Err(refuse);
        }
        let weight = match options.get("weight") {
            None => 1.0,
            Some(weight) => weight.as_f64().filter(|weight| *weight >= 0.0).ok_or(NotUnderstood("weight"))?,
        };
        let query_position = count(options, "queryPosition")?;
        Ok(Self { weight, remote: string(options, "remote")?, query_position })
    }
}

impl Federation {
    fn parse(federation: &Map<String, Value>) -> Result<Self, NotUnderstood> {
        not_null(federation, &["facetsByIndex", "showPerformanceDetails"])?;
        Ok(Self {
            window: parse_window(federation)?,
            facets: parse_facets(federation)?,
            merge_facets: parse_merge_facets(federation)?,
            distinct: string(federation, "distinct")?,
            show_performance_details: flag(federation, "showPerformanceDetails")?,
            written: federation.clone(),
        })
    }

    /// The object as the client wrote it, every index under the name that `rename` gives it.
    fn written_with(&self, rename: impl Fn(&IndexUid) -> String) -> Value {
        let mut federation = self.written.clone();
        if let Some(Value::Object(facets)) = federation.get_mut("facetsByIndex") {
            *facets = std::mem::take(facets)
                .into_iter()
                .map(|(uid, names)| (rename(&IndexUid::new(uid)), names))
                .collect();
        }
        Value::Object(federation)
    }
}

fn parse_uid(uid: &str) -> Result<IndexUid, NotUnderstood> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !uid.is_empty() && uid.len() <= MAX_UID_BYTES && uid.bytes().all(allowed);
    if fits { Ok(IndexUid::new(uid)) } else { Err(NotUnderstood("indexUid")) }
}

fn parse_facets(
    federation: &Map<String, Value>,
) -> Result<BTreeMap<IndexUid, Option<Vec<String>>>, NotUnderstood> {
    let refuse = NotUnderstood("facetsByIndex");
    let Some(by_index) = present(federation, "facetsByIndex") else { return Ok(BTreeMap::new()) };
    let mut facets = BTreeMap::new();
    for (uid, names) in by_index.as_object().ok_or(refuse)? {
        let names = match names {
            Value::Null => None,
            Value::Array(names) => {
                let names: Option<Vec<String>> =
                    names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                Some(names.ok_or(refuse)?)
            }
            _ => return Err(refuse),
        };
        facets.insert(parse_uid(uid)?, names);
    }
    Ok(facets)
}

fn parse_merge_facets(federation: &Map<String, Value>) -> Result<Option<MergeFacets>, NotUnderstood> {
    let Some(merge) = present(federation, "mergeFacets") else { return Ok(None) };
    let merge = merge.as_object().ok_or(NotUnderstood("mergeFacets"))?;
    if merge.keys().any(|name| name != "maxValuesPerFacet") {
        return Err(NotUnderstood("mergeFacets"));
    }
    Ok(Some(MergeFacets { max_values_per_facet: count(merge, "maxValuesPerFacet")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_written_again_under_other_names() {
        let body = json!({
            "queries": [
                { "indexUid": "a", "q": "tea", "federationOptions": { "weight": 2, "queryPosition": 4 } },
                { "indexUid": "b", "useNetwork": true },
            ],
            "federation": { "limit": 3, "facetsByIndex": { "a": ["x"], "b": null }, "mergeFacets": {} },
        });
        let request = MultiRequest::parse(&body).unwrap();
        assert_eq!(request.written(ToString::to_string), body);
        assert_eq!(request.queries[0].weight().to_bits(), 2_f64.to_bits());
        let federation = request.federation.as_ref().unwrap();
        assert_eq!(federation.window, Window::Offset { offset: 0, limit: 3 });
        assert_eq!(federation.facets[&IndexUid::new("b")], None);
        assert_eq!(federation.merge_facets, Some(MergeFacets { max_values_per_facet: None }));
        let renamed = request.written(|uid| format!("{uid}-2"));
        assert_eq!(renamed["queries"][1]["indexUid"], "b-2");
        assert_eq!(renamed["federation"]["facetsByIndex"], json!({ "a-2": ["x"], "b-2": null }));
        assert_eq!(
            request.queries[0].without_network().written("a"),
            json!({ "indexUid": "a", "q": "tea", "federationOptions": { "weight": 2 } })
        );
    }

    #[test]
    fn what_meilisearch_would_refuse_is_not_understood() {
        let refused = [
            json!([]),
            json!({}),
            json!({ "queries": {} }),
            json!({ "queries": [], "colour": 1 }),
            json!({ "queries": [{ "q": "a" }] }),
            json!({ "queries": [{ "indexUid": "a b" }] }),
            json!({ "queries": [{ "indexUid": "a", "federationOptions": { "weight": -1 } }] }),
            json!({ "queries": [{ "indexUid": "a", "federationOptions": { "speed": 1 } }] }),
            json!({ "queries": [], "federation": { "limit": "x" } }),
            json!({ "queries": [], "federation": { "facetsByIndex": ["a"] } }),
            json!({ "queries": [], "federation": { "mergeFacets": { "maxValuesPerFacet": "x" } } }),
        ];
        for body in refused {
            assert!(MultiRequest::parse(&body).is_err(), "{body}");
        }
        assert!(MultiRequest::parse(&json!({ "queries": [], "federation": null })).is_ok());
    }
}
