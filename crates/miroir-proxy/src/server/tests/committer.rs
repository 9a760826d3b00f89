//! What a task's end means, and in which order that becomes true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::task::{Lack, TaskStatus};
use serde_json::json;
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use super::process::{Ground, Process};
use super::script::{all_tasks, check_order};
use super::tripwire::{Steps, Stop, Tripwire};
use crate::node_api::fake::{Fault, FaultPlan};

/// More steps than a test takes.
const MOST: u64 = 200;

/// So often all steps are looked at, at most.
const WALKS: usize = 10;

#[tokio::test(start_paused = true)]
async fn tasks_about_an_index_end_in_their_order_whichever_node_is_the_slow_one() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = Bench::start(&nodes, 2).await;
    for (round, node) in (0..).zip(nodes.iter().cycle().take(6)) {
        node.take_time(Duration::from_millis(300 * u64::from(round % 3)));
        bench.add("films", round..round + 5).await;
        bench.change_settings("films", json!({ "stopWords": [round.to_string()] })).await;
        bench.add("books", round..round + 2).await;
    }
    for task in 0..18 {
        bench.succeeds(TaskUid(task)).await;
    }
    let tasks = all_tasks(&bench).await;
    assert_eq!(tasks.len(), 18);
    check_order(&tasks);
}

#[tokio::test(start_paused = true)]
async fn a_late_node_is_left_behind_in_one_index_and_is_back_when_it_has_caught_up() {
    let nodes = fakes(["a", "b"]);
    let mut ground = Ground::new(&nodes, 2);
    ground.max_lag = Duration::from_millis(20);
    let bench = Bench::on(ground).await;
    for index in ["films", "books"] {
        bench.succeeds(bench.add(index, 0..2).await).await;
    }
    bench.until_all_is_done().await;
    let b = NodeId::new("b");
    let (films, books) = (PhysicalUid::new("films"), PhysicalUid::new("books"));
    nodes[1].plan(FaultPlan::default().always_on("POST /indexes/films/documents", Fault::LoseRequest));
    bench.succeeds(bench.add("films", 2..4).await).await;
    let view = bench.view.load();
    assert_eq!(
        view.behind.of(&films, &b),
        Some(Lack::Documents),
        "who learns that it has succeeded reads it"
    );
    assert!(!view.in_sync_for(&films).contains(&b) && view.in_sync_for(&books).contains(&b));
    bench.succeeds(bench.add("films", 4..6).await).await;
    nodes[1].plan(FaultPlan::default());
    bench.until_all_is_done().await;
    bench.until("it is read for every index", || bench.view.load().in_sync_for(&films).contains(&b)).await;
    assert_eq!(nodes[0].contents(), nodes[1].contents());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_left_behind_is_behind_after_a_crash_too() {
    let nodes = fakes(["a", "b"]);
    let bench = Bench::start(&nodes, 2).await;
    bench.succeeds(bench.add("films", 0..2).await).await;
    nodes[1].plan(FaultPlan::away());
    bench.until("it is known to be away", || bench.view.load().usable.len() == 1).await;
    bench.succeeds(bench.add("films", 2..4).await).await;
    let ground = bench.crash().await;
    nodes[1].plan(FaultPlan::default().always_on("POST /indexes/films/documents", Fault::LoseRequest));
    let bench = Bench::on(ground).await;
    let films = PhysicalUid::new("films");
    assert_eq!(bench.view.load().behind.of(&films, &NodeId::new("b")), Some(Lack::Documents));
    nodes[1].plan(FaultPlan::default());
    bench.until_all_is_done().await;
    assert_eq!(nodes[1].ids("films"), ["0", "1", "2", "3"]);
}

/// What stands in the store of the process's tasks, and what its view shows.
async fn compare(ground: &Ground, process: &Process) -> (bool, BTreeSet<&'static str>) {
    let view = process.view.load();
    let ended = async |task| {
        let task = ground.store.task(TaskUid(task)).await.unwrap();
        task.is_some_and(|task| task.status == TaskStatus::Succeeded)
    };
    let (films, physical) = (view.index(&IndexUid::new("films")), PhysicalUid::new("films"));
    let stored = ground.store.settings_versions().await.unwrap().committed(&physical);
    let shown = view.settings.committed(&physical);
    let is_changed = films.is_some_and(|entry| entry.settings.get("stopWords").is_some());
    assert!(films.is_some() || !ended(0).await, "it has succeeded, and nobody sees the index");
    assert!(is_changed || !ended(1).await, "it has succeeded, and nobody sees the settings");
    assert!(shown <= stored, "a version was seen that is not stored: {shown:?} and {stored:?}");
    let mut seen = BTreeSet::new();
    if films.is_some() && !ended(0).await {
        seen.insert("an index before its task has ended");
    }
    if is_changed && !ended(1).await {
        seen.insert("settings before their task has ended");
    }
    if stored > shown {
        seen.insert("a version that is stored and not shown");
    }
    (ended(1).await, seen)
}

/// Stops a process at each step in turn, until one takes all of them, and compares. Adds to what was seen.
async fn look_at_each_step(seen: &mut BTreeSet<&'static str>) {
    for stop in (0..MOST).flat_map(|number| [Stop::Before(number), Stop::After(number)]) {
        let ground = Ground::new(&fakes(["a", "b"]), 2);
        let tripwire = Arc::new(Tripwire::new(Steps::OfStore, stop));
        let process = tokio::select! {
            process = ground.start(&tripwire) => process,
            () = tripwire.cut() => continue,
        };
        let work = async {
            process.create("films").await;
            process.change_settings("films", json!({ "stopWords": ["a"] })).await;
            while all_tasks(&process).await.iter().any(|task| !task.status.is_finished()) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let is_whole = tokio::select! {
            () = work => true,
            () = tripwire.cut() => false,
        };
        ground.come_to_rest().await;
        let (is_over, news) = compare(&ground, &process).await;
        seen.extend(news);
        if is_whole {
            assert!(is_over);
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_learns_that_a_task_has_succeeded_sees_its_effect_and_no_version_that_is_seen_is_not_stored()
{
    let expected = [
        "a version that is stored and not shown",
        "an index before its task has ended",
        "settings before their task has ended",
    ];
    let (expected, mut seen) = (expected.into(), BTreeSet::new());
    // Steps that are stored together in one run may be two in the next.
    for _ in 0..WALKS {
        look_at_each_step(&mut seen).await;
        if seen == expected {
            return;
        }
    }
    assert_eq!(seen, expected, "the order in which things become true");
}
