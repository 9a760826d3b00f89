//! What a node's own queue says about requests whose answer was lost.
//!
//! A lane sends one request at a time, so what the node's queue holds of it beyond the last number that is accounted for
//! is what was sent since, in the same order. Requests that carry a mark are found by it; the others by what they do and
//! to which index, between their neighbours. Others send a node settings too, when it has to be brought to them: which
//! numbers these repairs have is known.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use miroir_core::task::Op;
use serde_json::Value;

use super::request::is_marked;
use crate::cluster::{Node, NodeError, NodeRequest};

/// Tasks in one question.
pub(super) const PAGE: u64 = 1_000;

/// The part of a node's queue that is not accounted for, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recall {
    tasks: VecDeque<Value>,
}

/// What a node says when it is asked for its queue.
#[derive(Debug)]
pub(super) enum Told {
    /// This is what came after the last number that is accounted for.
    Later(Recall),
    /// It never had that number: its data are not those of the log.
    HistoryLost,
    /// It does not tell, for this reason.
    Nothing(String),
}

/// Asks the node what its queue holds from this number on.
pub(super) async fn ask_recall(node: &Node, from: u64, timeout: Duration) -> Result<Told, NodeError> {
    let mut recall = Recall::default();
    let next = match ask_next_task(node, timeout).await? {
        Ok(next) => next,
        Err(reason) => return Ok(Told::Nothing(reason)),
    };
    if next < from {
        return Ok(Told::HistoryLost);
    }
    let mut from = from;
    while from < next {
        let path = format!("/tasks?reverse=true&from={from}&limit={PAGE}");
        let page = match ask_tasks(node, path, timeout).await? {
            Ok(page) => page,
            Err(reason) => return Ok(Told::Nothing(reason)),
        };
        let Some(last) = page.last().and_then(|task| task["uid"].as_u64()) else { break };
        recall.tasks.extend(page);
        from = last + 1;
    }
    Ok(Told::Later(recall))
}

/// The number that the node's next task gets. The inner error says why it does not tell.
pub(super) async fn ask_next_task(node: &Node, timeout: Duration) -> Result<Result<u64, String>, NodeError> {
    let newest = ask_tasks(node, "/tasks?limit=1".to_owned(), timeout).await?;
    Ok(newest.map(|tasks| tasks.first().and_then(|task| task["uid"].as_u64()).map_or(0, |uid| uid + 1)))
}

pub(super) async fn ask_tasks(
    node: &Node,
    path: String,
    timeout: Duration,
) -> Result<Result<Vec<Value>, String>, NodeError> {
    let reply = node.send(NodeRequest::get(path), timeout).await?;
    let tasks = serde_json::from_slice::<Value>(&reply.body).ok().and_then(|mut body| {
        match body.get_mut("results").map(Value::take) {
            Some(Value::Array(tasks)) => Some(tasks),
            _ => None,
        }
    });
    Ok(tasks.ok_or_else(|| match reply.status.as_u16() {
        401 | 403 => "it refuses Miroir's key; see `node_master_key` in the configuration".to_owned(),
        status => format!("HTTP {status} to a question for its tasks"),
    }))
}

impl Recall {
    /// The number under which the node has this request; what stands before it is dropped, since later requests come
    /// later. None if it does not have it.
    pub(super) fn take(
        &mut self,
        (op, index): (&Op<'_>, &PhysicalUid),
        mark: &str,
        repairs: &BTreeSet<u64>,
    ) -> Option<u64> {
        let is_repair = |task: &Value| task["uid"].as_u64().is_some_and(|number| repairs.contains(&number));
        let is_it = |task: &Value| is_task_of(task, op, index, mark) && !is_repair(task);
        let place = self.tasks.iter().position(is_it)?;
        self.tasks.drain(..=place).next_back()?["uid"].as_u64()
    }
}

fn is_task_of(task: &Value, op: &Op<'_>, index: &PhysicalUid, mark: &str) -> bool {
    if is_marked(op) {
        return task["customMetadata"] == mark;
    }
    task["indexUid"] == index.as_str() && task["type"] == kind_of(op)
}

pub(super) const fn kind_of(op: &Op<'_>) -> &'static str {
    match op {
        Op::CreateIndex { .. } => "indexCreation",
        Op::UpdateIndex { .. } => "indexUpdate",
        Op::DeleteIndex => "indexDeletion",
        Op::Settings { .. } => "settingsUpdate",
        Op::AddDocuments { .. } => "documentAdditionOrUpdate",
        Op::DeleteByIds { .. } | Op::DeleteByFilter { .. } | Op::Clear => "documentDeletion",
        Op::EditDocuments { .. } => "documentEdition",
        Op::PutRule { .. } | Op::DeleteRule { .. } => "dsrUpdate",
        Op::ClearRules => "dsrClear",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn recall(tasks: Value) -> Recall {
        let Value::Array(tasks) = tasks else { panic!("tasks are a list") };
        Recall { tasks: tasks.into() }
    }

    #[test]
    fn requests_are_found_in_their_order_and_none_twice() {
        let index = PhysicalUid::new("x");
        let (patch, none) = (Map::new(), BTreeSet::new());
        let mut recall = recall(json!([
            { "uid": 4, "indexUid": "y", "type": "indexDeletion", "customMetadata": null },
            { "uid": 5, "indexUid": "x", "type": "indexDeletion" },
            { "uid": 6, "indexUid": "x", "type": "indexCreation" },
            { "uid": 7, "indexUid": "x", "type": "settingsUpdate" },
            { "uid": 8, "indexUid": "x", "type": "documentDeletion", "customMetadata": "m" },
        ]));
        assert_eq!(recall.take((&Op::DeleteIndex, &index), "k", &none), Some(5));
        assert_eq!(recall.take((&Op::DeleteIndex, &index), "k", &none), None);
        assert_eq!(recall.take((&Op::CreateIndex { primary_key: None }, &index), "l", &none), Some(6));
        assert_eq!(recall.take((&Op::Clear, &index), "n", &none), None);
        assert_eq!(recall.take((&Op::Clear, &index), "m", &none), Some(8));
        assert_eq!(recall.take((&Op::Settings { patch: &patch }, &index), "o", &none), None);
    }

    #[test]
    fn repairs_are_not_taken_for_what_a_lane_has_sent() {
        let (index, patch) = (PhysicalUid::new("x"), Map::new());
        let settings = |uid: u64| json!({ "uid": uid, "indexUid": "x", "type": "settingsUpdate" });
        let mut recall = recall(json!([settings(3), settings(4), settings(5)]));
        let change = Op::Settings { patch: &patch };
        assert_eq!(recall.take((&change, &index), "k", &[3, 5].into()), Some(4));
        assert_eq!(recall.take((&change, &index), "l", &[3, 5].into()), None);
    }
}
