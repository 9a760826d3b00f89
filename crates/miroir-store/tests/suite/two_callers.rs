//! What an engine must do for two callers that don't know of each other: whoever was overtaken is refused, and told so.
//!
//! Each test has two callers take the steps of a small story, once in every order in which the two stories can be mixed.

use std::collections::BTreeSet;
use std::sync::Arc;

use miroir_core::arrival::ArrivalChange;
use miroir_core::ids::{Epoch, NodeId, PhysicalUid, TaskUid};
use miroir_core::network::Network;
use miroir_core::task::{Decision, SyncState, TaskFilter, TaskPage};
use miroir_store::{
    Administration, CaughtUp, Collection, Commit, Deciding, Delivery, Kept, OpSent, Reception, RecordChange,
    StepId, Store, StoreError, TaskAction,
};
use serde_json::json;

use super::script::state;
use super::{Engine, NOW, broadcast, committed, create, decide_all, decision, entry, lead, with};

/// Every order in which the first caller can take so many steps, and the second one so many: whose turn it is.
fn orders(first: usize, second: usize) -> Vec<Vec<usize>> {
    if first + second == 0 {
        return vec![Vec::new()];
    }
    let turn =
        |caller, rest: Vec<Vec<usize>>| rest.into_iter().map(move |rest| [vec![caller], rest].concat());
    let mut all = Vec::new();
    if first > 0 {
        all.extend(turn(0, orders(first - 1, second)));
    }
    if second > 0 {
        all.extend(turn(1, orders(first, second - 1)));
    }
    all
}

fn both(engine: &impl Engine) -> [Arc<dyn Store>; 2] {
    [engine.open(), engine.open_again()]
}

fn is_conflict<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Conflict { .. }))
}

/// Takes the steps of the write path in turn: beginning an epoch, appending, deciding, committing.
#[derive(Default)]
struct Leader {
    taken: usize,
    /// None before it began one.
    epoch: Option<Epoch>,
}

impl Leader {
    /// Takes the next step. In which epoch it was, unless it begins one, and what came of it.
    async fn step(&mut self, store: &dyn Store) -> Option<(Epoch, Result<(), StoreError>)> {
        self.taken += 1;
        let Some(epoch) = self.epoch else {
            self.epoch = Some(lead(store).await);
            return None;
        };
        let outcome = match self.taken {
            2 => store.append(epoch, entry("a", create())).await.map(|_| ()),
            3 => {
                let open = store.undecided(100).await.unwrap();
                let decisions = open.iter().map(|entry| (entry.uid, decision(entry))).collect();
                store.decide(epoch, decisions, Vec::new()).await.map(|_| ())
            }
            _ => store.commit(epoch, Commit::default()).await,
        };
        Some((epoch, outcome))
    }
}

pub async fn the_last_to_begin_an_epoch_takes_the_steps_in_every_order(engine: &impl Engine) {
    let callers = both(engine);
    let mut current = None;
    let mut appended = 0;
    for order in orders(4, 4) {
        let mut leaders = [Leader::default(), Leader::default()];
        for caller in &order {
            let leader = &mut leaders[*caller];
            match leader.step(&*callers[*caller]).await {
                None => {
                    assert!(leader.epoch > current, "{order:?}");
                    current = leader.epoch;
                }
                Some((epoch, outcome)) if current == Some(epoch) => {
                    outcome.unwrap();
                    appended += u64::from(leader.taken == 2);
                }
                Some((epoch, outcome)) => {
                    let current = current.unwrap();
                    assert_eq!(outcome, Err(StoreError::Superseded { epoch, current }), "{order:?}");
                }
            }
        }
    }
    let tasks = callers[1].tasks(TaskFilter::default(), TaskPage::default()).await.unwrap();
    assert_eq!((tasks.total, tasks.from), (appended, Some(TaskUid(appended - 1))));
    assert_eq!(state(&*callers[0]).await, state(&*callers[1]).await);
}

