//! The suite. `conformance!` makes one test of each function here.

mod arrivals;
mod keys;
mod lost_answers;
mod script;
mod two_callers;
mod unsure;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use miroir_core::document::Existing;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::PhysicalUid;
use miroir_core::ids::SettingsVersion;
use miroir_core::ids::{Epoch, GroupId, IndexUid, NodeId, ShardCount, TaskUid};
use miroir_core::keys::UidPattern;
use miroir_core::network::Network;
use miroir_core::placement::ReplicationFactor;
use miroir_core::settings::{
    Broadcast, Canonical, ClientSettings, NodeEvent, Phase, PhaseEvent, SettingsUnknown, SettingsVersions,
    Strategy,
};
use miroir_core::task::{
    Circumstances, Decision, LogEntry, MissingIndex, Mutation, NewIndexPolicy, OpResult, SettingsOrigin,
    ShardRules, Swap, SyncState, TaskFilter, TaskKind, TaskPage, TaskStatus, details_at_start, judge,
};
use miroir_core::view::IndexEntry;
use miroir_store::{
    Accepted, Administration, CatalogChange, CaughtUp, Collection, Commit, Deciding, Delivery, NewEntry,
    OpSent, Rebuilt, Reception, RecordChange, SettingsChange, Settled, StepId, Store, StoreError, TaskAction,
};
use serde_json::{Map, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub use arrivals::*;
pub use keys::*;
pub use lost_answers::*;
pub use two_callers::*;

/// How an engine is opened; again means the same data.
pub trait Engine {
    fn open(&self) -> Arc<dyn Store>;

    /// Opens it for one more caller while others have it open.
    fn open_again(&self) -> Arc<dyn Store>;

    /// An engine of the same kind without any data.
    fn another(&self) -> Self;
}

/// The epoch that the store is in, begun by this caller.
async fn lead(store: &dyn Store) -> Epoch {
    store.begin_epoch().await.unwrap()
}

macro_rules! conformance {
    ($engine:expr) => {
        super::suite::conformance! {
            $engine;
            numbers_begin_with_0_and_have_no_gaps_across_reopening,
            concurrent_appends_get_each_number_once,
            entries_are_decided_in_order_and_the_rest_waits,
            a_delivery_begins_its_tasks_and_moves_the_cursor,
            a_commit_changes_everything_together,
            a_key_sees_only_tasks_about_its_indexes_and_the_total_counts_all,
            api_keys_are_kept_as_they_were_made,
            an_api_key_changes_its_texts_only_and_is_gone_when_deleted,
            the_first_api_keys_are_made_once,
            the_end_of_a_nodes_own_queue_is_remembered_and_never_goes_back,
            a_rebuilt_node_begins_anew,
            what_a_damaged_node_has_is_known_until_it_is_damaged_again_or_begins_anew,
            what_a_lane_sends_ahead_is_known_until_it_is_delivered_or_the_node_begins_anew,
            a_node_that_is_taken_as_it_is_gets_again_only_what_it_is_to_get_again,
            tasks_are_found_by_everything_a_client_can_filter_by,
            pages_of_tasks_follow_each_other_in_both_directions,
            nodes_are_added_once_and_begin_at_the_end_of_the_log,
            a_log_has_an_identity_of_its_own,
            a_cluster_has_an_identity_that_never_changes,
            the_log_knows_how_many_bytes_of_documents_it_keeps,
            compaction_gives_back_the_room_of_what_is_forgotten,
            what_nothing_was_decided_about_is_canceled_also_when_it_was_begun,
            a_network_is_replaced_only_by_one_that_was_made_from_it,
            what_is_kept_for_clients_is_kept_by_collection_and_id,
            a_task_that_was_begun_is_at_work_and_keeps_its_first_beginning,
            a_change_of_settings_gets_the_next_version_and_only_verified_nodes_have_it,
            a_node_is_doubted_until_it_is_trusted_and_an_end_is_told_once,
            of_the_changes_that_are_over_the_last_ones_of_each_index_are_kept,
            books_of_arrivals_change_with_decisions_each_by_itself,
            a_book_of_arrivals_stays_as_it_is_when_a_decision_is_overtaken,
            each_step_whose_answer_is_lost_is_kept_once_when_it_is_repeated,
            whatever_answers_are_lost_the_end_is_that_of_an_undisturbed_run,
            an_append_is_known_again_by_its_id_whatever_became_of_its_task,
            ids_of_steps_are_kept_for_the_last_ones_only,
            a_refusal_is_answered_whether_or_not_answers_get_lost,
            the_last_to_begin_an_epoch_takes_the_steps_in_every_order,
            every_step_of_the_write_path_is_refused_in_an_epoch_that_is_over,
            two_callers_decide_about_each_entry_once_in_every_order,
            a_decision_that_leaves_out_an_entry_or_overlaps_is_refused,
            the_cursor_of_a_lane_moves_only_from_where_it_is_in_every_order,
            what_two_callers_change_in_a_collection_is_all_there_in_every_order,
            two_callers_at_once_lose_no_change_of_a_collection,
            of_two_networks_made_from_the_same_one_is_stored_in_every_order,
            a_version_of_settings_is_given_once_in_every_order,
            two_callers_that_append_at_once_get_each_number_once,
        }
    };
    ($engine:expr; $($test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::suite::$test(&$engine).await;
            }
        )+
    };
}
pub(crate) use conformance;

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

fn create() -> Mutation {
    Mutation::CreateIndex { primary_key: None }
}

