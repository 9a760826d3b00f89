//! Asking several nodes at once, and others for the shards of those that do not answer. What is asked, and how an answer
//! is read, is the caller's business.

use futures_util::future::{BoxFuture, join_all};
use miroir_core::cover::{Cover, CoverPart, Pool, Shortfall, UnavailableShardPolicy, plan_cover_of};
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::search::PartPlan;
use miroir_core::view::{IndexEntry, View};

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::NodeReply;

/// What came back. Shards that nobody answered for are data: whether that is an error is decided later.
#[derive(Debug)]
pub(super) struct Gathered<R> {
    pub(super) replies: Vec<R>,
    pub(super) shortfall: Shortfall,
    /// A node refused the request as the client's fault.
    pub(super) refusal: Option<Refusal>,
}

/// Who refused, and what it said.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: NodeId,
    pub(super) reply: NodeReply,
}

/// What became of the request to one node.
pub(super) enum Outcome<R> {
    Answered(R),
    /// The node finds fault with the request.
    Refused(NodeReply),
    /// The node can't answer; another one may.
    Failed,
}

/// One node's part of a plan.
pub(super) trait Part {
    /// Which node is asked for which shards.
    fn cover(&self) -> &CoverPart;
}

impl Part for CoverPart {
    fn cover(&self) -> &CoverPart {
        self
    }
}

impl Part for PartPlan {
    fn cover(&self) -> &CoverPart {
        &self.cover
    }
}

/// Asks the parts of a plan with `send`. A node that fails is asked no more in this request; other replicas take over
/// its shards, with what `plan_parts` says for them. `missing` are the shards that the plan has no node for.
pub(super) async fn run_rounds<'a, P: Part, R>(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    (parts, missing): (Vec<P>, Vec<ShardId>),
    plan_parts: impl Fn(Cover) -> Vec<P>,
    send: impl Fn(P) -> BoxFuture<'a, Result<Outcome<R>, RequestError>>,
) -> Result<Gathered<R>, RequestError> {
    let shortfall = Shortfall { missing, ..Shortfall::default() };
    let mut gathered = Gathered { replies: Vec::new(), shortfall, refusal: None };
    let mut pool = view.readable_for(entry);
    let mut parts = parts;
    cluster.metrics.note_fan_out(parts.len());
    // Each round that leaves shards over leaves out a node, so there are no more rounds than nodes.
    while !parts.is_empty() {
        let covers: Vec<CoverPart> = parts.iter().map(|part| part.cover().clone()).collect();
        let outcomes = join_all(parts.into_iter().map(&send)).await;
        let unanswered = sort_out(covers, outcomes, &mut gathered, &mut pool)?;
        if unanswered.is_empty() || gathered.refusal.is_some() {
            break;
        }
        let mut cover = plan_cover_of(&entry.placement, unanswered, &pool, 0);
        gathered.shortfall.missing.append(&mut cover.missing);
        parts = plan_parts(cover);
        cluster.metrics.note_retry(parts.len());
    }
    gathered.shortfall.tidy();
    Ok(gathered)
}

/// Keeps what was answered; returns the shards of those that failed, who are not asked any more.
fn sort_out<R>(
    parts: Vec<CoverPart>,
    outcomes: Vec<Result<Outcome<R>, RequestError>>,
    gathered: &mut Gathered<R>,
    pool: &mut Pool,
) -> Result<Vec<ShardId>, RequestError> {
    let mut unanswered = Vec::new();
    for (part, outcome) in parts.into_iter().zip(outcomes) {
        match outcome? {
            Outcome::Answered(reply) => {
                if part.is_stale() {
                    gathered.shortfall.stale.extend(part.shards);
                }
                gathered.replies.push(reply);
            }
            Outcome::Refused(reply) => gathered.refusal = Some(Refusal { node: part.node, reply }),
            Outcome::Failed => {
                pool.remove(&part.node);
                unanswered.extend(part.shards);
            }
        }
    }
    Ok(unanswered)
}

/// Whether an answer without some shards is better than none is the operator's decision; without any shard there is
/// nothing to answer with.
pub(super) fn judge_missing(
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
