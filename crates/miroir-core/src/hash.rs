//! The two hashes that decide where documents live. Both are XXH64 with seed 0 over bytes that are spelled out here, never
//! `std::hash::Hash`, whose bytes are nobody's promise.
//!
//! They are part of the data format: with another result a document that is already stored would be looked for, updated
//! and deleted in a shard that it is not in. `tests/golden/hash.json` holds what they must answer for ever.

use xxhash_rust::xxh64::{Xxh64, xxh64};

use crate::ids::{NodeId, PhysicalUid, ShardCount, ShardId};

const SEED: u64 = 0;

/// The shard of a document: XXH64 of the UTF-8 bytes of its primary key's canonical text, modulo the number of shards.
///
/// To Meilisearch the integer `1` and the string `"1"` name one document, so both come here as the text `1`.
pub fn shard_of(canonical_id: &str, shards: ShardCount) -> ShardId {
    let shard = xxh64(canonical_id.as_bytes(), SEED) % u64::from(shards.get());
    ShardId(u32::try_from(shard).expect("a remainder modulo a u32 fits into a u32"))
}

/// The rendezvous score of a node for one shard of one index: of several nodes, the one with the highest score is the
/// first choice. The index takes part, so that indexes of few shards don't all land on the same nodes.
///
/// The bytes are, in this order:
///
/// | bytes | what |
/// |---|---|
/// | 8 | length of the index uid in bytes, little-endian |
/// | that many | the index uid, UTF-8 |
/// | 4 | the shard's number, little-endian |
/// | the rest | the node id, UTF-8 |
///
/// The length in front keeps `("ab", …)` and `("a", …)` from ever spelling the same bytes.
pub fn score(index: &PhysicalUid, shard: ShardId, node: &NodeId) -> u64 {
    let uid = index.as_str().as_bytes();
    let mut hasher = Xxh64::new(SEED);
    hasher.update(&(uid.len() as u64).to_le_bytes());
    hasher.update(uid);
    hasher.update(&shard.0.to_le_bytes());
    hasher.update(node.as_str().as_bytes());
    hasher.digest()
}

/// A number that looks random but depends on nothing except the seed and the bytes: for choices between equals that
/// should differ from query to query and stay the same for one query. Nothing stored depends on it.
pub fn draw(seed: u64, bytes: &[u8]) -> u64 {
    xxh64(bytes, seed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        shard_of: Vec<GoldenShard>,
        score: Vec<GoldenScore>,
    }

    #[derive(Deserialize)]
    struct GoldenShard {
        id: String,
        xxh64: String,
        shards: BTreeMap<u32, ShardId>,
    }

    #[derive(Deserialize)]
    struct GoldenScore {
        index: PhysicalUid,
        shard: ShardId,
        node: NodeId,
        score: String,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../tests/golden/hash.json")).unwrap()
    }

    const DATA_LOSS: &str =
        "a changed shard hash is data loss: stored documents would be looked for in other shards";

    #[test]
    fn a_changed_shard_hash_is_data_loss() {
        let cases = golden().shard_of;
        assert!(cases.len() >= 15, "golden vectors are added, never taken away");
        for case in cases {
            let id = &case.id;
            assert_eq!(format!("{:016x}", xxh64(id.as_bytes(), SEED)), case.xxh64, "{id}: {DATA_LOSS}");
            for (count, shard) in case.shards {
                let count = ShardCount::new(count).unwrap();
                assert_eq!(shard_of(id, count), shard, "{id} of {count:?}: {DATA_LOSS}");
            }
        }
    }

    #[test]
    fn a_changed_score_moves_data_for_nothing() {
        let cases = golden().score;
        assert!(cases.len() >= 10, "golden vectors are added, never taken away");
        for GoldenScore { index, shard, node, score: expected } in cases {
            assert_eq!(format!("{:016x}", score(&index, shard, &node)), expected, "{index} {shard} {node}");
        }
    }

    #[test]
    fn the_boundary_between_index_and_node_is_part_of_the_score() {
        let shard = ShardId(0);
        let longer_index = score(&PhysicalUid::new("movies"), shard, &NodeId::new("node"));
        let shorter_index = score(&PhysicalUid::new("movie"), shard, &NodeId::new("snode"));
        assert_ne!(longer_index, shorter_index);
    }

    #[test]
    fn documents_spread_evenly_over_shards() {
        let shards = ShardCount::new(16).unwrap();
        let mut documents = [0_u32; 16];
        for id in 0..16_000 {
            documents[shard_of(&id.to_string(), shards).0 as usize] += 1;
        }
        assert!(documents.iter().all(|count| (850..=1150).contains(count)), "{documents:?}");
    }
}
