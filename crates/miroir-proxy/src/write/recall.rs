//! What a node's own queue says about requests whose answer was lost.
//!
//! A lane sends one request at a time, so what the node's queue holds of it beyond the last number that is accounted for
//! is what was sent since, in the same order. Requests that carry a mark are found by it; the others by what they do and
//! to which index, between their neighbours.
//!
//! Others send a node settings too, when it has to be brought to them. Which numbers these repairs have is known as long
//! as Miroir runs; what an earlier process has sent may be one. So an older change of settings is the lane's own only if
//! something of the lane's follows it. If not, it is not found: sent again, at the lane's own place, it does no harm.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use miroir_core::task::Op;
use serde_json::Value;

use super::request::{is_mark, is_marked};
use crate::node_api::{Node, NodeError, NodeRequest};
use miroir_core::path::NodePath;

/// Tasks in one question.
pub(super) const PAGE: u64 = 1_000;

/// The part of a node's queue that is not accounted for, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recall {
    tasks: VecDeque<Value>,
    /// The number after the last one.
    pub(super) end: u64,
}

/// What is known of the repairs in a node's queue.
#[derive(Debug)]
pub(super) struct KnownRepairs {
    /// These are some.
    pub(super) numbers: BTreeSet<u64>,
    /// From this number on these are all.
    pub(super) complete_from: u64,
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
    let next = match ask_next_task(node, timeout).await? {
        Ok(next) => next,
        Err(reason) => return Ok(Told::Nothing(reason)),
    };
    if next < from {
        return Ok(Told::HistoryLost);
    }
    let mut recall = Recall { tasks: VecDeque::new(), end: next };
    let mut from = from;
    while from < next {
        let path = NodePath::from("/tasks?reverse=true").with("from", from).with("limit", PAGE);
        let page = match ask_tasks(node, path, timeout).await? {
            Ok(page) => page,
            Err(reason) => return Ok(Told::Nothing(reason)),
        };
        let Some(last) = page.last().and_then(|task| task["uid"].as_u64()) else { break };
        recall.tasks.extend(page);
        from = last + 1;
        recall.end = recall.end.max(from);
    }
    Ok(Told::Later(recall))
}

/// The number that the node's next task gets. The inner error says why it does not tell.
pub(super) async fn ask_next_task(node: &Node, timeout: Duration) -> Result<Result<u64, String>, NodeError> {
    let newest = ask_tasks(node, "/tasks?limit=1".into(), timeout).await?;
    Ok(newest.map(|tasks| tasks.first().and_then(|task| task["uid"].as_u64()).map_or(0, |uid| uid + 1)))
}

pub(super) async fn ask_tasks(
    node: &Node,
    path: NodePath,
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
    /// later. None if it does not have it, or if that can't be told and sending it again does no harm.
    pub(super) fn take(
        &mut self,
        (op, index): (&Op<'_>, &PhysicalUid),
        mark: &str,
        repairs: &KnownRepairs,
    ) -> Option<u64> {
        let is_settings = matches!(op, Op::Settings { .. });
        // Whatever the lane has sent it sent in order: what stands before this was sent too.
        let last_of_lane = self.tasks.iter().rposition(is_of_lane);
        let may_be_repair = |place: usize, task: &Value| {
            let number = task["uid"].as_u64();
            let is_one = number.is_some_and(|number| repairs.numbers.contains(&number));
            let is_sure = number.is_some_and(|number| number >= repairs.complete_from);
            is_one || (!is_sure && last_of_lane.is_none_or(|last| last < place))
        };
        let is_it = |(place, task): (usize, &Value)| {
            is_task_of(task, op, index, mark) && !(is_settings && may_be_repair(place, task))
        };
        let place = self.tasks.iter().enumerate().position(is_it)?;
        self.tasks.drain(..=place).next_back()?["uid"].as_u64()
    }
}

/// Whether only a lane sends such a task.
fn is_of_lane(task: &Value) -> bool {
    is_mark(&task["customMetadata"])
        || matches!(task["type"].as_str(), Some("indexCreation" | "indexUpdate" | "indexDeletion"))
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
        Recall { tasks: tasks.into(), end: 0 }
    }

    fn settings(number: u64) -> Value {
        json!({ "uid": number, "indexUid": "x", "type": "settingsUpdate" })
    }

    fn known(numbers: impl IntoIterator<Item = u64>, complete_from: u64) -> KnownRepairs {
        KnownRepairs { numbers: numbers.into_iter().collect(), complete_from }
    }

    #[test]
    fn requests_are_found_in_their_order_and_none_twice() {
        let index = PhysicalUid::new("x");
        let (patch, none) = (Map::new(), known([], 0));
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
        let mut recall = recall(json!([settings(3), settings(4), settings(5)]));
        let change = Op::Settings { patch: &patch };
        assert_eq!(recall.take((&change, &index), "k", &known([3, 5], 0)), Some(4));
        assert_eq!(recall.take((&change, &index), "l", &known([3, 5], 0)), None);
    }

    #[test]
    fn what_may_be_a_repair_of_an_earlier_process_is_a_lanes_own_only_if_something_of_the_lane_follows() {
        let (index, patch) = (PhysicalUid::new("x"), Map::new());
        let change = Op::Settings { patch: &patch };
        let of_others =
            json!({ "uid": 5, "indexUid": "x", "type": "documentDeletion", "customMetadata": null });
        let of_lane = json!({ "uid": 6, "indexUid": "y", "type": "documentDeletion", "customMetadata": "miroir:a:1:0" });
        let unsure = known([], 6);
        assert_eq!(recall(json!([settings(4), of_others])).take((&change, &index), "k", &unsure), None);
        // Sent again, and its answer was lost once more.
        let again = json!([settings(4), of_others, settings(6)]);
        assert_eq!(recall(again).take((&change, &index), "k", &unsure), Some(6));
        let mut followed = recall(json!([settings(3), settings(4), of_others, of_lane, settings(7)]));
        let unsure = known([], 8);
        assert_eq!(followed.take((&change, &index), "k", &unsure), Some(3));
        assert_eq!(followed.take((&change, &index), "l", &unsure), Some(4));
        assert_eq!(followed.take((&change, &index), "m", &unsure), None);
        let dropped = json!({ "uid": 5, "indexUid": "x", "type": "indexDeletion" });
        assert_eq!(recall(json!([settings(4), dropped])).take((&change, &index), "k", &unsure), Some(4));
    }

    #[test]
    fn only_changes_of_settings_can_be_repairs() {
        let index = PhysicalUid::new("x");
        let tasks = json!([
            { "uid": 4, "indexUid": "x", "type": "indexCreation" },
            { "uid": 5, "indexUid": "x", "type": "documentDeletion", "customMetadata": "m" },
        ]);
        let mut recall = recall(tasks);
        let stale = known([4, 5], 9);
        assert_eq!(recall.take((&Op::CreateIndex { primary_key: None }, &index), "k", &stale), Some(4));
        assert_eq!(recall.take((&Op::Clear, &index), "m", &stale), Some(5));
    }
}
