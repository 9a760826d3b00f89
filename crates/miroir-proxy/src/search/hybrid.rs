//! Searches by words and vectors at once, and the vector of a query that brings none.
//!
//! The vector is made by one node and then given to all: making it can be slow, can cost money, and two answers of an
//! embedder need not be equal.

use futures_util::future::try_join;
use miroir_core::cover::Shortfall;
use miroir_core::hash::draw;
use miroir_core::search::{MergePlan, Merged, SearchRequest, plan_search, rank_keyword_hits};
use serde_json::Value;

use super::{Searched, ask};
use crate::error::RequestError;
use crate::node_api::{NodeReply, NodeRequest};
use crate::probe::{explain, no_node};

/// Both halves of a hybrid search, merged; and what one of them lacks.
pub(super) async fn search_halves(
    of: &Searched<'_>,
    request: &SearchRequest,
) -> Result<(Merged, Shortfall), RequestError> {
    let keyword = request.keyword_half();
    let plan = plan_search(&keyword, of.entry, of.view).merge;
    if request.needs_embedding() {
        return search_words_first(of, request, &keyword, &plan).await;
    }
    // The vectors' half may turn out to be not needed, but it is here where a wrong vector is found out, and two
    // searches one after the other take twice as long.
    let semantic = request.semantic_half(&plan);
    let (keyword, semantic) = try_join(ask(of, &keyword), ask(of, &semantic)).await?;
    let shortfall = keyword.shortfall.and(semantic.shortfall);
    let hits = rank_keyword_hits(&plan, keyword.replies);
    let merged =
        if hits.suffice(&plan) { hits.alone(&plan) } else { hits.with_semantic(&plan, semantic.replies) };
    Ok((merged, shortfall))
}

/// Where there is no vector yet, none is made before it is clear that the words are not enough.
async fn search_words_first(
    of: &Searched<'_>,
    request: &SearchRequest,
    keyword: &SearchRequest,
    plan: &MergePlan,
) -> Result<(Merged, Shortfall), RequestError> {
    if !of.entry.settings.has_embedder(request.embedder().unwrap_or_default()) {
        return Err(explain(of.cluster, of.entry, of.original).await);
    }
    let found = ask(of, keyword).await?;
    let hits = rank_keyword_hits(plan, found.replies);
    let vector = if hits.suffice(plan) { None } else { embed(of, request).await? };
    let Some(vector) = vector else { return Ok((hits.alone(plan), found.shortfall)) };
    let semantic = ask(of, &request.with_vector(vector).semantic_half(plan)).await?;
    Ok((hits.with_semantic(plan, semantic.replies), found.shortfall.and(semantic.shortfall)))
}

/// The vector that a node makes of the query. `None` if it can't, where that is no error.
pub(super) async fn embed(of: &Searched<'_>, request: &SearchRequest) -> Result<Option<Value>, RequestError> {
    let body = Value::Object(request.embedding()).to_string();
    let pool = of.view.readable_for(of.entry);
    let mut nodes: Vec<_> = of.entry.placement.nodes().filter(|node| pool.contains(node)).collect();
    // Other queries begin with other nodes.
    nodes.sort_by_key(|node| draw(body.len() as u64, node.as_str().as_bytes()));
    let asked = NodeRequest::post(["indexes", of.entry.physical.as_str(), "search"]).json(body);
    match of.cluster.ask_first(nodes.into_iter(), &asked, NodeReply::is_nodes_fault).await {
        Some(reply) if reply.status.is_success() => Ok(query_vector(&reply)),
        Some(_) => Err(explain(of.cluster, of.entry, of.original).await),
        None => Err(no_node()),
    }
}

fn query_vector(reply: &NodeReply) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(&reply.body).ok()?;
    Some(answer["queryVector"].take()).filter(Value::is_array)
}
