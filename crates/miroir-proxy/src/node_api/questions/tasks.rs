//! The queue of a node.

use std::fmt::Display;
use std::time::Duration;

use miroir_core::path::NodePath;
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::{NodeReply, Question, Unanswered, json, number_of_task, results};
use crate::node_api::{Node, NodeRequest};

/// How a task of a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeTaskState {
    /// It has not ended.
    Open,
    /// It was done; its details.
    Succeeded(Map<String, Value>),
    /// It was not: what the node says.
    Failed(String),
    /// Somebody canceled it.
    Canceled,
}

/// Which tasks of a node are asked for.
#[derive(Debug, Clone)]
pub struct TaskQuery(NodePath);

impl TaskQuery {
    /// Those with these numbers, all of them, the newest first.
    pub fn of_numbers<'a>(numbers: impl ExactSizeIterator<Item = &'a u64>) -> Self {
        let limit = numbers.len() as u64;
        let numbers: Vec<String> = numbers.map(u64::to_string).collect();
        Self(Self::newest(limit).0.with("uids", numbers.join(",")))
    }

    /// The newest, so many at most, the newest first.
    pub fn newest(limit: u64) -> Self {
        Self(NodePath::from("/tasks").with("limit", limit))
    }

    /// Those from this number on, so many at most, the oldest first.
    pub fn starting_at(number: u64, limit: u64) -> Self {
        Self(NodePath::from("/tasks?reverse=true").with("from", number).with("limit", limit))
    }

    /// Of these, those about the index.
    #[must_use]
    pub fn of_index(self, index: impl Display) -> Self {
        Self(self.0.with("indexUids", index))
    }

    /// Of these, those of this type, by Meilisearch's name.
    #[must_use]
    pub fn of_type(self, kind: &str) -> Self {
        Self(self.0.with("types", kind))
    }

    /// Of these, those that have not ended.
    #[must_use]
    pub fn open(self) -> Self {
        Self(self.0.with("statuses", "enqueued,processing"))
    }

    /// Of these, those that have ended.
    #[must_use]
    pub fn ended(self) -> Self {
        Self(self.0.with("statuses", "succeeded,failed,canceled"))
    }
}

/// Asks for tasks, each as Meilisearch shows it.
pub fn tasks(query: TaskQuery) -> Question<Vec<Value>> {
    Question::new(NodeRequest::get(query.0), results)
}

/// Tasks in one question about a part of a queue.
pub const TASKS_OF_A_PAGE: u64 = 1_000;

/// Goes through a queue from one number up to another, page by page, the oldest task first. `ask` puts a question to the node
/// and `take` gets each page. Answers the number behind the last task that was there: `to` at least.
///
/// # Errors
/// Those of `ask`.
pub async fn walk_tasks<E, F: Future<Output = Result<Vec<Value>, E>>>(
    (mut from, to): (u64, u64),
    ask: impl Fn(Question<Vec<Value>>) -> F,
    mut take: impl FnMut(Vec<Value>),
) -> Result<u64, E> {
    while from < to {
        let page = ask(tasks(TaskQuery::starting_at(from, TASKS_OF_A_PAGE))).await?;
        let Some(last) = page.last().and_then(|task| task["uid"].as_u64()) else { break };
        take(page);
        from = last + 1;
    }
    Ok(to.max(from))
}

/// Asks for the number that the next task gets.
pub fn next_task() -> Question<u64> {
    Question::new(NodeRequest::get(TaskQuery::newest(1).0), |reply| match results(reply)?.first() {
        None => Ok(0),
        Some(newest) => newest["uid"].as_u64().map(|uid| uid + 1).ok_or(Unanswered::OutOfForm),
    })
}

/// Asks for the batch that the node works on; none if it does not work.
pub fn open_batch() -> Question<Option<Value>> {
    let path = NodePath::from("/batches?statuses=processing").with("limit", 1);
    Question::new(NodeRequest::get(path), |reply| Ok(results(reply)?.pop()))
}

/// Asks how the task of this number is. A node without the task refuses.
pub fn task(number: u64) -> Question<NodeTaskState> {
    Question::new(NodeRequest::get(["tasks", &number.to_string()]), read_state)
}

fn read_state(reply: NodeReply) -> Result<NodeTaskState, Unanswered> {
    let task: Value = json(reply)?;
    Ok(match task["status"].as_str().ok_or(Unanswered::OutOfForm)? {
        "succeeded" => NodeTaskState::Succeeded(task["details"].as_object().cloned().unwrap_or_default()),
        "failed" => {
            let message = task["error"]["message"].as_str().unwrap_or("the node gave no reason");
            NodeTaskState::Failed(message.to_owned())
        }
        "canceled" => NodeTaskState::Canceled,
        _ => NodeTaskState::Open,
    })
}

/// Leaves a text in the node's queue: in a task that deletes all documents of an index, which nobody may have. The answer
/// is the number of the task.
pub fn leave_task(index: &str, text: impl Display) -> Question<u64> {
    let path = NodePath::from(["indexes", index, "documents"]).with("customMetadata", text);
    Question::new(NodeRequest::new(Method::DELETE, path), number_of_task)
}

impl Node {
    /// Waits until the task of this number has ended, with so long between two questions. `goes_on` says whether an error is
    /// waited out.
    ///
    /// # Errors
    /// The first error that is not.
    pub async fn end_of_task(
        &self,
        number: u64,
        (deadline, pause): (Duration, Duration),
        goes_on: impl Fn(&Unanswered) -> bool,
    ) -> Result<NodeTaskState, Unanswered> {
        loop {
            match self.ask(task(number), deadline).await {
                Ok(NodeTaskState::Open) => {}
                Ok(ended) => return Ok(ended),
                Err(error) if !goes_on(&error) => return Err(error),
                Err(_) => {}
            }
            sleep(pause).await;
        }
    }
}
