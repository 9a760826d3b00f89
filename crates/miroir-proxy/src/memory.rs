//! Memory for what clients send, while it is in memory as a whole: payloads that are being checked or judged, and JSON bodies
//! that are worked on. Everywhere else only parts of them are in memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What room is counted in.
const UNIT: usize = 1 << 10;

/// See the module. Cheap to clone; clones share the room.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    left: Arc<Semaphore>,
    units: usize,
}

/// A place in the room, given back when it is dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of so many bytes. What is larger gets in alone.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).max(1);
        Self { left: Arc::new(Semaphore::new(units)), units }
    }

    /// Waits until there is room for so many bytes. Those who wait get in one after the other.
    pub async fn enter(&self, bytes: usize) -> MemoryPermit {
        let units = bytes.div_ceil(UNIT).clamp(1, self.units);
        let units = u32::try_from(units).expect("the room is small");
        let permit = Arc::clone(&self.left).acquire_many_owned(units).await;
        MemoryPermit { _permit: permit.expect("the room is never closed") }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const BYTES: usize = 1 << 20;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_what_never_fits_gets_in_alone() {
        let room = MemoryBudget::new(BYTES);
        let half = room.enter(BYTES / 2).await;
        assert!(room.enter(3 * BYTES).now_or_never().is_none());
        let other = room.enter(BYTES / 2).await;
        drop((half, other));
        let all = room.enter(3 * BYTES).await;
        assert!(room.enter(1).now_or_never().is_none());
        drop(all);
        assert!(room.enter(1).now_or_never().is_some());
    }
}
