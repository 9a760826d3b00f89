//! Counts how far an attempt to rebuild a node is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::cluster::{RebuildStage, Rebuilding};

/// A node takes about as long to make an index as to take in so many small documents.
const DOCUMENTS_PER_INDEX: u64 = 200;

/// See the module. Shared by all that copy.
#[derive(Debug)]
pub(super) struct Counter {
    began: Instant,
    stage: Mutex<(RebuildStage, Instant)>,
    documents: Count,
    indexes: Count,
}

#[derive(Debug, Default)]
struct Count {
    total: AtomicU64,
    done: AtomicU64,
}

impl Count {
    fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    fn add(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }

    /// Done, and left. More may be done than was known of.
    fn read(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Relaxed);
        (done, self.total.load(Ordering::Relaxed).saturating_sub(done))
    }
}

/// An index counts as done when the last of these is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Counter>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.indexes.add(1);
    }
}

impl Counter {
    pub(super) fn new() -> Arc<Self> {
        let began = Instant::now();
        let stage = Mutex::new((RebuildStage::Waiting, began));
        Arc::new(Self { began, stage, documents: Count::default(), indexes: Count::default() })
    }

    /// Begins a pass over so many documents and indexes.
    pub(super) fn begin(&self, documents: u64, indexes: u64) {
        self.documents.begin(documents);
        self.indexes.begin(indexes);
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.1 = Instant::now();
    }

    pub(super) fn enter(&self, stage: RebuildStage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = (stage, Instant::now());
    }

    pub(super) fn ticket(self: &Arc<Self>) -> Arc<Ticket> {
        Arc::new(Ticket(Arc::clone(self)))
    }

    /// So many documents are as they should be.
    pub(super) fn add_documents(&self, done: u64) {
        self.documents.add(done);
    }

    pub(super) fn look(&self) -> Rebuilding {
        let (stage, since) = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let (documents_done, documents_left) = self.documents.read();
        let (indexes_done, indexes_left) = self.indexes.read();
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let work = |documents: u64, indexes: u64| documents + indexes * DOCUMENTS_PER_INDEX;
        let done = work(documents_done, indexes_done);
        let left = u128::from(work(documents_left, indexes_left)) * u128::from(millis);
        let seconds_left = left.checked_div(u128::from(done) * 1000);
        Rebuilding {
            stage,
            documents_done,
            documents_left,
            documents_per_second: documents_done.saturating_mul(1000) / millis,
            indexes_done,
            indexes_left,
            seconds: self.began.elapsed().as_secs(),
            seconds_left: seconds_left.and_then(|seconds| u64::try_from(seconds).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_done_when_everything_about_it_is() {
        let counter = Counter::new();
        counter.enter(RebuildStage::Copying);
        counter.begin(100, 2);
        let (of_tasks, of_job) = {
            let ticket = counter.ticket();
            (Arc::clone(&ticket), ticket)
        };
        drop(of_job);
        assert_eq!((counter.look().indexes_done, counter.look().indexes_left), (0, 2));
        assert_eq!(counter.look().seconds_left, None);
        counter.add_documents(120);
        drop(of_tasks);
        let seen = counter.look();
        assert_eq!((seen.indexes_done, seen.indexes_left), (1, 1));
        assert_eq!((seen.documents_done, seen.documents_left), (120, 0));
        assert!(seen.seconds_left.is_some());
        assert!(seen.to_string().contains("1 of 2 indexes"));
    }
}
