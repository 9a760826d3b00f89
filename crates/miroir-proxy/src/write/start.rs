//! Begins where the store says that the last process stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::placement::Members;
use miroir_core::rules::{Rule, RuleBook};
use miroir_core::settings::{Broadcast, SettingsVersions};
use miroir_core::task::{NewIndexPolicy, SyncState};
use miroir_core::view::IndexEntry;
use miroir_store::{
    Collection, Commit, NodeRecord, NodeTask, SettingsChange, Store, StoreError, until_known,
};
use serde_json::Value;
use time::OffsetDateTime;

use super::fenced::FencedStore;
use super::ledger::{Ledger, is_rollout};
use super::prepared::Decided;
use super::wire::{Common, Wiring};
use super::{StartError, WriteConfig, Writer};
use crate::cluster::{Membership, ViewChange, ViewPublisher};
use crate::settings::Broadcasts;

/// Loads the catalog into the view and the in-sync flags into the membership, and begins the work in the background. It
/// ends with the last clone of the writer.
///
/// # Errors
/// When the configured nodes don't fit the indexes that exist, or the store fails.
pub async fn start(
    store: Arc<dyn Store>,
    membership: Arc<Membership>,
    view: Arc<ViewPublisher>,
    config: WriteConfig,
) -> Result<Writer, StartError> {
    let members = membership.members();
    let new_index_policy = Arc::new(NewIndexPolicy {
        shards: config.shards.clone(),
        factor: config.replication_factor,
        members: members.groups().clone(),
    });
    new_index_policy.entry(&IndexUid::new("any"), None, OffsetDateTime::UNIX_EPOCH)?;
    // Before anything is read: what another process still writes would be missed.
    let store = Arc::new(FencedStore::begin(store).await?);
    let catalog = store.catalog().await?;
    for index in &catalog {
        check_placement(index, &new_index_policy)?;
    }
    let book = RuleBook::new(read_rules(store.records(Collection::Rules).await?.by_id)?);
    let nodes = admit_nodes(&store, members.groups(), catalog.is_empty() && book.is_empty()).await?;
    let node_tasks = store.node_tasks().await?;
    let broadcasts = Broadcasts::new(config.settings, config.settings_metrics.clone(), Arc::clone(&view));
    broadcasts.restore(load_versions(&store, &catalog, &nodes).await?);
    let broadcasts = Arc::new(broadcasts);
    let worths = nodes.values().map(|node| (node.id.clone(), node.sync));
    let mut ledger = Ledger::new(catalog.clone(), book.clone(), worths, broadcasts.clone());
    let decided = load_work(&store, &mut ledger, &node_tasks, (&nodes, &broadcasts)).await?;
    let indexes = catalog.into_iter().map(|index| ViewChange::Index(Arc::new(index)));
    view.publish(
        [ViewChange::Lack(ledger.nodes.behind()), ViewChange::Rules(book)].into_iter().chain(indexes),
    );
    for node in nodes.values() {
        membership.note_sync(&node.id, node.sync);
    }
    let log_id: Arc<str> = store.log_id().await?.into();
    let common = Common { store, membership, view, config, new_index_policy, log_id, broadcasts };
    let wiring = Wiring::new(common, ledger, decided);
    for node in nodes.values() {
        wiring.admission.make_ready(node);
    }
    Ok(wiring.spawn())
}

/// What the store knows of settings, without what is about nodes or indexes that are no more.
async fn load_versions(
    store: &FencedStore,
    catalog: &[IndexEntry],
    nodes: &BTreeMap<NodeId, NodeRecord>,
) -> Result<SettingsVersions, StoreError> {
    let mut versions = store.settings_versions().await?;
    let is_in_catalog = |index: &PhysicalUid| catalog.iter().any(|entry| entry.physical == *index);
    let orphans = versions.confine(|node| nodes.contains_key(node), is_in_catalog);
    if !orphans.is_empty() {
        let trusted = |(index, node)| SettingsChange::Trusted { index, node };
        let settings = orphans.into_iter().map(trusted).collect();
        let commit = Commit { settings, ..Commit::default() };
        until_known(|| store.commit(commit.clone())).await?;
    }
    Ok(versions)
}

fn read_rules(records: BTreeMap<String, Value>) -> Result<BTreeMap<String, Rule>, StoreError> {
    let read = |(uid, record)| match serde_json::from_value(record) {
        Ok(rule) => Ok((uid, rule)),
        Err(error) => Err(StoreError::Corrupt(format!("rule `{uid}` can't be read: {error}"))),
    };
    records.into_iter().map(read).collect()
}

/// Entries that are loaded from the store at a time.
const LOADED: usize = 256;

