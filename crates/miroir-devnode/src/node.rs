//! Everything a running node is made of, shared by all requests.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use milli_core::Index;

use crate::engine::Engine;
use crate::error::{ApiError, Result};
use crate::queue::store::{IndexEntry, Store};
use crate::queue::task::{Operation, Task};
use crate::queue::worker::{self, Signal};

/// A node: its queue, its indexes and its key.
pub struct Node {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    pub master_key: Option<String>,
    signal: Arc<Signal>,
    worker: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    /// Opens the database folder, making it if needed, and starts working off its queue.
    pub fn open(folder: &Path, master_key: Option<String>, indexing_threads: usize) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let store = Arc::new(Store::open(&folder.join("tasks.sqlite"))?);
        let engine = Arc::new(Engine::new(folder.join("indexes"), indexing_threads)?);
        let known = store.indexes()?.into_iter().map(|entry| entry.folder).collect();
        engine.remove_orphans(&known)?;
        let signal = Arc::new(Signal::default());
        let worker = worker::start(Arc::clone(&store), Arc::clone(&engine), Arc::clone(&signal))?;
        Ok(Self { store, engine, master_key, signal, worker: std::sync::Mutex::new(Some(worker)) })
    }

    /// Appends a task; it is durable when this returns.
    pub fn enqueue(
        &self,
        index_uid: Option<&str>,
        operation: Operation,
        custom_metadata: Option<String>,
        payload: Option<&[u8]>,
    ) -> Result<Task> {
        let task = self.store.enqueue(index_uid, operation, custom_metadata, payload)?;
        self.signal.wake();
        Ok(task)
    }

    /// The index of this name and its entry in the list.
    pub fn index(&self, uid: &str) -> Result<(IndexEntry, Index)> {
        let entry = self.store.index(uid)?.ok_or_else(|| ApiError::index_not_found(uid))?;
        let index = self.engine.index(&entry.folder)?;
        Ok((entry, index))
    }

    /// Ends after the running batch; what waits is run at the next start.
    pub fn stop(&self) {
        self.signal.stop();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if worker.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the task queue ended with a panic");
        }
    }
}
