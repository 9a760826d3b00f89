//! Holds what the log says about one index, from one place on, so that its copies stand still while one is compared with
//! another. Lanes set held entries aside and go on with those about other indexes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use miroir_core::ids::{PhysicalUid, TaskUid};
use tokio::sync::watch;

/// What is held.
#[derive(Debug, Default)]
struct Held {
    /// How often this has changed.
    changes: u64,
    /// For each index and each who holds it, the first entry that is held.
    from: BTreeMap<(PhysicalUid, u64), TaskUid>,
}

impl Held {
    fn set(&mut self, index: &PhysicalUid, holder: u64, from: TaskUid) {
        self.changes += 1;
        self.from.insert((index.clone(), holder), from);
    }

    fn drop(&mut self, index: &PhysicalUid, holder: u64) {
        self.changes += 1;
        self.from.remove(&(index.clone(), holder));
    }

    fn holds(&self, index: &PhysicalUid, entry: TaskUid) -> bool {
        let mut holders = self.from.range((index.clone(), 0)..=(index.clone(), u64::MAX));
        holders.any(|(_, from)| entry >= *from)
    }
}

/// One lane's side.
#[derive(Debug)]
pub(super) struct LaneBarrier {
    held: watch::Receiver<Held>,
    begun: Arc<AtomicU64>,
}

impl LaneBarrier {
    /// How often it has changed what is held.
    pub(super) fn holds(&mut self) -> u64 {
        self.held.borrow_and_update().changes
    }

    /// Waits until something else is held. Never ends when nobody can hold anything any more.
    pub(super) async fn changed(&mut self) {
        if self.held.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The lane begins this entry, about this index if there is one. Answers how often it has changed what is held, and whether the entry
    /// is held. Whoever holds the index from now on counts it as begun.
    pub(super) fn begin(&self, entry: TaskUid, index: Option<&PhysicalUid>) -> (u64, bool) {
        self.begun.fetch_max(entry.0 + 1, Ordering::SeqCst);
        let held = self.held.borrow();
        (held.changes, index.is_some_and(|index| held.holds(index, entry)))
    }
}

/// The other side: all lanes.
#[derive(Debug, Default)]
pub(super) struct Barrier {
    held: watch::Sender<Held>,
    /// No lane has begun an entry from here on.
    begun: Arc<AtomicU64>,
    holders: AtomicU64,
}

impl Barrier {
    /// A lane has come that may have begun entries before this one.
    pub(super) fn note_begun(&self, end: TaskUid) {
        self.begun.fetch_max(end.0, Ordering::SeqCst);
    }

    pub(super) fn for_lane(&self) -> LaneBarrier {
        LaneBarrier { held: self.held.subscribe(), begun: Arc::clone(&self.begun) }
    }

    /// No lane has begun an entry from here on.
    pub(super) fn begun(&self) -> TaskUid {
        TaskUid(self.begun.load(Ordering::SeqCst))
    }

    /// Lets lanes go on with an index up to the last entry that one of them may have begun, and no farther, until what
    /// this returns is dropped.
    pub(super) fn hold(self: &Arc<Self>, index: PhysicalUid) -> Hold {
        let holder = self.holders.fetch_add(1, Ordering::Relaxed);
        let mut line = TaskUid(0);
        self.held.send_modify(|held| {
            // A lane says what it begins before it looks at what is held: one that looked before this counts here, and one
            // that looks after it sees the line.
            line = self.begun();
            held.set(&index, holder, line);
        });
        Hold { barrier: Arc::clone(self), index, holder, line }
    }
}

/// An index is held as long as this lives.
#[derive(Debug)]
pub(super) struct Hold {
    barrier: Arc<Barrier>,
    index: PhysicalUid,
    holder: u64,
    line: TaskUid,
}

impl Hold {
    /// The first entry that is held, if it is about the index.
    pub(super) const fn line(&self) -> TaskUid {
        self.line
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.barrier.held.send_modify(|held| held.drop(&self.index, self.holder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str) -> PhysicalUid {
        PhysicalUid::new(name)
    }

    #[test]
    fn only_the_index_that_is_held_is_held_and_only_from_what_is_not_begun() {
        let barrier = Arc::new(Barrier::default());
        barrier.note_begun(TaskUid(5));
        let mut lane = barrier.for_lane();
        let (x, y) = (index("x"), index("y"));
        // This one is in the middle of entry 7.
        assert_eq!(lane.begin(TaskUid(7), Some(&x)), (0, false));
        let hold = barrier.hold(x.clone());
        assert_eq!(hold.line(), TaskUid(8));
        let holds = lane.holds();
        assert_eq!(
            lane.begin(TaskUid(3), Some(&x)),
            (holds, false),
            "another lane has begun what comes later"
        );
        assert_eq!(lane.begin(TaskUid(8), Some(&x)), (holds, true));
        assert_eq!(lane.begin(TaskUid(9), Some(&y)), (holds, false));
        drop(hold);
        assert_ne!(lane.holds(), holds);
        assert!(!lane.begin(TaskUid(8), Some(&x)).1);
    }

    #[test]
    fn an_index_that_two_hold_is_held_until_both_let_it_go() {
        let barrier = Arc::new(Barrier::default());
        let lane = barrier.for_lane();
        let (first, second) = (barrier.hold(index("x")), barrier.hold(index("x")));
        drop(first);
        assert!(lane.begin(TaskUid(0), Some(&index("x"))).1);
        drop(second);
        assert!(!lane.begin(TaskUid(0), Some(&index("x"))).1);
    }

    #[tokio::test]
    async fn a_lane_hears_when_something_else_is_held() {
        let barrier = Arc::new(Barrier::default());
        let mut lane = barrier.for_lane();
        lane.holds();
        let hold = barrier.hold(index("x"));
        lane.changed().await;
        drop(hold);
        lane.changed().await;
    }
}
