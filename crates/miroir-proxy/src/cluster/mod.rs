//! The nodes: how to talk to them, which of them answer, and the view that requests work with.

use std::sync::Arc;
use std::time::Duration;

use crate::config::UnavailableShardPolicy;
use crate::observe::ScatterMetrics;

mod health;
mod membership;
mod node;
mod state;

pub use health::{HealthPolicy, run_health_checks};
pub use membership::{Membership, Sighting, Standing};
pub use node::{Node, NodeError, NodeReply, NodeRequest};
pub use state::ViewCell;

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
}
