//! A search over a network in which this server is alone, or nobody is.
//!
//! Meilisearch makes a federated search of it, with one query per server, and gives its answer the form of a single
//! search's.

use miroir_core::search::{MultiRequest, SearchRequest, Window};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::{Answer, QueryMetadata, ServersAsked, run_federated, run_search};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::{Original, with_error_message};

/// Answers one search by the servers that it asks.
pub async fn run_over_servers(
    (cluster, view): (&Cluster, &View),
    entry: &IndexEntry,
    request: &SearchRequest,
    original: &Original,
    metadata: QueryMetadata,
    servers: &ServersAsked,
) -> Result<Answer, RequestError> {
    let mut answer = match servers {
        ServersAsked::Here => run_search(cluster, view, entry, request, original).await?,
        ServersAsked::Nobody => {
            let (request, original) = without_filter(request, original);
            let mut answer = run_search(cluster, view, entry, &request, &original).await?;
            find_nothing(&mut answer.body);
            answer
        }
        ServersAsked::Named(server) => {
            return run_named(cluster, view, entry, request, metadata, server).await;
        }
    };
    metadata.sign(&mut answer.body, entry, &request.body);
    Ok(answer)
}

/// Nobody reads the filter of a search that asks nobody; facets are looked at all the same.
fn without_filter(request: &SearchRequest, original: &Original) -> (SearchRequest, Original) {
    let mut request = request.clone();
    request.body.shift_remove("filter");
    let original = original.clone().confined(&request.body);
    (request, original)
}

/// The answer of nobody.
pub fn find_nothing(body: &mut Map<String, Value>) {
    for key in ["facetDistribution", "facetStats", "facetsByIndex"] {
        body.shift_remove(key);
    }
    body.insert("hits".to_owned(), json!([]));
    for key in ["estimatedTotalHits", "totalHits", "totalPages"] {
        if let Some(total) = body.get_mut(key) {
            *total = json!(0);
        }
    }
}

async fn run_named(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &SearchRequest,
    metadata: QueryMetadata,
    server: &str,
) -> Result<Answer, RequestError> {
    let unread = |what| RequestError::Unreadable(format!("{what}, and no node says so"));
    let several =
        MultiRequest::parse(&federated(entry, request, server)).map_err(|what| unread(what.to_string()))?;
    let federation = several.federation.as_ref().ok_or_else(|| unread("federation".to_owned()))?;
    let about = format!("Inside `.federation.facetsByIndex.{}`: ", entry.uid);
    let mut answer = run_federated(cluster, view, &several, federation, metadata, Some(server))
        .await
        .map_err(|error| {
            with_error_message(error, |message| {
                message.replacen("Inside `.queries[0]`: ", "", 1).replacen(&about, "", 1)
            })
        })?;
    answer.body = single(answer.body, entry, request);
    Ok(answer)
}

/// The federated search of one query that stands for a search over the network.
fn federated(entry: &IndexEntry, request: &SearchRequest, server: &str) -> Value {
    let mut query = request.without_window();
    let mut federation = match request.window {
        Window::Offset { offset, limit } => json!({ "offset": offset, "limit": limit }),
        Window::Page { page, hits_per_page } => json!({ "page": page, "hitsPerPage": hits_per_page }),
    };
    if let Some(facets) = query.shift_remove("facets") {
        federation["facetsByIndex"] = json!({ entry.uid.as_str(): facets });
    }
    if let Some(details) = query.shift_remove("showPerformanceDetails") {
        federation["showPerformanceDetails"] = details;
    }
    query.insert("indexUid".to_owned(), json!(entry.uid));
    query.insert("federationOptions".to_owned(), json!({ "remote": server }));
    json!({ "federation": federation, "queries": [query] })
}

/// A federated answer to one query in the form of a search's.
fn single(
    mut federated: Map<String, Value>,
    entry: &IndexEntry,
    request: &SearchRequest,
) -> Map<String, Value> {
    let mut body = Map::new();
    body.extend(federated.shift_remove_entry("hits"));
    body.insert("query".to_owned(), request.body.get("q").cloned().unwrap_or_else(|| json!("")));
    if let Some(vector) = federated.shift_remove("queryVectors").and_then(|vectors| vectors.get("0").cloned())
    {
        body.insert("queryVector".to_owned(), vector);
    }
    if let Some(mut by_index) = federated.shift_remove("facetsByIndex") {
        let facets = by_index.get_mut(entry.uid.as_str()).map(Value::take).unwrap_or_default();
        body.insert("facetDistribution".to_owned(), facets["distribution"].clone());
        body.insert("facetStats".to_owned(), facets["stats"].clone());
    }
    if let Some(metadata) = federated.shift_remove("metadata") {
        body.insert("metadata".to_owned(), metadata[0].clone());
    }
    body.append(&mut federated);
    body
}
