//! What a node in memory has, and how its tasks change it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::filter::selects;
use super::settings;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) indexes: BTreeMap<String, Index>,
    pub(super) features: Map<String, Value>,
    pub(super) rules: BTreeMap<String, Map<String, Value>>,
    pub(super) tasks: Vec<Task>,
    pub(super) per_task: Duration,
    /// The next tasks of these types fail with these errors.
    pub(super) failing: Vec<(&'static str, Value)>,
    /// Changes of settings to these values fail with these errors.
    pub(super) refused: Vec<(String, Value, Value)>,
    /// Settings that stay as they are, whatever tasks say.
    pub(super) stuck: Vec<String>,
    /// The number of the next task.
    pub(super) next: u64,
}

/// An index.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub(super) primary_key: Option<String>,
    pub(super) settings: Map<String, Value>,
    pub(super) documents: BTreeMap<String, Map<String, Value>>,
}

/// A task of the queue.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) uid: u64,
    pub(super) index: String,
    pub(super) status: &'static str,
    pub(super) metadata: Option<String>,
    pub(super) error: Value,
    pub(super) details: Value,
    pub(super) work: Work,
    ends: Instant,
}

/// What a task does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    CreateIndex { primary_key: Option<String> },
    DeleteIndex,
    Settings(Map<String, Value>),
    ResetSettings,
    Add { primary_key: Option<String>, documents: Vec<Map<String, Value>>, replaces: bool },
    DeleteIds(Vec<String>),
    DeleteByFilter(Value),
    Clear,
    PutRule(String, Map<String, Value>),
    ClearRules,
    DeleteTasks,
    Snapshot,
}

impl Work {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::CreateIndex { .. } => "indexCreation",
            Self::DeleteIndex => "indexDeletion",
            Self::Settings(_) | Self::ResetSettings => "settingsUpdate",
            Self::Add { .. } => "documentAdditionOrUpdate",
            Self::DeleteIds(_) | Self::DeleteByFilter(_) | Self::Clear => "documentDeletion",
            Self::PutRule(..) => "dsrUpdate",
            Self::ClearRules => "dsrClear",
            Self::DeleteTasks => "taskDeletion",
            Self::Snapshot => "snapshotCreation",
        }
    }
}

impl State {
    /// Puts a task into the queue; answers its number.
    pub(super) fn enqueue(&mut self, index: &str, metadata: Option<String>, work: Work) -> u64 {
        let uid = self.next;
        self.next += 1;
        let before = self.tasks.last().map_or_else(Instant::now, |task| task.ends.max(Instant::now()));
        self.tasks.push(Task {
            uid,
            index: index.to_owned(),
            status: "enqueued",
            metadata,
            error: Value::Null,
            details: json!({}),
            work,
            ends: before + self.per_task,
        });
        uid
    }

    /// Ends the tasks whose time has come, in order.
    pub(super) fn work(&mut self) {
        for at in 0..self.tasks.len() {
            let task = self.tasks[at].clone();
            if task.status != "enqueued" {
                continue;
            }
            if task.ends > Instant::now() {
                break;
            }
            let failing = self.failing.iter().position(|(kind, _)| *kind == task.work.kind());
            let done = match failing {
                Some(at) => Err(self.failing.remove(at).1),
                None => self.apply(&task),
            };
            let task = &mut self.tasks[at];
            match done {
                Ok(details) => (task.status, task.details) = ("succeeded", details),
                Err(error) => (task.status, task.error) = ("failed", error),
            }
        }
    }

    /// As an operator would, which is a task too.
    pub(super) fn delete_tasks(&mut self) {
        self.work();
        self.tasks.retain(|task| task.status == "enqueued");
        self.enqueue("", None, Work::DeleteTasks);
        self.work();
    }

