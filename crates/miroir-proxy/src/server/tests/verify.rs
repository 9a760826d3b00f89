//! Nodes that are read back: what they say counts, and not that their tasks have succeeded.

use std::time::Duration;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, SettingsVersion};
use miroir_core::settings::{Phase, Strategy};
use miroir_core::task::TaskStatus;
use serde_json::json;
use tokio::time::sleep;

use super::bench::{Bench, fakes};
use super::rollout::{filled, words};
use crate::node_api::fake::{Fault, FaultPlan};
use crate::write::{NewWrite, WriteError};

const READ_BACK: &str = "GET /indexes/films/settings";

/// The version that each node was verified to have.
fn versions(bench: &Bench) -> Vec<Option<u64>> {
    let view = bench.view.load();
    let versions = view.settings.indexes.get(&PhysicalUid::new("films")).cloned().unwrap_or_default();
    ["a", "b", "c"].map(|node| versions.nodes.get(&NodeId::new(node)).map(|SettingsVersion(it)| *it)).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_read_back_that_is_lost_is_asked_for_again() {
    let slow = Fault::Delay(Duration::from_secs(20));
    for fault in [Fault::LoseAnswer, Fault::LoseRequest, Fault::Unreachable, slow] {
        let nodes = fakes(["a", "b", "c"]);
        let bench = filled(&nodes, Strategy::TwoPhase).await;
        let plan = FaultPlan::default().then_on(READ_BACK, fault.clone()).then_on(READ_BACK, fault.clone());
        nodes[1].plan(plan);
        let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
        bench.succeeds(task).await;
        assert_eq!(words(&nodes), vec![json!(["a"]); 3], "{fault:?}");
        bench.until("all are verified", || versions(&bench) == vec![Some(1); 3]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_away_when_it_would_be_read_back_is_read_back_when_it_returns() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::TwoPhase).await;
    nodes[2].plan(FaultPlan::away());
    bench.until("it is known to be away", || bench.view.load().usable.len() == 2).await;
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    bench.succeeds(task).await;
    assert_eq!(
        (words(&nodes), versions(&bench)),
        (vec![json!(["a"]), json!(["a"]), json!([])], vec![Some(1), Some(1), None])
    );
    nodes[2].plan(FaultPlan::default());
    bench.until("it is verified too", || versions(&bench) == vec![Some(1); 3]).await;
    assert_eq!(words(&nodes), vec![json!(["a"]); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_did_not_do_what_its_task_says_is_sent_its_settings_again() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::TwoPhase).await;
    nodes[1].hold_setting("stopWords", true);
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    let sent = || nodes[1].tasks().iter().filter(|task| task.1 == "settingsUpdate").count();
    bench.until("it was sent them again", || sent() == 3).await;
    nodes[1].hold_setting("stopWords", false);
    bench.succeeds(task).await;
    assert_eq!((words(&nodes), versions(&bench)), (vec![json!(["a"]); 3], vec![Some(1); 3]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_differs_whatever_is_sent_freezes_the_index_until_the_operator_has_it_tried_again() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::TwoPhase).await;
    nodes[1].hold_setting("stopWords", true);
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    let is_frozen = |bench: &Bench| {
        bench.writer.broadcasts().broadcast(task).is_some_and(|broadcast| broadcast.phase == Phase::Frozen)
    };
    bench.until("the index is frozen", || is_frozen(&bench)).await;
    let write = NewWrite {
        index: IndexUid::new("films"),
        mutation: miroir_core::task::Mutation::DeleteIndex,
        payload: miroir_core::document::Payload::default(),
        custom_metadata: None,
    };
    let refused = bench.writer.append(write).await;
    assert!(matches!(refused, Err(WriteError::Frozen(_))), "{refused:?}");
    bench.succeeds(bench.add("books", 0..3).await).await;
    // It is frozen in the next process too.
    let bench = bench.restart().await;
    bench.until("the index is frozen", || is_frozen(&bench)).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(bench.task(task).await.status, TaskStatus::Processing, "nobody has asked for another try");
    assert!(bench.writer.broadcasts().ask_for_retry(&PhysicalUid::new("films")));
    bench.until("it is tried again", || !is_frozen(&bench)).await;
    bench.until("and is frozen again", || is_frozen(&bench)).await;
    nodes[1].hold_setting("stopWords", false);
    assert!(bench.writer.broadcasts().ask_for_retry(&PhysicalUid::new("films")));
    bench.succeeds(task).await;
    assert_eq!((words(&nodes), versions(&bench)), (vec![json!(["a"]); 3], vec![Some(1); 3]));
    bench.succeeds(bench.add("films", 10..12).await).await;
}

#[tokio::test(start_paused = true)]
async fn in_sequence_a_node_that_differs_whatever_is_sent_leads_all_of_them_back() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes, Strategy::Sequential).await;
    nodes[1].hold_setting("stopWords", true);
    let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
    let (_, message) = bench.fails(task).await;
    assert!(message.contains("node `b` differs in `stopWords`"), "{message}");
    assert_eq!(words(&nodes), vec![json!([]); 3]);
    bench.succeeds(bench.add("films", 10..12).await).await;
}
