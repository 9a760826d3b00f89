//! Questions to a node that several parts of Miroir have, each asked and read in one way.

use std::time::Duration;

use miroir_core::ids::PhysicalUid;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::time::sleep;

use super::{Node, NodeError, NodeReply, NodeRequest};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// Nothing came back.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The node refused it: the HTTP status, and what it said.
    #[error("HTTP {0}: {1}")]
    Refused(u16, String),
    /// What came back is not what such a question is answered with.
    #[error("the answer is out of form")]
    OutOfForm,
}

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

impl Node {
    /// The settings of an index, by the names that Meilisearch gives them.
    ///
    /// # Errors
    /// When there is no answer, or none with settings: a node without the index refuses.
    pub async fn settings(
        &self,
        index: &PhysicalUid,
        deadline: Duration,
    ) -> Result<Map<String, Value>, Unanswered> {
        let request = NodeRequest::get(["indexes", index.as_str(), "settings"]);
        match good_answer(&self.send(request, deadline).await?)? {
            Value::Object(settings) => Ok(settings),
            _ => Err(Unanswered::OutOfForm),
        }
    }

    /// How the task of this number is.
    ///
    /// # Errors
    /// When there is no answer, or none about a task: a node without the task refuses.
    pub async fn task(&self, number: u64, deadline: Duration) -> Result<NodeTaskState, Unanswered> {
        let request = NodeRequest::get(["tasks", &number.to_string()]);
        let task = good_answer(&self.send(request, deadline).await?)?;
        Ok(match task["status"].as_str().ok_or(Unanswered::OutOfForm)? {
            "succeeded" => NodeTaskState::Succeeded(task["details"].as_object().cloned().unwrap_or_default()),
            "failed" => NodeTaskState::Failed(message_of(&task["error"])),
            "canceled" => NodeTaskState::Canceled,
            _ => NodeTaskState::Open,
        })
    }

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
            match self.task(number, deadline).await {
                Ok(NodeTaskState::Open) => {}
                Ok(ended) => return Ok(ended),
                Err(error) if !goes_on(&error) => return Err(error),
                Err(_) => {}
            }
            sleep(pause).await;
        }
    }
}

/// The JSON of an answer.
///
/// # Errors
/// When the node refused, or says no JSON.
pub fn good_answer(reply: &NodeReply) -> Result<Value, Unanswered> {
    let body: Result<Value, _> = serde_json::from_slice(&reply.body);
    if reply.status.is_success() {
        return body.map_err(|_| Unanswered::OutOfForm);
    }
    Err(Unanswered::Refused(reply.status.as_u16(), message_of(&body.unwrap_or_default())))
}

/// What an error of Meilisearch says.
fn message_of(error: &Value) -> String {
    error["message"].as_str().unwrap_or("the node gave no reason").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::node_api::fake::{FakeNode, Fault, FaultPlan};

    const DEADLINE: Duration = Duration::from_secs(1);

    async fn with_settings(fake: &FakeNode) -> Node {
        let node = fake.node();
        let change = NodeRequest::new(reqwest::Method::PATCH, "/indexes/films/settings")
            .json(r#"{"stopWords":["a"]}"#);
        node.send(change, DEADLINE).await.unwrap();
        node
    }

    #[tokio::test(start_paused = true)]
    async fn settings_are_an_object_and_an_index_that_is_not_there_has_none() {
        let node = with_settings(&FakeNode::new("a")).await;
        let settings = node.settings(&PhysicalUid::new("films"), DEADLINE).await.unwrap();
        assert_eq!(Value::Object(settings), json!({ "stopWords": ["a"] }));
        let refused = node.settings(&PhysicalUid::new("books"), DEADLINE).await.unwrap_err();
        assert!(
            matches!(&refused, Unanswered::Refused(404, message) if message.contains("books")),
            "{refused}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_task_is_waited_for_through_errors_that_pass() {
        let fake = FakeNode::new("a");
        fake.take_time(Duration::from_secs(3));
        let node = with_settings(&fake).await;
        let times = (DEADLINE, Duration::from_millis(100));
        assert_eq!(node.task(0, DEADLINE).await.unwrap(), NodeTaskState::Open);
        fake.plan(FaultPlan::default().then(Fault::LoseAnswer).then(Fault::Unreachable));
        assert!(node.end_of_task(0, times, |_| false).await.is_err());
        let passes = |error: &Unanswered| matches!(error, Unanswered::Node(_));
        let ended = node.end_of_task(0, times, passes).await.unwrap();
        assert_eq!(ended, NodeTaskState::Succeeded(Map::new()));
        assert!(matches!(node.task(7, DEADLINE).await, Err(Unanswered::Refused(404, _))));
        let delete = NodeRequest::new(reqwest::Method::DELETE, "/indexes/books");
        node.send(delete, DEADLINE).await.unwrap();
        let failed = node.end_of_task(1, times, passes).await.unwrap();
        assert_eq!(failed, NodeTaskState::Failed("Index `books` not found.".to_owned()));
    }
}