fn documents() -> Mutation {
    Mutation::AddDocuments {
        method: miroir_core::task::WriteMethod::Replace,
        primary_key: None,
        skip_creation: false,
        received: 1,
        missing_index: MissingIndex::Create,
    }
}

fn parts() -> Vec<Bytes> {
    [&b"{\"id\":1}"[..], b"{\"id\":2},{\"id\":3}"].map(Bytes::from_static).into()
}

fn entry(index: &str, mutation: Mutation) -> NewEntry {
    NewEntry {
        id: StepId::fresh(),
        index_uid: IndexUid::new(index),
        details: details_at_start(&mutation),
        payload: if mutation.has_payload() { parts() } else { Vec::new() },
        mutation,
        custom_metadata: None,
        enqueued_at: NOW,
    }
}

fn policy() -> NewIndexPolicy {
    NewIndexPolicy {
        shards: ShardRules { default: ShardCount::new(3).unwrap(), patterns: Vec::new() },
        factor: ReplicationFactor::new(1).unwrap(),
        members: [(NodeId::new("a"), GroupId(0)), (NodeId::new("b"), GroupId(0))].into(),
    }
}

fn index(uid: &str) -> IndexEntry {
    policy().entry(&IndexUid::new(uid), Some("id".to_owned()), NOW).unwrap()
}

fn decision(entry: &LogEntry) -> Decision {
    let (readable, rules) = (BTreeSet::new(), policy());
    let circumstances = Circumstances {
        index: None,
        documents: 0,
        existing: Existing::Unknown,
        readable: &readable,
        policy: &rules,
        now: NOW,
    };
    judge(entry, None, circumstances).unwrap().decision
}

async fn decide_all(store: &dyn Store, epoch: Epoch) -> Vec<TaskUid> {
    let entries = store.undecided(100).await.unwrap();
    let decisions: Vec<_> = entries.iter().map(|entry| (entry.uid, decision(entry))).collect();
    store.decide(epoch, decisions, Vec::new()).await.unwrap();
    entries.into_iter().map(|entry| entry.uid).collect()
}

fn settled(task: u64, status: TaskStatus) -> Settled {
    let error = ResponseError::new(ErrorCode::IndexNotFound, "Index `a` not found.");
    Settled {
        task: TaskUid(task),
        status,
        error: (status == TaskStatus::Failed).then_some(error),
        details: Map::new(),
        finished_at: NOW + Duration::seconds(10),
    }
}

pub async fn numbers_begin_with_0_and_have_no_gaps_across_reopening(engine: &impl Engine) {
    for expected in 0..3 {
        let store = engine.open();
        let epoch = lead(&*store).await;
        let first = store.append(epoch, entry("a", create())).await.unwrap();
        let second = store.append(epoch, entry("a", documents())).await.unwrap();
        assert_eq!((first.uid, second.uid), (TaskUid(2 * expected), TaskUid(2 * expected + 1)));
    }
    let store = engine.open();
    assert_eq!(store.undecided(100).await.unwrap().len(), 6);
    assert_eq!(store.payload(TaskUid(1)).await.unwrap(), parts());
    assert_eq!(store.payload_part(TaskUid(1), 1).await.unwrap(), Some(parts().remove(1)));
    assert_eq!(store.payload_part(TaskUid(1), 2).await.unwrap(), None);
    assert_eq!(store.payload_bytes(TaskUid(1)).await.unwrap(), 25);
    assert!(store.payload(TaskUid(0)).await.unwrap().is_empty());
    let task = store.task(TaskUid(1)).await.unwrap().unwrap();
    assert_eq!((task.status, task.kind), (TaskStatus::Enqueued, TaskKind::DocumentAdditionOrUpdate));
    assert_eq!(task.details, Some(details_at_start(&documents())));
    assert_eq!(store.task(TaskUid(6)).await.unwrap(), None);
}

pub async fn concurrent_appends_get_each_number_once(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let appends = (0..200).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(
            async move { store.append(epoch, entry(&format!("i{number}"), create())).await.unwrap() },
        )
    });
    let appends: Vec<_> = appends.collect();
    let mut seen = BTreeSet::new();
    for append in appends {
        let task = append.await.unwrap();
        let stored = store.task(task.uid).await.unwrap().unwrap();
        assert_eq!(stored, task);
        seen.insert(task.uid.0);
    }
    assert_eq!(seen, (0..200).collect());
}

pub async fn entries_are_decided_in_order_and_the_rest_waits(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    for index in ["a", "b", "c"] {
        store.append(epoch, entry(index, create())).await.unwrap();
    }
    let first = store.undecided(2).await.unwrap();
    assert_eq!(first.iter().map(|entry| entry.uid.0).collect::<Vec<_>>(), [0, 1]);
    store.decide(epoch, vec![(TaskUid(0), decision(&first[0]))], Vec::new()).await.unwrap();
    drop(store);
    let store = engine.open();
    assert_eq!(store.undecided(9).await.unwrap().iter().map(|entry| entry.uid.0).collect::<Vec<_>>(), [1, 2]);
    let work = store.work(TaskUid(0), 9).await.unwrap();
    assert_eq!(work.len(), 1);
    assert_eq!((&work[0].entry, &work[0].decision), (&first[0], &decision(&first[0])));
    assert_eq!(work[0].status, TaskStatus::Enqueued);
    assert!(store.work(TaskUid(1), 9).await.unwrap().is_empty());
}

