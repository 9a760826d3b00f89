//! Payloads that were accepted just now, still as they were checked: the sequencer need not read and cut them again. In
//! bounded memory, and only small ones; the store has all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use miroir_core::document::Payload;
use miroir_core::ids::TaskUid;

/// The largest payload that is kept: for a larger one the way over the store is short compared with what follows.
const LARGEST: usize = 1 << 20;

/// Bytes of payloads at most.
const MAX_BYTES: usize = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecentPayloads(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    payloads: BTreeMap<TaskUid, Payload>,
    bytes: usize,
}

impl RecentPayloads {
    /// Whether a payload would be kept, if there is room.
    pub(super) fn would_keep(payload: &Payload) -> bool {
        !payload.is_empty() && payload.bytes() <= LARGEST
    }

    /// Keeps a payload, unless there is no room.
    pub(super) fn put(&self, task: TaskUid, payload: Payload) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + payload.bytes() <= MAX_BYTES {
            kept.bytes += payload.bytes();
            kept.payloads.insert(task, payload);
        }
    }

    /// The payload of a task, if it was kept. Entries are judged in order, so those before are of no use any more.
    pub(super) fn take(&self, task: TaskUid) -> Option<Payload> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let later = kept.payloads.split_off(&TaskUid(task.0 + 1));
        let mut passed = std::mem::replace(&mut kept.payloads, later);
        kept.bytes -= passed.values().map(Payload::bytes).sum::<usize>();
        passed.remove(&task)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn payload(bytes: usize) -> Payload {
        let body = format!("{{\"id\":\"{}\"}}", "x".repeat(bytes - 9));
        Payload::restore(vec![Bytes::from(body)]).unwrap()
    }

    #[test]
    fn a_payload_is_taken_once_and_those_before_it_are_dropped() {
        let recent = RecentPayloads::default();
        for task in 1..4 {
            recent.put(TaskUid(task), payload(100));
        }
        assert_eq!(recent.take(TaskUid(2)), Some(payload(100)));
        assert_eq!(recent.take(TaskUid(2)), None);
        assert_eq!(recent.take(TaskUid(1)), None);
        assert!(recent.take(TaskUid(3)).is_some());
        assert_eq!(recent.0.lock().unwrap().bytes, 0);
    }

    #[test]
    fn what_has_no_room_is_not_kept() {
        assert!(
            !RecentPayloads::would_keep(&payload(LARGEST + 1))
                && RecentPayloads::would_keep(&payload(LARGEST))
        );
        let recent = RecentPayloads::default();
        for task in 0..17 {
            recent.put(TaskUid(task), payload(LARGEST));
        }
        assert_eq!(recent.0.lock().unwrap().payloads.len(), 16);
    }
}
