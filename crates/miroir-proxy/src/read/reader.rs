//! What one read of an index goes by.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use miroir_core::cover::Shortfall;
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

    /// Notes that these shards were read from nodes that are behind.
    pub(super) fn note(&self, stale: &[ShardId]) {
        if !stale.is_empty() {
            self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(stale);
        }
    }

    /// What was read lacks.
    pub fn shortfall(self) -> Shortfall {
        let stale = self.stale.into_inner().unwrap_or_else(PoisonError::into_inner);
        Shortfall { stale: stale.into_iter().collect(), ..Shortfall::default() }
    }
}
