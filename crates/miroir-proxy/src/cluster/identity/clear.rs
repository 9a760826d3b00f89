//! What a node has is deleted, before it is used as a new one.

use std::collections::BTreeSet;
use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use reqwest::StatusCode;
use serde_json::Value;

use super::Unusable;
use super::look::{ask_indexes, ask_tasks};
use crate::node_api::{Node, Question, TaskQuery, Unanswered, questions};

/// Tasks of a node's queue that have not ended, whose indexes may be yet to come.
const WAITING: u64 = 10_000;

/// Puts the deletion of every index into the node's queue, also of those that tasks before it will make, and that of all
/// dynamic search rules. Whatever is put there later comes behind that.
pub(super) async fn delete_everything(node: &Node, timeout: Duration) -> Result<(), Unusable> {
    let mut indexes = ask_indexes(node, timeout).await?;
    indexes.extend(ask_coming_indexes(node, timeout).await?);
    for index in indexes {
        order(node, questions::delete_index(&index), "an order to delete an index", timeout).await?;
    }
    let rules = questions::delete_search_rules();
    order(node, rules, "an order to delete its dynamic search rules", timeout).await
}

async fn ask_coming_indexes(node: &Node, timeout: Duration) -> Result<BTreeSet<PhysicalUid>, Unusable> {
    let tasks = ask_tasks(node, TaskQuery::newest(WAITING).open(), timeout).await?;
    let index = |task: &Value| Some(PhysicalUid::new(task["indexUid"].as_str()?));
    Ok(tasks.iter().filter_map(index).collect())
}

/// What the node does not have, or can't have because a feature is off, is deleted already.
async fn order(
    node: &Node,
    order: Question<u64>,
    what: &'static str,
    timeout: Duration,
) -> Result<(), Unusable> {
    let is_gone = |status| matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
    match node.ask_as_master(order, timeout).await {
        Err(Unanswered::Refused(reply)) if is_gone(reply.status) => Ok(()),
        answer => answer.map(drop).map_err(Unusable::because(what)),
    }
}
