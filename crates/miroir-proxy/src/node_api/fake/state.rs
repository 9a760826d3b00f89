//! What a node in memory has, and how its tasks change it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) indexes: BTreeMap<String, Index>,
    pub(super) features: Map<String, Value>,
    pub(super) rules: BTreeMap<String, Map<String, Value>>,
    pub(super) tasks: Vec<Task>,
    pub(super) per_task: Duration,
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
    pub(super) work: Work,
    ends: Instant,
}

/// What a task does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    CreateIndex { primary_key: Option<String> },
    DeleteIndex,
    Settings(Map<String, Value>),
    Add { primary_key: Option<String>, documents: Vec<Map<String, Value>>, replaces: bool },
    DeleteIds(Vec<String>),
    Clear,
    PutRule(String, Map<String, Value>),
    ClearRules,
    DeleteTasks,
}

impl Work {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::CreateIndex { .. } => "indexCreation",
            Self::DeleteIndex => "indexDeletion",
            Self::Settings(_) => "settingsUpdate",
            Self::Add { .. } => "documentAdditionOrUpdate",
            Self::DeleteIds(_) | Self::Clear => "documentDeletion",
            Self::PutRule(..) => "dsrUpdate",
            Self::ClearRules => "dsrClear",
            Self::DeleteTasks => "taskDeletion",
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
            let done = self.apply(&task);
            let task = &mut self.tasks[at];
            task.status = if done.is_ok() { "succeeded" } else { "failed" };
            task.error = done.err().unwrap_or_default();
        }
    }

    /// As an operator would, which is a task too.
    pub(super) fn delete_tasks(&mut self) {
        self.work();
        self.tasks.retain(|task| task.status == "enqueued");
        self.enqueue("", None, Work::DeleteTasks);
        self.work();
    }

    fn apply(&mut self, task: &Task) -> Result<(), Value> {
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
            Work::DeleteIndex if !is_there => {
                return Err(error("index_not_found", &format!("Index `{}` not found.", task.index)));
            }
            Work::DeleteIndex => drop(self.indexes.remove(&task.index)),
            Work::Settings(changes) => {
                self.indexes.entry(task.index.clone()).or_default().settings.extend(changes.clone());
            }
            Work::Add { primary_key, documents, replaces } => {
                let index = self.indexes.entry(task.index.clone()).or_default();
                let key = index
                    .primary_key
                    .get_or_insert_with(|| primary_key.clone().unwrap_or_else(|| "id".to_owned()));
                for document in documents {
                    let id = id_of(document, key);
                    let kept = index.documents.entry(id).or_default();
                    if *replaces {
                        kept.clear();
                    }
                    kept.extend(document.clone());
                }
            }
            Work::DeleteIds(ids) => {
                let index = self.indexes.entry(task.index.clone()).or_default();
                index.documents.retain(|id, _| !ids.contains(id));
            }
            Work::Clear => self.indexes.entry(task.index.clone()).or_default().documents.clear(),
            Work::PutRule(uid, fields) => self.rules.entry(uid.clone()).or_default().extend(fields.clone()),
            Work::ClearRules => self.rules.clear(),
            Work::DeleteTasks => {}
        }
        Ok(())
    }
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
