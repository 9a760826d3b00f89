//! What one read of an index goes by.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use miroir_core::cover::{CoverPart, Shortfall};
use miroir_core::ids::ShardId;
use miroir_core::view::{IndexEntry, View};

use crate::cluster::Cluster;

/// One index in one view, and which of its shards were read from nodes that are behind.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) view: &'a View,
    pub(super) entry: &'a IndexEntry,
    stale: Mutex<BTreeSet<ShardId>>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub fn new(cluster: &'a Cluster, view: &'a View, entry: &'a IndexEntry) -> Self {
        Self { cluster, view, entry, stale: Mutex::default() }
    }

    /// Notes that a part was answered for.
    pub(super) fn note(&self, part: &CoverPart) {
        if part.is_stale() {
            self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(&part.shards);
        }
    }

    /// What was read lacks.
    pub fn shortfall(self) -> Shortfall {
        let stale = self.stale.into_inner().unwrap_or_else(PoisonError::into_inner);
        Shortfall { stale: stale.into_iter().collect(), ..Shortfall::default() }
    }
}
