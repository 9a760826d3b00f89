//! The way of a search, of words or vectors, for documents, for values of a facet, for similar documents: plan, scatter,
//! gather, merge. Several searches in one request go the same way, each alone ([`run_several`]) or as one
//! ([`run_federated`]).

mod facet_search;
mod federated;
mod hybrid;
mod over_servers;
mod query_metadata;
mod relations;
mod remote_servers;
mod scatter;
mod several;
mod similar;
mod uniform;

use std::time::Instant;

use miroir_core::cover::{Shortfall, UnavailableShardPolicy};
use miroir_core::ids::ShardId;
use miroir_core::search::{
    MergePlan, Merged, SearchKind, SearchRequest, check_rules, merge_replies, plan_search, plan_with_cover,
};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use self::hybrid::{embed, search_halves};
use self::scatter::{Answers, run_scatter};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::{Original, explain_refusal, with_named_facets};
use crate::read::{Reader, meet};

pub use self::facet_search::run_facet_search;
pub use self::federated::run_federated;
pub use self::over_servers::{find_nothing, run_over_servers};
pub use self::query_metadata::QueryMetadata;
pub use self::relations::Relations;
pub use self::remote_servers::{RemoteServers, ServersAsked, feature_missing};
pub use self::several::run_several;
pub use self::similar::run_similar;
pub use self::uniform::{SettingsNote, read_uniformly};

/// An answer, and what the client is told about it in headers.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: Map<String, Value>,
    /// What the body lacks.
    pub shortfall: Shortfall,
}

/// What a search is made over, and what its errors are explained with.
#[derive(Debug, Clone, Copy)]
struct Searched<'a> {
    cluster: &'a Cluster,
    view: &'a View,
    entry: &'a IndexEntry,
    original: &'a Original,
}

impl<'a> Searched<'a> {
    fn reader(&self) -> Reader<'a> {
        Reader::new(self.cluster, self.view, self.entry)
    }
}

/// Answers one search over one view. Dropping the future gives up the requests to the nodes.
pub async fn run_search(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &SearchRequest,
    original: &Original,
) -> Result<Answer, RequestError> {
    let began = Instant::now();
    let (request, original) = with_named_facets(request, original, entry);
    let of = Searched { cluster, view, entry, original: &original };
    // Dynamic search rules look at the whole query.
    let short = if view.rules.is_empty() { request.shortened() } else { None };
    let (mut merged, shortfall) = find(&of, short.as_ref().unwrap_or(&request)).await?;
    if short.is_some() {
        merged.body.shift_remove("query");
    }
    if merged.cut_off {
        cluster.metrics.note_cutoff();
    }
    let mut body = merged.body;
    body.entry("query").or_insert_with(|| request.body.get("q").cloned().unwrap_or_else(|| json!("")));
    note_time(&mut body, began, 0);
    Ok(Answer { body, shortfall: Shortfall { cut_off: merged.cut_off, ..shortfall } })
}

/// Asks the nodes in the way that the kind of the search needs, and merges their answers.
async fn find(of: &Searched<'_>, request: &SearchRequest) -> Result<(Merged, Shortfall), RequestError> {
    let scattered = of.entry.placement.is_scattered();
    let request = &meet(of.cluster, of.view, of.entry, request.clone()).await;
    if scattered && matches!(request.kind, SearchKind::Hybrid { .. }) {
        return search_halves(of, request).await;
    }
    let vector = if scattered && request.needs_embedding() { embed(of, request).await? } else { None };
    let embedded = vector.map(|vector| request.with_vector(vector));
    let found = ask(of, embedded.as_ref().unwrap_or(request)).await?;
    Ok((merge_replies(&found.plan, found.replies), found.shortfall))
}

/// The nodes' answers to one request, and how they become one.
struct SearchReplies {
    plan: MergePlan,
    replies: Vec<Map<String, Value>>,
    shortfall: Shortfall,
}

/// Plans one request to the nodes and asks them.
async fn ask(of: &Searched<'_>, request: &SearchRequest) -> Result<SearchReplies, RequestError> {
    let plan = plan_search(request, of.entry, of.view);
    let again = |cover| plan_with_cover(request, of.entry, &of.view.rules, cover).parts;
    let gathered = run_scatter(of.cluster, of.view, of.entry, (plan.parts, plan.missing), again).await;
    let gathered = accept(of, gathered).await?;
    check_rules(&plan.merge, &gathered.replies)
        .map_err(|error| RequestError::Unreadable(error.to_string()))?;
    Ok(SearchReplies { plan: plan.merge, replies: gathered.replies, shortfall: gathered.shortfall })
}

/// A refusal is explained, and so are shards that the operator does not want to be without.
async fn accept(of: &Searched<'_>, gathered: Answers) -> Result<Answers, RequestError> {
    if let Some(refusal) = &gathered.refusal {
        return Err(explain_refusal(of.cluster, of.entry, of.original, refusal).await);
    }
    let missing = &gathered.shortfall.missing;
    judge_missing(of.cluster.unavailable_shards, missing, !gathered.replies.is_empty())?;
    of.cluster.metrics.note_answer(&gathered.shortfall);
    Ok(gathered)
}

/// Whether an answer without some shards is better than none is the operator's decision; without any shard there is
/// nothing to answer with.
fn judge_missing(
    policy: UnavailableShardPolicy,
    missing: &[ShardId],
    has_replies: bool,
) -> Result<(), RequestError> {
    match policy {
        _ if missing.is_empty() => Ok(()),
        UnavailableShardPolicy::Stale | UnavailableShardPolicy::Partial if has_replies => Ok(()),
        UnavailableShardPolicy::Stale | UnavailableShardPolicy::Partial | UnavailableShardPolicy::Error => {
            Err(RequestError::ShardsUnavailable(missing.to_vec()))
        }
    }
}

/// Writes how long it took since `began`, and `before` that, in milliseconds.
fn note_time(body: &mut Map<String, Value>, began: Instant, before: u64) {
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    body.insert("processingTimeMs".to_owned(), json!(milliseconds.saturating_add(before)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_shard_is_one_if_the_operator_wants_it_and_some_node_answered() {
        let answers = |policy, missing: &[u32], has_replies| {
            let missing: Vec<ShardId> = missing.iter().copied().map(ShardId).collect();
            judge_missing(policy, &missing, has_replies).is_ok()
        };
        for policy in [UnavailableShardPolicy::Stale, UnavailableShardPolicy::Partial] {
            assert!(answers(policy, &[1], true) && !answers(policy, &[0, 1], false), "{policy:?}");
        }
        assert!(answers(UnavailableShardPolicy::Error, &[], true));
        assert!(!answers(UnavailableShardPolicy::Error, &[1], true));
    }
}