pub async fn a_delivery_begins_its_tasks_and_moves_the_cursor(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    store.add_nodes(epoch, vec![NodeId::new("a")], SyncState::InSync).await.unwrap();
    store.append(epoch, entry("a", create())).await.unwrap();
    decide_all(&*store, epoch).await;
    let refusal = ResponseError::new(ErrorCode::PayloadTooLarge, "too large");
    let sent = vec![
        OpSent { task: TaskUid(0), op: 0, reception: Reception::Enqueued(71) },
        OpSent { task: TaskUid(0), op: 1, reception: Reception::Refused(refusal.clone()) },
    ];
    let delivery =
        Delivery { node: NodeId::new("a"), from: TaskUid(0), cursor: TaskUid(1), sent, ahead: None, at: NOW };
    store.deliver(epoch, delivery.clone()).await.unwrap();
    store.deliver(epoch, Delivery { at: NOW + Duration::HOUR, ..delivery }).await.unwrap();
    drop(store);
    let store = engine.open();
    assert_eq!(store.nodes().await.unwrap()[0].cursor, TaskUid(1));
    let task = store.task(TaskUid(0)).await.unwrap().unwrap();
    assert_eq!((task.status, task.started_at), (TaskStatus::Processing, Some(NOW)));
    let node_tasks = store.node_tasks().await.unwrap();
    assert_eq!(node_tasks.iter().map(|task| task.node_task).collect::<Vec<_>>(), [Some(71), None]);
    assert_eq!(node_tasks[0].result, None);
    assert_eq!(node_tasks[1].result, Some(OpResult::Failed(refusal)));
}

pub async fn a_commit_changes_everything_together(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let node = NodeId::new("a");
    store.add_nodes(epoch, vec![node.clone()], SyncState::InSync).await.unwrap();
    for index in ["a", "b"] {
        store.append(epoch, entry(index, documents())).await.unwrap();
    }
    decide_all(&*store, epoch).await;
    let sent = [0, 1].map(|task| OpSent { task: TaskUid(task), op: 0, reception: Reception::Enqueued(task) });
    let delivery = Delivery {
        node: node.clone(),
        from: TaskUid(0),
        cursor: TaskUid(2),
        sent: sent.into(),
        ahead: None,
        at: NOW,
    };
    store.deliver(epoch, delivery).await.unwrap();
    let commit = Commit {
        results: vec![(node.clone(), TaskUid(1), 0, OpResult::Done { deleted: None })],
        settled: vec![settled(0, TaskStatus::Succeeded), settled(1, TaskStatus::Failed)],
        catalog: vec![
            CatalogChange::Put(Box::new(index("a"))),
            CatalogChange::Put(Box::new(index("b"))),
            CatalogChange::Remove(IndexUid::new("b")),
        ],
        nodes: vec![(node.clone(), SyncState::Behind)],
        forgotten: vec![TaskUid(0)],
        ..Commit::default()
    };
    store.commit(epoch, commit).await.unwrap();
    drop(store);
    let store = engine.open();
    assert_eq!(store.catalog().await.unwrap(), [index("a")]);
    assert_eq!(store.nodes().await.unwrap()[0].sync, SyncState::Behind);
    let work = store.work(TaskUid(0), 9).await.unwrap();
    assert_eq!(
        work.iter().map(|work| (work.entry.uid.0, work.status)).collect::<Vec<_>>(),
        [(1, TaskStatus::Failed)]
    );
    assert!(store.payload(TaskUid(0)).await.unwrap().is_empty());
    assert_eq!(store.payload(TaskUid(1)).await.unwrap(), parts());
    let node_tasks = store.node_tasks().await.unwrap();
    assert_eq!(node_tasks.len(), 1);
    assert_eq!(node_tasks[0].result, Some(OpResult::Done { deleted: None }));
    let (first, second) =
        (store.task(TaskUid(0)).await.unwrap().unwrap(), store.task(TaskUid(1)).await.unwrap().unwrap());
    assert_eq!((first.status, first.error), (TaskStatus::Succeeded, None));
    assert_eq!(second.error.unwrap().code, ErrorCode::IndexNotFound);
    assert_eq!(second.finished_at, Some(NOW + Duration::seconds(10)));
}

pub async fn the_end_of_a_nodes_own_queue_is_remembered_and_never_goes_back(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let node = NodeId::new("a");
    store.add_nodes(epoch, vec![node.clone()], SyncState::InSync).await.unwrap();
    store.append(epoch, entry("a", create())).await.unwrap();
    decide_all(&*store, epoch).await;
    assert_eq!(store.nodes().await.unwrap()[0].next_node_task, None);
    store.meet_node(epoch, node.clone(), 7).await.unwrap();
    store.meet_node(epoch, node.clone(), 3).await.unwrap();
    assert_eq!(store.nodes().await.unwrap()[0].next_node_task, Some(7));
    for (from, node_task, expected) in [(0, 8, 9), (1, 5, 9)] {
        let sent = vec![OpSent { task: TaskUid(0), op: 0, reception: Reception::Enqueued(node_task) }];
        store
            .deliver(
                epoch,
                Delivery {
                    node: node.clone(),
                    from: TaskUid(from),
                    cursor: TaskUid(1),
                    sent,
                    ahead: None,
                    at: NOW,
                },
            )
            .await
            .unwrap();
        assert_eq!(store.nodes().await.unwrap()[0].next_node_task, Some(expected));
    }
}

