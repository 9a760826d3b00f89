//! The nodes: how to talk to them, which of them answer, and the view that requests work with.

use std::sync::Arc;
use std::time::Duration;

use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::NodeId;
use miroir_core::view::{IndexEntry, View};
use tokio::sync::Semaphore;

mod complaints;
mod fan_out;
#[cfg(test)]
pub(crate) mod fixture;
mod health;
mod identity;
mod known_paths;
mod membership;
mod metrics;
mod per_member;
mod publisher;
mod rebuilding;
mod roster;
mod state;
mod versions;

pub use complaints::Complaints;
pub use fan_out::{FanOut, Gathered, IfMissing, Outcome, Refusal};
pub use health::{HealthPolicy, check_health_once, run_health_checks};
pub use identity::{
    Identities, Keys, Unusable, ask_keys, ask_shown_mark, ask_traces, ask_version, expect_meilisearch,
};
pub use known_paths::KnownPaths;
pub use membership::{AlreadyMember, Membership, Sighting, Standing};
pub use metrics::ScatterMetrics;
pub use per_member::for_each_member;
pub use publisher::{ViewChange, ViewPublisher};
pub use rebuilding::{RebuildStage, Rebuilding};
pub use roster::{Feed, Member, Roster};
pub use state::ViewCell;
pub use versions::versions_agree;

use crate::node_api::{Node, NodeError, NodeReply, NodeRequest, Question, Unanswered};

/// What a request handler needs to read from the nodes.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The nodes.
    pub membership: Arc<Membership>,
    /// Where the current view is.
    pub view: Arc<ViewCell>,
    /// How long one request to a node may take.
    pub node_timeout: Duration,
    /// What to do when nobody can answer for a shard.
    pub unavailable_shards: UnavailableShardPolicy,
    /// Where searches over several nodes are counted.
    pub metrics: ScatterMetrics,
    /// What the log was told of nodes that fail searches.
    pub complaints: Arc<Complaints>,
    /// Which paths nodes are known to have met.
    pub paths: Arc<KnownPaths>,
    /// Searches that take much of the memory wait for each other here.
    pub large_searches: Arc<Semaphore>,
}

/// So many searches that take much of the memory are answered at once.
pub const LARGE_SEARCHES_AT_ONCE: usize = 1;

/// How often a request that waits for a node looks whether the node is still usable.
const USABLE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

impl Cluster {
    /// Whom a search of an index may ask.
    pub fn search_over<'a>(&'a self, view: &View, entry: &'a IndexEntry) -> FanOut<'a> {
        FanOut {
            placement: &entry.placement,
            pool: view.readable_for(entry),
            if_missing: IfMissing::GoOn,
            metrics: Some(&self.metrics),
        }
    }

    /// Whom a read of an index may ask that is nothing without any of the shards.
    pub fn read_over<'a>(&self, view: &View, entry: &'a IndexEntry) -> FanOut<'a> {
        FanOut {
            placement: &entry.placement,
            pool: view.readable_for(entry),
            if_missing: IfMissing::GiveUp,
            metrics: None,
        }
    }

    /// Reads from a node: gives up as soon as the node stops being usable, so that a node that hangs holds a request
    /// up only until the health check has found out.
    pub async fn read(&self, node: &Node, request: NodeRequest) -> Result<NodeReply, NodeError> {
        tokio::select! {
            reply = node.send(request, self.node_timeout) => reply,
            () = self.until_unusable(node.id()) => Err(no_longer_read(node)),
        }
    }

    /// Puts a question to a node that is read; gives up like [`Self::read`].
    ///
    /// # Errors
    /// When there is no answer, or none to the question.
    pub async fn ask<T>(&self, node: &Node, question: Question<T>) -> Result<T, Unanswered> {
        tokio::select! {
            answer = node.ask(question, self.node_timeout) => answer,
            () = self.until_unusable(node.id()) => Err(no_longer_read(node).into()),
        }
    }

    /// Puts a question to the node of this id, for those who ask another one when it fails.
    pub async fn try_asking<T>(&self, id: &NodeId, question: Question<T>) -> Outcome<T> {
        let Some(node) = self.membership.node(id) else { return Outcome::Failed };
        let outcome = self.ask(&node, question).await.inspect_err(|reason| {
            if !reason.is_about_request() {
                tracing::warn!(node = %id, %reason, "node can't answer; asking another one");
            }
        });
        Outcome::of(outcome)
    }

    /// The first answer of these nodes, one after the other. `is_of_node` says what is no answer to the request, but
    /// speaks of the node alone.
    pub async fn ask_first<'a>(
        &self,
        nodes: impl Iterator<Item = &'a NodeId>,
        request: &NodeRequest,
        is_of_node: fn(&NodeReply) -> bool,
    ) -> Option<NodeReply> {
        for node in nodes.filter_map(|id| self.membership.node(id)) {
            match self.read(&node, request.clone()).await {
                Ok(reply) if !is_of_node(&reply) => return Some(reply),
                Ok(reply) => {
                    tracing::warn!(node = %node.id(), status = %reply.status, "node can't answer; asking another one");
                }
                Err(error) => tracing::warn!(%error, "node did not answer; asking another one"),
            }
        }
        None
    }

    /// Returns when the node may not be read any more.
    pub async fn until_unusable(&self, node: &NodeId) {
        loop {
            tokio::time::sleep(USABLE_CHECK_INTERVAL).await;
            if !self.view.load().usable.contains(node) {
                return;
            }
        }
    }
}

fn no_longer_read(node: &Node) -> NodeError {
    NodeError::NoAnswer { node: node.id().clone(), reason: "it may no longer be read".to_owned() }
}
