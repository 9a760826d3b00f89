//! Clients that write without a pause to look, and keep a journal of what they were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::hang::Timing;
use super::tasks::open_tasks;
use super::write::{Act, Write};
use crate::client::Client;
use crate::oracle::Dice;

/// Shortest and longest time between two writes of a client, in milliseconds.
const THINK_MS: (usize, usize) = (1, 40);
/// Before the next try of a client that got no answer.
const AFTER_LOSS: Duration = Duration::from_millis(25);

/// Open tasks beyond which clients wait, so that slow nodes are not left with hours of work.
const BACKLOG: u64 = 300;

/// How clients write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One write after the other, of all kinds.
    Fast,
    /// Changes of documents, with time between them.
    Slow,
    /// The same, and each is waited for.
    Waiting,
}

/// Shortest and longest time between two writes of a slow client, in milliseconds.
const SLOW_THINK_MS: (usize, usize) = (100, 400);

/// How a write was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// 202 with this number.
    Accepted(u64),
    /// An error.
    Refused { status: u16, text: String },
    /// None: the write may or may not have been accepted.
    Lost,
}

/// What one client did, in its order.
pub(super) type Journal = Vec<(Write, Answer)>;

/// Clients at work.
pub(super) struct Traffic {
    clients: JoinSet<(Journal, Vec<Timing>)>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    pub(super) fn start(client: &Client, clients: usize, seed: u64, pace: Pace) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let dice = Dice::new(seed.wrapping_mul(1_000).wrapping_add(number as u64 + 1));
            tasks.spawn(work(client.clone(), number, dice, pace, Arc::clone(&stop)));
        }
        Self { clients: tasks, stop }
    }

    /// Lets the clients finish their last write.
    pub(super) async fn stop(mut self) -> Result<(Vec<Journal>, Vec<Timing>)> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut journals, mut timings) = (Vec::new(), Vec::new());
        while let Some(done) = self.clients.join_next().await {
            let (journal, timed) = done.context("a client has panicked")?;
            journals.push(journal);
            timings.extend(timed);
        }
        Ok((journals, timings))
    }
}

async fn work(
    client: Client,
    number: usize,
    mut dice: Dice,
    pace: Pace,
    stop: Arc<AtomicBool>,
) -> (Journal, Vec<Timing>) {
    let (mut journal, mut timings) = (Journal::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let tag = format!("c{number}-{}", journal.len());
        let write = match pace {
            Pace::Fast => Write::throw(&mut dice, tag),
            Pace::Slow | Pace::Waiting => Write::throw_documents(&mut dice, &tag),
        };
        let began = Instant::now();
        let answer = send(&client, &write).await;
        if let (Pace::Waiting, Answer::Accepted(uid)) = (pace, &answer)
            && client.wait_task(*uid).await.is_ok()
        {
            timings.push(Timing { began, took: began.elapsed() });
        }
        if answer == Answer::Lost {
            tokio::time::sleep(AFTER_LOSS).await;
        }
        journal.push((write, answer));
        while !stop.load(Ordering::Relaxed) && open_tasks(&client).await.is_some_and(|open| open > BACKLOG) {
            tokio::time::sleep(AFTER_LOSS).await;
        }
        let (shortest, longest) = if pace == Pace::Fast { THINK_MS } else { SLOW_THINK_MS };
        let think = dice.between(shortest, longest);
        tokio::time::sleep(Duration::from_millis(think as u64)).await;
    }
    (journal, timings)
}

async fn send(client: &Client, write: &Write) -> Answer {
    let (method, path, body) = write.request();
    let content_type =
        (!body.is_empty() || matches!(write.act, Act::Malformed)).then_some("application/json");
    // No answer is one of the answers this test is about.
    let Ok(reply) = client.send_raw(method, &path, content_type, body).await else { return Answer::Lost };
    match (reply.status, reply.body["taskUid"].as_u64()) {
        (202, Some(uid)) => Answer::Accepted(uid),
        (status, _) => Answer::Refused { status, text: reply.text },
    }
}
