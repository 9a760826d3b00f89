//! One change of settings on its way through the nodes, and what every node has made of it. As a whole:
//!
//! ```text
//!                    Applied                        Committed
//!   propose <---------------------> verify ------------------------> committed
//!      |             Opened           | ^
//!      |                 Unrepairable v | Retry
//!      |                             frozen
//!      \--- Refused (from anywhere before the end) ---> failed
//! ```
//!
//! A wave is proposed to its nodes, then verified, then the next wave is opened. And each node:
//!
//! ```text
//!             Opened             Applied             Verified
//!   waiting ----------> proposed ----------> applied ----------> verified
//!                          |                  ^ |  ^
//!                  Refused v           Repair \-/  | Retry
//!                       refused                    |
//!                                   GaveUp: applied --> differs
//! ```
//!
//! `TakenBack` leads from applied, verified and differs to applied: the node is read back again, against what it had before. A node
//! that was waiting is skipped: it never hears of the change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::SettingsHash;
use crate::error::ResponseError;
use crate::ids::{NodeId, PhysicalUid, SettingsVersion, TaskUid};

/// How a change goes through the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In as few waves as keep a uniform cover.
    TwoPhase,
    /// Node by node; if one refuses it or can't be verified, those that have it get the old settings back, and the others
    /// never hear of it.
    Sequential,
}

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Some node works on it.
    Propose,
    /// Nodes are read back.
    Verify,
    /// Some node can't be brought to it. Writes to the index wait for the operator.
    Frozen,
    /// It has a version.
    Committed,
    /// It was refused.
    Failed,
}

/// What can happen to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseEvent {
    /// Every node of the open waves that is waited for has applied it.
    Applied,
    /// The next wave may be sent.
    Opened,
    /// Some node still differs after all tries.
    Unrepairable,
    /// The operator wants another try.
    Retry,
    /// Every node that is waited for was verified.
    Committed,
    /// Nodes refused it, or it was taken back.
    Refused,
}

impl Phase {
    /// Every phase there is.
    pub const ALL: &[Self] = &[Self::Propose, Self::Verify, Self::Frozen, Self::Committed, Self::Failed];

    /// The phase after `event`; the same one where the event changes nothing.
    #[must_use]
    pub const fn next(self, event: PhaseEvent) -> Self {
        match (self, event) {
            (Self::Propose, PhaseEvent::Applied) | (Self::Frozen, PhaseEvent::Retry) => Self::Verify,
            (Self::Verify, PhaseEvent::Opened) => Self::Propose,
            (Self::Verify, PhaseEvent::Unrepairable) => Self::Frozen,
            (Self::Verify, PhaseEvent::Committed) => Self::Committed,
            (Self::Propose | Self::Verify | Self::Frozen, PhaseEvent::Refused) => Self::Failed,
            (same, _) => same,
        }
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Committed | Self::Failed)
    }
}

/// Where a change stands on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum NodeStage {
    /// Its wave is not open.
    Waiting,
    /// It may have been sent.
    Proposed,
    /// Its task has ended well; the node is read back, or repaired.
    Applied {
        /// So many repairs were sent.
        repairs: u32,
    },
    /// It has exactly what was proposed.
    Verified,
    /// It has something else, whatever was sent.
    Differs {
        /// In these settings; none when it could not be read at all.
        keys: Vec<String>,
        /// The hash of what it has, as far as that is known.
        #[serde(default)]
        found_hash: Option<SettingsHash>,
    },
    /// Its task failed: it has what it had.
    Refused,
    /// The change was taken back before the node was sent it: it has what it had.
    Skipped,
}

/// What can happen to a change on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// Its wave was opened.
    Opened,
    /// Its task has ended well.
    Applied,
    /// It was sent its settings again.
    Repair,
    /// What it reports is what was proposed.
    Verified,
    /// It differs after all tries, in these keys, and has settings of this hash.
    GaveUp(Vec<String>, Option<SettingsHash>),
    /// Its task has failed.
    Refused,
    /// The operator wants another try.
    Retry,
    /// It is to have again what it had before.
    TakenBack,
}

impl NodeStage {
    /// The stage after `event`; the same one where the event changes nothing.
    #[must_use]
    pub fn next(self, event: NodeEvent) -> Self {
        match (self, event) {
            (Self::Waiting, NodeEvent::Opened) => Self::Proposed,
            (Self::Waiting | Self::Proposed, NodeEvent::Refused) => Self::Refused,
            (Self::Applied { repairs }, NodeEvent::Repair) => Self::Applied { repairs: repairs + 1 },
            (Self::Applied { .. }, NodeEvent::Verified) => Self::Verified,
            // One that was verified is read back again after a restart.
            (Self::Applied { .. } | Self::Verified, NodeEvent::GaveUp(keys, found_hash)) => {
                Self::Differs { keys, found_hash }
            }
            (Self::Waiting, NodeEvent::TakenBack) => Self::Skipped,
            (Self::Waiting | Self::Proposed, NodeEvent::Applied)
            | (Self::Differs { .. }, NodeEvent::Retry)
            | (Self::Applied { .. } | Self::Verified | Self::Differs { .. }, NodeEvent::TakenBack) => {
                Self::Applied { repairs: 0 }
            }
            (same, _) => same,
        }
    }
}

