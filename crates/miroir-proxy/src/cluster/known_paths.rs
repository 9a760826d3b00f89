//! Which paths nodes are known to have met, so that they are asked once: a node that knows a path goes on knowing it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use miroir_core::ids::{NodeId, PhysicalUid};
use time::OffsetDateTime;

/// So many paths are remembered; then all are forgotten and asked for again.
const MOST_REMEMBERED: usize = 10_000;

/// A node's copy of an index, which was made at a time.
pub type CopyOf = (NodeId, PhysicalUid, OffsetDateTime);

/// The paths that nodes said they have met.
#[derive(Debug, Default)]
pub struct KnownPaths(Mutex<HashMap<CopyOf, BTreeSet<String>>>);

impl KnownPaths {
    /// Those of one copy.
    pub fn of(&self, copy: &CopyOf) -> BTreeSet<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(copy).cloned().unwrap_or_default()
    }

    /// Takes note of what a node said.
    pub fn remember(&self, copy: CopyOf, met: &BTreeSet<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count: usize = known.values().map(BTreeSet::len).sum();
        if count + met.len() > MOST_REMEMBERED {
            known.clear();
        }
        known.entry(copy).or_default().extend(met.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = KnownPaths::default();
        let copy = |node: &str| (NodeId::new(node), PhysicalUid::new("films"), OffsetDateTime::UNIX_EPOCH);
        let some =
            |from: usize| (from..from + 6_000).map(|path| format!("a.{path}")).collect::<BTreeSet<_>>();
        known.remember(copy("a"), &some(0));
        assert_eq!(known.of(&copy("a")).len(), 6_000);
        known.remember(copy("b"), &some(0));
        assert_eq!((known.of(&copy("a")).len(), known.of(&copy("b")).len()), (0, 6_000));
    }
}
