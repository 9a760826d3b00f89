//! Views for tests.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{IndexEntry, View};
use crate::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::placement::{GroupPlacement, IndexPlacement};
use crate::settings::ClientSettings;

/// An index without a primary key; for each shard the nodes that hold it.
pub(super) fn index(name: &str, shards: &[&[&str]]) -> IndexEntry {
    let rows = shards.iter().map(|nodes| nodes.iter().copied().map(NodeId::new).collect()).collect();
    let shards = ShardCount::new(u32::try_from(shards.len()).unwrap()).unwrap();
    IndexEntry {
        uid: IndexUid::new(name),
        physical: PhysicalUid::new(name),
        primary_key: None,
        shards,
        placement: IndexPlacement::new(shards, [(GroupId(0), GroupPlacement::new(rows))].into()).unwrap(),
        settings: ClientSettings::default(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

/// Shard 0 of an index on a and b, shard 1 on b and c; these nodes answer.
pub(super) fn two_shards_on_three(usable: &[&str]) -> View {
    let entry = index("films", &[&["a", "b"], &["b", "c"]]);
    View {
        indexes: [(entry.uid.clone(), Arc::new(entry))].into(),
        usable: usable.iter().copied().map(NodeId::new).collect(),
        ..View::default()
    }
}
