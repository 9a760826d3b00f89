//! One attempt to rebuild a node: what is copied while writes go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};

use super::Rebuilder;
use super::caught_up::still_caught_up;
use super::error::RebuildError;
use super::plan::{Orphans, plan_transfers};
use super::rules::copy_rules;
use crate::cluster::RebuildStage;
use crate::transfer::{Pass, Target, Transfer, copy_indexes};
use crate::write::committer::Event;
use crate::write::ledger::{Ledger, Touched, name_on_nodes};

/// A pass that takes no longer leaves little to the next one: that one may hold indexes.
const SHORT_PASS: Duration = Duration::from_secs(5);

/// So many passes before indexes are held at most.
const MOST_PASSES: usize = 6;

/// See the module.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) rebuilder: &'a Rebuilder,
    pub(super) target: Target,
    pub(super) on_orphans: Orphans,
    pub(super) longest_hold: Duration,
    /// Indexes that are as the log says up to a line, since an attempt before this one.
    pub(super) caught_up: BTreeMap<PhysicalUid, TaskUid>,
}

/// A pass, and how things were when it began.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) transfers: Vec<Transfer>,
    /// The number of the node's next task, without those of the copy.
    pub(super) next_task: u64,
    pub(super) pass: Pass,
}

impl<'a> Attempt<'a> {
    /// Nothing is written to the node yet.
    pub(super) async fn begin(
        rebuilder: &'a Rebuilder,
        target: Target,
        longest_hold: Duration,
    ) -> Result<Self, RebuildError> {
        let node = target.node().id().clone();
        let wanted = rebuilder.operator_requests.on_orphans_of(&node);
        let mut attempt =
            Self { rebuilder, target, on_orphans: wanted, longest_hold, caught_up: BTreeMap::new() };
        let has_orphans = attempt.transfers().await?.iter().any(|transfer| !transfer.kept.is_empty());
        attempt.on_orphans = if has_orphans { Orphans::Taken } else { Orphans::Missed };
        attempt.check_way().await?;
        // A node that is taken as it is does again what it had not finished, from where its lane was.
        if attempt.on_orphans == Orphans::Missed {
            attempt.caught_up = attempt.take_up(node).await?;
        }
        if !attempt.caught_up.is_empty() {
            let (node, indexes) = (attempt.target.node().id(), attempt.caught_up.len());
            tracing::info!(%node, indexes, "the rebuild goes on; some indexes are copied already");
        }
        Ok(attempt)
    }

    /// The indexes that an attempt before this one has brought to their lines, with these. What is not true any more is
    /// forgotten first: the node may come to look again as it did.
    async fn take_up(&self, node: NodeId) -> Result<BTreeMap<PhysicalUid, TaskUid>, RebuildError> {
        let store = &self.rebuilder.store;
        let stored = store.caught_up(node.clone()).await?;
        let right = still_caught_up(&self.target, &stored).await?;
        if right.len() < stored.len() {
            store.forget_caught_up(node.clone()).await?;
            store.save_caught_up(node, right.clone()).await?;
        }
        Ok(right.into_iter().map(|it| (it.index, it.line)).collect())
    }

    /// What the committer has to be told when the node has everything.
    pub(super) async fn run(self) -> Result<Event, RebuildError> {
        self.target.progress().enter(RebuildStage::Copying);
        let last = self.copy_while_writes_go_on().await?;
        self.target.progress().enter(RebuildStage::Holding);
        self.finish(&last).await
    }

    /// All passes but the last one. Answers the one after whose beginning it is known what changed.
    async fn copy_while_writes_go_on(&self) -> Result<Begun, RebuildError> {
        let mut begun = self.begin_pass(None).await?;
        let mut before = Duration::MAX;
        for number in 1.. {
            let since = Instant::now();
            copy_indexes(&self.target, &begun.transfers, &begun.pass).await?;
            self.copy_rules().await?;
            self.check_way().await?;
            let took = since.elapsed();
            // One that takes as long as the one before it will not get shorter.
            if took <= SHORT_PASS || took > before / 2 || number >= MOST_PASSES {
                break;
            }
            before = took;
            begun = self.begin_pass(Some(&begun)).await?;
        }
        Ok(begun)
    }

