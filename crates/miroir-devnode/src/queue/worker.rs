//! The one thread that works off the queue. What it does to an index and what it records about the task are two
//! files, so an index change is always one that can be repeated: after a crash between the two it runs once more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::apply::Applier;
use super::store::Store;
use super::task::{Operation, Task};
use crate::engine::Engine;
use crate::error::{ApiError, Result};

/// Tasks looked at when a batch is formed.
const MAX_BATCH_TASKS: usize = 1000;
/// Bytes of documents in one batch, unless a single task has more.
const MAX_BATCH_BYTES: u64 = 64 * 1024 * 1024;
/// Pause after a failure to read or write the queue itself.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Wakes the worker, or ends it.
#[derive(Default)]
pub struct Signal {
    has_work: Mutex<bool>,
    changed: Condvar,
    is_stopping: AtomicBool,
}

impl Signal {
    /// There is a new task.
    pub fn wake(&self) {
        *self.has_work.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// The worker ends after its current batch.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    fn wait(&self) {
        let guard = self.has_work.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(guard, |has_work| !*has_work);
        *waited.unwrap_or_else(PoisonError::into_inner) = false;
    }
}

/// Starts the thread; it ends when the signal says so.
pub fn start(store: Arc<Store>, engine: Arc<Engine>, signal: Arc<Signal>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("task-queue".to_owned()).spawn(move || {
        let worker = Worker { store, engine };
        while !signal.is_stopping() {
            match worker.run_next_batch() {
                Ok(true) => {}
                Ok(false) => signal.wait(),
                Err(error) => {
                    tracing::error!(%error, "the task queue failed; trying again");
                    std::thread::sleep(RETRY_PAUSE);
                }
            }
        }
    })
}

struct Worker {
    store: Arc<Store>,
    engine: Arc<Engine>,
}

impl Worker {
    /// Runs the oldest waiting task with those that go together with it; false if none waits.
    fn run_next_batch(&self) -> Result<bool> {
        let batch = self.next_batch()?;
        if batch.is_empty() {
            return Ok(false);
        }
        self.store.begin(&batch.iter().map(|task| task.uid).collect::<Vec<_>>())?;
        let applier = Applier { store: &self.store, engine: &self.engine };
        let (result, folders) =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| applier.run(&batch))).unwrap_or_else(
                |_panic| {
                    let error = ApiError::internal("the engine panicked");
                    (Applier::fail_all(&batch, &error), Vec::new())
                },
            );
        self.store.finish(&result)?;
        for folder in folders {
            self.engine.remove(&folder)?;
        }
        Ok(true)
    }

    fn next_batch(&self) -> Result<Vec<Task>> {
        if let Some(task) = self.store.waiting_about_tasks()? {
            return Ok(vec![task]);
        }
        let mut waiting = self.store.waiting(MAX_BATCH_TASKS)?.into_iter();
        let Some(first) = waiting.next() else { return Ok(Vec::new()) };
        let mut bytes = self.store.payload_size(first.uid)?;
        let mut batch = vec![first];
        for task in waiting {
            if !go_together(&batch[0], &task) {
                break;
            }
            bytes += self.store.payload_size(task.uid)?;
            if bytes > MAX_BATCH_BYTES {
                break;
            }
            batch.push(task);
        }
        Ok(batch)
    }
}

/// Imports, or deletions, that follow each other directly for the same index. The two kinds are not mixed, so that a
/// deletion can count what it finds.
fn go_together(first: &Task, next: &Task) -> bool {
    if first.index_uid != next.index_uid {
        return false;
    }
    match (&first.operation, &next.operation) {
        (
            Operation::ImportDocuments { primary_key: first_key, skip_creation: false, .. },
            Operation::ImportDocuments { primary_key: next_key, skip_creation: false, .. },
        ) => first_key == next_key,
        (Operation::DeleteDocuments { .. }, Operation::DeleteDocuments { .. }) => true,
        _ => false,
    }
}
