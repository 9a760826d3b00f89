//! A decided task that is not over on all nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, ShardId};
use miroir_core::task::{Effect, Folded, TaskStatus, Verdict};
use time::OffsetDateTime;

use super::rollout::Rollout;
use super::share::Share;
use crate::write::prepared::Decided;

/// A decided task that some node still works on.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) index: IndexUid,
    /// Its name on the nodes that have a share.
    pub(super) physical: PhysicalUid,
    /// When the write was accepted.
    pub(super) since: OffsetDateTime,
    pub(super) shares: BTreeMap<NodeId, Share>,
    pub(super) stage: Stage,
    /// There if it changes settings.
    pub(super) rollout: Option<Rollout>,
}

impl Open {
    /// Whether a task that is the first of its index, now at the latest, may end: some node has done its share, or none has
    /// to.
    pub(super) fn begins_to_end(&mut self, now: Instant) -> bool {
        let Stage::Unsettled { touched, first_since, .. } = &mut self.stage else { return false };
        first_since.get_or_insert(now);
        touched.is_empty() || self.shares.values().any(Share::is_done)
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    /// The task is open. `covered_since` is when each shard had first been done by some node, `first_since` when the task
    /// was the first of its index.
    Unsettled {
        work: Arc<Decided>,
        touched: BTreeSet<ShardId>,
        first_since: Option<Instant>,
        covered_since: Option<Instant>,
    },
    /// The task has ended; the remaining shares are of nodes that are behind.
    Settled { end: End },
}

/// What an ended task says of nodes that come to it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It succeeded: so must they.
    Done,
    /// It was refused before any node heard of it, as a whole or but for its index: they may do what they get.
    Judged,
    /// It failed on the nodes that came first: so must they.
    FailedOnNodes,
}

impl End {
    pub(super) fn of(status: TaskStatus, verdict: &Verdict) -> Self {
        match (status, verdict) {
            (TaskStatus::Succeeded, _) => Self::Done,
            (_, Verdict::Refused(_)) => Self::Judged,
            (_, Verdict::Accepted) => Self::FailedOnNodes,
        }
    }

    pub(super) fn is_contradicted_by(self, share: &Share) -> bool {
        match self {
            Self::Done => share.has_failed(),
            Self::Judged => false,
            // Whether it did the same parts as the others is not known any more.
            Self::FailedOnNodes => !share.has_failed() || share.results.len() > 1,
        }
    }
}

/// What is true after a task: as decided, or as it turned out.
pub(super) fn effects<'a>(work: &'a Decided, folded: Option<&Folded>) -> impl Iterator<Item = &'a Effect> {
    let (succeeded, created, has_part) = match folded {
        Some(folded) => (folded.status == TaskStatus::Succeeded, folded.created, folded.has_part),
        None => (work.decision.verdict == Verdict::Accepted, true, false),
    };
    let survives = move |effect: &&Effect| match effect {
        Effect::PrimaryKey { .. } => has_part,
        effect => created && effect.survives_refusal(),
    };
    work.decision.effects.iter().filter(move |effect| succeeded || survives(effect))
}
