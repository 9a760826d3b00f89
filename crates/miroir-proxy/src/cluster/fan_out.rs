//! Asking several nodes at once for what they hold together, and others for the shards of those that do not answer. What is
//! asked, and how an answer is read, is the caller's business.

use futures_util::future::join_all;
use miroir_core::cover::{Cover, CoverPart, Pool, Shortfall, plan_cover_of};
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::placement::IndexPlacement;
use miroir_core::search::PartPlan;

use super::ScatterMetrics;
use crate::node_api::{NodeReply, Unanswered};

/// Whom a question may be put to.
#[derive(Debug)]
pub struct FanOut<'a> {
    /// Who holds what of the index.
    pub placement: &'a IndexPlacement,
    /// Those who may be asked.
    pub pool: Pool,
    /// What becomes of the others' shards if some have no node that may be asked.
    pub if_missing: IfMissing,
    /// Where it is counted how many nodes are asked, if that is counted.
    pub metrics: Option<&'a ScatterMetrics>,
}

/// What to do when nobody is left who could answer for some shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// The others are asked for all the same.
    GoOn,
    /// Nobody is asked any more: an answer without them is none.
    GiveUp,
}

/// What came back. Shards that nobody answered for are data: whether that is an error is decided later.
#[derive(Debug)]
pub struct Gathered<R> {
    /// The answers, in the order in which they were asked for.
    pub replies: Vec<R>,
    /// What they lack.
    pub shortfall: Shortfall,
    /// A node refused the request as the client's fault. Nobody was asked after that.
    pub refusal: Option<Refusal>,
}

/// Who refused, and what it said.
#[derive(Debug)]
pub struct Refusal {
    /// The node.
    pub node: NodeId,
    /// Its answer.
    pub reply: NodeReply,
}

/// What became of the request to one node.
#[derive(Debug)]
pub enum Outcome<R> {
    /// It answered.
    Answered(R),
    /// It finds fault with the request.
    Refused(NodeReply),
    /// It can't answer; another node may.
    Failed,
}

impl<R> Outcome<R> {
    /// The index exists for the cluster, so a node that does not know it, like one that is busy, is the one that can't
    /// answer.
    pub fn of(answer: Result<R, Unanswered>) -> Self {
        match answer {
            Ok(answer) => Self::Answered(answer),
            Err(Unanswered::Refused(reply)) if !reply.is_nodes_fault() => Self::Refused(reply),
            Err(_) => Self::Failed,
        }
    }
}

/// One node's part of a plan.
pub trait Part {
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

impl FanOut<'_> {
    /// Asks nodes that hold these shards together, each once, with `send`.
    pub async fn ask<R, F: Future<Output = Outcome<R>>>(
        self,
        shards: impl IntoIterator<Item = ShardId>,
        send: impl Fn(CoverPart) -> F,
    ) -> Gathered<R> {
        let Cover { parts, missing, .. } = plan_cover_of(self.placement, shards, &self.pool, 0);
        self.run((parts, missing), |cover| cover.parts, send).await
    }

    /// Asks the parts of a plan with `send`. A node that fails is asked no more; other replicas take over its shards, with
    /// what `plan_parts` says for them. `missing` are the shards that the plan has no node for.
    pub async fn run<P: Part, R, F: Future<Output = Outcome<R>>>(
        mut self,
        (mut parts, missing): (Vec<P>, Vec<ShardId>),
        plan_parts: impl Fn(Cover) -> Vec<P>,
        send: impl Fn(P) -> F,
    ) -> Gathered<R> {
        let shortfall = Shortfall { missing, ..Shortfall::default() };
        let mut gathered = Gathered { replies: Vec::new(), shortfall, refusal: None };
        if let Some(metrics) = self.metrics {
            metrics.note_fan_out(parts.len());
        }
        // Each round that leaves shards over leaves out a node, so there are no more rounds than nodes.
        while !parts.is_empty() && !self.gives_up(&gathered) {
            let covers: Vec<CoverPart> = parts.iter().map(|part| part.cover().clone()).collect();
            let outcomes = join_all(parts.into_iter().map(&send)).await;
            let unanswered = self.sort_out(covers, outcomes, &mut gathered);
            if unanswered.is_empty() || gathered.refusal.is_some() {
                break;
            }
            let mut cover = plan_cover_of(self.placement, unanswered, &self.pool, 0);
            gathered.shortfall.missing.append(&mut cover.missing);
            parts = plan_parts(cover);
            if let Some(metrics) = self.metrics {
                metrics.note_retry(parts.len());
            }
        }
        gathered.shortfall.tidy();
        gathered
    }

    fn gives_up<R>(&self, gathered: &Gathered<R>) -> bool {
        self.if_missing == IfMissing::GiveUp && !gathered.shortfall.missing.is_empty()
    }

    /// Keeps what was answered; returns the shards of those that failed, who are not asked any more.
    fn sort_out<R>(
        &mut self,
        parts: Vec<CoverPart>,
        outcomes: Vec<Outcome<R>>,
        gathered: &mut Gathered<R>,
    ) -> Vec<ShardId> {
        let mut unanswered = Vec::new();
        for (part, outcome) in parts.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Answered(reply) => {
                    if part.is_stale() {
                        gathered.shortfall.stale.extend(part.shards);
                    }
                    gathered.replies.push(reply);
                }
                Outcome::Refused(reply) => gathered.refusal = Some(Refusal { node: part.node, reply }),
                Outcome::Failed => {
                    self.pool.remove(&part.node);
                    unanswered.extend(part.shards);
                }
            }
        }
        unanswered
    }
}

#[cfg(test)]
mod tests;