/// Puts everything decided and not forgotten into the ledger. Answers the first entry that is not decided.
async fn load_work(
    store: &FencedStore,
    ledger: &mut Ledger,
    node_tasks: &[NodeTask],
    (nodes, broadcasts): (&BTreeMap<NodeId, NodeRecord>, &Broadcasts),
) -> Result<TaskUid, StartError> {
    let mut known: BTreeMap<TaskUid, Broadcast> =
        store.open_broadcasts().await?.into_iter().map(|broadcast| (broadcast.task, broadcast)).collect();
    let mut begun = Vec::new();
    let mut from = TaskUid(0);
    loop {
        let works = store.work(from, LOADED).await?;
        let Some(last) = works.last() else { break };
        from = TaskUid(last.entry.uid.0 + 1);
        for work in works {
            let ended = work.status.is_finished().then_some(work.status);
            let work = Arc::new(Decided { entry: work.entry, decision: work.decision });
            ledger.add(&work, ended);
            if is_rollout(&work) {
                begun.extend(resume(ledger, &work, known.remove(&work.entry.uid), (nodes, broadcasts)));
            }
        }
    }
    // Before any lane hears of them.
    for broadcast in begun {
        until_known(|| store.save_broadcast(broadcast.clone())).await?;
    }
    // A node that was rebuilt has what stands before its cursor, and some of what follows, though it received none of it.
    let received: BTreeSet<(&NodeId, TaskUid)> =
        node_tasks.iter().map(|task| (&task.node, task.task)).collect();
    for node in nodes.values() {
        let is_held = |task: TaskUid| {
            node.covered.contains(&task) || (task < node.cursor && !received.contains(&(&node.id, task)))
        };
        ledger.forgive(&node.id, is_held);
    }
    let forgotten = ledger.forgive_strangers();
    if !forgotten.is_empty() {
        let commit = Commit { forgotten, ..Commit::default() };
        until_known(|| store.commit(commit.clone())).await?;
    }
    for task in node_tasks {
        if let Some(result) = &task.result {
            ledger.note(&task.node, task.task, task.op, result.clone());
        }
    }
    Ok(from)
}

/// Goes on with a change of settings. One of which nothing is stored was sent to nobody, and is begun again: then it is the
/// answer, to be stored.
fn resume(
    ledger: &mut Ledger,
    work: &Decided,
    known: Option<Broadcast>,
    (nodes, broadcasts): (&BTreeMap<NodeId, NodeRecord>, &Broadcasts),
) -> Option<Broadcast> {
    let (task, index) = (work.entry.uid, &work.entry.index_uid);
    let next = ledger.head.index(index, std::iter::empty(), OffsetDateTime::now_utc())?;
    let is_known = known.is_some();
    let broadcast = match known {
        Some(broadcast) => {
            let next = ledger.tasks.is_open(task).then_some(next);
            broadcasts.resume(broadcast.clone(), index.clone(), next);
            if broadcast.phase.is_over() {
                // Its end was stored, and its task's was not. A node whose version was not stored either is read back again.
                for node in &broadcast.verified() {
                    if broadcasts.has_version(&broadcast, node) {
                        ledger.tasks.note_verified(task, node);
                    }
                }
            }
            broadcast
        }
        None if ledger.tasks.is_open(task) => {
            // Whether they answer is not known yet.
            let in_sync = nodes.values().filter(|node| node.sync == SyncState::InSync);
            let readable: BTreeSet<NodeId> = in_sync.map(|node| node.id.clone()).collect();
            broadcasts.begin(task, next, ledger.head.has_index(index).then_some(&readable))
        }
        None => return None,
    };
    if broadcast.taken_back.is_some() {
        ledger.tasks.note_taken_back(task);
    }
    (!is_known).then_some(broadcast)
}

/// The members as the store knows them. The first nodes of an empty cluster are simply taken in.
async fn admit_nodes(
    store: &FencedStore,
    members: &Members,
    is_empty: bool,
) -> Result<BTreeMap<NodeId, NodeRecord>, StartError> {
    let known: BTreeSet<NodeId> = store.nodes().await?.into_iter().map(|node| node.id).collect();
    let new: Vec<NodeId> = members.keys().filter(|node| !known.contains(*node)).cloned().collect();
    let has_work = !store.work(TaskUid(0), 1).await?.is_empty();
    match new.first() {
        Some(node) if !is_empty || has_work => return Err(StartError::NewNode(node.clone())),
        Some(_) => until_known(|| store.add_nodes(new.clone(), SyncState::InSync)).await?,
        None => {}
    }
    let is_member = |node: &NodeRecord| members.contains_key(&node.id);
    let nodes = store.nodes().await?.into_iter().filter(is_member);
    Ok(nodes.map(|node| (node.id.clone(), node)).collect())
}

/// What is placed has to be where the configuration says that nodes are.
fn check_placement(index: &IndexEntry, policy: &NewIndexPolicy) -> Result<(), StartError> {
    for (group, table) in index.placement.groups() {
        for (_, replicas) in table.iter() {
            if let Some(node) = replicas.iter().find(|node| policy.members.get(*node) != Some(&group)) {
                let (index, node) = (index.uid.clone(), node.clone());
                return Err(StartError::MissingNode { index, node, group });
            }
            let (found, configured) = (replicas.len(), policy.factor.get());
            if found != configured as usize {
                return Err(StartError::OtherFactor { index: index.uid.clone(), found, configured });
            }
        }
    }
    let placed: BTreeSet<_> = index.placement.groups().map(|(group, _)| group).collect();
    match policy.members.values().find(|group| !placed.contains(*group)) {
        Some(group) => Err(StartError::NewGroup { index: index.uid.clone(), group: *group }),
        None => Ok(()),
    }
}
