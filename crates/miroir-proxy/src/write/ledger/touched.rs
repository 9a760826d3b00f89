//! Indexes about which something was decided or not over since somebody began to watch. What is about none of these did
//! not change meanwhile.

use std::collections::BTreeSet;

use miroir_core::ids::{IndexUid, PhysicalUid};
use miroir_core::view::IndexEntry;

use super::Ledger;
use crate::write::prepared::Decided;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Touched {
    uids: BTreeSet<IndexUid>,
    physicals: BTreeSet<PhysicalUid>,
}

impl Touched {
    pub(super) fn note(&mut self, work: &Decided) {
        self.uids.insert(work.entry.index_uid.clone());
        self.physicals.extend(work.decision.target.iter().map(|target| target.physical.clone()));
    }
}

impl Ledger {
    /// Begins to watch what is touched, with what is open now. One at a time may watch.
    pub(in crate::write) fn watch_touched(&mut self) {
        let mut touched = Touched::default();
        for work in self.queues.values().flatten().filter_map(|task| self.work(*task)) {
            touched.note(work);
        }
        self.touched = Some(touched);
    }

    /// Whether something may have been done to this index since. Of what nobody watches everything may.
    pub(in crate::write) fn is_touched(&self, index: &IndexEntry) -> bool {
        self.touched.as_ref().is_none_or(|touched| {
            touched.uids.contains(&index.uid) || touched.physicals.contains(&index.physical)
        })
    }

    /// Nobody wants to know any more.
    pub(in crate::write) fn stop_watching(&mut self) {
        self.touched = None;
    }
}
