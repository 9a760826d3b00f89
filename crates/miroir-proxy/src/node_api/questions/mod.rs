//! What Miroir itself asks nodes and wants of them, and how it reads what they answer: one function for each question, whoever
//! asks it. What is passed on for clients, searches, and the requests of lanes are made where they belong.

mod documents;
mod indexes;
mod keys;
mod server;
mod tasks;

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::{Node, NodeError, NodeReply, NodeRequest};

pub use self::documents::{
    DocumentsPage, DocumentsRead, add_documents, delete_documents, delete_documents_by_filter, document,
    documents,
};
pub use self::indexes::{
    InternalSizes, all_stats, change_settings, compact_index, create_index, delete_index, fields, find_index,
    index_stats, indexes, reset_settings, setting, settings,
};
pub use self::keys::{delete_key, keys, make_key};
pub use self::server::{
    change_features, change_search_rule, delete_search_rules, features, health, is_miroir, make_dump,
    make_snapshot, search_rules, version,
};
pub use self::tasks::{
    NodeTaskState, TASKS_OF_A_PAGE, TaskQuery, leave_task, next_task, open_batch, task, tasks, walk_tasks,
};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// Nothing came back.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The node refused it.
    #[error("HTTP {}: {}{}", .0.status.as_u16(), .0.message(), advice(.0))]
    Refused(NodeReply),
    /// What came back is not what such a question is answered with.
    #[error("the answer is out of form")]
    OutOfForm,
}

/// What the operator can do about a refusal.
fn advice(reply: &NodeReply) -> &'static str {
    if reply.refuses_key() {
        " (the node refuses Miroir's key; see `node_master_key` in the configuration)"
    } else {
        ""
    }
}

impl Unanswered {
    /// Whether the node finds fault with what it was asked. If not it is the node that can't answer, and another one may.
    pub fn is_about_request(&self) -> bool {
        match self {
            Self::Refused(reply) => !reply.is_nodes_fault(),
            Self::Node(_) | Self::OutOfForm => false,
        }
    }
}

/// A question to a node, which is answered with a `T`. It can be put to one node after the other.
#[derive(Debug)]
pub struct Question<T> {
    request: NodeRequest,
    read: fn(NodeReply) -> Result<T, Unanswered>,
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Self {
        Self { request: self.request.clone(), read: self.read }
    }
}

impl<T> Question<T> {
    /// What is asked, for those who read of it: method and path, without the query.
    pub fn name(&self) -> String {
        let path = self.request.path.to_string();
        let path = path.split_once('?').map_or(&*path, |(path, _)| path);
        format!("{} {path}", self.request.method)
    }

    /// The bytes that go with it.
    pub fn body_bytes(&self) -> usize {
        self.request.body.len()
    }

    /// `read` gets whatever a node answers, refusals included.
    const fn new(request: NodeRequest, read: fn(NodeReply) -> Result<T, Unanswered>) -> Self {
        Self { request, read }
    }
}

impl Node {
    /// Asks a node that is used. Nothing else than with [`Self::send`] comes of it.
    ///
    /// # Errors
    /// When there is no answer, or none to the question.
    pub async fn ask<T>(&self, question: Question<T>, deadline: Duration) -> Result<T, Unanswered> {
        (question.read)(self.send(question.request, deadline).await?)
    }

    /// Asks also a node that is not used, for those who find out whether it may be.
    ///
    /// # Errors
    /// As of [`Self::ask`].
    pub async fn ask_unused<T>(&self, question: Question<T>, deadline: Duration) -> Result<T, Unanswered> {
        (question.read)(self.probe(question.request, deadline).await?)
    }

    /// Like [`Self::ask_unused`], with the key of the configuration, which may be the node's master key.
    ///
    /// # Errors
    /// As of [`Self::ask`].
    pub async fn ask_as_master<T>(&self, question: Question<T>, deadline: Duration) -> Result<T, Unanswered> {
        (question.read)(self.probe_as_master(question.request, deadline).await?)
    }
}

/// What was answered, if that is no refusal.
fn good(reply: NodeReply) -> Result<NodeReply, Unanswered> {
    if reply.status.is_success() { Ok(reply) } else { Err(Unanswered::Refused(reply)) }
}

/// Any good answer.
fn done(reply: NodeReply) -> Result<(), Unanswered> {
    good(reply).map(drop)
}

/// The JSON of a good answer.
fn json<T: serde::de::DeserializeOwned>(reply: NodeReply) -> Result<T, Unanswered> {
    serde_json::from_slice(&good(reply)?.body).map_err(|_| Unanswered::OutOfForm)
}

/// The list in a good answer.
fn results(reply: NodeReply) -> Result<Vec<Value>, Unanswered> {
    match json::<Value>(reply)?["results"].take() {
        Value::Array(results) => Ok(results),
        _ => Err(Unanswered::OutOfForm),
    }
}

/// The number of the task that a node made of an order.
fn number_of_task(reply: NodeReply) -> Result<u64, Unanswered> {
    json::<Value>(reply)?["taskUid"].as_u64().ok_or(Unanswered::OutOfForm)
}

#[cfg(test)]
mod tests;
