//! Changes of settings on their way through the nodes: wave after wave, back, and over crashes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, TaskUid};
use miroir_core::settings::{NodeStage, Strategy};
use miroir_core::task::TaskStatus;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use super::process::Ground;
use super::scatter::Searcher;
use super::tripwire::{Steps, Stop, Tripwire};
use crate::node_api::fake::FakeNode;

/// More steps than a change of settings has.
const MOST: u64 = 200;

/// What a node takes for a task, where it matters.
const LONG: Duration = Duration::from_secs(2);

/// Three nodes with an index, two of which keep each shard: each is a wave of its own.
pub(super) async fn filled(nodes: &[FakeNode], strategy: Strategy) -> Bench {
    let mut ground = Ground::new(nodes, 2);
    ground.settings.strategy = strategy;
    let bench = Bench::on(ground).await;
    bench.succeeds(bench.add("films", 0..40).await).await;
    bench.until_all_is_done().await;
    bench
}

pub(super) fn words(nodes: &[FakeNode]) -> Vec<Value> {
    nodes.iter().map(|node| node.setting("films", "stopWords").unwrap()).collect()
}

/// Where a change stands on each node, in a word.
fn stages(bench: &Bench, task: TaskUid) -> Option<String> {
    let broadcast = bench.writer.broadcasts().broadcast(task)?;
    let word = |stage: &NodeStage| match stage {
        NodeStage::Waiting => "waiting",
        NodeStage::Proposed => "proposed",
        NodeStage::Applied { .. } => "applied",
        NodeStage::Verified => "verified",
        NodeStage::Differs { .. } => "differs",
        NodeStage::Refused => "refused",
        NodeStage::Skipped => "skipped",
    };
    Some(broadcast.nodes.values().map(word).collect::<Vec<_>>().join(" "))
}