pub async fn every_step_of_the_write_path_is_refused_in_an_epoch_that_is_over(engine: &impl Engine) {
    let [first, second] = both(engine);
    let old = lead(&*first).await;
    let node = NodeId::new("a");
    first.add_nodes(old, vec![node.clone()], SyncState::InSync).await.unwrap();
    first.append(old, entry("a", create())).await.unwrap();
    let current = lead(&*second).await;
    let before = state(&*second).await;
    let decided = decision(&first.undecided(1).await.unwrap()[0]);
    let order = Administration {
        id: StepId::fresh(),
        action: TaskAction::Cancel,
        filter: TaskFilter::default(),
        query: "?".to_owned(),
        at: NOW,
    };
    let sent = vec![OpSent { task: TaskUid(0), op: 0, reception: Reception::Enqueued(1) }];
    let delivery =
        Delivery { node: node.clone(), from: TaskUid(0), cursor: TaskUid(1), sent, ahead: None, at: NOW };
    let caught_up = CaughtUp { index: PhysicalUid::new("a"), line: TaskUid(0), next_node_task: 1 };
    let outcomes = [
        first.append(old, entry("a", create())).await.map(|_| ()),
        first.administer(old, order).await.map(|_| ()),
        first.begin(old, TaskUid(0), NOW).await,
        first.decide(old, vec![(TaskUid(0), decided)], Vec::new()).await.map(|_| ()),
        first.add_nodes(old, vec![NodeId::new("b")], SyncState::InSync).await,
        first.meet_node(old, node.clone(), 3).await,
        first.save_caught_up(old, node.clone(), vec![caught_up]).await,
        first.forget_caught_up(old, node).await,
        first.deliver(old, delivery).await,
        first.save_broadcast(old, broadcast(0, "a", &[])).await,
        first.commit(old, with(vec![committed(broadcast(0, "a", &["a"]), 1)])).await,
    ];
    for (step, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome, Err(StoreError::Superseded { epoch: old, current }), "step {step}");
    }
    assert_eq!(state(&*second).await, before);
}

pub async fn two_callers_decide_about_each_entry_once_in_every_order(engine: &impl Engine) {
    for order in orders(2, 2) {
        let engine = engine.another();
        let callers = both(&engine);
        let epoch = lead(&*callers[0]).await;
        for uid in ["a", "b"] {
            callers[0].append(epoch, entry(uid, create())).await.unwrap();
        }
        let open = callers[0].undecided(2).await.unwrap();
        // Of the first entry both think the same; of the second one each something else.
        let about = |caller: usize, task: usize| -> Decision {
            if task == 0 { decision(&open[0]) } else { decision(&open[caller]) }
        };
        let mut next = [0, 0];
        let mut first = [None, None];
        for caller in order.iter().copied() {
            let task = next[caller];
            next[caller] += 1;
            let decisions = vec![(open[task].uid, about(caller, task))];
            let book = (PhysicalUid::new("a"), ArrivalChange::Begin);
            let outcome = callers[caller].decide(epoch, decisions, vec![book]).await;
            let by = *first[task].get_or_insert(caller);
            if task == 0 || by == caller {
                assert_eq!(outcome, Ok(Deciding::Stored), "{order:?}");
            } else {
                assert!(is_conflict(&outcome), "{order:?}: {outcome:?}");
            }
        }
        let work = callers[1].work(TaskUid(0), 9).await.unwrap();
        let stored: Vec<_> = work.into_iter().map(|work| work.decision).collect();
        assert_eq!(stored, [about(0, 0), about(first[1].unwrap(), 1)], "{order:?}");
    }
}

