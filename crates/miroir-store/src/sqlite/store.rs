//! [`SqliteStore`] as a [`Store`](crate::Store): which step is which SQL, and on which connection.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{ClusterId, Epoch, KeyUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::keys::{ApiKey, KeyPatch};
use miroir_core::network::Network;
use miroir_core::settings::{Broadcast, SettingsVersions};
use miroir_core::task::{Decision, LogEntry, SyncState, Task, TaskFilter, TaskList, TaskPage};
use miroir_core::view::IndexEntry;
use rusqlite::Connection;
use time::OffsetDateTime;

use super::rows::big;
use super::{
    SqliteStore, administer, arrivals, commit, epoch, features, identity, keys, log, network, nodes,
    payloads, records, rows, settings, tasks,
};
use crate::{
    Adding, Administration, Catalog, CaughtUp, Collection, Commit, Deciding, Delivery, Kept, Keys, Log,
    NewEntry, NodeRecord, NodeTask, Nodes, RecordChange, Records, Settings, StoreError, Tasks, Work,
};

impl SqliteStore {
    /// Runs a step of the write path, in its epoch and in no other.
    async fn step<T, F>(&self, epoch: Epoch, step: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.writer
            .write(move |db| {
                epoch::check(db, epoch)?;
                step(db)
            })
            .await
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
impl Log for SqliteStore {
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

    async fn begin_epoch(&self) -> Result<Epoch, StoreError> {
        self.writer.write(epoch::begin).await
    }

    async fn append(&self, epoch: Epoch, entry: NewEntry) -> Result<Task, StoreError> {
        self.step(epoch, move |db| log::append(db, entry)).await
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

    async fn begin(&self, epoch: Epoch, task: TaskUid, at: OffsetDateTime) -> Result<(), StoreError> {
        self.step(epoch, move |db| log::begin(db, task, at)).await
    }

    async fn decide(
        &self,
        epoch: Epoch,
        decisions: Vec<(TaskUid, Decision)>,
        arrivals: Vec<(PhysicalUid, ArrivalChange)>,
    ) -> Result<Deciding, StoreError> {
        self.step(epoch, move |db| log::decide(db, &decisions, &arrivals)).await
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

    async fn commit(&self, epoch: Epoch, commit: Commit) -> Result<(), StoreError> {
        self.step(epoch, move |db| commit::commit(db, &commit)).await
    }

    async fn log_bytes(&self) -> Result<u64, StoreError> {
        self.readers.read(payloads::bytes_of_all).await
    }

    async fn compact(&self) -> Result<(u64, u64), StoreError> {
        self.writer.alone(compact).await
    }
}

#[async_trait]
impl Catalog for SqliteStore {
    async fn catalog(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let sql = "SELECT uid, physical_uid, primary_key, placement, settings, created_at, updated_at
                   FROM indexes ORDER BY uid";
        self.rows(sql.to_owned(), vec![], rows::index).await
    }
}

#[async_trait]
impl Nodes for SqliteStore {
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.readers.read(nodes::all).await
    }

    async fn node(&self, id: NodeId) -> Result<Option<NodeRecord>, StoreError> {
        self.readers.read(move |db| nodes::one(db, &id)).await
    }

    async fn add_nodes(&self, epoch: Epoch, nodes: Vec<NodeId>, sync: SyncState) -> Result<(), StoreError> {
        self.step(epoch, move |db| nodes::add_nodes(db, &nodes, sync)).await
    }

    async fn meet_node(&self, epoch: Epoch, node: NodeId, next_node_task: u64) -> Result<(), StoreError> {
        self.step(epoch, move |db| nodes::meet_node(db, &node, next_node_task)).await
    }

    async fn forget_caught_up(&self, epoch: Epoch, node: NodeId) -> Result<(), StoreError> {
        self.step(epoch, move |db| nodes::forget_caught_up(db, &node)).await
    }

    async fn save_caught_up(
        &self,
        epoch: Epoch,
        node: NodeId,
        caught_up: Vec<CaughtUp>,
    ) -> Result<(), StoreError> {
        self.step(epoch, move |db| nodes::save_caught_up(db, &node, &caught_up)).await
    }

    async fn caught_up(&self, node: NodeId) -> Result<Vec<CaughtUp>, StoreError> {
        self.readers.read(move |db| nodes::caught_up(db, &node)).await
    }

    async fn deliver(&self, epoch: Epoch, delivery: Delivery) -> Result<(), StoreError> {
        self.step(epoch, move |db| nodes::deliver(db, &delivery)).await
    }

    async fn node_tasks(&self) -> Result<Vec<NodeTask>, StoreError> {
        let sql = "SELECT task_uid, node_id, op, node_task_uid, result FROM node_tasks ORDER BY task_uid, node_id, op";
        self.rows(sql.to_owned(), vec![], rows::node_task).await
    }
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn task(&self, uid: TaskUid) -> Result<Option<Task>, StoreError> {
        self.readers.read(move |db| tasks::get(db, uid)).await
    }

    async fn tasks(&self, filter: TaskFilter, page: TaskPage) -> Result<TaskList, StoreError> {
        self.readers.read(move |db| tasks::find(db, &filter, page)).await
    }

    async fn administer(&self, epoch: Epoch, order: Administration) -> Result<Task, StoreError> {
        self.step(epoch, move |db| administer::administer(db, &order)).await
    }
}

#[async_trait]
impl Settings for SqliteStore {
    async fn save_broadcast(&self, epoch: Epoch, broadcast: Broadcast) -> Result<(), StoreError> {
        self.step(epoch, move |db| settings::save(db, &broadcast)).await
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
}

#[async_trait]
impl Keys for SqliteStore {
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
}

#[async_trait]
impl Records for SqliteStore {
    async fn features(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        self.readers.read(features::all).await
    }

    async fn set_features(&self, changes: BTreeMap<String, bool>) -> Result<(), StoreError> {
        self.writer.write(move |db| features::set(db, &changes)).await
    }

    async fn network(&self) -> Result<Network, StoreError> {
        self.readers.read(network::current).await
    }

    async fn replace_network(&self, version: String, next: Network) -> Result<bool, StoreError> {
        self.writer.write(move |db| network::replace(db, &version, &next)).await
    }

    async fn records(&self, collection: Collection) -> Result<Kept, StoreError> {
        self.readers.read(move |db| records::all(db, collection)).await
    }

    async fn put_record(&self, change: RecordChange) -> Result<bool, StoreError> {
        self.writer.write(move |db| records::put(db, &change)).await
    }
}

/// See [`Log::compact`]. The log beside the file is emptied too, so that the file has its new size at once.
fn compact(db: &Connection) -> Result<(u64, u64), StoreError> {
    let bytes = || -> Result<u64, StoreError> {
        let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(db.query_row(pages, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    };
    let before = bytes()?;
    db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok((before, bytes()?))
}
