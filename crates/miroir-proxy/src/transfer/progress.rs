//! Counts how far transfers to a node are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cluster::{RebuildStage, Rebuilding};

/// As long as only one of them was timed: an index takes a node about as long as so many documents.
const DOCUMENTS_PER_INDEX: f64 = 20.0;

/// See the module. Shared by all that copy.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    stage: Mutex<RebuildStage>,
    documents: Count,
    indexes: Count,
}

/// What a node does, one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It takes in documents, and is through with about so many of those that it has in hand.
    Documents(u64),
    /// It makes indexes, or settings, or deletes.
    Other,
}

#[derive(Debug, Default)]
struct Count {
    total: AtomicU64,
    done: AtomicU64,
    /// About so many are done of what is not over.
    under_way: AtomicU64,
    /// The time that went into them, in milliseconds.
    took: AtomicU64,
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
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let under_way = self.under_way.load(Ordering::Relaxed).min(total.saturating_sub(done));
        (done + under_way, total.saturating_sub(done + under_way))
    }

    /// How many are done in a second; none before any is.
    #[expect(clippy::cast_precision_loss, reason = "no index has so many documents")]
    fn rate(&self) -> Option<f64> {
        let (done, took) = (self.read().0, self.took.load(Ordering::Relaxed));
        (done > 0 && took > 0).then(|| done as f64 * 1000.0 / took as f64)
    }
}

/// An index counts as done when the last of these is dropped.
#[derive(Debug)]
pub struct Ticket(Arc<Progress>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.indexes.add(1);
    }
}

impl Progress {
    /// Of transfers that wait.
    pub fn new() -> Arc<Self> {
        let (began, stage) = (Instant::now(), Mutex::new(RebuildStage::Waiting));
        Arc::new(Self { began, stage, documents: Count::default(), indexes: Count::default() })
    }

    /// Begins a pass over so many documents and indexes.
    pub fn begin(&self, documents: u64, indexes: u64) {
        self.documents.begin(documents);
        self.indexes.begin(indexes);
    }

    /// There are so many more documents to do in this pass than was known.
    pub fn expect(&self, documents: u64) {
        self.documents.total.fetch_add(documents, Ordering::Relaxed);
    }

    /// What is done from now on.
    pub fn enter(&self, stage: RebuildStage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// The node was doing this for so long.
    pub fn note(&self, doing: Doing, time: Duration) {
        let (count, under_way) = match doing {
            Doing::Documents(under_way) => (&self.documents, under_way),
            Doing::Other => (&self.indexes, 0),
        };
        self.documents.under_way.store(under_way, Ordering::Relaxed);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        count.took.fetch_add(millis, Ordering::Relaxed);
    }

    /// For one index: it is done when all clones are dropped.
    pub fn ticket(self: &Arc<Self>) -> Arc<Ticket> {
        Arc::new(Ticket(Arc::clone(self)))
    }

    /// So many documents are as they should be.
    pub fn add_documents(&self, done: u64) {
        self.documents.add(done);
    }

    /// How far it is now.
    pub fn look(&self) -> Rebuilding {
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let (documents_done, documents_left) = self.documents.read();
        let (indexes_done, indexes_left) = self.indexes.read();
        let (documents, indexes) = (self.documents.rate(), self.indexes.rate());
        let of_documents = documents.or_else(|| Some(indexes? * DOCUMENTS_PER_INDEX));
        let of_indexes = indexes.or_else(|| Some(documents? / DOCUMENTS_PER_INDEX));
        let seconds_left = of_documents.zip(of_indexes).map(|(of_documents, of_indexes)| {
            rounded(documents_left, of_documents) + rounded(indexes_left, of_indexes)
        });
        Rebuilding {
            stage,
            documents_done,
            documents_left,
            documents_per_second: documents.map_or(0, whole),
            indexes_done,
            indexes_left,
            seconds: self.began.elapsed().as_secs(),
            seconds_left,
        }
    }
}

/// The seconds that so many need at this rate.
#[expect(clippy::cast_precision_loss, reason = "no index has so many documents")]
fn rounded(left: u64, rate: f64) -> u64 {
    whole(left as f64 / rate)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and times are positive, and what is too large for a number becomes the largest one"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_done_when_everything_about_it_is() {
        let progress = Progress::new();
        progress.enter(RebuildStage::Copying);
        progress.begin(100, 2);
        let of_job = progress.ticket();
        let of_task = Arc::clone(&of_job);
        drop(of_job);
        assert_eq!((progress.look().indexes_done, progress.look().indexes_left), (0, 2));
        progress.add_documents(120);
        drop(of_task);
        let seen = progress.look();
        assert_eq!((seen.indexes_done, seen.indexes_left), (1, 1));
        assert_eq!((seen.documents_done, seen.documents_left), (120, 0));
        assert!(seen.to_string().contains("1 of 2 indexes"));
    }

    #[test]
    fn documents_and_indexes_are_timed_apart_and_what_is_under_way_counts() {
        let progress = Progress::new();
        progress.begin(1_000, 30);
        assert_eq!(progress.look().seconds_left, None);
        progress.note(Doing::Other, Duration::from_secs(1));
        (0..10).for_each(|_| drop(progress.ticket()));
        // 20 indexes take 2 s, and 1,000 documents are taken for 50 indexes.
        assert_eq!(progress.look().seconds_left, Some(2 + 5));
        progress.note(Doing::Documents(100), Duration::from_secs(2));
        let seen = progress.look();
        assert_eq!((seen.documents_done, seen.documents_left, seen.documents_per_second), (100, 900, 50));
        assert_eq!(seen.seconds_left, Some(2 + 18));
        progress.note(Doing::Other, Duration::from_secs(0));
        assert_eq!(
            progress.look().documents_done,
            0,
            "the batch is over, and its tasks are counted when they end"
        );
    }
}