pub async fn a_decision_that_leaves_out_an_entry_or_overlaps_is_refused(engine: &impl Engine) {
    let [first, second] = both(engine);
    let epoch = lead(&*first).await;
    for uid in ["a", "b", "c"] {
        first.append(epoch, entry(uid, create())).await.unwrap();
    }
    let open = first.undecided(9).await.unwrap();
    let about =
        |tasks: &[usize]| tasks.iter().map(|task| (open[*task].uid, decision(&open[*task]))).collect();
    let add = |id: &str| {
        let add = ArrivalChange::Add([id].into_iter().collect());
        vec![(PhysicalUid::new("a"), ArrivalChange::Begin), (PhysicalUid::new("a"), add)]
    };
    for tasks in [&[1][..], &[1, 0], &[0, 2]] {
        let outcome = second.decide(epoch, about(tasks), add("x")).await;
        assert!(is_conflict(&outcome), "{tasks:?}: {outcome:?}");
    }
    assert_eq!(first.decide(epoch, about(&[0, 1]), add("x")).await, Ok(Deciding::Stored));
    for tasks in [&[1, 2][..], &[0, 1, 2]] {
        let outcome = second.decide(epoch, about(tasks), add("y")).await;
        assert!(is_conflict(&outcome), "{tasks:?}: {outcome:?}");
    }
    // The same once more, by whomever: books stay as they are.
    assert_eq!(second.decide(epoch, about(&[0, 1]), add("y")).await, Ok(Deciding::Stored));
    let book = second.arrival_book(PhysicalUid::new("a")).await.unwrap().unwrap();
    assert_eq!(book.ids().collect::<Vec<_>>(), ["x"]);
    let undecided = second.undecided(9).await.unwrap();
    assert_eq!(undecided.iter().map(|entry| entry.uid).collect::<Vec<_>>(), [TaskUid(2)]);
    assert!(is_conflict(&second.decide(epoch, Vec::new(), add("z")).await));
}

pub async fn the_cursor_of_a_lane_moves_only_from_where_it_is_in_every_order(engine: &impl Engine) {
    let stories = [&[(0, 1), (1, 3), (3, 3)][..], &[(0, 3), (3, 1)]];
    for order in orders(3, 2) {
        let engine = engine.another();
        let callers = both(&engine);
        let epoch = lead(&*callers[0]).await;
        let node = NodeId::new("a");
        callers[0].add_nodes(epoch, vec![node.clone()], SyncState::InSync).await.unwrap();
        for _ in 0..3 {
            callers[0].append(epoch, entry("a", create())).await.unwrap();
        }
        decide_all(&*callers[0], epoch).await;
        let mut next = [0, 0];
        let (mut cursor, mut stored) = (0, 0);
        for (turn, caller) in order.iter().copied().enumerate() {
            let (from, to) = stories[caller][next[caller]];
            next[caller] += 1;
            let reception = Reception::Enqueued(10 + turn as u64);
            let sent = vec![OpSent { task: TaskUid(2), op: turn, reception }];
            let delivery = Delivery {
                node: node.clone(),
                from: TaskUid(from),
                cursor: TaskUid(to),
                sent,
                ahead: None,
                at: NOW,
            };
            let outcome = callers[caller].deliver(epoch, delivery).await;
            if from == cursor && to >= cursor {
                outcome.unwrap();
                (cursor, stored) = (to, stored + 1);
            } else {
                assert!(is_conflict(&outcome), "{order:?}, {turn}: {outcome:?}");
            }
            assert_eq!(callers[1].nodes().await.unwrap()[0].cursor, TaskUid(cursor));
        }
        assert_eq!(callers[0].node_tasks().await.unwrap().len(), stored, "{order:?}");
    }
}

/// A caller that reads a collection, and stores what follows from it.
#[derive(Default)]
struct Keeper(Option<Kept>);

impl Keeper {
    /// Reads, or stores that the thing of this name is as much as there was of everything. Whether it was stored.
    async fn step(&mut self, store: &dyn Store, id: &str) -> bool {
        let Some(Kept { version, by_id }) = self.0.take() else {
            self.0 = Some(store.records(Collection::Webhooks).await.unwrap());
            return false;
        };
        let sum: u64 = by_id.values().map(|body| body.as_u64().unwrap()).sum();
        let change = RecordChange {
            collection: Collection::Webhooks,
            version,
            id: id.to_owned(),
            body: Some(json!(sum + 1)),
        };
        store.put_record(change).await.unwrap()
    }
}

