//! Indexes of a node that an attempt before this one has copied up to a line of the log.

use std::collections::BTreeMap;

use miroir_core::ids::PhysicalUid;
use miroir_store::CaughtUp;
use serde_json::Value;

use super::error::RebuildError;
use crate::node_api::questions;
use crate::transfer::{Target, TransferError};

/// Of what is stored, what is still true: the node has the index, and nobody did anything to it since. What the log says
/// from the line on the node's lane has still to bring.
pub(super) async fn still_caught_up(
    target: &Target,
    stored: &[CaughtUp],
) -> Result<Vec<CaughtUp>, RebuildError> {
    let Some(first) = stored.iter().map(|it| it.next_node_task).min() else { return Ok(Vec::new()) };
    let there = target.ask(questions::indexes()).await?;
    let Some(last) = last_tasks(target, first).await? else { return Ok(Vec::new()) };
    let is_right = |it: &&CaughtUp| {
        there.contains_key(&it.index) && last.get(&it.index).is_none_or(|task| *task < it.next_node_task)
    };
    Ok(stored.iter().filter(is_right).cloned().collect())
}

/// The node's last task about each index, of those from a number on; none if its queue ends before that: then it is another
/// one.
async fn last_tasks(target: &Target, from: u64) -> Result<Option<BTreeMap<PhysicalUid, u64>>, TransferError> {
    let next = target.next_task().await?;
    if next < from {
        return Ok(None);
    }
    let mut last = BTreeMap::new();
    let take = |page: Vec<Value>| {
        let number =
            |task: &Value| Some((PhysicalUid::new(task["indexUid"].as_str()?), task["uid"].as_u64()?));
        last.extend(page.iter().filter_map(number));
    };
    questions::walk_tasks((from, next), |question| target.ask(question), take).await?;
    Ok(Some(last))
}
