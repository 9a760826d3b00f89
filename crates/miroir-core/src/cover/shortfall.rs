//! What an answer out of several nodes' answers lacks.

use crate::ids::ShardId;

/// What an answer lacks; mostly nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// Shards that no node could answer for; their documents are missing from the answer.
    pub missing: Vec<ShardId>,
    /// Shards that only nodes could answer for that are behind: what was written lately may be missing from the answer.
    pub stale: Vec<ShardId>,
    /// A node ran into the index's `searchCutoffMs`: hits may be missing or in another order.
    pub cut_off: bool,
}

impl Shortfall {
    /// What is said of two answers that go into one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.missing.extend(other.missing);
        self.stale.extend(other.stale);
        self.cut_off |= other.cut_off;
        self.tidy();
        self
    }

    /// Each shard once, in order.
    pub fn tidy(&mut self) {
        for shards in [&mut self.missing, &mut self.stale] {
            shards.sort_unstable();
            shards.dedup();
        }
    }
}
