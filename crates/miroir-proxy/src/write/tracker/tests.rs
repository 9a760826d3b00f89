use std::collections::BTreeMap;

use miroir_core::ids::TaskUid;
use miroir_core::task::SyncState;
use serde_json::json;
use tokio::time::timeout_at;

use super::*;
use crate::node_api::NodeRequest;
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};

/// How long the node takes for a task.
const PER_TASK: Duration = Duration::from_millis(100);

/// A node with so many tasks in its queue, and a tracker that watches them.
async fn tracked(tasks: u64, has_peers: bool) -> (FakeNode, mpsc::Receiver<Event>) {
    let fake = FakeNode::new("a");
    fake.take_time(PER_TASK);
    let node = fake.node();
    let mut open = BTreeMap::new();
    for number in 0..tasks {
        let body = json!({ "id": number }).to_string();
        let add = NodeRequest::post("/indexes/films/documents").body("application/x-ndjson", body);
        node.send(add, PER_TASK).await.unwrap();
        open.insert(number, Watched { node_task: number, task: TaskUid(10 + number), op: 0 });
    }
    let (events, told) = mpsc::channel(100);
    let membership = Arc::new(Membership::of(vec![node.clone()], SyncState::InSync, Arc::default()));
    let tracker = Tracker { node, timeout: Duration::from_secs(5), events, open, has_peers, membership };
    tokio::spawn(async move {
        // Watches for as long as the test runs.
        let (_more, watched) = mpsc::channel(1);
        tracker.run(watched).await;
    });
    (fake, told)
}

/// What is told within a minute of the test's time; that the node works is left out.
async fn told(mut events: mpsc::Receiver<Event>) -> Vec<String> {
    let mut told = Vec::new();
    let end = Instant::now() + Duration::from_mins(1);
    while let Ok(Some(event)) = timeout_at(end, events.recv()).await {
        match event {
            Event::Ended { task, result, .. } => told.push(format!("{task}: {result:?}")),
            Event::Working { .. } => {}
            other => told.push(format!("{other:?}")),
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn each_end_is_told_once_whatever_is_lost_on_the_way() {
    for faults in [
        FaultPlan::default(),
        FaultPlan::default().then(Fault::Unreachable).then(Fault::LoseAnswer).then(Fault::LoseRequest),
        FaultPlan::default().then(Fault::Delay(Duration::from_mins(1))),
    ] {
        let (fake, events) = tracked(3, true).await;
        fake.plan(faults.clone());
        let mut told = told(events).await;
        told.sort_unstable();
        let ended = |task: u64| format!("{}: Done {{ deleted: None }}", TaskUid(task));
        assert_eq!(told, [ended(10), ended(11), ended(12)], "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_deleted_on_the_node_is_a_loss_unless_nobody_else_has_its_documents() {
    for has_peers in [true, false] {
        let (fake, events) = tracked(2, has_peers).await;
        // Between two questions: nobody has seen how they ended.
        fake.plan(FaultPlan::default().then(Fault::Unreachable));
        sleep(PER_TASK * 3).await;
        fake.delete_tasks();
        let told = told(events).await;
        if has_peers {
            assert!(!told.is_empty() && told.iter().all(|event| event.starts_with("Lost")), "{told:?}");
        } else {
            assert_eq!(told.len(), 2, "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_with_a_long_queue_is_asked_about_several_tasks_at_a_time() {
    let (fake, events) = tracked(400, true).await;
    assert_eq!(told(events).await.len(), 400);
    let questions = fake.seen().iter().filter(|request| *request == "GET /tasks").count();
    // They take forty seconds together.
    assert!((1..=40 * 30).contains(&questions), "{questions} questions");
}