pub async fn a_rebuilt_node_begins_anew(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let (node, other) = (NodeId::new("a"), NodeId::new("b"));
    store.add_nodes(epoch, vec![node.clone(), other.clone()], SyncState::InSync).await.unwrap();
    store.append(epoch, entry("a", create())).await.unwrap();
    decide_all(&*store, epoch).await;
    for node in [&node, &other] {
        let sent = vec![OpSent { task: TaskUid(0), op: 0, reception: Reception::Enqueued(41) }];
        store
            .deliver(
                epoch,
                Delivery {
                    node: node.clone(),
                    from: TaskUid(0),
                    cursor: TaskUid(1),
                    sent,
                    ahead: None,
                    at: NOW,
                },
            )
            .await
            .unwrap();
    }
    let commit = Commit {
        nodes: vec![(node.clone(), SyncState::Behind)],
        rebuilt: vec![Rebuilt {
            node: node.clone(),
            cursor: TaskUid(5),
            covered: [TaskUid(6)].into(),
            next_node_task: 2,
        }],
        ..Commit::default()
    };
    store.commit(epoch, commit).await.unwrap();
    drop(store);
    let store = engine.open();
    let nodes = store.nodes().await.unwrap();
    let of = |name: &NodeId| nodes.iter().find(|node| node.id == *name).unwrap();
    let (anew, same) = (of(&node), of(&other));
    assert_eq!((anew.cursor, anew.next_node_task, anew.sync), (TaskUid(5), Some(2), SyncState::Behind));
    assert_eq!((anew.ahead, &anew.covered), (None, &BTreeSet::from([TaskUid(6)])));
    assert_eq!(store.node(node.clone()).await.unwrap().as_ref(), Some(anew));
    assert_eq!(store.node(NodeId::new("c")).await.unwrap(), None);
    assert_eq!((same.cursor, same.next_node_task, same.sync), (TaskUid(1), Some(42), SyncState::InSync));
    assert!(store.node_tasks().await.unwrap().iter().all(|task| task.node == other));
}

pub async fn what_a_lane_sends_ahead_is_known_until_it_is_delivered_or_the_node_begins_anew(
    engine: &impl Engine,
) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let node = NodeId::new("a");
    store.add_nodes(epoch, vec![node.clone()], SyncState::InSync).await.unwrap();
    for index in ["a", "b", "c"] {
        store.append(epoch, entry(index, create())).await.unwrap();
    }
    decide_all(&*store, epoch).await;
    let sent = |task: u64| OpSent { task: TaskUid(task), op: 0, reception: Reception::Enqueued(task) };
    let delivery = |sent: Vec<OpSent>, ahead: Option<u64>| Delivery {
        node: node.clone(),
        from: TaskUid(0),
        cursor: TaskUid(0),
        sent,
        ahead: ahead.map(TaskUid),
        at: NOW,
    };
    for (delivery, expected) in [
        (delivery(vec![], Some(1)), Some(TaskUid(1))),
        (delivery(vec![sent(1)], Some(2)), Some(TaskUid(2))),
        (delivery(vec![sent(2)], None), None),
        (delivery(vec![], Some(4)), Some(TaskUid(4))),
    ] {
        store.deliver(epoch, delivery.clone()).await.unwrap();
        store.deliver(epoch, delivery).await.unwrap();
        let known = store.node(node.clone()).await.unwrap().unwrap();
        assert_eq!((known.cursor, known.ahead), (TaskUid(0), expected));
    }
    let received: Vec<u64> = store.node_tasks().await.unwrap().iter().map(|it| it.task.0).collect();
    assert_eq!(received, [1, 2]);
    let covered = [TaskUid(1), TaskUid(2)].into();
    let rebuilt = Rebuilt { node: node.clone(), cursor: TaskUid(0), covered, next_node_task: 9 };
    store.commit(epoch, Commit { rebuilt: vec![rebuilt], ..Commit::default() }).await.unwrap();
    store.commit(epoch, Commit { forgotten: vec![TaskUid(1)], ..Commit::default() }).await.unwrap();
    drop(store);
    let known = engine.open().node(node).await.unwrap().unwrap();
    assert_eq!((known.ahead, known.covered), (None, BTreeSet::from([TaskUid(2)])));
}

pub async fn what_a_damaged_node_has_is_known_until_it_is_damaged_again_or_begins_anew(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let (node, other) = (NodeId::new("a"), NodeId::new("b"));
    store.add_nodes(epoch, vec![node.clone(), other.clone()], SyncState::Damaged).await.unwrap();
    let up_to = |index: &str, line, next_node_task| CaughtUp {
        index: PhysicalUid::new(index),
        line: TaskUid(line),
        next_node_task,
    };
    let rebuilt =
        Rebuilt { node: node.clone(), cursor: TaskUid(0), covered: BTreeSet::new(), next_node_task: 9 };
    let accepted =
        Accepted { node: node.clone(), cursor: TaskUid(0), next_node_task: 9, again: BTreeSet::new() };
    let ends = [
        Commit { rebuilt: vec![rebuilt], ..Commit::default() },
        Commit { accepted: vec![accepted], ..Commit::default() },
        Commit { nodes: vec![(node.clone(), SyncState::Damaged)], ..Commit::default() },
    ];
    store.save_caught_up(epoch, other.clone(), vec![up_to("x", 1, 1)]).await.unwrap();
    for end in ends {
        let first = vec![up_to("y", 3, 7), up_to("x", 2, 7)];
        store.save_caught_up(epoch, node.clone(), first).await.unwrap();
        store.save_caught_up(epoch, node.clone(), vec![up_to("x", 4, 8)]).await.unwrap();
        let known = store.caught_up(node.clone()).await.unwrap();
        assert_eq!(known, [up_to("x", 4, 8), up_to("y", 3, 7)]);
        store.commit(epoch, end).await.unwrap();
        assert!(store.caught_up(node.clone()).await.unwrap().is_empty());
    }
    assert_eq!(store.caught_up(other.clone()).await.unwrap(), [up_to("x", 1, 1)]);
    store.forget_caught_up(epoch, other.clone()).await.unwrap();
    assert!(store.caught_up(other).await.unwrap().is_empty());
}

