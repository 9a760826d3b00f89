//! An entry of the log that was decided, and its documents as nodes get them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use miroir_core::arrival::ArrivalChange;
use miroir_core::document::{Part, Payload, splice};
use miroir_core::ids::{PhysicalUid, ShardCount, ShardId};
use miroir_core::task::{Decision, Deletion, Judgement, LogEntry, Mutation, Step};

/// Bytes of documents that stay in memory between the decision and the delivery of one entry. Lanes read what is beyond
/// from the store when they get there: a large payload takes a node longer than that.
const KEPT: usize = 8 << 20;

/// An entry and what was decided about it, without its documents: light enough to be kept until its task is over.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) entry: LogEntry,
    pub(super) decision: Decision,
}

impl Decided {
    /// About how much memory it takes: ids of documents to delete are most of it.
    pub(super) fn bytes(&self) -> usize {
        let mutation = match &self.entry.mutation {
            Mutation::DeleteDocuments { deletion: Deletion::ByIds(ids) } => {
                ids.iter().map(|id| size_of::<String>() + id.len()).sum()
            }
            _ => 0,
        };
        size_of::<Self>() + mutation
    }
}

/// An entry that was decided just now.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) decided: Arc<Decided>,
    /// Its first parts, not always all of them.
    pub(super) documents: Vec<Documents>,
    /// What it means for the order of arrival.
    pub(super) arrivals: Vec<ArrivalChange>,
}

impl Prepared {
    pub(super) fn new(entry: LogEntry, judgement: Judgement, payload: Option<Payload>) -> Self {
        let parts = payload.map(|payload| payload.parts).unwrap_or_default();
        let mut bytes = 0;
        let documents = parts
            .into_iter()
            .zip(judgement.shards_of_documents)
            .enumerate()
            .map(|(number, (part, shards))| {
                Documents::new(part.without(replaced(&judgement.decision, number)), shards)
            })
            .take_while(|documents| {
                bytes += documents.bytes();
                bytes <= KEPT
            })
            .collect();
        let decided = Arc::new(Decided { entry, decision: judgement.decision });
        Self { decided, documents, arrivals: judgement.arrivals }
    }

    /// What it means for the order of arrival, with the index that it is about.
    pub(super) fn take_arrivals(&mut self) -> impl Iterator<Item = (PhysicalUid, ArrivalChange)> {
        let changes = std::mem::take(&mut self.arrivals).into_iter();
        let target = self.decided.decision.target.as_ref();
        changes.filter_map(move |change| Some((target?.physical.clone(), change)))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.decided.bytes() + self.documents.iter().map(Documents::bytes).sum::<usize>()
    }
}

/// The documents of a part that no node gets, by their places.
pub(super) fn replaced(decision: &Decision, part: usize) -> &[usize] {
    let of_step = |step| match step {
        &Step::AddDocuments { part: number, ref replaced, .. } if number == part => Some(&replaced[..]),
        _ => None,
    };
    decision.steps.iter().find_map(of_step).unwrap_or_default()
}

/// One part of an entry's documents, each with its shard.
#[derive(Debug)]
pub(super) struct Documents {
    part: Part,
    shards: Vec<ShardId>,
    /// Replicas of the same shards get the same body, as long as one of them holds it.
    bodies: Mutex<BTreeMap<BTreeSet<ShardId>, Weak<Vec<u8>>>>,
}

impl Documents {
    pub(super) fn new(part: Part, shards: Vec<ShardId>) -> Self {
        Self { part, shards, bodies: Mutex::default() }
    }

    /// The documents of these shards as a node gets them. May copy the whole part.
    pub(super) fn body(&self, wanted: &BTreeSet<ShardId>, count: ShardCount) -> Bytes {
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let known = bodies.get(wanted).and_then(Weak::upgrade);
        let body = known.unwrap_or_else(|| {
            let body = Arc::new(splice(&self.part, &self.shards, wanted, count));
            bodies.insert(wanted.clone(), Arc::downgrade(&body));
            body
        });
        Bytes::from_owner(Shared(body))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let of_document = size_of::<Range<usize>>() + size_of::<ShardId>();
        size_of::<Self>() + self.part.bytes.len() + self.part.len() * of_document
    }
}

/// A body that several lanes send.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_of_the_same_shards_share_a_body_while_one_of_them_holds_it() {
        let part = Part::restore(Bytes::from_static(b"{\"id\":1},{\"id\":2}")).unwrap();
        let documents = Documents::new(part, vec![ShardId(0), ShardId(1)]);
        let count = ShardCount::new(2).unwrap();
        let wanted = BTreeSet::from([ShardId(0), ShardId(1)]);
        let first = documents.body(&wanted, count);
        let second = documents.body(&wanted, count);
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(
            documents.body(&BTreeSet::from([ShardId(1)]), count),
            "{\"_miroir_shard_001\":null,\"id\":2}\n"
        );
        drop((first, second));
        assert!(documents.bodies.lock().unwrap().values().all(|body| body.upgrade().is_none()));
    }
}
