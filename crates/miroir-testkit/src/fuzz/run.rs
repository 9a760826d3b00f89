//! Sends the requests of some seeds to both servers, one after the other, and waits for each task, so that both are in
//! the same state before the next.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::judge::{Fault, Finding, judge_reply, judge_task};
use super::request::{Authorization, Request};
use crate::client::{Client, Reply, Target};
use crate::oracle::Dice;

/// How long a task may take.
const TASK_PATIENCE: Duration = Duration::from_mins(1);

/// The status of no answer: worse than any.
const NO_ANSWER: u16 = 999;

/// What to compare.
#[derive(Debug, Clone)]
pub struct Options {
    /// The one server.
    pub expected: Target,
    /// Miroir.
    pub actual: Target,
    /// Seed of the requests.
    pub seed: u64,
    /// How many.
    pub requests: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests sent.
    pub sent: usize,
    /// Requests that the one server accepted.
    pub accepted: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// What is wrong in these ways.
    pub fn of(&self, faults: &[Fault]) -> Vec<String> {
        self.findings
            .iter()
            .filter(|finding| faults.contains(&finding.fault))
            .map(ToString::to_string)
            .collect()
    }
}

/// Sends the requests of one seed.
pub async fn run(options: &Options) -> Result<Report> {
    let sides = [Client::new(options.expected.clone())?, Client::new(options.actual.clone())?];
    for side in &sides {
        prepare(side).await.context("preparing a server")?;
    }
    let mut dice = Dice::new(options.seed);
    let mut report = Report::default();
    for number in 0..options.requests {
        let request = Request::any(&mut dice);
        let expected = send(&sides[0], &request).await?;
        let actual = send(&sides[1], &request).await?;
        report.sent += 1;
        report.accepted += usize::from(expected.status < 300);
        let place = (options.seed, number);
        let finding = |fault, answers| Finding { fault, place, request: Some(request.clone()), answers };
        if let Some(fault) = judge_reply(&request, &expected, &actual) {
            let answers = [&expected, &actual].map(|reply| format!("{} {}", reply.status, reply.text));
            report.findings.push(finding(fault, answers));
        }
        let tasks = [end(&sides[0], &expected).await?, end(&sides[1], &actual).await?];
        if let [Some(expected), Some(actual)] = &tasks
            && let Some(fault) = judge_task(expected, actual)
        {
            report.findings.push(finding(fault, [expected, actual].map(ToString::to_string)));
        }
    }
    Ok(report)
}

/// Two indexes with a few documents, whatever was there before.
async fn prepare(side: &Client) -> Result<()> {
    for uid in ["films", "people", "other"] {
        let reply = side.delete(&format!("/indexes/{uid}")).await?;
        side.wait_reply(reply).await?;
    }
    let settings = json!({
        "filterableAttributes": ["genre", "price", "id"], "sortableAttributes": ["price"],
        "embedders": { "e": { "source": "userProvided", "dimensions": 2 } },
    });
    let reply = side.patch("/indexes/films/settings", &settings).await?;
    side.wait_reply(reply).await?;
    let film = |id: usize| {
        let genre = if id.is_multiple_of(2) { "drama" } else { "comedy" };
        let title = format!("film {id} seven");
        json!({ "id": id, "title": title, "genre": genre, "price": id, "_vectors": { "e": [0.1, id] } })
    };
    let films: Vec<_> = (0..12).map(film).collect();
    let people = json!([{ "id": 1, "name": "x" }, { "id": 2, "name": "y" }]);
    for (uid, documents) in [("films", json!(films)), ("people", people)] {
        let reply = side.post(&format!("/indexes/{uid}/documents"), &documents).await?;
        side.wait_reply(reply).await?;
    }
    Ok(())
}

/// A server that gives no answer, twice, is taken to say [`NO_ANSWER`].
async fn send(side: &Client, request: &Request) -> Result<Reply> {
    let side = match request.authorization {
        Authorization::Master => side.clone(),
        Authorization::None | Authorization::Header(_) => side.with_key(""),
    };
    let header = match request.authorization {
        Authorization::Header(header) => Some(header),
        _ => None,
    };
    let method = Method::from_bytes(request.method.as_bytes())?;
    let send = async || {
        let body = request.body.clone();
        side.send_any(method.clone(), &request.path, request.content_type, header, body).await
    };
    // A connection on which the body of a refused request was not read is closed, at times under the next request.
    let answered = match send().await {
        Ok(reply) => Ok(reply),
        Err(_) => send().await,
    };
    Ok(answered.unwrap_or_else(|error| Reply {
        status: NO_ANSWER,
        headers: HeaderMap::new(),
        text: format!("{error:#}"),
        body: serde_json::Value::Null,
    }))
}

/// The end of the task that an answer announces, if it does.
async fn end(side: &Client, reply: &Reply) -> Result<Option<serde_json::Value>> {
    match reply.body["taskUid"].as_u64() {
        Some(uid) if reply.status < 300 => Ok(Some(side.wait_task_within(uid, TASK_PATIENCE).await?)),
        _ => Ok(None),
    }
}
