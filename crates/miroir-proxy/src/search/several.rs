//! Several searches in one request that have nothing to do with each other: each runs as it would alone.

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::cover::Shortfall;
use miroir_core::error::ErrorCode;
use miroir_core::search::{MultiRequest, SearchRequest, SubQuery};
use miroir_core::view::View;
use serde_json::{Map, Value, json};

use super::{Answer, QueryMetadata, RemoteServers, run_over_servers};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::{Original, check_queries_form, inside, missing_index};

/// So many queries of one request are worked on at once; each may ask every node.
const QUERIES_AT_ONCE: usize = 16;

/// Answers all queries, or none: the first one that fails, in the client's order, is the error. Dropping the future
/// gives up what is under way.
pub async fn run_several(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    metadata: QueryMetadata,
    remote_servers: &RemoteServers,
) -> Result<Answer, RequestError> {
    if request.queries.is_empty() {
        check_queries_form(cluster, request).await?;
    }
    let searches: Vec<_> = request
        .queries
        .iter()
        .enumerate()
        .map(|(position, query)| run_one((cluster, view), position, query, metadata, remote_servers))
        .collect();
    let answers = stream::iter(searches).buffered(QUERIES_AT_ONCE);
    match answers.try_collect::<Vec<_>>().await {
        Ok(answers) => Ok(together(answers)),
        Err(error) => {
            // What is wrong with the form of any query comes before what is wrong with another's content.
            check_queries_form(cluster, request).await?;
            Err(error)
        }
    }
}

async fn run_one(
    (cluster, view): (&Cluster, &View),
    position: usize,
    query: &SubQuery,
    metadata: QueryMetadata,
    remote_servers: &RemoteServers,
) -> Result<Answer, RequestError> {
    let refuse = |error| inside(position, error);
    if query.options.is_some() {
        return Err(refuse(RequestError::new(
            ErrorCode::InvalidMultiSearchFederationOptions,
            "Using `federationOptions` is not allowed in a non-federated search.\n - Hint: remove \
             `federationOptions` from the query or add `federation` to the request.",
        )));
    }
    let entry = view.index(&query.index).ok_or_else(|| refuse(missing_index(&query.index)))?;
    let servers = remote_servers.asked_by(&query.body)?;
    let mut body = query.body.clone();
    body.shift_remove("useNetwork");
    let request = SearchRequest::parse(body)
        .map_err(|what| RequestError::Unreadable(format!("{what}, and no node says so")))?;
    let original = Original::search(&request.body);
    let found = run_over_servers((cluster, view), entry, &request, &original, metadata, &servers).await;
    let mut answer = found.map_err(refuse)?;
    let mut body = Map::from_iter([("indexUid".to_owned(), json!(query.index))]);
    body.append(&mut answer.body);
    Ok(Answer { body, shortfall: answer.shortfall })
}

fn together(answers: Vec<Answer>) -> Answer {
    let mut shortfall = Shortfall::default();
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        shortfall = shortfall.and(answer.shortfall);
        results.push(Value::Object(answer.body));
    }
    Answer { body: Map::from_iter([("results".to_owned(), Value::Array(results))]), shortfall }
}
