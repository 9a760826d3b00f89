//! Every step that changes the store, in an order in which a Miroir could take them, and all that can be read of the store.

use std::future::Future;

use miroir_core::arrival::ArrivalChange;
use miroir_core::ids::{Epoch, IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::keys::KeyPatch;
use miroir_core::network::Network;
use miroir_core::task::{Mutation, OpResult, Swap, SyncState, Task, TaskFilter, TaskPage, TaskStatus};
use miroir_store::{
    Accepted, Administration, CatalogChange, Collection, Commit, Delivery, NewEntry, OpSent, Rebuilt,
    Reception, RecordChange, Relabelling, StepId, Store, StoreError, TaskAction,
};
use serde_json::json;
use uuid::Uuid;

use super::keys::{FIRST, SECOND, key};
use super::{NOW, broadcast, committed, create, decision, documents, entry, index, settled, with};

/// Takes a step until somebody knows what became of it.
async fn sure<T, F>(mut step: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match step().await {
            Err(StoreError::Unknown(_)) => {}
            known => return known.unwrap(),
        }
    }
}

/// Takes all steps. What those that make a task have answered.
pub async fn run(store: &dyn Store) -> Vec<Task> {
    let epoch = sure(|| store.begin_epoch()).await;
    let nodes = vec![NodeId::new("a"), NodeId::new("b")];
    sure(|| store.add_nodes(epoch, nodes.clone(), SyncState::InSync)).await;
    let mut answers = append_all(store, epoch).await;
    decide_some(store, epoch).await;
    deliver_some(store, epoch).await;
    sure(|| store.save_broadcast(epoch, broadcast(4, "a", &[]))).await;
    for commit in commits() {
        sure(|| store.commit(epoch, commit.clone())).await;
    }
    sure(|| store.begin(epoch, TaskUid(6), NOW)).await;
    answers.extend(administer_both(store, epoch).await);
    change_keys(store).await;
    change_records(store).await;
    sure(|| store.compact()).await;
    answers
}

fn swap() -> Mutation {
    let indexes = (IndexUid::new("a"), IndexUid::new("b"));
    Mutation::SwapIndexes { swaps: vec![Swap { indexes, rename: false }] }
}

/// Entries 0 to 7.
async fn append_all(store: &dyn Store, epoch: Epoch) -> Vec<Task> {
    let entries = [
        ("a", create()),
        ("b", create()),
        ("a", documents()),
        ("", swap()),
        ("a", documents()),
        ("", swap()),
        ("b", documents()),
        ("b", documents()),
    ];
    let mut answers = Vec::new();
    for (number, (uid, mutation)) in (0_u128..).zip(entries) {
        let entry = NewEntry { id: StepId(Uuid::from_u128(number)), ..entry(uid, mutation) };
        answers.push(sure(|| store.append(epoch, entry.clone())).await);
    }
    answers
}

async fn decide_some(store: &dyn Store, epoch: Epoch) {
    let decision = decision(&store.undecided(1).await.unwrap()[0]);
    let book = PhysicalUid::new("a");
    let add = |id: &str| (book.clone(), ArrivalChange::Add([id].into_iter().collect()));
    for (tasks, changes) in [
        (0..2, vec![(book.clone(), ArrivalChange::Begin), add("x")]),
        (2..4, vec![(book.clone(), ArrivalChange::Remove(vec!["x".to_owned()])), add("y"), add("x")]),
        (4..6, vec![add("z")]),
    ] {
        let decisions: Vec<_> = tasks.map(|task| (TaskUid(task), decision.clone())).collect();
        sure(|| store.decide(epoch, decisions.clone(), changes.clone())).await;
    }
}

async fn deliver_some(store: &dyn Store, epoch: Epoch) {
    sure(|| store.meet_node(epoch, NodeId::new("a"), 7)).await;
    for (node, from, cursor, sent) in [
        ("a", 0, 1, vec![(0, 0, 7)]),
        ("a", 1, 2, vec![(1, 0, 8), (2, 0, 9)]),
        ("a", 2, 2, vec![(2, 1, 10)]),
        ("a", 2, 5, vec![(3, 0, 11), (4, 0, 12)]),
        ("b", 0, 3, vec![(0, 0, 1), (2, 0, 2)]),
    ] {
        let sent = sent.into_iter().map(|(task, op, number)| {
            let reception = Reception::Enqueued(number);
            OpSent { task: TaskUid(task), op, reception }
        });
        let (from, cursor) = (TaskUid(from), TaskUid(cursor));
        let delivery =
            Delivery { node: NodeId::new(node), from, cursor, sent: sent.collect(), ahead: None, at: NOW };
        sure(|| store.deliver(epoch, delivery.clone())).await;
    }
}

