//! Miroir's task list, whole.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::client::Client;

const PAGE: usize = 1000;
const POLL: Duration = Duration::from_millis(100);

/// A task, as far as this test looks at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) uid: u64,
    pub(super) index: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) tag: Option<String>,
    pub(super) error: Value,
}

/// All tasks, the oldest first.
pub(super) async fn all_tasks(client: &Client) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let mut from = 0;
    loop {
        let path = format!("/tasks?reverse=true&limit={PAGE}&from={from}");
        let page = client.get(&path).await?.success().context("cannot list the tasks")?;
        let results = page["results"].as_array().context("a task list without results")?;
        tasks.extend(results.iter().filter_map(read));
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return Ok(tasks),
        }
    }
}

fn read(task: &Value) -> Option<Task> {
    let text = |name: &str| task[name].as_str().map(str::to_owned);
    Some(Task {
        uid: task["uid"].as_u64()?,
        index: text("indexUid").unwrap_or_default(),
        kind: text("type")?,
        status: text("status")?,
        tag: text("customMetadata"),
        error: task["error"].clone(),
    })
}

/// Waits until no task is open.
pub(super) async fn wait_until_ended(client: &Client, deadline: Duration) -> Result<()> {
    let end = Instant::now() + deadline;
    loop {
        let open = client.get("/tasks?statuses=enqueued,processing&limit=3").await?.success()?;
        if open["total"] == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("tasks are stuck: {open}");
        }
        tokio::time::sleep(POLL).await;
    }
}
