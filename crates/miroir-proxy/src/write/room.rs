//! Room for whole payloads: those that are being checked, and those that are being judged. Everywhere else only parts of
//! them are in memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of payloads in memory. A larger one gets in alone.
const MAX_BYTES: usize = 128 << 20;

/// What room is counted in.
const UNIT: usize = 1 << 10;

/// See the module. Cheap to clone; clones share the room.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A place in the room, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BYTES / UNIT)))
    }

    /// Waits until there is room for so many bytes. Those who wait get in one after the other.
    pub(super) async fn enter(&self, bytes: usize) -> Place {
        let units = bytes.clamp(UNIT, MAX_BYTES) / UNIT;
        let units = u32::try_from(units).expect("the room is small");
        let permit = Arc::clone(&self.0).acquire_many_owned(units).await;
        Place { _permit: permit.expect("the room is never closed") }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_what_never_fits_gets_in_alone() {
        let room = Room::new();
        let half = room.enter(MAX_BYTES / 2).await;
        assert!(room.enter(3 * MAX_BYTES).now_or_never().is_none());
        let other = room.enter(MAX_BYTES / 2).await;
        drop((half, other));
        let all = room.enter(3 * MAX_BYTES).await;
        assert!(room.enter(1).now_or_never().is_none());
        drop(all);
        assert!(room.enter(1).now_or_never().is_some());
    }
}
