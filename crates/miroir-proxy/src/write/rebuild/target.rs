//! The node that is rebuilt, as the one who writes to it sees it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use miroir_core::error::ErrorCode;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::error::RebuildError;
use crate::cluster::{Node, NodeReply, NodeRequest};
use crate::write::recall::ask_next_task;

/// Between questions for the end of tasks.
const LOOK: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Target {
    node: Node,
    timeout: Duration,
    /// Tasks that were put into the node's queue by this.
    enqueued: AtomicU64,
}

impl Target {
    pub(super) const fn new(node: Node, timeout: Duration) -> Self {
        Self { node, timeout, enqueued: AtomicU64::new(0) }
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The node's answer, if it is a good one.
    pub(super) async fn ask(&self, request: NodeRequest) -> Result<Value, RebuildError> {
        ask(&self.node, request, self.timeout).await
    }

    /// The bytes of a good answer of any node.
    pub(super) async fn fetch(&self, node: &Node, request: NodeRequest) -> Result<Bytes, RebuildError> {
        let path = request.path.to_string();
        let reply = node.send(request, self.timeout).await?;
        if reply.status.is_success() { Ok(reply.body) } else { Err(refusal(node, &path, &reply)) }
    }

    /// Puts a task into the node's queue; answers its number.
    pub(super) async fn enqueue(&self, request: NodeRequest) -> Result<u64, RebuildError> {
        let answer = self.ask(request).await?;
        self.enqueued.fetch_add(1, Ordering::Relaxed);
        answer["taskUid"].as_u64().ok_or_else(|| RebuildError::Unreadable(answer.to_string()))
    }

    /// The number that the node's next task would have if only this had put tasks into its queue since it began. As long
    /// as it stays the same nobody else has.
    pub(super) async fn next_task_without_own(&self) -> Result<u64, RebuildError> {
        let next = ask_next_task(&self.node, self.timeout).await?.map_err(RebuildError::NoAnswer)?;
        Ok(next.wrapping_sub(self.enqueued.load(Ordering::Relaxed)))
    }

    /// Enqueues a task and waits for its end. An index that is gone already is as good as one that is deleted now.
    pub(super) async fn run(&self, request: NodeRequest) -> Result<(), RebuildError> {
        let task = self.enqueue(request).await?;
        self.wait_for(task).await
    }

    /// Waits for the end of a task that must succeed.
    pub(super) async fn wait_for(&self, task: u64) -> Result<(), RebuildError> {
        loop {
            let answer = self.ask(NodeRequest::get(["tasks", &task.to_string()])).await?;
            let gone = answer["error"]["code"] == ErrorCode::IndexNotFound.as_str();
            match answer["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("failed") if gone && answer["type"] == "indexDeletion" => return Ok(()),
                Some("failed" | "canceled") | None => {
                    return Err(RebuildError::TaskFailed(answer["error"]["message"].to_string()));
                }
                Some(_) => sleep(LOOK).await,
            }
        }
    }

    /// Waits until the node has nothing in its queue.
    pub(super) async fn wait_until_idle(&self) -> Result<(), RebuildError> {
        loop {
            let open = self.ask(NodeRequest::get("/tasks?statuses=enqueued,processing&limit=1")).await?;
            if open["results"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Switches the experimental features that clients switched. A node whose version does not know one goes without.
    pub(super) async fn switch_features(
        &self,
        features: &BTreeMap<String, bool>,
    ) -> Result<(), RebuildError> {
        for (name, enabled) in features {
            let body = json!({ name: enabled }).to_string();
            let request = NodeRequest::new(Method::PATCH, "/experimental-features").json(body);
            let reply = self.node.send(request, self.timeout).await?;
            if reply.status != StatusCode::BAD_REQUEST {
                read(&self.node, "/experimental-features", &reply)?;
            }
        }
        Ok(())
    }
}

/// The answer of a node, if it is a good one.
pub(super) async fn ask(node: &Node, request: NodeRequest, timeout: Duration) -> Result<Value, RebuildError> {
    let path = request.path.to_string();
    let reply = node.send(request, timeout).await?;
    read(node, &path, &reply)
}

fn read(node: &Node, request: &str, reply: &NodeReply) -> Result<Value, RebuildError> {
    if !reply.status.is_success() {
        return Err(refusal(node, request, reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| RebuildError::Unreadable(format!("{request}: {error}")))
}

fn refusal(node: &Node, request: &str, reply: &NodeReply) -> RebuildError {
    RebuildError::Refused {
        node: node.id().clone(),
        request: request.to_owned(),
        status: reply.status.as_u16(),
        message: String::from_utf8_lossy(&reply.body).into_owned(),
    }
}
