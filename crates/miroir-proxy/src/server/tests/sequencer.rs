//! In which order the log is decided, and what waits for what.

use std::time::Duration;

use miroir_core::document::Payload;
use miroir_core::ids::TaskUid;
use miroir_core::task::{Errand, Mutation, TaskStatus};
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use super::script::all_tasks;
use crate::node_api::fake::{FakeNode, FaultPlan};

/// What a node takes for a task, where it matters.
const LONG: Duration = Duration::from_secs(2);

/// The entries of the log whose requests a node has, in its order.
fn entries(fake: &FakeNode) -> Vec<u64> {
    let marks = fake.tasks().into_iter().filter_map(|(_, _, _, mark)| mark);
    marks.map(|mark| mark.split(':').nth(2).unwrap().parse().unwrap()).collect()
}

/// How many snapshots a node was asked for.
fn snapshots(fake: &FakeNode) -> usize {
    fake.tasks().iter().filter(|(_, kind, ..)| *kind == "snapshotCreation").count()
}

async fn snapshot(bench: &Bench) -> TaskUid {
    bench.append("", Mutation::Errand { errand: Errand::Snapshot }, Payload::default()).await
}

#[tokio::test(start_paused = true)]
async fn entries_reach_every_node_in_the_order_of_the_log() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    for round in 0..8 {
        bench.add("films", round * 10..round * 10 + 5).await;
        bench.delete_ids("films", round * 10..round * 10 + 2).await;
        bench.add("books", round..round + 1).await;
    }
    bench.succeeds(TaskUid(23)).await;
    bench.until_all_is_done().await;
    for node in &nodes {
        let entries = entries(node);
        assert!(entries.is_sorted(), "{entries:?}");
        assert_eq!((entries.len(), node.ids("films").len(), node.ids("books").len()), (24, 24, 8));
    }
}

#[tokio::test(start_paused = true)]
async fn a_swap_waits_for_what_is_before_it_and_what_is_after_it_waits_for_the_swap() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    for index in ["films", "books"] {
        bench.succeeds(bench.add(index, 0..1).await).await;
    }
    nodes[0].take_time(LONG);
    let (before, swap) = (bench.add("films", 1..3).await, bench.swap("films", "books").await);
    let after = bench.add("films", 5..6).await;
    while !bench.task(before).await.status.is_finished() {
        assert_eq!(bench.task(swap).await.status, TaskStatus::Enqueued, "something before it is not over");
        sleep(LONG / 10).await;
    }
    while !bench.task(swap).await.status.is_finished() {
        assert!(!entries(&nodes[1]).contains(&after.0), "the name has another meaning after the swap");
        sleep(LONG / 10).await;
    }
    bench.succeeds(after).await;
    // What was called films has the documents of before, and what is called so now those of after.
    assert_eq!((nodes[1].ids("films"), nodes[1].ids("books")), (list(&[0, 1, 2]), list(&[0, 5])));
}

fn list(ids: &[u32]) -> Vec<String> {
    ids.iter().map(u32::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn an_errand_is_done_when_everything_before_is_over_and_nothing_after_has_begun() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    nodes[1].take_time(LONG);
    let before = bench.add("films", 0..3).await;
    let errand = snapshot(&bench).await;
    let after = bench.add("books", 0..3).await;
    while !bench.task(before).await.status.is_finished() {
        assert_eq!([snapshots(&nodes[0]), snapshots(&nodes[1])], [0, 0], "something before it is not over");
        sleep(LONG / 10).await;
    }
    while !bench.task(errand).await.status.is_finished() {
        assert!(!entries(&nodes[0]).contains(&after.0), "the errand is not over");
        sleep(LONG / 10).await;
    }
    bench.succeeds(errand).await;
    bench.succeeds(after).await;
    assert_eq!([snapshots(&nodes[0]), snapshots(&nodes[1])], [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_errand_that_a_crash_has_cut_off_is_done_again_in_its_place() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    bench.succeeds(bench.add("films", 0..3).await).await;
    nodes[1].take_time(LONG);
    let errand = snapshot(&bench).await;
    let after = bench.add("books", 0..3).await;
    bench.until("the errand is under way", || snapshots(&nodes[1]) == 1).await;
    let bench = bench.restart().await;
    bench.succeeds(errand).await;
    bench.succeeds(after).await;
    assert_eq!(snapshots(&nodes[1]), 2, "nobody knows what became of the first one");
    let last = nodes[1].tasks().iter().rposition(|(_, kind, ..)| *kind == "snapshotCreation");
    let books = nodes[1].tasks().iter().position(|(index, ..)| index == "books");
    assert!(last < books, "{:?}", nodes[1].tasks());
}

#[tokio::test(start_paused = true)]
async fn a_new_process_decides_from_the_first_entry_on_that_was_not_decided() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    for index in ["films", "books"] {
        bench.succeeds(bench.add(index, 0..2).await).await;
    }
    for node in &nodes {
        node.plan(FaultPlan::away());
    }
    bench.add("films", 2..4).await;
    bench.swap("films", "books").await;
    bench.add("films", 6..8).await;
    bench.drop_index("books").await;
    let is_decided = async || bench.writer.node_progress().await.values().all(|it| it.entries == 1);
    bench.until_so("the first one is decided", is_decided).await;
    let ground = bench.crash().await;
    assert_eq!(ground.store.undecided(10).await.unwrap().len(), 3, "the swap waits, and all behind it");
    for node in &nodes {
        node.plan(FaultPlan::default());
    }
    let bench = Bench::on(ground).await;
    for task in 2..6 {
        bench.succeeds(TaskUid(task)).await;
    }
    assert_eq!(all_tasks(&bench).await.len(), 6);
    // What was called books had them when it got its new name.
    assert_eq!((nodes[0].ids("films"), nodes[0].ids("books")), (list(&[]), list(&[0, 1, 6, 7])));
}
