//! The identities that cross module borders, each a type of its own, so that no signature takes a bare `String` or
//! `u32` and means a node, a shard, an index or a task by it.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; whoever reads it from outside has checked its form.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($number:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// One Meilisearch server, named in the configuration.
    NodeId
}
text_id! {
    /// An index as clients name it.
    IndexUid
}
text_id! {
    /// An index as the nodes name it. Normally the client's name; a swap or a reshard makes them differ.
    PhysicalUid
}
number_id! {
    /// A set of nodes that together hold a full copy of everything.
    GroupId(u32)
}
number_id! {
    /// A slice of one index's key space, counted from 0.
    ShardId(u32)
}
number_id! {
    /// A place in the task log, and the `taskUid` that clients see.
    TaskUid(u64)
}
number_id! {
    /// The time in which one process takes the steps of the write path, counted from 1: each start begins the next one, and
    /// ends the one before.
    Epoch(u64)
}
number_id! {
    /// A committed change of settings. One counter for the whole cluster: each commit of any index takes the next number,
    /// the first one 1.
    SettingsVersion(u64)
}

/// A cluster, told from every other: made once, kept in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub Uuid);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// An API key, whose value follows from this and the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyUid(pub Uuid);

impl fmt::Display for KeyUid {
    /// In lower case, with hyphens: the form that values are made from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// How many shards an index has: at least one, fixed when the index is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardCount(NonZeroU32);

impl ShardCount {
    /// `None` for zero shards.
    pub fn new(count: u32) -> Option<Self> {
        NonZeroU32::new(count).map(Self)
    }

    /// The count as a plain number.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Every shard, in order.
    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.get()).map(ShardId)
    }
}