pub async fn what_two_callers_change_in_a_collection_is_all_there_in_every_order(engine: &impl Engine) {
    for order in orders(2, 2) {
        let engine = engine.another();
        let callers = both(&engine);
        let mut keepers = [Keeper::default(), Keeper::default()];
        let mut done = [false, false];
        for caller in order.iter().copied() {
            done[caller] |= keepers[caller].step(&*callers[caller], ["a", "b"][caller]).await;
        }
        let apart = order[0] == order[1];
        assert_eq!(done.iter().filter(|done| **done).count(), if apart { 2 } else { 1 }, "{order:?}");
        for caller in [0, 1] {
            while !done[caller] {
                done[caller] = keepers[caller].step(&*callers[caller], ["a", "b"][caller]).await;
            }
        }
        let kept = callers[0].records(Collection::Webhooks).await.unwrap();
        // Whoever was second counted what the first had left.
        let mut values: Vec<_> = kept.by_id.values().map(|body| body.as_u64().unwrap()).collect();
        values.sort_unstable();
        assert_eq!((kept.version, values), (2, vec![1, 2]), "{order:?}");
    }
    let rules = RecordChange { collection: Collection::Rules, version: 0, id: "r".to_owned(), body: None };
    assert!(is_conflict(&engine.open().put_record(rules).await));
}

pub async fn two_callers_at_once_lose_no_change_of_a_collection(engine: &impl Engine) {
    const EACH: u64 = 25;
    let workers = both(engine).map(|store| {
        tokio::spawn(async move {
            for _ in 0..EACH {
                loop {
                    let Kept { version, by_id } = store.records(Collection::ChatWorkspaces).await.unwrap();
                    let count = by_id.get("count").map_or(0, |body| body["count"].as_u64().unwrap());
                    // Two bodies are never equal: nothing looks like the other's change.
                    let body = json!({ "count": count + 1, "by": StepId::fresh().0.to_string() });
                    let (collection, id) = (Collection::ChatWorkspaces, "count".to_owned());
                    let change = RecordChange { collection, version, id, body: Some(body) };
                    if store.put_record(change).await.unwrap() {
                        break;
                    }
                }
            }
        })
    });
    for worker in workers {
        worker.await.unwrap();
    }
    let kept = engine.open_again().records(Collection::ChatWorkspaces).await.unwrap();
    assert_eq!((kept.version, &kept.by_id["count"]["count"]), (2 * EACH, &json!(2 * EACH)));
}

pub async fn of_two_networks_made_from_the_same_one_is_stored_in_every_order(engine: &impl Engine) {
    for (run, order) in orders(2, 2).into_iter().enumerate() {
        let engine = engine.another();
        let callers = both(&engine);
        let mut read: [Option<Network>; 2] = [None, None];
        let mut stored = Vec::new();
        for caller in order.iter().copied() {
            let Some(network) = read[caller].take() else {
                read[caller] = Some(callers[caller].network().await.unwrap());
                continue;
            };
            let next = Network { version: format!("{run}-{caller}"), ..network.clone() };
            if callers[caller].replace_network(network.version, next.clone()).await.unwrap() {
                stored.push(next);
            }
        }
        assert_eq!(stored.len(), if order[0] == order[1] { 2 } else { 1 }, "{order:?}");
        assert_eq!(stored.last(), Some(&callers[0].network().await.unwrap()), "{order:?}");
    }
}

pub async fn a_version_of_settings_is_given_once_in_every_order(engine: &impl Engine) {
    for order in orders(1, 1) {
        let engine = engine.another();
        let callers = both(&engine);
        let epoch = lead(&*callers[0]).await;
        let end = |caller: usize| {
            let task = [4, 9][caller];
            with(vec![committed(broadcast(task, ["a", "b"][caller], &["a"]), 1)])
        };
        callers[order[0]].commit(epoch, end(order[0])).await.unwrap();
        let before = state(&*callers[0]).await;
        let second = callers[order[1]].commit(epoch, end(order[1])).await;
        assert!(is_conflict(&second), "{order:?}: {second:?}");
        // The same end once more is no second one.
        callers[order[0]].commit(epoch, end(order[0])).await.unwrap();
        assert_eq!(state(&*callers[0]).await, before);
    }
}

pub async fn two_callers_that_append_at_once_get_each_number_once(engine: &impl Engine) {
    let callers = both(engine);
    let epoch = lead(&*callers[0]).await;
    let appends = (0..100).map(|number| {
        let store = Arc::clone(&callers[number % 2]);
        tokio::spawn(async move { store.append(epoch, entry("a", create())).await.unwrap().uid })
    });
    let mut seen = BTreeSet::new();
    for append in appends.collect::<Vec<_>>() {
        seen.insert(append.await.unwrap().0);
    }
    assert_eq!(seen, (0..100).collect());
}
