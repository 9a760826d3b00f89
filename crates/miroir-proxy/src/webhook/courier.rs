//! The one who tells. Tasks that ended together go to each webhook in one request: NDJSON, packed with gzip. A receiver
//! that fails gets them again a few times; what it never took is lost to it. Nothing waits for a receiver.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use miroir_core::ids::TaskUid;
use miroir_core::task::{TaskFilter, TaskPage};
use miroir_store::{Collection, Store};
use tokio::sync::{Semaphore, mpsc};

use super::Webhook;
use crate::outward::client;

/// Groups of ended tasks that wait to be told; more are not told.
const WAITING: usize = 1024;

/// Requests to receivers at once.
const AT_ONCE: usize = 32;

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Before each repetition.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16), Duration::from_mins(1)];

/// Where tasks that ended are handed in. Never waits.
#[derive(Debug, Clone)]
pub struct WebhookQueue(mpsc::Sender<Vec<TaskUid>>);

impl WebhookQueue {
    /// These tasks are over, and the store says so.
    pub fn hand_in(&self, tasks: Vec<TaskUid>) {
        if !tasks.is_empty() && self.0.try_send(tasks).is_err() {
            tracing::warn!("webhooks are not told of some finished tasks: too many wait already");
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Courier {
    store: Arc<dyn Store>,
    ended: mpsc::Receiver<Vec<TaskUid>>,
    client: reqwest::Client,
}

impl Courier {
    /// A courier, and where to hand in what it is to tell.
    pub fn new(store: Arc<dyn Store>) -> (WebhookQueue, Self) {
        let (hand_in, ended) = mpsc::channel(WAITING);
        (WebhookQueue(hand_in), Self { store, ended, client: client() })
    }

    /// Tells until the future is dropped; what is under way then is not told.
    pub async fn run(mut self) {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut deliveries = tokio::task::JoinSet::new();
        while let Some(tasks) = self.ended.recv().await {
            while deliveries.try_join_next().is_some() {}
            let webhooks = self.webhooks().await;
            if webhooks.is_empty() {
                continue;
            }
            let Some(body) = self.pack(tasks).await else { continue };
            for (uuid, webhook) in webhooks {
                // The semaphore is never closed.
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let (client, body) = (self.client.clone(), body.clone());
                deliveries.spawn(async move {
                    deliver(&client, &uuid, &webhook, body).await;
                    drop(permit);
                });
            }
        }
    }

    async fn webhooks(&self) -> Vec<(String, Webhook)> {
        match self.store.records(Collection::Webhooks).await {
            Ok(records) => records
                .by_id
                .into_iter()
                .filter_map(|(uuid, webhook)| Some((uuid, serde_json::from_value(webhook).ok()?)))
                .collect(),
            Err(error) => {
                tracing::error!(%error, "the task store does not tell the webhooks; they are not told of some finished tasks");
                Vec::new()
            }
        }
    }

    /// Tasks that were deleted meanwhile are left out.
    async fn pack(&self, tasks: Vec<TaskUid>) -> Option<Bytes> {
        let page = TaskPage { limit: u32::try_from(tasks.len()).ok()?, from: None, reverse: true };
        let found = self.store.tasks(TaskFilter { uids: Some(tasks), ..TaskFilter::default() }, page).await;
        let found =
            found.inspect_err(|error| tracing::error!(%error, "the task store does not tell some finished tasks; webhooks are not told of them")).ok()?;
        if found.results.is_empty() {
            return None;
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        for task in &found.results {
            serde_json::to_writer(&mut packed, task).ok()?;
            packed.write_all(b"\n").ok()?;
        }
        packed.finish().ok().map(Bytes::from)
    }
}

async fn deliver(client: &reqwest::Client, uuid: &str, webhook: &Webhook, body: Bytes) {
    let mut pauses = PAUSES.into_iter();
    loop {
        let mut request = client
            .post(&webhook.url)
            .timeout(TIMEOUT)
            .header(CONTENT_ENCODING, "gzip")
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body.clone());
        for (name, value) in &webhook.headers {
            request = request.header(name, value);
        }
        let refusal = match request.send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => format!("it answered {}", answer.status()),
            Err(error) => error.without_url().to_string(),
        };
        let Some(pause) = pauses.next() else {
            tracing::error!(webhook = uuid, error = %refusal, "webhook did not take the news of some finished tasks, and is not told of them any more; look at its `url`");
            return;
        };
        tracing::warn!(webhook = uuid, error = %refusal, "webhook did not take the news of finished tasks; trying again");
        tokio::time::sleep(pause).await;
    }
}
