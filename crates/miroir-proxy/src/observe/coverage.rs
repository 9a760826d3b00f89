//! Which shards can be read, over all indexes.

use std::collections::BTreeSet;

use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::{IndexEntry, View};

/// Shards of all indexes, counted by what can be read of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// All shards.
    pub shards: u32,
    /// Those with a copy on a node that cannot be read now.
    pub degraded: u32,
    /// Those without a copy on any node that can be read now.
    pub missing: u32,
}

impl Coverage {
    /// Whether every search can be answered from every shard.
    pub fn is_full(self) -> bool {
        self.missing == 0
    }

    /// The part of all shards that can be read, from 0 to 1; 1 when there is no index.
    pub fn ratio(self) -> f64 {
        if self.shards == 0 { 1.0 } else { f64::from(self.shards - self.missing) / f64::from(self.shards) }
    }
}

/// Whether a node that can be read has the shard.
pub fn is_readable(entry: &IndexEntry, shard: ShardId, readable: &BTreeSet<NodeId>) -> bool {
    entry.placement.all_replicas(shard).any(|node| readable.contains(node))
}

/// Counts the shards of all indexes of the view.
pub fn coverage(view: &View) -> Coverage {
    let mut counted = Coverage::default();
    for entry in view.indexes.values() {
        for shard in entry.placement.shard_count().shards() {
            counted.shards += 1;
            let all = entry.placement.all_replicas(shard).all(|node| view.readable.contains(node));
            counted.degraded += u32::from(!all);
            counted.missing += u32::from(!is_readable(entry, shard, &view.readable));
        }
    }
    counted
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use miroir_core::ids::{GroupId, IndexUid, PhysicalUid, ShardCount};
    use miroir_core::placement::{GroupPlacement, IndexPlacement};
    use miroir_core::settings::ClientSettings;
    use time::OffsetDateTime;

    use super::*;

    /// Shard 0 on a and b, shard 1 on b and c.
    pub fn view(readable: &[&str]) -> View {
        let nodes = |ids: [&str; 2]| ids.map(NodeId::new).to_vec();
        let table = GroupPlacement::new(vec![nodes(["a", "b"]), nodes(["b", "c"])]);
        let shards = ShardCount::new(2).unwrap();
        let entry = IndexEntry {
            uid: IndexUid::new("films"),
            physical: PhysicalUid::new("films"),
            primary_key: None,
            shards,
            placement: IndexPlacement::new(shards, [(GroupId(0), table)].into()).unwrap(),
            settings: ClientSettings::default(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        };
        View {
            indexes: [(entry.uid.clone(), Arc::new(entry))].into(),
            readable: readable.iter().map(|id| NodeId::new(*id)).collect(),
            ..View::default()
        }
    }

    #[test]
    fn a_shard_is_degraded_with_its_first_lost_copy_and_missing_with_its_last() {
        let counted = |readable: &[&str]| {
            let counted = coverage(&view(readable));
            (counted.shards, counted.degraded, counted.missing)
        };
        assert_eq!(counted(&["a", "b", "c"]), (2, 0, 0));
        assert_eq!(counted(&["a", "c"]), (2, 2, 0));
        assert_eq!(counted(&["a", "b"]), (2, 1, 0));
        assert_eq!(counted(&["a"]), (2, 2, 1));
    }

    #[test]
    fn the_ratio_goes_from_nothing_to_everything_and_no_index_is_everything() {
        let ratio = |view: &View| format!("{:.1}", coverage(view).ratio());
        let ratios = [ratio(&view(&[])), ratio(&view(&["a"])), ratio(&view(&["b"])), ratio(&View::default())];
        assert_eq!(ratios, ["0.0", "0.5", "1.0", "1.0"]);
    }
}
