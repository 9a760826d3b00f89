//! What a client does in a walk over crash points, and what has to come of it wherever the process stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use miroir_core::ids::TaskUid;
use miroir_core::task::{Task, TaskFilter, TaskPage};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::process::{Ground, Process};
use super::tripwire::Tripwire;
use crate::node_api::fake::FakeNode;

/// So many writes the client makes.
const WRITES: u64 = 10;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Longer than the script takes, by the test's own time.
const ENDLESS: Duration = Duration::from_mins(30);

/// What there is in the end.
#[derive(Debug)]
pub(super) struct End {
    /// Line by line: each node's indexes with their settings and documents; how often each node did each kind of task to
    /// each index; the tasks that the client sees, and how they ended.
    pub(super) lines: BTreeSet<String>,
    /// How often nodes changed settings. A change that the node's queue can't tell from a repair is sent again.
    pub(super) settings: usize,
}

/// Makes the client's write of this number.
async fn write(process: &Process, number: u64) -> TaskUid {
    match number {
        0 => process.create("films").await,
        1 => process.add("films", 0..12).await,
        2 => process.change_settings("films", json!({ "stopWords": ["a"] })).await,
        3 => process.delete_ids("films", 2..5).await,
        4 => process.add("books", 20..28).await,
        5 => process.swap("films", "books").await,
        6 => process.add("films", 28..32).await,
        7 => process.add("songs", 0..4).await,
        8 => process.drop_index("songs").await,
        _ => process.delete_ids("books", 9..10).await,
    }
}

/// The client makes the writes that the log does not have yet, and waits until all are over everywhere. It hears of none
/// twice, and of none of which it heard that it is no more.
async fn live(ground: &Ground, tripwire: &Arc<Tripwire>, heard: &mut u64) -> Process {
    let process = ground.start(tripwire).await;
    let accepted = all_tasks(&process).await.len() as u64;
    assert!(accepted >= *heard, "{heard} writes were accepted, and the log has {accepted}");
    for number in accepted..WRITES {
        assert_eq!(write(&process, number).await, TaskUid(number), "the numbers of tasks have no gaps");
        *heard = number + 1;
    }
    while !all_tasks(&process).await.iter().all(|task| task.status.is_finished()) || !process.is_done().await
    {
        sleep(LOOK).await;
    }
    process
}

/// Plays the script with one process after the other, each of which stops where its wire says, and with a last one that
/// does not stop. The answer says how many of them came to the end of the script before that, and what there is then.
pub(super) async fn play(ground: Ground, wires: impl IntoIterator<Item = Tripwire>) -> (usize, End) {
    let (mut heard, mut whole) = (0, 0);
    for tripwire in wires.into_iter().map(Arc::new) {
        tokio::select! {
            process = live(&ground, &tripwire, &mut heard) => {
                whole += 1;
                process.crash().await;
            }
            () = tripwire.cut() => {}
        }
        ground.come_to_rest().await;
    }
    let tripwire = Arc::new(Tripwire::none());
    let last = timeout(ENDLESS, live(&ground, &tripwire, &mut heard)).await;
    let process = last.unwrap_or_else(|_| panic!("the script does not end: {ground:?}"));
    (whole, look(&ground, &process).await)
}

/// Every task of the log, in order.
pub(super) async fn all_tasks(process: &Process) -> Vec<Task> {
    let page = TaskPage { limit: u32::MAX, ..TaskPage::default() };
    let mut tasks = process.writer.tasks(TaskFilter::default(), page).await.unwrap().results;
    tasks.sort_by_key(|task| task.uid);
    tasks
}

async fn look(ground: &Ground, process: &Process) -> End {
    let tasks = all_tasks(process).await;
    check_order(&tasks);
    let name = |task: &Task| task.index_uid.as_ref().map_or("-", |uid| uid.as_str()).to_owned();
    let shown = tasks.iter().map(|it| format!("{} {:?} {} {:?}", it.uid, it.kind, name(it), it.status));
    let mut end = End { lines: shown.collect(), settings: 0 };
    for fake in &ground.fakes {
        look_at(fake, &mut end);
    }
    end
}

fn look_at(fake: &FakeNode, end: &mut End) {
    let node = fake.node().id().clone();
    let (mut counts, mut marks) = (BTreeMap::new(), BTreeMap::new());
    for (index, kind, status, mark) in fake.tasks() {
        if let Some(mark) = mark {
            *marks.entry(mark).or_insert(0) += 1;
        }
        if kind == "settingsUpdate" {
            end.settings += 1;
            end.lines.insert(format!("{node}: {kind} of {index} {status}"));
        } else {
            *counts.entry((index, kind, status)).or_insert(0) += 1;
        }
    }
    assert!(marks.values().all(|count| *count == 1), "{node} did a request twice: {marks:?}");
    end.lines.extend(counts.into_iter().map(|(of, count)| format!("{node}: {count} times {of:?}")));
    let contents = fake.contents();
    let indexes = contents.as_object().into_iter().flatten();
    end.lines.extend(indexes.map(|(uid, index)| format!("{node}: {uid} is {index}")));
}

/// What was accepted earlier of an index has ended earlier.
pub(super) fn check_order(tasks: &[Task]) {
    let mut last = BTreeMap::new();
    for task in tasks {
        let ended = task.finished_at.expect("all tasks have ended");
        let before = last.insert(task.index_uid.clone(), ended);
        assert!(before.is_none_or(|before| before <= ended), "{} ended before its turn: {tasks:?}", task.uid);
    }
}
