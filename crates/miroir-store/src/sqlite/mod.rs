//! The store of a single Miroir: one `SQLite` file in write-ahead mode, with full durability.

mod administer;
mod arrivals;
mod features;
mod files;
mod identity;
mod keys;
mod log;
mod network;
mod payloads;
mod readers;
mod records;
mod rows;
mod schema;
mod settings;
mod tasks;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{ClusterId, KeyUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::keys::{ApiKey, KeyPatch};
use miroir_core::network::Network;
use miroir_core::settings::{Broadcast, SettingsVersions};
use miroir_core::task::{Decision, LogEntry, Task, TaskFilter, TaskList, TaskPage};
use miroir_core::view::IndexEntry;
use rusqlite::Connection;
use serde_json::Value;
use time::OffsetDateTime;

pub use self::files::files_of;
use self::readers::Readers;
use self::rows::big;
use self::writer::Writer;
use crate::{
    Adding, Administration, Collection, Commit, Deciding, Delivery, NewEntry, NodeRecord, NodeTask, Store,
    StoreError, StoreIdentity, Work,
};

/// How long a connection waits for another process that holds the file: a backup, a shell.
const BUSY: Duration = Duration::from_secs(10);

/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 64;

/// A store in one file. Dropping it waits until everything begun is durable.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// Held as long as the others have the file open, so it comes last.
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it to this version's schema. Waits for the disk.
    ///
    /// # Errors
    /// When the file can't be opened or written, was written by a newer Miroir, or another one has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        files::keep_private(path)?;
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { writer: Writer::start(connection)?, readers: Readers::new(path.to_owned()), _lock: lock })
    }

    /// Reads whose store this file is without opening it for work: another Miroir may be working with it. Nothing is made or
    /// changed. None if there is no file. Waits for the disk.
    ///
    /// # Errors
    /// When the file can't be read, or is no store.
    pub fn peek(path: &Path) -> Result<Option<StoreIdentity>, StoreError> {
        identity::peek(path)
    }

    async fn rows<T: Send + 'static>(
        &self,
        sql: String,
        values: Vec<i64>,
        row: fn(&rusqlite::Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.readers
            .read(move |db| {
                let mut query = db.prepare_cached(&sql)?;
                query.query_and_then(rusqlite::params_from_iter(values), row)?.collect()
            })
            .await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn log_id(&self) -> Result<String, StoreError> {
        self.readers
            .read(
                |db| Ok(db.query_row("SELECT value FROM meta WHERE name = 'log_id'", [], |row| row.get(0))?),
            )
            .await
    }

    async fn cluster_id(&self) -> Result<ClusterId, StoreError> {
        self.readers.read(identity::cluster_id).await
    }

    async fn append(&self, entry: NewEntry) -> Result<Task, StoreError> {
        self.writer.write(move |db| log::append(db, entry)).await
    }

    async fn undecided(&self, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.readers
            .read(move |db| {
                let from = log::next_undecided(db)?;
                let mut query = db.prepare_cached(&format!(
                    "SELECT {} FROM entries JOIN tasks ON tasks.uid = entries.task_uid
                     WHERE entries.task_uid >= ?1 ORDER BY entries.task_uid LIMIT ?2",
                    rows::ENTRY
                ))?;
                query.query_and_then([from, big(limit as u64)], rows::entry)?.collect()
            })
            .await
    }

    async fn payload(&self, task: TaskUid) -> Result<Vec<Bytes>, StoreError> {
        self.readers.read(move |db| payloads::all(db, task)).await
    }

    async fn payload_part(&self, task: TaskUid, part: usize) -> Result<Option<Bytes>, StoreError> {
        self.readers.read(move |db| payloads::part(db, task, part)).await
    }

    async fn payload_bytes(&self, task: TaskUid) -> Result<u64, StoreError> {
        self.readers.read(move |db| payloads::bytes(db, task)).await
    }

    async fn administer(&self, order: Administration) -> Result<Task, StoreError> {
        self.writer.write(move |db| administer::administer(db, &order)).await
    }

    async fn features(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        self.readers.read(features::all).await
    }

    async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), StoreError> {
        self.writer.write(move |db| features::set(db, &changes)).await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.readers.read(keys::all).await
    }

    async fn begin_api_keys(&self, keys: Vec<ApiKey>) -> Result<(), StoreError> {
        self.writer.write(move |db| keys::begin(db, &keys)).await
    }

    async fn add_api_key(&self, key: ApiKey) -> Result<Adding, StoreError> {
        self.writer.write(move |db| keys::add(db, &key)).await
    }

    async fn patch_api_key(
        &self,
        uid: KeyUid,
        patch: KeyPatch,
        at: OffsetDateTime,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.writer.write(move |db| keys::patch(db, uid, patch, at)).await
    }

    async fn delete_api_key(&self, uid: KeyUid) -> Result<Option<ApiKey>, StoreError> {
        self.writer.write(move |db| keys::delete(db, uid)).await
    }

    async fn network(&self) -> Result<Network, StoreError> {
        self.readers.read(network::current).await
    }

    async fn replace_network(&self, version: String, next: Network) -> Result<bool, StoreError> {
        self.writer.write(move |db| network::replace(db, &version, &next)).await
    }

    async fn records(&self, collection: Collection) -> Result<BTreeMap<String, Value>, StoreError> {
        self.readers.read(move |db| records::all(db, collection)).await
    }

    async fn put_record(
        &self,
        collection: Collection,
        id: String,
        body: Option<Value>,
    ) -> Result<(), StoreError> {
        self.writer.write(move |db| records::put(db, collection, &id, body.as_ref())).await
    }

    async fn begin(&self, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError> {
        self.writer.write(move |db| log::begin(db, task, at)).await
    }

    async fn decide(
        &self,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError> {
        self.writer.write(move |db| log::decide(db, &decisions, &arrivals)).await
    }

    async fn arrival_book(&self, index: PhysicalUid) -> Result<Option<ArrivalBook>, StoreError> {
        self.readers.read(move |db| arrivals::book(db, &index)).await
    }

    async fn work(&self, from: TaskUid, limit: usize) -> Result<Vec<Work>, StoreError> {
        let sql = format!(
            "SELECT {} FROM entries JOIN tasks ON tasks.uid = entries.task_uid
             WHERE entries.task_uid >= ?1 AND entries.decision IS NOT NULL ORDER BY entries.task_uid LIMIT ?2",
            rows::ENTRY
        );
        self.rows(sql, vec![big(from.0), big(limit as u64)], rows::work).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let sql = "SELECT id, sync, next_undelivered, next_node_task FROM nodes ORDER BY id";
        self.rows(sql.to_owned(), vec![], rows::node).await
    }

    async fn add_nodes(&self, nodes: Vec<NodeId>) -> Result<(), StoreError> {
        self.writer.write(move |db| log::add_nodes(db, &nodes)).await
    }

    async fn meet_node(&self, node: NodeId, next_node_task: u64) -> Result<(), StoreError> {
        self.writer.write(move |db| log::meet_node(db, &node, next_node_task)).await
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), StoreError> {
        self.writer.write(move |db| log::deliver(db, &delivery)).await
    }

    async fn node_tasks(&self) -> Result<Vec<NodeTask>, StoreError> {
        let sql = "SELECT task_uid, node_id, op, node_task_uid, result FROM node_tasks ORDER BY task_uid, node_id, op";
        self.rows(sql.to_owned(), vec![], rows::node_task).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.writer.write(move |db| log::commit(db, &commit)).await
    }

    async fn save_broadcast(&self, broadcast: Broadcast) -> Result<(), StoreError> {
        self.writer.write(move |db| settings::save(db, &broadcast)).await
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StoreError> {
        self.readers.read(settings::open).await
    }

    async fn broadcasts(&self, index: PhysicalUid) -> Result<Vec<Broadcast>, StoreError> {
        self.readers.read(move |db| settings::of_index(db, &index)).await
    }

    async fn settings_versions(&self) -> Result<SettingsVersions, StoreError> {
        self.readers.read(settings::versions).await
    }

    async fn log_bytes(&self) -> Result<u64, StoreError> {
        self.readers.read(payloads::bytes_of_all).await
    }

    async fn compact(&self) -> Result<(u64, u64), StoreError> {
        self.writer.alone(compact).await
    }

    async fn catalog(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let sql = "SELECT uid, physical_uid, primary_key, placement, settings, created_at, updated_at
                   FROM indexes ORDER BY uid";
        self.rows(sql.to_owned(), vec![], rows::index).await
    }

    async fn task(&self, uid: TaskUid) -> Result<Option<Task>, StoreError> {
        self.readers.read(move |db| tasks::get(db, uid)).await
    }

    async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, StoreError> {
        self.readers.read(move |db| tasks::find(db, &filter, page)).await
    }
}

/// Keeps other Miroirs from the database; two would deliver every write twice. A lock file beside it, since the engine's
/// own locks are for single transactions.
fn lock(path: &Path) -> Result<File, StoreError> {
    let failed =
        |error: std::io::Error| StoreError::Engine(format!("can't lock `{}`: {error}", path.display()));
    let file = files::create(&files::lock_of(path)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// See [`Store::compact`]. The log beside the file is emptied too, so that the file has its new size at once.
fn compact(db: &Connection) -> Result<(u64, u64), StoreError> {
    let bytes = || -> Result<u64, StoreError> {
        let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(db.query_row(pages, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    let before = bytes()?;
    db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok((before, bytes()?))
}
