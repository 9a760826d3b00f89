//! A node that lost its data, or is not what it was, and gets them anew from its peers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use miroir_core::ids::{NodeId, TaskUid};
use miroir_core::task::{SyncState, TaskStatus};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use super::process::{Ground, Process};
use super::tripwire::{Steps, Stop, Tripwire};
use crate::cluster::RebuildStage;
use crate::node_api::NodeRequest;
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};

/// More steps than a rebuild has.
const MOST: u64 = 300;

/// What the nodes in these tests take for an answer that is awaited with something else.
const LONG: Duration = Duration::from_secs(20);

/// Films with settings, and books, of which so many nodes keep each shard.
async fn filled(nodes: &[FakeNode], factor: u32) -> Bench {
    let bench = Bench::start(nodes, factor).await;
    bench.add("films", 0..40).await;
    bench.change_settings("films", json!({ "stopWords": ["a"], "pagination": { "maxTotalHits": 7 } })).await;
    bench.succeeds(bench.add("books", 0..10).await).await;
    bench.until_all_is_done().await;
    bench
}

async fn stage(bench: &Bench, node: &str) -> Option<RebuildStage> {
    let topology = bench.topology().await;
    let node = topology.nodes.into_iter().find(|report| report.id.as_str() == node).unwrap();
    node.rebuild.map(|rebuild| rebuild.stage)
}

async fn until_noticed(bench: &Bench, node: &FakeNode) {
    let id = node.node().id().clone();
    let is_damaged = async || bench.writer.node_progress().await[&id].sync == SyncState::Damaged;
    bench.until_so("its loss is noticed", is_damaged).await;
}

/// Slow answers to a peer's question for the documents of an index.
fn slow(what: &'static str) -> FaultPlan {
    FaultPlan::default().always_on(what, Fault::Delay(LONG / 4))
}

const FILMS: &str = "POST /indexes/films/documents/fetch";

#[tokio::test(start_paused = true)]
async fn an_emptied_node_has_everything_again_and_nobody_else_is_written_to() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, 2).await;
    let before: Vec<Value> = nodes.iter().map(FakeNode::contents).collect();
    let tasks = [nodes[0].tasks().len(), nodes[1].tasks().len()];
    nodes[2].forget_everything();
    until_noticed(&bench, &nodes[2]).await;
    assert!(!bench.view.load().usable.contains(&NodeId::new("c")), "it is not read");
    bench.until_all_is_done().await;
    let after: Vec<Value> = nodes.iter().map(FakeNode::contents).collect();
    assert_eq!(after, before);
    assert_eq!([nodes[0].tasks().len(), nodes[1].tasks().len()], tasks);
    // It takes part in what comes.
    bench.succeeds(bench.add("films", 40..60).await).await;
    bench.until_all_is_done().await;
    let copies: usize = nodes.iter().map(|node| node.ids("films").len()).sum();
    assert_eq!(copies, 2 * 60);
}

#[tokio::test(start_paused = true)]
async fn writes_to_other_indexes_end_while_an_index_is_held_and_those_to_it_wait_for_it() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, 2).await;
    for peer in &nodes[..2] {
        peer.plan(slow(FILMS));
    }
    nodes[2].forget_everything();
    bench
        .until_so("documents are copied", async || stage(&bench, "c").await == Some(RebuildStage::Copying))
        .await;
    // Written to after the pass has begun: there is something left for the last one.
    bench.succeeds(bench.add("films", 40..50).await).await;
    bench
        .until_so("an index is held", async || stage(&bench, "c").await == Some(RebuildStage::Holding))
        .await;
    let held = bench.add("films", 50..60).await;
    let other = bench.add("books", 10..20).await;
    bench.succeeds(other).await;
    assert_eq!(stage(&bench, "c").await, Some(RebuildStage::Holding), "the index is held all the while");
    assert!(!bench.task(held).await.status.is_finished(), "the index is held");
    bench.succeeds(held).await;
    bench.until_all_is_done().await;
    for (index, count) in [("films", 60), ("books", 20)] {
        let copies: usize = nodes.iter().map(|node| node.ids(index).len()).sum();
        assert_eq!(copies, 2 * count, "{index}");
    }
}

