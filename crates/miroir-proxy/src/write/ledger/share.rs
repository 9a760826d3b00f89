//! What one node owes of one task, and what it has done of it.

use std::collections::BTreeSet;

use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::ShardId;
use miroir_core::task::{Fault, Lack, NodeReport, OpResult, fault_of};
use time::OffsetDateTime;

/// What one node owes of one task.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) results: Vec<Option<OpResult>>,
    /// For each request, the error that means "done before".
    pub(super) forgiven: Vec<Option<ErrorCode>>,
    pub(super) shards: BTreeSet<ShardId>,
    /// What the node lacks until it is done.
    pub(super) lack: Lack,
    /// When it last came on, as far as this process knows.
    pub(super) since: OffsetDateTime,
    /// It is settings that have to be read back.
    pub(super) unverified: bool,
}

impl Share {
    pub(super) fn is_done(&self) -> bool {
        self.is_applied() && (!self.unverified || self.has_failed())
    }

    pub(super) fn is_applied(&self) -> bool {
        self.results.iter().all(Option::is_some)
    }

    fn errors(&self) -> impl Iterator<Item = &ResponseError> {
        self.results.iter().zip(&self.forgiven).filter_map(|(result, forgiven)| match result {
            Some(OpResult::Failed(error)) if Some(error.code) != *forgiven => Some(error),
            _ => None,
        })
    }

    /// Why it failed.
    pub(super) fn error(&self) -> Option<&ResponseError> {
        self.errors().next()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.error().is_some()
    }

    /// Whether it failed for a reason of the node's own.
    pub(super) fn has_broken(&self) -> bool {
        self.errors().any(|error| fault_of(error.code) == Fault::Node)
    }

    pub(super) fn report(&self) -> NodeReport {
        self.results.iter().flatten().cloned().collect()
    }
}