/// A change of one index's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// The task that asked for it.
    pub task: TaskUid,
    /// The index, by its name on the nodes.
    pub index: PhysicalUid,
    /// How it goes through the nodes.
    pub strategy: Strategy,
    /// What every node must come to.
    pub hash: SettingsHash,
    /// Where it stands.
    pub phase: Phase,
    /// The nodes, in the order in which they get it.
    pub waves: Vec<BTreeSet<NodeId>>,
    /// So many of the waves are open.
    pub open: usize,
    /// Where it stands on each node.
    pub nodes: BTreeMap<NodeId, NodeStage>,
    /// What it was committed as.
    pub version: Option<SettingsVersion>,
    /// Why it was taken back, if it was: what its task fails with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<ResponseError>,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    /// When it was over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
}

impl Broadcast {
    /// A change whose first wave is open.
    pub fn begin(
        (task, index): (TaskUid, PhysicalUid),
        strategy: Strategy,
        hash: SettingsHash,
        waves: Vec<BTreeSet<NodeId>>,
        now: OffsetDateTime,
    ) -> Self {
        let nodes = waves.iter().flatten().map(|node| (node.clone(), NodeStage::Waiting)).collect();
        let mut broadcast = Self {
            task,
            index,
            strategy,
            hash,
            phase: Phase::Propose,
            waves,
            open: 0,
            nodes,
            version: None,
            taken_back: None,
            began_at: now,
            ended_at: None,
        };
        broadcast.open_next();
        broadcast
    }

    /// Opens the next wave. Answers its nodes; none if all waves are open.
    pub fn open_next(&mut self) -> BTreeSet<NodeId> {
        let Some(wave) = self.waves.get(self.open).cloned() else { return BTreeSet::new() };
        self.open += 1;
        self.phase = self.phase.next(PhaseEvent::Opened);
        for node in &wave {
            self.note(node, NodeEvent::Opened);
        }
        wave
    }

    /// Turns the change round: every node is to have what it had.
    pub fn take_back(&mut self, error: ResponseError) {
        self.taken_back = Some(error);
        for stage in self.nodes.values_mut() {
            *stage = stage.clone().next(NodeEvent::TakenBack);
        }
    }

    /// Whether its task can't end yet: not every node may have it, or the operator has to do something.
    pub fn is_held(&self) -> bool {
        self.taken_back.is_none() && (!self.is_open_for_all() || self.phase == Phase::Frozen)
    }

    /// Whether some node failed it, or has something else after all tries.
    pub fn has_failed(&self) -> bool {
        self.nodes.values().any(|stage| matches!(stage, NodeStage::Refused | NodeStage::Differs { .. }))
    }

    /// Whether a node may be sent the change. Nodes that the change does not name may be.
    pub fn is_open_for(&self, node: &NodeId) -> bool {
        self.phase.is_over() || self.nodes.get(node) != Some(&NodeStage::Waiting)
    }

    /// Whether every wave is open.
    pub fn is_open_for_all(&self) -> bool {
        self.open >= self.waves.len()
    }

    /// Notes what happened to a node. True if its stage changed.
    pub fn note(&mut self, node: &NodeId, event: NodeEvent) -> bool {
        let Some(stage) = self.nodes.get_mut(node) else { return false };
        let before = stage.clone();
        *stage = before.clone().next(event);
        *stage != before
    }

    /// The nodes of which nobody knows which settings they answer with.
    pub fn changing(&self) -> BTreeSet<NodeId> {
        self.nodes_that(|stage| {
            matches!(stage, NodeStage::Proposed | NodeStage::Applied { .. } | NodeStage::Differs { .. })
        })
    }

    /// Those of the changing nodes that were not given up.
    pub fn settling(&self) -> BTreeSet<NodeId> {
        self.nodes_that(|stage| matches!(stage, NodeStage::Proposed | NodeStage::Applied { .. }))
    }

    /// The nodes that a change which was taken back left as they were.
    pub fn untouched(&self) -> BTreeSet<NodeId> {
        self.nodes_that(|stage| matches!(stage, NodeStage::Refused | NodeStage::Skipped))
    }

    /// The nodes that were verified.
    pub fn verified(&self) -> BTreeSet<NodeId> {
        self.nodes_that(|stage| *stage == NodeStage::Verified)
    }

    /// The nodes of which nobody knows which settings they have, now that the change is over and they are not behind. A
    /// change that failed leaves some with it.
    pub fn astray(&self) -> BTreeSet<NodeId> {
        match self.phase {
            Phase::Failed if self.taken_back.is_none() => {
                self.verified().union(&self.changing()).cloned().collect()
            }
            _ => self.differing().map(|(node, _)| node.clone()).collect(),
        }
    }

    /// The nodes that were given up, each with the settings in which it differs.
    pub fn differing(&self) -> impl Iterator<Item = (&NodeId, &[String])> {
        self.nodes.iter().filter_map(|(node, stage)| match stage {
            NodeStage::Differs { keys, .. } => Some((node, keys.as_slice())),
            _ => None,
        })
    }

    fn nodes_that(&self, has: impl Fn(&NodeStage) -> bool) -> BTreeSet<NodeId> {
        self.nodes.iter().filter(|(_, stage)| has(stage)).map(|(node, _)| node.clone()).collect()
    }
}
