//! The last pass of an attempt: each index by itself, held if something was written to it since the pass before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::rules::RULES_UID;
use miroir_store::{Accepted, CaughtUp};
use tokio::time::{sleep, timeout};

use super::attempt::{Attempt, Begun};
use super::error::RebuildError;
use super::plan::Orphans;
use crate::transfer::{SIDE_BY_SIDE, Transfer, copy_one, sources_of};
use crate::write::committer::Event;
use crate::write::ledger::{Copied, Ledger};

/// Between looks at what is being waited for.
const STILL_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Attempt<'_> {
    /// Brings every index to a line of its own.
    pub(super) async fn finish(&self, last: &Begun) -> Result<Event, RebuildError> {
        let (line, now) = self.begin_last_pass(last).await?;
        let mut lines = self.caught_up.clone();
        let quiet = now.pass.left_out.iter().filter(|index| !self.caught_up.contains_key(*index));
        let quiet: Vec<(PhysicalUid, TaskUid)> = quiet.map(|index| (index.clone(), line)).collect();
        self.store(&quiet, now.next_task).await?;
        lines.extend(quiet);
        let of_before = last.transfers.iter().chain(&now.transfers).map(Transfer::key);
        let rules = PhysicalUid::new(RULES_UID);
        let held: BTreeSet<PhysicalUid> =
            of_before.filter(|index| !lines.contains_key(*index)).chain([&rules]).cloned().collect();
        self.target.progress().begin(0, held.len() as u64);
        let held = stream::iter(held.into_iter().map(|index| self.catch_up(index, now.next_task)));
        lines.extend(held.buffer_unordered(SIDE_BY_SIDE).try_collect::<Vec<_>>().await?);
        let end = self.target.queue_end().await?;
        if end.without_own != now.next_task {
            return Err(RebuildError::Disturbed);
        }
        let next_node_task = end.next;
        if self.on_orphans == Orphans::Missed {
            let node = self.target.node().id().clone();
            return Ok(Event::Rebuilt(Copied { node, lines, next_node_task }));
        }
        self.accept(&lines, next_node_task).await
    }

    /// What is left to copy. What is untouched is as the log says before the entry that is the answer, and nothing that
    /// comes from there on has been done to it.
    async fn begin_last_pass(&self, last: &Begun) -> Result<(TaskUid, Begun), RebuildError> {
        let barrier = Arc::clone(&self.rebuilder.barrier);
        // At one moment.
        let look =
            move |ledger: &mut Ledger| (ledger.head.end().max(barrier.begun()), ledger.head.watch_touched());
        let (line, touched) = self.rebuilder.ledger.order(look).await;
        Ok((line, self.plan_pass(Some(last), touched.as_ref()).await?))
    }

    /// Indexes are at their lines, for an attempt that may come after this one; unless the node was emptied since its queue
    /// was as it is said here.
    async fn store(&self, lines: &[(PhysicalUid, TaskUid)], before: u64) -> Result<(), RebuildError> {
        if lines.is_empty() || self.on_orphans == Orphans::Taken {
            return Ok(());
        }
        let end = self.target.queue_end().await?;
        end.check_kept(before)?;
        let caught_up = |(index, line): &(PhysicalUid, TaskUid)| CaughtUp {
            index: index.clone(),
            line: *line,
            next_node_task: end.next,
        };
        let caught_up = lines.iter().map(caught_up).collect();
        Ok(self.rebuilder.store.save_caught_up(self.target.node().id().clone(), caught_up).await?)
    }

    /// Holds an index, copies what was written to it meanwhile, and lets it go on. Answers it with the entry from which on it
    /// was held.
    async fn catch_up(
        &self,
        index: PhysicalUid,
        before: u64,
    ) -> Result<(PhysicalUid, TaskUid), RebuildError> {
        let ticket = self.target.progress().ticket();
        let after = self.longest_hold;
        let hold = self.rebuilder.barrier.hold(index.clone());
        let line = hold.line();
        let Ok(still) = timeout(after, self.until_still(&index, line)).await else {
            let waits_for = self.moving(&index).await;
            return Err(RebuildError::Moving { index, after, waits_for });
        };
        still?;
        let too_long = |_| RebuildError::TooLong { index: index.clone(), after };
        timeout(after, self.copy_held(&index)).await.map_err(too_long)??;
        drop(hold);
        self.store(&[(index.clone(), line)], before).await?;
        drop(ticket);
        Ok((index, line))
    }

    async fn copy_held(&self, index: &PhysicalUid) -> Result<(), RebuildError> {
        if index.as_str() == RULES_UID {
            return self.copy_rules().await;
        }
        let transfer = self.transfer_of(index).await?;
        Ok(copy_one(&self.target.aside(), index, transfer.as_ref()).await?)
    }

    /// Waits until everything before the line is over that is about the index. What waits for a node that is taken as it is
    /// can't be over before.
    async fn until_still(&self, index: &PhysicalUid, line: TaskUid) -> Result<(), RebuildError> {
        loop {
            let sources = sources_of(self.transfer_of(index).await?.as_slice());
            let (index, on_orphans) = (index.clone(), self.on_orphans);
            let is_still = move |ledger: &Ledger| {
                (on_orphans == Orphans::Taken || ledger.tasks.is_over_before(line, &index))
                    && sources.iter().all(|source| ledger.tasks.has_done_of(&index, source, line))
            };
            if self.rebuilder.ledger.ask(is_still).await {
                return Ok(());
            }
            sleep(STILL_POLL_INTERVAL).await;
        }
    }

    /// What is not over about an index.
    async fn moving(&self, index: &PhysicalUid) -> String {
        let (node, index) = (self.target.node().id().clone(), index.clone());
        let first = move |ledger: &Ledger| ledger.tasks.first_before(TaskUid(u64::MAX), &index, &node);
        let Some((task, index, nodes)) = self.rebuilder.ledger.ask(first).await else {
            return "nothing that is known".to_owned();
        };
        let nodes: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
        match nodes[..] {
            [] => format!("task {task} about index `{index}` is not over"),
            _ => format!("task {task} about index `{index}` is not done on {}", nodes.join(", ")),
        }
    }

    /// The end for a node that is taken as it is where nobody else has what it has: its lane does again what it had not
    /// finished.
    async fn accept(
        &self,
        lines: &BTreeMap<PhysicalUid, TaskUid>,
        next_node_task: u64,
    ) -> Result<Event, RebuildError> {
        let node = self.target.node();
        let id = node.id().clone();
        let record = self.rebuilder.record(node).await?;
        let received = self.rebuilder.store.node_tasks().await?;
        let has_sources = !sources_of(&self.transfers().await?).is_empty();
        let end = lines.values().max().copied().unwrap_or(TaskUid(0));
        let node = id.clone();
        let look = move |ledger: &Ledger| {
            (ledger.tasks.unrepeatable_before(&node, end), ledger.to_do_again(&node, &received))
        };
        let (unrepeatable, again) = self.rebuilder.ledger.ask(look).await;
        if let Some(task) = unrepeatable.filter(|_| has_sources) {
            return Err(RebuildError::Unrepeatable(task));
        }
        let cursor = again.first().map_or(record.cursor, |first| record.cursor.min(*first));
        Ok(Event::Accepted(Accepted { node: id, cursor, next_node_task, again }))
    }
}
