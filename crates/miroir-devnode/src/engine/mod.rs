//! The search engine: milli behind functions that speak of documents, settings and searches.

pub mod documents;
pub mod embedders;
pub mod facets;
pub mod hits;
pub mod json_paths;
pub mod locales;
pub mod read;
pub mod search;
pub mod settings;
pub mod settings_patch;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use milli_core::heed::EnvOpenOptions;
use milli_core::update::IndexerConfig;
use milli_core::{Index, ThreadPoolNoAbort, ThreadPoolNoAbortBuilder};
use uuid::Uuid;

use crate::error::{ApiError, Result};

/// Address space reserved for each index; the file itself grows with its content.
const MAP_SIZE: usize = 64 * 1024 * 1024 * 1024;
const MAX_READERS: u32 = 1024;

/// The indexes' files, opened once each, and the threads that index.
pub struct Engine {
    root: PathBuf,
    config: IndexerConfig,
    open: Mutex<HashMap<String, Index>>,
}

impl Engine {
    /// An engine whose indexes are folders of `root`.
    pub fn new(root: PathBuf, indexing_threads: usize) -> Result<Self> {
        fs::create_dir_all(&root)?;
        let pool = ThreadPoolNoAbortBuilder::new()
            .thread_name(|index| format!("indexing-{index}"))
            .num_threads(indexing_threads)
            .build()
            .map_err(ApiError::internal)?;
        let config = IndexerConfig { thread_pool: Some(pool), ..IndexerConfig::default() };
        Ok(Self { root, config, open: Mutex::new(HashMap::new()) })
    }

    /// The index in this folder.
    pub fn index(&self, folder: &str) -> Result<Index> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = open.get(folder) {
            return Ok(index.clone());
        }
        let path = self.root.join(folder);
        fs::create_dir_all(&path)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_SIZE).max_readers(MAX_READERS);
        let index = Index::new(options, path, true)?;
        open.insert(folder.to_owned(), index.clone());
        Ok(index)
    }

    /// A name for the folder of a new index.
    pub fn new_folder() -> String {
        Uuid::new_v4().to_string()
    }

    /// Deletes an index's files once the last search in it has ended.
    pub fn remove(&self, folder: &str) -> Result<()> {
        let index = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
        if let Some(index) = index {
            index.prepare_for_closing().wait();
        }
        let path = self.root.join(folder);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        Ok(())
    }

    /// Deletes folders that a crash left between their creation and the task's end.
    pub fn remove_orphans(&self, known: &HashSet<String>) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !known.contains(&name) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// What the settings indexer needs.
    pub fn config(&self) -> &IndexerConfig {
        &self.config
    }

    fn pool(&self) -> &ThreadPoolNoAbort {
        self.config.thread_pool.as_ref().expect("made with the engine")
    }
}
