//! Which stretch of which shard a page of a listing is made of. The order of a listing is shard by shard, so that it
//! does not depend on which replicas answer, and a page costs what it shows, wherever it begins.

use miroir_core::ids::ShardId;

/// A stretch of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) shard: ShardId,
    pub(super) offset: u64,
    pub(super) limit: u64,
}

/// Cuts `offset..offset + limit` of the concatenated shards into stretches; `counts` holds each shard's documents.
pub(super) fn plan_stretches(counts: &[(ShardId, u64)], offset: u64, limit: u64) -> Vec<Stretch> {
    let (mut skip, mut left) = (offset, limit);
    let mut stretches = Vec::new();
    for &(shard, count) in counts {
        let offset = skip.min(count);
        skip -= offset;
        let limit = left.min(count - offset);
        left -= limit;
        if limit > 0 {
            stretches.push(Stretch { shard, offset, limit });
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [(ShardId, u64); 4] = [(ShardId(0), 3), (ShardId(1), 0), (ShardId(2), 5), (ShardId(3), 2)];

    fn stretch(shard: u32, offset: u64, limit: u64) -> Stretch {
        Stretch { shard: ShardId(shard), offset, limit }
    }

    #[test]
    fn a_page_takes_what_is_left_of_a_shard_and_goes_on_in_the_next() {
        assert_eq!(plan_stretches(&COUNTS, 2, 3), [stretch(0, 2, 1), stretch(2, 0, 2)]);
        assert_eq!(plan_stretches(&COUNTS, 4, 100), [stretch(2, 1, 4), stretch(3, 0, 2)]);
        assert_eq!(plan_stretches(&COUNTS, 10, 5), []);
        assert_eq!(plan_stretches(&COUNTS, 0, 0), []);
    }

    #[test]
    fn pages_of_any_size_cover_every_document_once() {
        for size in 1..=11 {
            let shown: u64 = (0..10)
                .step_by(size)
                .flat_map(|at| plan_stretches(&COUNTS, at, size as u64))
                .map(|it| it.limit)
                .sum();
            assert_eq!(shown, 10, "pages of {size}");
        }
    }
}