pub async fn a_node_that_is_taken_as_it_is_gets_again_only_what_it_is_to_get_again(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let node = NodeId::new("a");
    store.add_nodes(epoch, vec![node.clone()], SyncState::InSync).await.unwrap();
    for index in ["a", "b", "c"] {
        store.append(epoch, entry(index, create())).await.unwrap();
    }
    decide_all(&*store, epoch).await;
    let sent = |task| OpSent { task: TaskUid(task), op: 0, reception: Reception::Enqueued(40 + task) };
    let sent = (0..3).map(sent).collect();
    store
        .deliver(
            epoch,
            Delivery { node: node.clone(), from: TaskUid(0), cursor: TaskUid(3), sent, ahead: None, at: NOW },
        )
        .await
        .unwrap();
    let accepted = Accepted {
        node: node.clone(),
        cursor: TaskUid(1),
        next_node_task: 7,
        again: BTreeSet::from([TaskUid(1)]),
    };
    store.commit(epoch, Commit { accepted: vec![accepted], ..Commit::default() }).await.unwrap();
    drop(store);
    let store = engine.open();
    let known = store.nodes().await.unwrap();
    assert_eq!((known[0].cursor, known[0].next_node_task), (TaskUid(1), Some(7)));
    let mut received: Vec<_> = store.node_tasks().await.unwrap().into_iter().map(|it| it.task.0).collect();
    received.sort_unstable();
    assert_eq!(received, [0, 2]);
}

async fn with_five_tasks(engine: &impl Engine) -> (Arc<dyn Store>, Epoch) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let settings = Mutation::Settings {
        patch: Map::from_iter([("synonyms".to_owned(), json!({}))]),
        origin: SettingsOrigin::Update,
        missing_index: MissingIndex::Create,
    };
    for (number, (index, mutation)) in [
        ("a", create()),
        ("a", documents()),
        ("ab", settings),
        ("b", documents()),
        ("b", Mutation::DeleteIndex),
    ]
    .into_iter()
    .enumerate()
    {
        let enqueued_at = NOW + Duration::seconds(i64::try_from(number).unwrap());
        store.append(epoch, NewEntry { enqueued_at, ..entry(index, mutation) }).await.unwrap();
    }
    let settled = vec![settled(0, TaskStatus::Succeeded), settled(1, TaskStatus::Failed)];
    store.commit(epoch, Commit { settled, ..Commit::default() }).await.unwrap();
    (store, epoch)
}

pub async fn tasks_are_found_by_everything_a_client_can_filter_by(engine: &impl Engine) {
    let (store, _) = with_five_tasks(engine).await;
    let any = TaskFilter::default;
    let second = |seconds| Some(NOW + Duration::seconds(seconds));
    let index = |uid: &str| IndexUid::new(uid);
    let cases = [
        (any(), vec![4, 3, 2, 1, 0]),
        (TaskFilter { uids: Some(vec![TaskUid(3), TaskUid(0), TaskUid(9)]), ..any() }, vec![3, 0]),
        (TaskFilter { uids: Some(vec![TaskUid(u64::MAX)]), ..any() }, vec![]),
        (TaskFilter { batch_uids: Some(vec![0, 3]), ..any() }, vec![0]),
        (TaskFilter { statuses: Some(vec![TaskStatus::Failed, TaskStatus::Succeeded]), ..any() }, vec![1, 0]),
        (TaskFilter { types: Some(vec![TaskKind::DocumentAdditionOrUpdate]), ..any() }, vec![3, 1]),
        (TaskFilter { index_uids: Some(vec![index("b")]), ..any() }, vec![4, 3]),
        (TaskFilter { canceled_by: Some(vec![TaskUid(1)]), ..any() }, vec![]),
        (TaskFilter { after_enqueued_at: second(1), before_enqueued_at: second(4), ..any() }, vec![3, 2]),
        (TaskFilter { after_started_at: second(9), ..any() }, vec![1, 0]),
        (TaskFilter { before_finished_at: second(10), ..any() }, vec![]),
    ];
    for (filter, expected) in cases {
        let found = store.tasks(filter.clone(), TaskPage::default()).await.unwrap();
        let uids: Vec<_> = found.results.iter().map(|task| task.uid.0).collect();
        assert_eq!(uids, expected, "{filter:?}");
        assert_eq!(found.total, expected.len() as u64, "{filter:?}");
    }
}