/// What a committer would store: ends, two swaps of the same names, a change of settings, nodes that begin anew.
fn commits() -> Vec<Commit> {
    let (a, b) = (NodeId::new("a"), NodeId::new("b"));
    let done = OpResult::Done { deleted: None };
    let results = vec![(a.clone(), TaskUid(0), 0, done.clone()), (b.clone(), TaskUid(0), 0, done)];
    let catalog = ["a", "b"].map(|uid| CatalogChange::Put(Box::new(index(uid)))).into();
    let ended = (0..3).map(|task| settled(task, TaskStatus::Succeeded)).collect();
    let exchange = |task: u64| Commit {
        settled: vec![settled(task, TaskStatus::Succeeded)],
        relabelled: vec![Relabelling {
            before: TaskUid(task),
            pair: (IndexUid::new("a"), IndexUid::new("b")),
        }],
        ..Commit::default()
    };
    let rebuilt =
        Rebuilt { node: b.clone(), cursor: TaskUid(4), covered: [TaskUid(5)].into(), next_node_task: 3 };
    let accepted =
        Accepted { node: a.clone(), cursor: TaskUid(2), next_node_task: 13, again: [TaskUid(4)].into() };
    vec![
        Commit { results, catalog, settled: ended, nodes: vec![(b, SyncState::Behind)], ..Commit::default() },
        exchange(3),
        with(vec![committed(broadcast(4, "a", &["a"]), 1)]),
        exchange(5),
        Commit { settled: vec![settled(4, TaskStatus::Failed)], ..Commit::default() },
        Commit {
            rebuilt: vec![rebuilt],
            accepted: vec![accepted],
            forgotten: vec![TaskUid(0), TaskUid(1)],
            rules: vec![("r".to_owned(), None)],
            ..Commit::default()
        },
    ]
}

async fn administer_both(store: &dyn Store, epoch: Epoch) -> Vec<Task> {
    let mut answers = Vec::new();
    for (number, action, statuses) in [
        (100, TaskAction::Cancel, vec![TaskStatus::Processing]),
        (101, TaskAction::Delete, vec![TaskStatus::Succeeded, TaskStatus::Canceled]),
    ] {
        let order = Administration {
            id: StepId(Uuid::from_u128(number)),
            action,
            filter: TaskFilter { statuses: Some(statuses), ..TaskFilter::default() },
            query: "?".to_owned(),
            at: NOW,
        };
        answers.push(sure(|| store.administer(epoch, order.clone())).await);
    }
    answers
}

async fn change_keys(store: &dyn Store) {
    sure(|| store.begin_api_keys(vec![key(FIRST)])).await;
    let added = sure(|| store.add_api_key(key(SECOND))).await;
    assert_eq!(added, miroir_store::Adding::Added);
    let patch = KeyPatch { name: Some(None), description: Some(Some("d".to_owned())) };
    sure(|| store.patch_api_key(key(SECOND).uid, patch.clone(), NOW)).await;
    sure(|| store.delete_api_key(key(FIRST).uid)).await;
}

async fn change_records(store: &dyn Store) {
    sure(|| store.set_features([("metrics".to_owned(), true)].into())).await;
    let first = store.network().await.unwrap();
    let next = Network { server: Some("a".to_owned()), version: "1".to_owned(), ..first.clone() };
    assert!(sure(|| store.replace_network(first.version.clone(), next.clone())).await);
    for (collection, version, id, body) in [
        (Collection::Webhooks, 0, "a", Some(json!(1))),
        (Collection::Webhooks, 1, "b", Some(json!(2))),
        (Collection::Webhooks, 2, "a", None),
        (Collection::ChatWorkspaces, 0, "a", Some(json!({ "set": 3 }))),
    ] {
        let change = RecordChange { collection, version, id: id.to_owned(), body };
        assert!(sure(|| store.put_record(change.clone())).await);
    }
}

/// All that can be read of a store but the epoch, as text.
pub async fn state(store: &dyn Store) -> String {
    let book = PhysicalUid::new("a");
    let mut keys = store.api_keys().await.unwrap();
    keys.sort_by_key(|key| key.uid);
    let page = TaskPage { limit: 1000, ..TaskPage::default() };
    let work = store.work(TaskUid(0), 1000).await.unwrap();
    let mut payloads = Vec::new();
    for work in &work {
        payloads.push(store.payload(work.entry.uid).await.unwrap());
    }
    let log = (work, payloads, store.undecided(1000).await.unwrap(), store.log_bytes().await.unwrap());
    let tasks = store.tasks(TaskFilter::default(), page).await.unwrap();
    let nodes = (store.nodes().await.unwrap(), store.node_tasks().await.unwrap());
    let settings = (
        store.open_broadcasts().await.unwrap(),
        store.broadcasts(book.clone()).await.unwrap(),
        store.settings_versions().await.unwrap(),
    );
    let records = (
        store.records(Collection::Webhooks).await.unwrap(),
        store.records(Collection::ChatWorkspaces).await.unwrap(),
        store.records(Collection::Rules).await.unwrap(),
        store.features().await.unwrap(),
        store.network().await.unwrap(),
    );
    let names = (store.catalog().await.unwrap(), store.arrival_book(book).await.unwrap());
    format!("{log:#?}\n{tasks:#?}\n{nodes:#?}\n{settings:#?}\n{keys:#?}\n{records:#?}\n{names:#?}")
}
