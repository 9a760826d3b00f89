//! What each task does when its turn comes.

use milli_core::Index;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::store::{BatchResult, CatalogChange, IndexEntry, Outcome, Store};
use super::task::{Operation, Status, Swap, Task, TaskUid};
use crate::engine::documents::{self, DocumentChange};
use crate::engine::{Engine, settings};
use crate::error::{ApiError, Result};

/// Runs batches; what it returns has still to be recorded.
pub struct Applier<'a> {
    pub store: &'a Store,
    pub engine: &'a Engine,
}

/// What one task changed besides documents.
#[derive(Default)]
struct Effects {
    details: Option<Value>,
    catalog: Vec<CatalogChange>,
    canceled: Vec<(TaskUid, TaskUid)>,
    deleted_tasks: Vec<TaskUid>,
    folders: Vec<String>,
}

impl Applier<'_> {
    /// The result of the batch, and folders that can be deleted once it is recorded. A task's failure is part of the
    /// result.
    pub fn run(&self, batch: &[Task]) -> (BatchResult, Vec<String>) {
        let ran = match &batch[0].operation {
            Operation::ImportDocuments { .. } | Operation::DeleteDocuments { .. } => {
                self.run_documents(batch).map(|result| (result, Vec::new()))
            }
            _ => self.run_single(&batch[0]),
        };
        ran.unwrap_or_else(|error| (Self::fail_all(batch, &error), Vec::new()))
    }

    /// Every task of the batch ended with this error.
    pub fn fail_all(batch: &[Task], error: &ApiError) -> BatchResult {
        BatchResult {
            outcomes: batch.iter().map(|task| failed(task, error.clone())).collect(),
            ..BatchResult::default()
        }
    }

    fn run_single(&self, task: &Task) -> Result<(BatchResult, Vec<String>)> {
        let mut created = Vec::new();
        let effects = match &task.operation {
            Operation::CreateIndex { primary_key } => self.create_index(task, primary_key.as_deref()),
            Operation::UpdateIndex { primary_key, new_uid } => {
                self.update_index(task, primary_key.as_deref(), new_uid.as_deref())
            }
            Operation::DeleteIndex => self.delete_index(task),
            Operation::SwapIndexes { swaps } => self.swap_indexes(swaps),
            Operation::UpdateSettings { patch, is_deletion } => {
                let entry = self.find_or_create(uid_of(task)?, *is_deletion, &mut created)?;
                self.update_settings(&entry, patch).map_err(|error| error.about_index(&entry.uid))
            }
            Operation::DeleteDocumentsByFilter { filter } => self.delete_by_filter(task, filter),
            Operation::ClearDocuments => self.clear(task),
            Operation::CancelTasks { tasks, .. } => self.cancel(task, tasks),
            Operation::DeleteTasks { tasks, .. } => self.delete_tasks(task, tasks),
            Operation::ImportDocuments { .. } | Operation::DeleteDocuments { .. } => {
                return Err(ApiError::internal("a document task ran outside its batch"));
            }
        };
        let mut result = BatchResult { catalog: created, ..BatchResult::default() };
        match effects {
            Ok(effects) => {
                result.catalog.extend(effects.catalog);
                result.canceled = effects.canceled;
                result.deleted_tasks = effects.deleted_tasks;
                result
                    .outcomes
                    .push(succeeded(task, effects.details.unwrap_or_else(|| task.details.clone())));
                Ok((result, effects.folders))
            }
            Err(error) => {
                result.outcomes.push(failed(task, error));
                Ok((result, Vec::new()))
            }
        }
    }

    fn run_documents(&self, batch: &[Task]) -> Result<BatchResult> {
        let mut catalog = Vec::new();
        let is_deletion = matches!(batch[0].operation, Operation::DeleteDocuments { .. });
        let entry = self.find_or_create(uid_of(&batch[0])?, is_deletion, &mut catalog)?;
        let index = self.engine.index(&entry.folder)?;
        let outcomes = match self.apply_documents(&index, batch) {
            Ok(outcomes) => outcomes,
            Err(error) if batch.len() == 1 => vec![failed(&batch[0], error.about_index(&entry.uid))],
            // One bad document can fail a whole run; alone, each task fails only for its own.
            Err(_) => batch
                .iter()
                .map(|task| match self.apply_documents(&index, std::slice::from_ref(task)) {
                    Ok(mut outcome) => outcome.remove(0),
                    Err(error) => failed(task, error.about_index(&entry.uid)),
                })
                .collect(),
        };
        Ok(BatchResult { outcomes, catalog, ..BatchResult::default() })
    }

    fn apply_documents(&self, index: &Index, batch: &[Task]) -> Result<Vec<Outcome>> {
        let mut key = None;
        let mut changes = Vec::new();
        for task in batch {
            changes.push(match &task.operation {
                Operation::ImportDocuments { method, primary_key, skip_creation, .. } => {
                    key = key.or(primary_key.as_deref());
                    let payload = self.store.payload(task.uid)?;
                    DocumentChange::Import { method: *method, payload, skip_creation: *skip_creation }
                }
                Operation::DeleteDocuments { ids } => DocumentChange::Delete { ids: ids.clone() },
                _ => return Err(ApiError::internal("this task has no documents")),
            });
        }
        let applied = documents::apply(self.engine, index, key, &changes)?;
        Ok(batch
            .iter()
            .zip(applied)
            .map(|(task, part)| match part.error {
                Some(error) => failed(task, error),
                None => succeeded(task, counted(task, part.count)),
            })
            .collect())
    }

    fn create_index(&self, task: &Task, primary_key: Option<&str>) -> Result<Effects> {
        let uid = uid_of(task)?;
        if self.store.index(uid)?.is_some() {
            return Err(already_exists(uid));
        }
        let mut catalog = Vec::new();
        let entry = self.find_or_create(uid, false, &mut catalog)?;
        if let Some(primary_key) = primary_key {
            let index = self.engine.index(&entry.folder)?;
            settings::set_primary_key(self.engine, &index, primary_key)?;
        }
        Ok(Effects { catalog, ..Effects::default() })
    }

    fn update_index(&self, task: &Task, primary_key: Option<&str>, new_uid: Option<&str>) -> Result<Effects> {
        let uid = uid_of(task)?;
        let entry = self.find(uid)?;
        let mut effects = Effects::default();
        if let Some(new_uid) = new_uid {
            if self.store.index(new_uid)?.is_some() {
                return Err(already_exists(new_uid));
            }
            let rename = CatalogChange::Rename { from: uid.to_owned(), to: new_uid.to_owned() };
            effects.catalog.push(rename);
        }
        if let Some(primary_key) = primary_key {
            let index = self.engine.index(&entry.folder)?;
            settings::set_primary_key(self.engine, &index, primary_key)
                .map_err(|error| error.about_index(uid))?;
        }
        Ok(effects)
    }

    fn delete_index(&self, task: &Task) -> Result<Effects> {
        let entry = self.find(uid_of(task)?)?;
        let index = self.engine.index(&entry.folder)?;
        let rtxn = index.read_txn()?;
        let count = index.number_of_documents(&rtxn)?;
        Ok(Effects {
            details: Some(json!({ "deletedDocuments": count })),
            catalog: vec![CatalogChange::Delete { uid: entry.uid }],
            folders: vec![entry.folder],
            ..Effects::default()
        })
    }

    fn swap_indexes(&self, swaps: &[Swap]) -> Result<Effects> {
        let mut missing = Vec::new();
        for swap in swaps {
            let (left, right) = (&swap.indexes.0, &swap.indexes.1);
            if self.store.index(left)?.is_none() {
                missing.push(left.clone());
            }
            let is_right_there = self.store.index(right)?.is_some();
            if swap.rename && is_right_there {
                let message = format!(
                    "Cannot rename `{left}` to `{right}` as the index already exists. Hint: You can remove `{right}` \
                     first and then do your remove."
                );
                return Err(ApiError::new("index_already_exists", message));
            }
            if !swap.rename && !is_right_there {
                missing.push(right.clone());
            }
        }
        missing.sort_unstable();
        match missing.as_slice() {
            [] => {}
            [one] => return Err(ApiError::index_not_found(one)),
            several => {
                let names: Vec<String> = several.iter().map(|uid| format!("`{uid}`")).collect();
                let message = format!("Indexes {} not found.", names.join(", "));
                return Err(ApiError::new("index_not_found", message));
            }
        }
        let catalog = swaps
            .iter()
            .map(|swap| match (swap.indexes.clone(), swap.rename) {
                ((from, to), true) => CatalogChange::Rename { from, to },
                ((left, right), false) => CatalogChange::Swap { left, right },
            })
            .collect();
        Ok(Effects { catalog, ..Effects::default() })
    }

    fn update_settings(&self, entry: &IndexEntry, patch: &serde_json::Map<String, Value>) -> Result<Effects> {
        let index = self.engine.index(&entry.folder)?;
        let merged = settings::merge_patch(&entry.settings, patch);
        settings::apply(self.engine, &index, patch, &merged)?;
        let change = CatalogChange::Settings { uid: entry.uid.clone(), settings: merged };
        Ok(Effects { catalog: vec![change], ..Effects::default() })
    }

    fn delete_by_filter(&self, task: &Task, filter: &Value) -> Result<Effects> {
        let entry = self.find(uid_of(task)?)?;
        let index = self.engine.index(&entry.folder)?;
        let count = documents::delete_by_filter(self.engine, &index, filter).map_err(|error| {
            error.recoded("invalid_search_filter", "invalid_document_filter").about_index(&entry.uid)
        })?;
        Ok(Effects { details: Some(counted(task, count)), ..Effects::default() })
    }

    fn clear(&self, task: &Task) -> Result<Effects> {
        let entry = self.find(uid_of(task)?)?;
        let count = documents::clear(&self.engine.index(&entry.folder)?)?;
        Ok(Effects { details: Some(counted(task, count)), ..Effects::default() })
    }

    fn cancel(&self, task: &Task, matched: &[TaskUid]) -> Result<Effects> {
        let mut canceled = Vec::new();
        for uid in matched {
            if self.store.task(*uid)?.is_some_and(|other| other.status == Status::Enqueued) {
                canceled.push((*uid, task.uid));
            }
        }
        let mut details = task.details.clone();
        details["canceledTasks"] = json!(canceled.len());
        Ok(Effects { details: Some(details), canceled, ..Effects::default() })
    }

    fn delete_tasks(&self, task: &Task, matched: &[TaskUid]) -> Result<Effects> {
        let mut deleted_tasks = Vec::new();
        for uid in matched {
            if self.store.task(*uid)?.is_some_and(|other| other.status.is_final()) {
                deleted_tasks.push(*uid);
            }
        }
        let mut details = task.details.clone();
        details["deletedTasks"] = json!(deleted_tasks.len());
        Ok(Effects { details: Some(details), deleted_tasks, ..Effects::default() })
    }

    fn find(&self, uid: &str) -> Result<IndexEntry> {
        self.store.index(uid)?.ok_or_else(|| ApiError::index_not_found(uid))
    }

    /// The index, made now unless the task may not make one.
    fn find_or_create(
        &self,
        uid: &str,
        must_exist: bool,
        catalog: &mut Vec<CatalogChange>,
    ) -> Result<IndexEntry> {
        if must_exist {
            return self.find(uid);
        }
        if let Some(entry) = self.store.index(uid)? {
            return Ok(entry);
        }
        let entry = IndexEntry {
            uid: uid.to_owned(),
            folder: Engine::new_folder(),
            created_at: OffsetDateTime::now_utc(),
            settings: json!({}),
        };
        self.engine.index(&entry.folder)?;
        catalog.push(CatalogChange::Create(entry.clone()));
        Ok(entry)
    }
}

fn uid_of(task: &Task) -> Result<&str> {
    task.index_uid.as_deref().ok_or_else(|| ApiError::internal("the task has no index"))
}

fn already_exists(uid: &str) -> ApiError {
    ApiError::new("index_already_exists", format!("Index `{uid}` already exists."))
}

fn succeeded(task: &Task, details: Value) -> Outcome {
    Outcome { uid: task.uid, status: Status::Succeeded, details, error: None }
}

fn failed(task: &Task, error: ApiError) -> Outcome {
    Outcome { uid: task.uid, status: Status::Failed, details: counted(task, 0), error: Some(error) }
}

/// The task's details with the number of documents it changed, for those that change documents.
fn counted(task: &Task, count: u64) -> Value {
    let mut details = task.details.clone();
    for key in ["indexedDocuments", "deletedDocuments"] {
        if details.get(key).is_some() {
            details[key] = json!(count);
        }
    }
    details
}