    /// The details of the task.
    fn apply(&mut self, task: &Task) -> Result<Value, Value> {
        let is_there = self.indexes.contains_key(&task.index);
        match &task.work {
            Work::CreateIndex { .. } if is_there => {
                return Err(error(
                    "index_already_exists",
                    &format!("Index `{}` already exists.", task.index),
                ));
            }
            Work::CreateIndex { primary_key } => {
                let index = Index { primary_key: primary_key.clone(), ..Index::default() };
                self.indexes.insert(task.index.clone(), index);
            }
            Work::DeleteIndex => {
                let index = self.indexes.remove(&task.index).ok_or_else(|| not_found(&task.index))?;
                return Ok(json!({ "deletedDocuments": index.documents.len() }));
            }
            Work::Settings(changes) => {
                let is_refused = |(key, value, _): &&(String, Value, Value)| changes.get(key) == Some(value);
                if let Some((.., error)) = self.refused.iter().find(is_refused) {
                    return Err(error.clone());
                }
                let mut changes = changes.clone();
                changes.retain(|key, _| !self.stuck.contains(key));
                let index = self.indexes.entry(task.index.clone()).or_default();
                settings::change(&mut index.settings, &changes);
            }
            Work::ResetSettings => {
                let stuck = self.stuck.clone();
                self.existing(&task.index)?.settings.retain(|key, _| stuck.contains(key));
            }
            Work::Add { primary_key, documents, replaces } => {
                let index = self.indexes.entry(task.index.clone()).or_default();
                add(index, primary_key.as_deref(), documents, *replaces);
                let count = documents.len();
                return Ok(json!({ "receivedDocuments": count, "indexedDocuments": count }));
            }
            Work::DeleteIds(ids) => {
                let index = self.existing(&task.index)?;
                return Ok(index.keep_documents(|id, _| !ids.contains(id)));
            }
            Work::DeleteByFilter(filter) => {
                let index = self.existing(&task.index)?;
                let kept = index.clone();
                let mut gone = Vec::new();
                for (id, document) in &kept.documents {
                    if selects(&kept, filter, document)? {
                        gone.push(id);
                    }
                }
                return Ok(index.keep_documents(|id, _| !gone.contains(&id)));
            }
            Work::Clear => return Ok(self.existing(&task.index)?.keep_documents(|_, _| false)),
            Work::PutRule(uid, fields) => self.rules.entry(uid.clone()).or_default().extend(fields.clone()),
            Work::ClearRules => self.rules.clear(),
            Work::DeleteTasks | Work::Snapshot => {}
        }
        Ok(json!({}))
    }

    fn existing(&mut self, index: &str) -> Result<&mut Index, Value> {
        self.indexes.get_mut(index).ok_or_else(|| not_found(index))
    }
}

impl Index {
    /// Deletes all others; the details of the task.
    fn keep_documents(&mut self, is_kept: impl Fn(&String, &Map<String, Value>) -> bool) -> Value {
        let before = self.documents.len();
        self.documents.retain(|id, document| is_kept(id, document));
        json!({ "deletedDocuments": before - self.documents.len() })
    }
}

fn add(index: &mut Index, primary_key: Option<&str>, documents: &[Map<String, Value>], replaces: bool) {
    let key = index.primary_key.get_or_insert_with(|| primary_key.unwrap_or("id").to_owned());
    for document in documents {
        let kept = index.documents.entry(id_of(document, key)).or_default();
        if replaces {
            kept.clear();
        }
        kept.extend(document.clone());
    }
}

fn not_found(index: &str) -> Value {
    error("index_not_found", &format!("Index `{index}` not found."))
}

fn id_of(document: &Map<String, Value>, key: &str) -> String {
    match document.get(key) {
        Some(Value::String(id)) => id.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    }
}

/// What Meilisearch says is wrong.
pub(super) fn error(code: &str, message: &str) -> Value {
    json!({ "message": message, "code": code, "type": "invalid_request", "link": format!("https://docs.meilisearch.com/errors#{code}") })
}