/// All that is seen of a change until its task is over.
async fn watch(bench: &Bench, task: TaskUid, mut look: impl AsyncFnMut(&str)) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        if let Some(now) = stages(bench, task)
            && seen.last() != Some(&now)
        {
            seen.push(now);
        }
        look(seen.last().map_or("", String::as_str)).await;
        if bench.task(task).await.status.is_finished() {
            return seen;
        }
        sleep(LONG / 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_from_wave_to_wave_and_each_search_is_answered_with_old_or_new_settings_only() {
    for strategy in [Strategy::TwoPhase, Strategy::Sequential] {
        let nodes = fakes(["a", "b", "c"]);
        let bench = filled(&nodes, strategy).await;
        let searcher = Searcher::new(&bench);
        for node in &nodes {
            node.take_time(LONG);
        }
        let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
        let mut answered = Vec::new();
        let seen = watch(&bench, task, async |stages| {
            let asked = searcher.ask("films").await;
            assert_eq!(asked.hits, Ok(40), "while the change is {stages}");
            let has_new = |node: &String| {
                let node = nodes.iter().find(|fake| fake.node().id().as_str() == node).unwrap();
                node.setting("films", "stopWords") == Some(json!(["a"]))
            };
            let settings: BTreeSet<bool> = asked.nodes.iter().map(has_new).collect();
            assert_eq!(
                (settings.len(), asked.is_uniform),
                (1, true),
                "{:?} while it is {stages}",
                asked.nodes
            );
            answered.extend(settings);
        })
        .await;
        let waves = ["proposed waiting waiting", "verified proposed waiting", "verified verified proposed"];
        let found: Vec<&String> = seen.iter().filter(|stages| waves.contains(&stages.as_str())).collect();
        assert_eq!(found, waves, "{strategy:?}: {seen:?}");
        let changing =
            |stages: &str| stages.split(' ').filter(|it| matches!(*it, "proposed" | "applied")).count();
        assert!(seen.iter().all(|stages| changing(stages) <= 1), "{strategy:?}: {seen:?}");
        assert!(
            answered.is_sorted() && answered.contains(&true),
            "never old ones after new ones: {answered:?}"
        );
        bench.succeeds(task).await;
        assert_eq!(words(&nodes), vec![json!(["a"]); 3]);
        let view = bench.view.load();
        let entry = view.index(&IndexUid::new("films")).unwrap();
        assert_eq!(view.settings.committed(&entry.physical).map(|version| version.0), Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_copy_of_a_shard_takes_is_taken_back_from_those_that_took_it() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::TwoPhase).await;
    bench.succeeds(bench.change_settings("films", json!({ "stopWords": ["old"] })).await).await;
    for node in &nodes[1..] {
        node.refuse_setting("stopWords", json!(["new"]), "invalid_settings_stop_words", "not this one");
    }
    let task = bench.change_settings("films", json!({ "stopWords": ["new"] })).await;
    let (code, message) = bench.fails(task).await;
    assert_eq!((code.as_str(), message.as_str()), ("invalid_settings_stop_words", "not this one"));
    assert_eq!(words(&nodes), vec![json!(["old"]); 3]);
    bench.until_all_is_done().await;
    bench.succeeds(bench.change_settings("films", json!({ "stopWords": ["next"] })).await).await;
    assert_eq!(words(&nodes), vec![json!(["next"]); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_alone_refuses_a_change_is_made_like_the_others() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::TwoPhase).await;
    nodes[2].fail_next("settingsUpdate", "internal", "the disk is full");
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    bench.succeeds(task).await;
    bench.until("it is like the others", || words(&nodes) == vec![json!(["a"]); 3]).await;
    bench.until_all_is_done().await;
    assert_eq!(words(&nodes), vec![json!(["a"]); 3]);
}

#[tokio::test(start_paused = true)]
async fn in_sequence_one_refusal_is_enough_and_nodes_that_waited_never_hear_of_the_change() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::Sequential).await;
    nodes[1].refuse_setting("stopWords", json!(["a"]), "invalid_settings_stop_words", "not this one");
    let changes = |node: &FakeNode| node.tasks().iter().filter(|task| task.1 == "settingsUpdate").count();
    let before = changes(&nodes[2]);
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    assert_eq!(bench.fails(task).await.0, "invalid_settings_stop_words");
    assert_eq!((words(&nodes), changes(&nodes[2])), (vec![json!([]); 3], before));
    bench.until_all_is_done().await;
    assert_eq!(changes(&nodes[2]), before);
    bench.succeeds(bench.add("films", 40..50).await).await;
}

/// A change over a process that stops where the wire says, and another one.
async fn cross(strategy: Strategy, is_refused: bool, tripwire: Tripwire) -> bool {
    let what = format!("{strategy:?}, refused: {is_refused}, {tripwire:?}");
    let nodes = fakes(["a", "b", "c"]);
    let ground = filled(&nodes, strategy).await.crash().await;
    if is_refused {
        for node in &nodes[1..] {
            node.refuse_setting("stopWords", json!(["a"]), "invalid_settings_stop_words", "not this one");
        }
    }
    let tripwire = Arc::new(tripwire);
    let change = async |process: &super::process::Process| {
        if process.writer.task(TaskUid(1)).await.unwrap().is_none() {
            process.change_settings("films", json!({ "stopWords": ["a"] })).await;
        }
        while !process.writer.task(TaskUid(1)).await.unwrap().unwrap().status.is_finished() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let first = async {
        let process = ground.start(&tripwire).await;
        change(&process).await;
        process.crash().await;
    };
    let is_whole = tokio::select! {
        () = first => true,
        () = tripwire.cut() => false,
    };
    ground.come_to_rest().await;
    let bench = Bench::on(ground).await;
    change(&bench).await;
    let (status, word) =
        if is_refused { (TaskStatus::Failed, json!([])) } else { (TaskStatus::Succeeded, json!(["a"])) };
    assert_eq!(bench.task(TaskUid(1)).await.status, status, "{what}");
    bench.until_all_is_done().await;
    assert_eq!(words(&nodes), vec![word; 3], "{what}");
    let view = bench.view.load();
    let versions = view.settings.indexes.get(&view.index(&IndexUid::new("films")).unwrap().physical);
    let trusted = |node: &str| versions.is_some_and(|it| it.nodes.contains_key(&NodeId::new(node)));
    if !is_refused {
        assert_eq!(["a", "b", "c"].map(trusted), [true; 3], "{what}: {versions:?}");
    }
    is_whole
}

async fn walk(strategy: Strategy, is_refused: bool, steps: Steps) -> u64 {
    for number in 0..MOST {
        let before = cross(strategy, is_refused, Tripwire::new(steps, Stop::Before(number))).await;
        let after = cross(strategy, is_refused, Tripwire::new(steps, Stop::After(number))).await;
        if before && after {
            return number;
        }
    }
    panic!("the change does not come to its end in {MOST} steps");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_change_in_waves_leaves_all_nodes_with_the_new_settings() {
    let steps = [Steps::OfStore, Steps::OfNodes];
    for steps in steps {
        assert!(walk(Strategy::TwoPhase, false, steps).await > 5, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_change_in_sequence_leaves_all_nodes_with_the_new_settings() {
    for steps in [Steps::OfStore, Steps::OfNodes] {
        assert!(walk(Strategy::Sequential, false, steps).await > 5, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_change_that_is_refused_leaves_all_nodes_with_the_old_settings() {
    for strategy in [Strategy::TwoPhase, Strategy::Sequential] {
        for steps in [Steps::OfStore, Steps::OfNodes] {
            assert!(walk(strategy, true, steps).await > 5, "{steps:?}");
        }
    }
}