    /// Nothing is held for what can't be over soon. Tasks that wait for the node itself need not be.
    async fn check_way(&self) -> Result<(), RebuildError> {
        if self.on_orphans == Orphans::Taken {
            return Ok(());
        }
        let Rebuilder { broadcasts, membership, .. } = self.rebuilder;
        let frozen = broadcasts.frozen().into_iter().map(|(index, _)| index).collect();
        let (id, membership) = (self.target.node().id().clone(), Arc::clone(membership));
        let is_reachable = move |id: &NodeId| membership.standing(id).is_some_and(|it| it.reachable);
        let look = move |ledger: &Ledger| ledger.obstacle(&id, &frozen, is_reachable);
        let obstacle = self.rebuilder.ledger.ask(look).await;
        obstacle.map_or(Ok(()), |it| Err(it.into()))
    }

    /// What there is to copy, together with the beginning of the watch on what changes meanwhile.
    async fn begin_pass(&self, before: Option<&Begun>) -> Result<Begun, RebuildError> {
        let touched = self.rebuilder.ledger.order(|ledger| ledger.head.watch_touched()).await;
        self.plan_pass(before, touched.as_ref()).await
    }

    pub(super) async fn plan_pass(
        &self,
        before: Option<&Begun>,
        touched: Option<&Touched>,
    ) -> Result<Begun, RebuildError> {
        let end = self.target.queue_end().await?;
        if let Some(before) = before {
            end.check_kept(before.next_task)?;
        }
        let next_task = end.without_own;
        // Later than the beginning of the watch: what changes in between is seen by the watch at least.
        let transfers = self.transfers().await?;
        let untouched = before.map(|before| untouched(before, touched, next_task, &transfers));
        let is_later = untouched.is_some();
        let left_out = self.caught_up.keys().cloned().chain(untouched.unwrap_or_default()).collect();
        Ok(Begun { transfers, next_task, pass: Pass { is_later, left_out } })
    }

    pub(super) async fn copy_rules(&self) -> Result<(), RebuildError> {
        let features = self.rebuilder.store.features().await?;
        let look = |ledger: &Ledger| (ledger.head.rules().clone(), ledger.head.catalog().clone());
        let (book, catalog) = self.rebuilder.ledger.ask(look).await;
        let name = |uid: &str| name_on_nodes(&catalog, uid, catalog.get(&IndexUid::new(uid)));
        Ok(copy_rules(&self.target, &book, &features, name).await?)
    }

    /// All that has to be copied, from whom, as things are now.
    pub(super) async fn transfers(&self) -> Result<Vec<Transfer>, RebuildError> {
        let look = |ledger: &Ledger| ledger.head.catalog().values().cloned().collect();
        let catalog = self.rebuilder.ledger.ask(look).await;
        plan_transfers(self.target.node().id(), catalog, self.on_orphans, &self.rebuilder.membership)
    }

    /// The same of one index; none if the node has to have none of this name.
    pub(super) async fn transfer_of(&self, index: &PhysicalUid) -> Result<Option<Transfer>, RebuildError> {
        let index = index.clone();
        let look =
            move |ledger: &Ledger| ledger.head.catalog().values().find(|it| it.physical == index).cloned();
        let catalog = self.rebuilder.ledger.ask(look).await.into_iter().collect();
        let node = self.target.node().id();
        Ok(plan_transfers(node, catalog, self.on_orphans, &self.rebuilder.membership)?.pop())
    }
}

/// Indexes about which nothing was decided since the pass before began, and that have the same name.
/// None is that when somebody else wrote to the node: a request of before its damage, say, that came late.
fn untouched(
    before: &Begun,
    touched: Option<&Touched>,
    next_task: u64,
    now: &[Transfer],
) -> BTreeSet<PhysicalUid> {
    let Some(touched) = touched.filter(|_| next_task == before.next_task) else { return BTreeSet::new() };
    let name = |transfer: &Transfer| (transfer.index.uid.clone(), transfer.key().clone());
    let names: BTreeSet<(IndexUid, PhysicalUid)> = before.transfers.iter().map(name).collect();
    let same = now.iter().filter(|it| !touched.contains(&it.index) && names.contains(&name(it)));
    same.map(|transfer| transfer.key().clone()).collect()
}