pub async fn a_key_sees_only_tasks_about_its_indexes_and_the_total_counts_all(engine: &impl Engine) {
    let (store, epoch) = with_five_tasks(engine).await;
    let name = IndexUid::new;
    let swaps = vec![Swap { indexes: (name("a"), name("ab")), rename: false }];
    store.append(epoch, entry("", Mutation::SwapIndexes { swaps })).await.unwrap();
    let rename = Mutation::RenameIndex { old_uid: name("a"), new_uid: name("abc"), primary_key: None };
    store.append(epoch, entry("a", rename)).await.unwrap();
    for (patterns, expected) in [
        (&["a"][..], vec![1, 0]),
        (&["a", "abc"], vec![6, 1, 0]),
        (&["a*"], vec![6, 2, 1, 0]),
        (&["x", "*"], vec![6, 5, 4, 3, 2, 1, 0]),
        (&[], vec![]),
    ] {
        let visible = patterns.iter().filter_map(|text| UidPattern::parse(text)).collect();
        let filter = TaskFilter { visible: Some(visible), ..TaskFilter::default() };
        let found = store.tasks(filter, TaskPage::default()).await.unwrap();
        let uids: Vec<_> = found.results.iter().map(|task| task.uid.0).collect();
        assert_eq!((uids, found.total), (expected, 7), "{patterns:?}");
    }
    // What is hidden takes its place on a page, and no page follows one that hides something.
    let visible = Some(vec![UidPattern::parse("b").unwrap()]);
    let filter = TaskFilter { visible, ..TaskFilter::default() };
    for (from, uids, next) in [(4, vec![4], Some(3)), (5, vec![4], None), (6, vec![], None)] {
        let page = TaskPage { limit: 1, from: Some(TaskUid(from)), reverse: false };
        let found = store.tasks(filter.clone(), page).await.unwrap();
        let seen: Vec<_> = found.results.iter().map(|task| task.uid.0).collect();
        assert_eq!((seen, found.next), (uids, next.map(TaskUid)), "{from}");
    }
    // Asked for by index, a swap counts and is not shown.
    let filter = TaskFilter { index_uids: Some(vec![name("ab")]), ..TaskFilter::default() };
    let found = store.tasks(filter, TaskPage::default()).await.unwrap();
    assert_eq!((found.results.len(), found.total), (1, 2));
    let filter = TaskFilter { index_uids: Some(vec![name("abc")]), ..TaskFilter::default() };
    assert_eq!(store.tasks(filter, TaskPage::default()).await.unwrap().results[0].uid, TaskUid(6));
}

