//! What an operator would rather have than an answer that lacks shards.

/// What a search does when no node in sync can answer for a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableShardPolicy {
    /// It asks a node that is behind, and is partial where there is none. A header says either.
    Stale,
    /// It answers from the other shards and says so in a header.
    Partial,
    /// It fails with 503.
    Error,
}
