//! Sending bodies to a server and waiting until it has taken them in.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;

/// Sends the bodies that `next` makes, so many requests at a time; answers how long it took until the last of their tasks
/// had ended.
pub(super) async fn feed(
    client: &Client,
    index: &str,
    next: impl FnMut() -> Option<Vec<u8>>,
    at_a_time: usize,
    patience: Duration,
) -> Result<Duration> {
    let next = Mutex::new(next);
    let began = Instant::now();
    let sent = try_join_all((0..at_a_time).map(|_| send_all(client, index, &next))).await?;
    for task in sent.into_iter().flatten().rev() {
        let left = patience.saturating_sub(began.elapsed());
        let task = client.wait_task_within(task, left).await?;
        ensure!(task["status"] == "succeeded", "{task}");
    }
    Ok(began.elapsed())
}

async fn send_all(
    client: &Client,
    index: &str,
    next: &Mutex<impl FnMut() -> Option<Vec<u8>>>,
) -> Result<Vec<u64>> {
    let path = format!("/indexes/{index}/documents?primaryKey=id");
    let next = || (next.lock().unwrap_or_else(PoisonError::into_inner))();
    let mut tasks = Vec::new();
    while let Some(body) = next() {
        let reply = client.send_raw(Method::POST, &path, Some("application/json"), body).await?.success()?;
        tasks.push(reply["taskUid"].as_u64().with_context(|| format!("no taskUid in {reply}"))?);
    }
    Ok(tasks)
}

/// Makes an index with these settings.
pub(super) async fn make_index(client: &Client, index: &str, settings: &Value) -> Result<()> {
    let made = client.post("/indexes", &json!({"uid": index, "primaryKey": "id"})).await?;
    let set = client.patch(&format!("/indexes/{index}/settings"), settings).await?;
    for reply in [made, set] {
        let task = client.wait_reply(reply).await?;
        ensure!(task["status"] == "succeeded", "{task}");
    }
    Ok(())
}

/// An error if the index does not hold so many documents.
pub(super) async fn check_count(client: &Client, index: &str, expected: usize) -> Result<()> {
    let stats = client.get(&format!("/indexes/{index}/stats")).await?.success()?;
    ensure!(stats["numberOfDocuments"] == expected, "{expected} documents were sent: {stats}");
    Ok(())
}
