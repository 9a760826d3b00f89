//! Nodes that come and go while everything that knows nodes runs, over nodes in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use miroir_core::document::{Payload, PayloadFormat, check_payload};
use miroir_core::ids::{ClusterId, GroupId, IndexUid, NodeId, ShardCount, TaskUid};
use miroir_core::placement::ReplicationFactor;
use miroir_core::rules::{RULES_UID, RuleChange, RuleUpdate};
use miroir_core::task::{MissingIndex, Mutation, ShardRules, SyncState, TaskStatus, WriteMethod};
use miroir_store::{SqliteStore, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::cluster::{HealthPolicy, Membership, ViewCell, ViewPublisher, run_health_checks};
use crate::config::{DriftConfig, SettingsConfig};
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};
use crate::observe::{Layout, look};
use crate::settings::SettingsMetrics;
use crate::write::{self, MemberError, NewWrite, NodeProgress, WriteConfig, Writer};

/// How long a test waits for what it wants, by the clock on the wall: the test's own time runs ahead while a disk is waited
/// for.
const PATIENCE: Duration = Duration::from_mins(1);

const SHARDS: u32 = 6;

/// How often a node comes and leaves.
const ROUNDS: usize = 40;

/// A write path with health checks, and what it knows.
struct Bench {
    writer: Writer,
    membership: Arc<Membership>,
    view: Arc<ViewCell>,
    store: Arc<dyn Store>,
    health: JoinHandle<()>,
    _data: TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.health.abort();
    }
}