/// Three nodes, the last of which was emptied and has one of its two indexes again. What it had.
async fn half_copied() -> ([FakeNode; 3], Bench, Value) {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, 2).await;
    let before = nodes[2].contents();
    for peer in &nodes[..2] {
        peer.plan(slow("POST /indexes/books/documents/fetch"));
    }
    nodes[2].forget_everything();
    bench.until("one index is copied", || before["films"] == nodes[2].contents()["films"]).await;
    (nodes, bench, before)
}

#[tokio::test(start_paused = true)]
async fn what_is_written_to_a_node_behind_miroirs_back_during_its_rebuild_does_not_stay() {
    let (nodes, bench, before) = half_copied().await;
    let stray = json!({ "id": 999, "_miroir_shard_000": null }).to_string();
    let late = NodeRequest::post("/indexes/films/documents").body("application/x-ndjson", Bytes::from(stray));
    nodes[2].node().send(late, LONG).await.unwrap();
    assert!(nodes[2].ids("films").contains(&"999".to_owned()));
    bench.until_all_is_done().await;
    assert_eq!(nodes[2].contents(), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_emptied_again_during_its_rebuild_is_rebuilt_all_the_same() {
    let (nodes, bench, before) = half_copied().await;
    // Nobody has looked how the tasks of the copy ended.
    nodes[2].forget_everything();
    bench.until("everything is copied", || nodes[2].contents() == before).await;
    bench.until_all_is_done().await;
    assert_eq!(nodes[2].contents(), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_emptied_while_its_last_changes_are_copied_does_not_count_as_rebuilt() {
    let (nodes, bench, _) = half_copied().await;
    bench.succeeds(bench.add("films", 40..60).await).await;
    for peer in &nodes[..2] {
        peer.plan(slow(FILMS));
    }
    bench
        .until_so("an index is held", async || stage(&bench, "c").await == Some(RebuildStage::Holding))
        .await;
    // It has said what it has, and its peer has not.
    sleep(LONG / 10).await;
    nodes[2].forget_everything();
    bench.until_all_is_done().await;
    let copies: usize = nodes.iter().map(|node| node.ids("films").len()).sum();
    assert_eq!((copies, stage(&bench, "c").await), (2 * 60, None));
    for (index, key) in [("films", "stopWords"), ("books", "filterableAttributes")] {
        assert_eq!(nodes[2].setting(index, key), nodes[0].setting(index, key));
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_the_lost_node_had_is_waited_for_until_it_is_there_again() {
    let nodes = fakes(["a", "b"]);
    let bench = filled(&nodes, 1).await;
    let (data, before) = (nodes[1].data(), nodes[1].contents());
    nodes[1].forget_everything();
    until_noticed(&bench, &nodes[1]).await;
    let waiting = bench.add("films", 40..60).await;
    sleep(LONG * 3).await;
    assert!(!bench.task(waiting).await.status.is_finished(), "nobody else has these shards");
    let told = bench.topology().await.nodes[1].error.clone().unwrap_or_default();
    assert!(told.contains("no other node has a copy"), "{told}");
    nodes[1].put_back(data);
    bench.succeeds(waiting).await;
    bench.until_all_is_done().await;
    assert_eq!(nodes[0].ids("films").len() + nodes[1].ids("films").len(), 60);
    assert_eq!(nodes[1].contents()["books"], before["books"]);
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_accepted_is_no_reason_to_wait_and_the_node_goes_on_with_what_it_has() {
    let nodes = fakes(["a", "b"]);
    let bench = filled(&nodes, 1).await;
    let kept = nodes[0].ids("films");
    nodes[1].forget_everything();
    until_noticed(&bench, &nodes[1]).await;
    let waiting = bench.add("films", 40..60).await;
    assert!(bench.writer.accept_loss(&NodeId::new("b")).await);
    bench.succeeds(waiting).await;
    bench.until_all_is_done().await;
    assert!(!bench.writer.accept_loss(&NodeId::new("b")).await, "it is not damaged any more");
    let (a, b) = (nodes[0].ids("films"), nodes[1].ids("films"));
    assert!(kept.iter().all(|id| a.contains(id)), "{kept:?} {a:?}");
    let new = |ids: &[String]| ids.iter().filter(|id| id.parse::<u32>().unwrap() >= 40).count();
    assert_eq!((new(&a) + new(&b), new(&b)), (20, b.len()), "what it had is lost, and what is new is there");
    assert_eq!(nodes[1].setting("films", "stopWords"), Some(json!(["a"])), "it is one of the index's nodes");
}

/// A process that finds a node empty and rebuilds it while a client writes; it may be stopped.
async fn rebuild(process: &Process, wrote: &mut bool) {
    if !*wrote {
        process.add("films", 40..50).await;
        *wrote = true;
    }
    let c = NodeId::new("c");
    let is_lost = async || process.writer.node_progress().await[&c].sync == SyncState::Damaged;
    // It may have been rebuilt before the stop.
    for _ in 0..200 {
        if is_lost().await {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    while !process.is_done().await {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Stops the rebuild at each step in turn, until it takes all of them. Answers how many there are.
async fn walk(steps: Steps, stop: fn(u64) -> Stop) -> u64 {
    for number in 0..MOST {
        let nodes = fakes(["a", "b", "c"]);
        let ground = filled(&nodes, 2).await.crash().await;
        nodes[2].forget_everything();
        let tripwire = Arc::new(Tripwire::new(steps, stop(number)));
        let mut wrote = false;
        let first = async {
            let process = ground.start(&tripwire).await;
            rebuild(&process, &mut wrote).await;
        };
        let is_whole = tokio::select! {
            () = first => true,
            () = tripwire.cut() => false,
        };
        ground.come_to_rest().await;
        finish(ground, &nodes, &mut wrote, &format!("a stop at {:?} of {steps:?}", stop(number))).await;
        if is_whole {
            return number;
        }
    }
    panic!("the rebuild does not come to its end in {MOST} steps");
}

async fn finish(ground: Ground, nodes: &[FakeNode], wrote: &mut bool, what: &str) {
    let bench = Bench::on(ground).await;
    rebuild(&bench, wrote).await;
    bench.until_all_is_done().await;
    let last = bench.task(TaskUid(3)).await;
    assert_eq!(last.status, TaskStatus::Succeeded, "after {what}");
    // Every document is on two nodes, and nothing else is anywhere.
    for (index, count) in [("films", 50), ("books", 10)] {
        let mut ids: Vec<String> = nodes.iter().flat_map(|node| node.ids(index)).collect();
        ids.sort_unstable();
        let mut expected: Vec<String> =
            (0..count).flat_map(|id: u32| [id.to_string(), id.to_string()]).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{index} after {what}");
    }
    for key in ["stopWords", "pagination", "filterableAttributes"] {
        assert_eq!(nodes[2].setting("films", key), nodes[0].setting("films", key), "after {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_request_of_a_rebuild_leaves_nothing_undone() {
    let steps = [walk(Steps::OfNodes, Stop::Before).await, walk(Steps::OfNodes, Stop::After).await];
    assert!(steps.iter().all(|steps| *steps > 10), "{steps:?} requests");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_the_store_during_a_rebuild_leaves_nothing_undone() {
    let steps = [walk(Steps::OfStore, Stop::Before).await, walk(Steps::OfStore, Stop::After).await];
    assert!(steps.iter().all(|steps| *steps > 5), "{steps:?} steps");
}
