//! Nodes that come and go while everything that knows nodes runs, over nodes in memory.

use std::time::Duration;

use miroir_core::document::Payload;
use miroir_core::ids::{GroupId, IndexUid, NodeId};
use miroir_core::rules::{RULES_UID, RuleChange, RuleUpdate};
use miroir_core::task::{Mutation, SyncState};
use serde_json::json;
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use crate::node_api::fake::FaultPlan;
use crate::write::MemberError;

/// How often a node comes and leaves.
const ROUNDS: usize = 40;

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
    bench.succeeds(bench.drop_index("books").await).await;
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
    c.plan(FaultPlan::away());
    bench.succeeds(bench.drop_index("films").await).await;
    assert_eq!(bench.writer.node_progress().await[&id].entries, 1);
    bench.writer.remove_node(&id).await.unwrap();
    bench.until("nothing is said of what it lacks", || !bench.view.load().behind.is_late(&id)).await;
    c.plan(FaultPlan::default());
    assert!(!c.ids("films").is_empty(), "it has not heard of the deletion");
    bench.join(&c).await;
    assert_eq!(bench.writer.node_progress().await[&id].entries, 0);
    assert!(c.ids("films").is_empty());
    bench.succeeds(bench.add("films", 100..140).await).await;
    bench.until_so("it has caught up", async || bench.writer.node_progress().await[&id].entries == 0).await;
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
    bench
        .until_so("it is decided", async || {
            bench.writer.node_progress().await.values().any(|it| it.entries > 0)
        })
        .await;
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
            bench.succeeds(bench.drop_index(&index).await).await;
        }
    }
    assert!(!removals.contains(&0), "none was refused, or all were: {removals:?}");
}