impl Bench {
    async fn start(fakes: &[FakeNode], factor: u32) -> Self {
        let publisher = Arc::new(ViewPublisher::default());
        let (view, membership) = (publisher.view(), Arc::new(Membership::new(Arc::clone(&publisher))));
        for fake in fakes {
            membership.add(fake.node(), GroupId(0), SyncState::Damaged).unwrap();
        }
        let policy = HealthPolicy {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_threshold: 2,
            recovery_threshold: 1,
        };
        let health = tokio::spawn(run_health_checks(Arc::clone(&membership), None, policy));
        let data = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data.path().join("miroir.db")).unwrap());
        let drift = DriftConfig { interval: Duration::from_secs(1), auto_repair: false };
        let config = WriteConfig {
            shards: ShardRules { default: ShardCount::new(SHARDS).unwrap(), patterns: Vec::new() },
            replication_factor: ReplicationFactor::new(factor).unwrap(),
            node_timeout: Duration::from_secs(10),
            settings: SettingsConfig { drift, ..SettingsConfig::default() },
            settings_metrics: SettingsMetrics::default(),
            max_lag: Duration::from_secs(5),
        };
        let parts = (Arc::clone(&store), Arc::clone(&membership), publisher);
        let writer = write::start(parts.0, parts.1, parts.2, config).await.unwrap();
        let bench = Self { writer, membership, view, store, health, _data: data };
        bench.until("all nodes answer", || bench.view.load().usable.len() == fakes.len()).await;
        bench
    }

    async fn until(&self, what: &str, is_true: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_true() {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}: {:?}", self.membership);
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until this is true of how far nodes are.
    async fn until_progress(&self, what: &str, is_true: impl Fn(&BTreeMap<NodeId, NodeProgress>) -> bool) {
        let begin = Instant::now();
        while !is_true(&self.writer.node_progress().await) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}: {:?}", self.membership);
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn append(&self, index: &str, mutation: Mutation, payload: Payload) -> TaskUid {
        let index = IndexUid::new(index);
        let write = NewWrite { index, mutation, payload, custom_metadata: None };
        self.writer.append(write).await.unwrap().task_uid
    }

    /// Adds documents of these numbers to an index; answers the task.
    async fn add(&self, index: &str, ids: std::ops::Range<u32>) -> TaskUid {
        let documents: Vec<_> = ids.map(|id| json!({ "id": id })).collect();
        let mutation = Mutation::AddDocuments {
            method: WriteMethod::Replace,
            primary_key: None,
            skip_creation: false,
            received: documents.len() as u64,
            missing_index: MissingIndex::Create,
        };
        let body = Bytes::from(serde_json::to_vec(&documents).unwrap());
        self.append(index, mutation, check_payload(PayloadFormat::Json, &body).unwrap()).await
    }

    async fn succeeds(&self, task: TaskUid) {
        let begin = Instant::now();
        loop {
            let now = self.writer.task(task).await.unwrap().unwrap();
            if now.status.is_finished() {
                assert_eq!(now.status, TaskStatus::Succeeded, "{now:?}");
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "task {task} does not end: {now:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn delete(&self, index: &str) {
        let task = self.append(index, Mutation::DeleteIndex, Payload::default()).await;
        self.succeeds(task).await;
    }

    /// Makes a node a member, and waits until it is like the others.
    async fn join(&self, fake: &FakeNode) -> NodeId {
        let node = fake.node();
        let id = node.id().clone();
        self.writer.add_node(node, GroupId(0)).await.unwrap();
        self.until("it is like the others", || {
            self.membership.standing(&id).is_some_and(crate::cluster::Standing::is_readable)
        })
        .await;
        id
    }

    /// The nodes that hold a part of an index.
    fn holders(&self, index: &str) -> Vec<NodeId> {
        let view = self.view.load();
        let entry = view.index(&IndexUid::new(index)).unwrap();
        entry.placement.nodes().cloned().collect()
    }

    /// The nodes that operators see.
    async fn listed(&self) -> Vec<String> {
        let layout = Layout {
            cluster: ClusterId(uuid::Uuid::nil()),
            shards: ShardCount::new(SHARDS).unwrap(),
            replication_factor: 1,
        };
        let topology = look(&layout, &self.membership, &self.view.load(), &self.writer.node_progress().await);
        assert_eq!(topology.groups[0].nodes.len(), topology.nodes.len());
        topology.nodes.iter().map(|node| format!("{} {:?}", node.id, node.status)).collect()
    }
}

fn fakes<const N: usize>(ids: [&str; N]) -> [FakeNode; N] {
    ids.map(FakeNode::new)
}

#[tokio::test(start_paused = true)]
async fn everybody_notices_a_node_that_comes_and_one_that_leaves() {
    let [a, b, c] = fakes(["a", "b", "c"]);
    let bench = Bench::start(&[a.clone(), b.clone()], 1).await;
    bench.succeeds(bench.add("films", 0..40).await).await;
    let id = bench.join(&c).await;
    assert!(bench.view.load().usable.contains(&id));
    assert_eq!(bench.writer.node_progress().await[&id].sync, SyncState::InSync);
    assert_eq!(bench.listed().await, ["a Healthy", "b Healthy", "c Healthy"]);
    assert!(bench.membership.versions().contains_key(&id));
    // What there is stays where it is, and what is new goes to the new one too.
    assert!(!bench.holders("films").contains(&id));
    bench.succeeds(bench.add("books", 0..40).await).await;
    assert!(bench.holders("books").contains(&id));
    let counts = [&a, &b, &c].map(|fake| fake.ids("books").len());
    assert_eq!((counts.iter().sum::<usize>(), counts.contains(&0)), (40, false), "{counts:?}");
    let records = bench.store.nodes().await.unwrap();
    assert!(records.iter().any(|record| record.id == id && record.next_node_task.is_some()), "{records:?}");
    let is_asked = || c.seen().iter().any(|request| request == "GET /indexes/books/settings");
    bench.until("somebody looks whether it has its settings", is_asked).await;
    // It leaves when it holds nothing.
    let books = IndexUid::new("books");
    let refused = bench.writer.remove_node(&id).await;
    assert_eq!(refused, Err(MemberError::HoldsShards { node: id.clone(), index: books }));
    bench.delete("books").await;
    bench.writer.remove_node(&id).await.unwrap();
    assert_eq!(bench.membership.standing(&id), None);
    assert!(!bench.view.load().usable.contains(&id) && !bench.writer.node_progress().await.contains_key(&id));
    assert_eq!(bench.listed().await, ["a Healthy", "b Healthy"]);
    bench.succeeds(bench.add("songs", 0..40).await).await;
    assert!(!bench.holders("songs").contains(&id));
    let seen = c.seen().len();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(c.seen().len(), seen, "somebody still talks to it: {:?}", &c.seen()[seen..]);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_refused_that_is_there_already_or_that_the_others_can_not_do_without() {
    let [a, b] = fakes(["a", "b"]);
    let bench = Bench::start(&[a.clone(), b], 2).await;
    let again = bench.writer.add_node(a.node(), GroupId(1)).await;
    assert!(matches!(again, Err(MemberError::AlreadyMember(_))), "{again:?}");
    let (a, c) = (NodeId::new("a"), NodeId::new("c"));
    assert_eq!(bench.writer.remove_node(&c).await, Err(MemberError::NoMember(c)));
    let too_small = MemberError::GroupTooSmall { node: a.clone(), group: GroupId(0), factor: 2 };
    assert_eq!(bench.writer.remove_node(&a).await, Err(too_small));
    assert_eq!(bench.listed().await, ["a Healthy", "b Healthy"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_has_nothing_of_what_it_had_and_owes_nothing_of_before() {
    let [a, b, c] = fakes(["a", "b", "c"]);
    let bench = Bench::start(&[a.clone(), b, c.clone()], 2).await;
    let id = NodeId::new("c");
    bench.succeeds(bench.add("films", 0..40).await).await;
    assert!(!c.ids("films").is_empty());
    let away = (0..100_000).fold(FaultPlan::default(), |plan, _| plan.then(Fault::Unreachable));
    c.plan(away);
    bench.delete("films").await;
    assert_eq!(bench.writer.node_progress().await[&id].entries, 1);
    bench.writer.remove_node(&id).await.unwrap();
    bench.until("nothing is said of what it lacks", || !bench.view.load().behind.is_late(&id)).await;
    c.plan(FaultPlan::default());
    assert!(!c.ids("films").is_empty(), "it has not heard of the deletion");
    bench.join(&c).await;
    assert_eq!(bench.writer.node_progress().await[&id].entries, 0);
    assert!(c.ids("films").is_empty());
    bench.succeeds(bench.add("films", 100..140).await).await;
    bench.until_progress("it has caught up", |progress| progress[&id].entries == 0).await;
    assert!(
        !c.ids("films").is_empty() && c.ids("films").iter().all(|id| id.len() == 3),
        "{:?}",
        c.ids("films")
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_has_all_dynamic_search_rules_whenever_they_were_decided() {
    let [a, b, c] = fakes(["a", "b", "c"]);
    let bench = Bench::start(&[a.clone(), b], 1).await;
    let rule = async |uid: &str| {
        let fields = json!({ "conditions": { "query": { "words": uid } }, "actions": [] });
        let update = RuleUpdate::new(fields.as_object().unwrap());
        let change = RuleChange::Put { uid: uid.to_owned(), update };
        bench.append(RULES_UID, Mutation::Rules { change }, Payload::default()).await
    };
    bench.succeeds(rule("long-before").await).await;
    // Decided, and not over, when the node comes.
    a.take_time(Duration::from_secs(3));
    let before = rule("just-before").await;
    let has_work = |progress: &BTreeMap<NodeId, NodeProgress>| progress.values().any(|it| it.entries > 0);
    bench.until_progress("it is decided", has_work).await;
    bench.join(&c).await;
    let after = rule("after").await;
    for task in [before, after] {
        bench.succeeds(task).await;
    }
    assert_eq!(a.rules(), ["after", "just-before", "long-before"]);
    bench.until("the new node has all of them", || c.rules() == a.rules()).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_decided_while_nodes_come_and_go_is_placed_on_members_only() {
    let [a, b, c] = fakes(["a", "b", "c"]);
    let bench = Bench::start(&[a, b], 1).await;
    let id = NodeId::new("c");
    let mut removals = [0, 0];
    let mut delay = Duration::ZERO;
    for round in 0..ROUNDS {
        if bench.membership.node(&id).is_none() {
            bench.join(&c).await;
        }
        let index = format!("index-{round}");
        let writing = async {
            let task = bench.add(&index, 0..20).await;
            bench.succeeds(task).await;
        };
        let removing = async {
            let later = tokio::task::spawn_blocking(move || std::thread::sleep(delay));
            later.await.unwrap();
            bench.writer.remove_node(&id).await
        };
        let (removed, ()) = tokio::join!(removing, writing);
        removals[usize::from(removed.is_ok())] += 1;
        // As late as it may be: when what places the index is about to be stored.
        delay = if removed.is_ok() { delay * 3 / 2 + Duration::from_micros(50) } else { delay * 2 / 3 };
        let members = bench.membership.members();
        for node in bench.holders(&index) {
            assert!(members.get(&node).is_some(), "{node} holds a part of {index}");
        }
        if removed.is_err() {
            bench.delete(&index).await;
        }
    }
    assert!(!removals.contains(&0), "none was refused, or all were: {removals:?}");
}