pub async fn pages_of_tasks_follow_each_other_in_both_directions(engine: &impl Engine) {
    let (store, _) = with_five_tasks(engine).await;
    for (reverse, expected) in [(false, vec![4, 3, 2, 1, 0]), (true, vec![0, 1, 2, 3, 4])] {
        let mut seen = Vec::new();
        let mut page = TaskPage { limit: 2, from: None, reverse };
        loop {
            let list = store.tasks(TaskFilter::default(), page).await.unwrap();
            assert_eq!(
                (list.total, list.limit, list.from),
                (5, 2, list.results.first().map(|task| task.uid))
            );
            seen.extend(list.results.iter().map(|task| task.uid.0));
            page.from = list.next;
            if list.next.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    let none =
        store.tasks(TaskFilter::default(), TaskPage { limit: 0, ..TaskPage::default() }).await.unwrap();
    assert_eq!((none.results.len(), none.from, none.next), (0, None, Some(TaskUid(4))));
}

pub async fn nodes_are_added_once_and_begin_at_the_end_of_the_log(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    store.add_nodes(epoch, vec![NodeId::new("b")], SyncState::InSync).await.unwrap();
    store.append(epoch, entry("a", create())).await.unwrap();
    decide_all(&*store, epoch).await;
    let damaged = vec![(NodeId::new("b"), SyncState::Damaged)];
    store.commit(epoch, Commit { nodes: damaged, ..Commit::default() }).await.unwrap();
    store.add_nodes(epoch, vec![NodeId::new("a"), NodeId::new("b")], SyncState::InSync).await.unwrap();
    store.add_nodes(epoch, vec![NodeId::new("b"), NodeId::new("c")], SyncState::Damaged).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    let seen: Vec<_> = nodes.iter().map(|node| (node.id.as_str(), node.sync, node.cursor.0)).collect();
    let damaged = SyncState::Damaged;
    assert_eq!(seen, [("a", SyncState::InSync, 1), ("b", damaged, 0), ("c", damaged, 1)]);
}

pub async fn a_cluster_has_an_identity_that_never_changes(engine: &impl Engine) {
    let store = engine.open();
    let cluster = store.cluster_id().await.unwrap();
    assert_eq!((cluster.0.get_version_num(), cluster), (4, store.cluster_id().await.unwrap()));
    drop(store);
    assert_eq!(engine.open().cluster_id().await.unwrap(), cluster);
}

pub async fn a_log_has_an_identity_of_its_own(engine: &impl Engine) {
    let first = engine.open().log_id().await.unwrap();
    assert!(!first.is_empty());
    assert_eq!(engine.open().log_id().await.unwrap(), first);
}

pub async fn the_log_knows_how_many_bytes_of_documents_it_keeps(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    assert_eq!(store.log_bytes().await.unwrap(), 0);
    for mutation in [documents(), create(), documents()] {
        store.append(epoch, entry("a", mutation)).await.unwrap();
    }
    let each = documents_bytes();
    assert_eq!(store.log_bytes().await.unwrap(), 2 * each);
    store.commit(epoch, Commit { forgotten: vec![TaskUid(0)], ..Commit::default() }).await.unwrap();
    assert_eq!(store.log_bytes().await.unwrap(), each);
}

pub async fn compaction_gives_back_the_room_of_what_is_forgotten(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let large = NewEntry { payload: vec![Bytes::from(vec![b' '; 1 << 20])], ..entry("a", documents()) };
    for _ in 0..3 {
        store.append(epoch, NewEntry { id: StepId::fresh(), ..large.clone() }).await.unwrap();
    }
    store
        .commit(epoch, Commit { forgotten: vec![TaskUid(0), TaskUid(2)], ..Commit::default() })
        .await
        .unwrap();
    let (compacted, kept) = tokio::join!(store.compact(), store.append(epoch, entry("a", create())));
    let (before, after) = compacted.unwrap();
    assert!(before > 3 << 20 && (1 << 20..2 << 20).contains(&after), "from {before} to {after} bytes");
    assert_eq!(kept.unwrap().uid, TaskUid(3));
    assert_eq!(store.log_bytes().await.unwrap(), 1 << 20);
    drop(store);
    assert_eq!(engine.open().task(TaskUid(3)).await.unwrap().unwrap().uid, TaskUid(3));
}

pub async fn what_nothing_was_decided_about_is_canceled_also_when_it_was_begun(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    for mutation in [create(), documents(), documents()] {
        store.append(epoch, entry("a", mutation)).await.unwrap();
    }
    let taken = decision(&store.undecided(1).await.unwrap()[0]);
    assert_eq!(
        store.decide(epoch, vec![(TaskUid(0), taken.clone())], Vec::new()).await.unwrap(),
        Deciding::Stored
    );
    store.begin(epoch, TaskUid(1), NOW).await.unwrap();
    let order = Administration {
        id: StepId::fresh(),
        action: TaskAction::Cancel,
        filter: TaskFilter::default(),
        query: "?statuses=enqueued".to_owned(),
        at: NOW + Duration::DAY,
    };
    let canceling = store.administer(epoch, order).await.unwrap();
    let details = canceling.details.unwrap();
    assert_eq!((&details["matchedTasks"], &details["canceledTasks"]), (&json!(3), &json!(2)), "{details:?}");
    for (uid, started_at) in [(1, NOW), (2, NOW + Duration::DAY)] {
        let task = store.task(TaskUid(uid)).await.unwrap().unwrap();
        assert_eq!((task.status, task.canceled_by), (TaskStatus::Canceled, Some(TaskUid(3))));
        assert_eq!((task.started_at, task.finished_at), (Some(started_at), Some(NOW + Duration::DAY)));
        assert_eq!(
            store.decide(epoch, vec![(TaskUid(uid), taken.clone())], Vec::new()).await.unwrap(),
            Deciding::Overtaken
        );
    }
    assert_eq!(store.task(TaskUid(0)).await.unwrap().unwrap().status, TaskStatus::Enqueued);
    assert_eq!(store.log_bytes().await.unwrap(), 0);
}

pub async fn what_is_kept_for_clients_is_kept_by_collection_and_id(engine: &impl Engine) {
    let store = engine.open();
    let put = async |collection, id: &str, body| {
        let version = store.records(collection).await.unwrap().version;
        let change = RecordChange { collection, version, id: id.to_owned(), body };
        assert!(store.put_record(change).await.unwrap());
    };
    put(Collection::Webhooks, "a", Some(json!({ "url": "http://a" }))).await;
    put(Collection::Webhooks, "b", Some(json!(1))).await;
    put(Collection::ChatWorkspaces, "a", Some(json!("chat"))).await;
    put(Collection::Webhooks, "b", Some(json!(2))).await;
    put(Collection::Webhooks, "a", None).await;
    drop(store);
    let store = engine.open();
    let kept = store.records(Collection::Webhooks).await.unwrap();
    assert_eq!((kept.version, kept.by_id), (4, [("b".to_owned(), json!(2))].into()));
    let kept = store.records(Collection::ChatWorkspaces).await.unwrap();
    assert_eq!((kept.version, kept.by_id.len()), (1, 1));
}

pub async fn a_task_that_was_begun_is_at_work_and_keeps_its_first_beginning(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    store.append(epoch, entry("a", create())).await.unwrap();
    store.begin(epoch, TaskUid(0), NOW).await.unwrap();
    store.begin(epoch, TaskUid(0), NOW + Duration::DAY).await.unwrap();
    let task = store.task(TaskUid(0)).await.unwrap().unwrap();
    assert_eq!((task.status, task.started_at), (TaskStatus::Processing, Some(NOW)));
    assert_eq!(store.undecided(9).await.unwrap().len(), 1);
}

fn documents_bytes() -> u64 {
    parts().iter().map(|part| part.len() as u64).sum()
}

pub async fn a_network_is_replaced_only_by_one_that_was_made_from_it(engine: &impl Engine) {
    let store = engine.open();
    let first = store.network().await.unwrap();
    assert_eq!(first, Network::default());
    let next = Network { server: Some("a".to_owned()), version: "1".to_owned(), ..first.clone() };
    assert!(store.replace_network(first.version.clone(), next.clone()).await.unwrap());
    assert!(!store.replace_network(first.version, Network::default()).await.unwrap());
    drop(store);
    assert_eq!(engine.open().network().await.unwrap(), next);
}

fn broadcast(task: u64, index: &str, verified: &[&str]) -> Broadcast {
    let nodes: BTreeSet<NodeId> = ["a", "b"].map(NodeId::new).into();
    let hash = Canonical::of_client(&ClientSettings::default()).hash();
    let what = (TaskUid(task), PhysicalUid::new(index));
    let mut broadcast = Broadcast::begin(what, Strategy::TwoPhase, hash, vec![nodes], NOW);
    for node in verified {
        broadcast.note(&NodeId::new(*node), NodeEvent::Applied);
        broadcast.note(&NodeId::new(*node), NodeEvent::Verified);
    }
    broadcast
}

fn committed(broadcast: Broadcast, version: u64) -> SettingsChange {
    let phase = broadcast.phase.next(PhaseEvent::Applied).next(PhaseEvent::Committed);
    let version = Some(SettingsVersion(version));
    SettingsChange::Ended(Box::new(Broadcast { phase, version, ended_at: Some(NOW), ..broadcast }))
}

fn with(settings: Vec<SettingsChange>) -> Commit {
    Commit { settings, ..Commit::default() }
}

pub async fn a_change_of_settings_gets_the_next_version_and_only_verified_nodes_have_it(
    engine: &impl Engine,
) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let (films, books) = (PhysicalUid::new("films"), PhysicalUid::new("books"));
    assert_eq!(store.settings_versions().await.unwrap(), SettingsVersions::default());
    store.save_broadcast(epoch, broadcast(0, "films", &[])).await.unwrap();
    assert_eq!(store.open_broadcasts().await.unwrap(), [broadcast(0, "films", &[])]);
    store.commit(epoch, with(vec![committed(broadcast(0, "films", &["a"]), 1)])).await.unwrap();
    store.commit(epoch, with(vec![committed(broadcast(1, "books", &["a", "b"]), 2)])).await.unwrap();
    assert_eq!(store.open_broadcasts().await.unwrap(), []);
    let skipped = store.commit(epoch, with(vec![committed(broadcast(2, "books", &["a"]), 4)])).await;
    assert!(matches!(skipped, Err(StoreError::Conflict { .. })), "a version was left out: {skipped:?}");
    let late = SettingsChange::Advanced {
        index: films.clone(),
        node: NodeId::new("b"),
        version: SettingsVersion(1),
        at: NOW,
    };
    drop(store);
    let store = engine.open();
    let epoch = lead(&*store).await;
    let versions = store.settings_versions().await.unwrap();
    assert_eq!(versions.last, Some(SettingsVersion(2)));
    assert_eq!(versions.committed(&books), Some(SettingsVersion(2)));
    let of = |versions: &SettingsVersions, index: &PhysicalUid| versions.indexes[index].nodes.clone();
    assert_eq!(of(&versions, &films), [(NodeId::new("a"), SettingsVersion(1))].into());
    store.commit(epoch, with(vec![late, SettingsChange::Forgotten(books.clone())])).await.unwrap();
    let versions = store.settings_versions().await.unwrap();
    let both = ["a", "b"].map(|node| (NodeId::new(node), SettingsVersion(1)));
    assert_eq!(of(&versions, &films), both.into());
    assert_eq!((versions.last, versions.committed(&books)), (Some(SettingsVersion(2)), None));
}

pub async fn a_node_is_doubted_until_it_is_trusted_and_an_end_is_told_once(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let films = PhysicalUid::new("films");
    let (a, b) = (NodeId::new("a"), NodeId::new("b"));
    let end = committed(broadcast(0, "films", &["a", "b"]), 1);
    store.commit(epoch, with(vec![end.clone()])).await.unwrap();
    store.commit(epoch, with(vec![end])).await.unwrap();
    let failed = Broadcast { phase: Phase::Failed, ..broadcast(1, "films", &["a"]) };
    let doubted =
        |node: &NodeId, why| SettingsChange::Doubted { index: films.clone(), node: node.clone(), why };
    store
        .commit(
            epoch,
            with(vec![
                doubted(&b, SettingsUnknown::Changed),
                SettingsChange::Ended(Box::new(failed)),
                doubted(&a, SettingsUnknown::Changed),
            ]),
        )
        .await
        .unwrap();
    drop(store);
    let store = engine.open();
    let epoch = lead(&*store).await;
    let known = store.settings_versions().await.unwrap().indexes[&films].clone();
    // Whoever else changed them before or after.
    assert_eq!(known.doubtful, [&a, &b].map(|node| (node.clone(), SettingsUnknown::Astray)).into());
    assert_eq!((known.committed(), known.nodes.len()), (Some(SettingsVersion(1)), 0));
    let advanced =
        SettingsChange::Advanced { index: films.clone(), node: a, version: SettingsVersion(1), at: NOW };
    let trusted = SettingsChange::Trusted { index: films.clone(), node: b };
    store.commit(epoch, with(vec![advanced, trusted])).await.unwrap();
    let known = store.settings_versions().await.unwrap().indexes[&films].clone();
    assert_eq!((known.doubtful.len(), known.nodes.len()), (0, 1));
    let c = NodeId::new("c");
    store.commit(epoch, with(vec![doubted(&c, SettingsUnknown::Changed)])).await.unwrap();
    let known = store.settings_versions().await.unwrap().indexes[&films].clone();
    assert_eq!(known.doubtful, [(c, SettingsUnknown::Changed)].into());
}

pub async fn of_the_changes_that_are_over_the_last_ones_of_each_index_are_kept(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    store.save_broadcast(epoch, broadcast(1000, "films", &[])).await.unwrap();
    for task in 0..25 {
        store.commit(epoch, with(vec![committed(broadcast(task, "films", &["a"]), task + 1)])).await.unwrap();
    }
    let kept = store.broadcasts(PhysicalUid::new("films")).await.unwrap();
    let tasks: Vec<u64> = kept.iter().map(|broadcast| broadcast.task.0).collect();
    let expected: Vec<u64> = [1000].into_iter().chain((5..25).rev()).collect();
    assert_eq!(tasks, expected);
    assert_eq!(store.broadcasts(PhysicalUid::new("books")).await.unwrap(), []);
}
