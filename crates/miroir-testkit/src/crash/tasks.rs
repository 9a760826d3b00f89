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

/// How many tasks are open; none when Miroir does not say.
pub(super) async fn open_tasks(client: &Client) -> Option<u64> {
    let list = client.get("/tasks?statuses=enqueued,processing&limit=1").await.ok()?;
    list.body["total"].as_u64()
}

/// Waits until no task is open. Slow nodes may take as long as they like, as long as tasks end: that none does for
/// `patience` is an error.
pub(super) async fn wait_until_ended(client: &Client, patience: Duration) -> Result<()> {
    let (mut fewest, mut since) = (u64::MAX, Instant::now());
    loop {
        match open_tasks(client).await {
            Some(0) => return Ok(()),
            Some(open) if open < fewest => (fewest, since) = (open, Instant::now()),
            _ => {}
        }
        if since.elapsed() > patience {
            let open = client.get("/tasks?statuses=enqueued,processing&limit=3&reverse=true").await?;
            bail!("tasks are stuck: {}", open.text);
        }
        tokio::time::sleep(POLL).await;
    }
}
