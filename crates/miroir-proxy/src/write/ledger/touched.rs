//! Indexes about which something was decided or not over since somebody began to watch. What is about none of these did
//! not change meanwhile.

use std::collections::BTreeSet;

use miroir_core::ids::{IndexUid, PhysicalUid};
use miroir_core::view::IndexEntry;

use super::Head;
use crate::write::prepared::Decided;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::write) struct Touched {
    uids: BTreeSet<IndexUid>,
    physicals: BTreeSet<PhysicalUid>,
}

impl Touched {
    /// Whether something may have been done to this index.
    pub(in crate::write) fn contains(&self, index: &IndexEntry) -> bool {
        self.uids.contains(&index.uid) || self.physicals.contains(&index.physical)
    }

    pub(in crate::write::ledger) fn note(&mut self, work: &Decided) {
        self.uids.insert(work.entry.index_uid.clone());
        self.physicals.extend(work.decision.target.iter().map(|target| target.physical.clone()));
    }
}

impl Head {
    /// Begins to watch what is touched, with what is open now. One at a time may watch. Answers what was touched since the
    /// watch before this one began, if there was one; nothing falls between the two.
    pub(in crate::write) fn watch_touched(&mut self) -> Option<Touched> {
        let mut touched = Touched::default();
        for work in self.works() {
            touched.note(work);
        }
        self.touched.replace(touched)
    }

    /// Nobody wants to know any more. Answers what was touched, if somebody wanted to know.
    pub(in crate::write) fn stop_watching(&mut self) -> Option<Touched> {
        self.touched.take()
    }
}
