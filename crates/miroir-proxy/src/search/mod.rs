//! The way of a search: plan, scatter, gather, merge.

mod explain;
mod scatter;

use std::time::Instant;

use miroir_core::ids::ShardId;
use miroir_core::search::{SearchPlan, SearchRequest, merge_replies, plan_search};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::scatter::{Gathered, run_scatter};
use crate::cluster::Cluster;
use crate::config::UnavailableShardPolicy;
use crate::http::HttpError;

use self::explain::explain_refusal;
pub use self::explain::{Original, explain, scrub_reply};

/// An answer, and what the client is told about it in headers.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: Map<String, Value>,
    /// Shards that no node could answer for; their documents are missing from the answer.
    pub missing: Vec<ShardId>,
}

/// Answers one search over one view. Dropping the future gives up the requests to the nodes.
pub async fn run_search(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &SearchRequest,
    original: &Original,
) -> Result<Answer, HttpError> {
    let began = Instant::now();
    let plan = plan_search(request, entry, view);
    let gathered = run_scatter(cluster, view, entry, request, &plan).await?;
    if let Some(refusal) = &gathered.refusal {
        return Err(explain_refusal(cluster, entry, original, refusal).await);
    }
    let gathered = accept(gathered, cluster.unavailable_shards)?;
    cluster.metrics.note_answer(&gathered.missing);
    Ok(merge(&plan, entry, request, gathered, began))
}

/// Whether an answer without some shards is better than none is the operator's decision; without any shard there is
/// nothing to answer with.
fn accept(gathered: Gathered, policy: UnavailableShardPolicy) -> Result<Gathered, HttpError> {
    let nothing = gathered.replies.is_empty();
    match policy {
        _ if gathered.missing.is_empty() => Ok(gathered),
        UnavailableShardPolicy::Partial if !nothing => Ok(gathered),
        UnavailableShardPolicy::Partial | UnavailableShardPolicy::Error => {
            Err(HttpError::ShardsUnavailable(gathered.missing))
        }
    }
}

fn merge(
    plan: &SearchPlan,
    entry: &IndexEntry,
    request: &SearchRequest,
    gathered: Gathered,
    began: Instant,
) -> Answer {
    let merged = merge_replies(&plan.merge, gathered.replies);
    if merged.cut_off {
        tracing::debug!(index = %entry.uid, "a node reached its search cutoff; hits may be missing");
    }
    let mut body = merged.body;
    body.entry("query").or_insert_with(|| request.body.get("q").cloned().unwrap_or_else(|| json!("")));
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    body.insert("processingTimeMs".to_owned(), json!(milliseconds));
    body.insert("requestUid".to_owned(), json!(Uuid::now_v7()));
    Answer { body, missing: gathered.missing }
}
