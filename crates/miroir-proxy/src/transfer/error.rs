//! Why an index could not be copied, and what can be done about it.

use miroir_core::ids::{NodeId, PhysicalUid};
use thiserror::Error;

use crate::node_api::{Node, NodeError, Unanswered};

/// See the module.
#[derive(Debug, Error)]
pub enum TransferError {
    /// A node did not answer.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A node refused a question or a request.
    #[error("node `{node}` answered HTTP {status} to {request}: {message}")]
    Refused {
        /// The node.
        node: NodeId,
        /// Its path, without a query.
        request: String,
        /// Its status.
        status: u16,
        /// The node's words.
        message: String,
    },
    /// The node that gets the data failed what it had put into its queue.
    #[error("the node failed its task {task} of the copy: {reason}")]
    TaskFailed {
        /// The node's number for it.
        task: u64,
        /// The node's words.
        reason: String,
    },
    /// The node that gets the data does not know any more what it had put into its queue.
    #[error("the node has lost tasks of the copy: it was emptied meanwhile, or somebody deleted them")]
    TasksLost,
    /// A document can't be told from others.
    #[error("a document of index `{0}` has no id under the index's primary key")]
    NoId(PhysicalUid),
    /// An answer is none to what was asked.
    #[error("an answer can't be read: {0}")]
    Unreadable(String),
}

impl TransferError {
    /// What whoever runs the cluster can do.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Node(_) => "if that node stays away, look at its process and its log",
            Self::Refused { status: 401 | 403, .. } => "give every node the key `node_master_key`",
            Self::Refused { .. } | Self::TaskFailed { .. } => {
                "look at that node's log and at the room on its disk"
            }
            Self::TasksLost => "nothing has to be done if that was you; else look at its data directory",
            Self::NoId(_) => "delete that document on the node that it was read from",
            Self::Unreadable(_) => "look whether that address is a Meilisearch server",
        }
    }

    /// Why a question to a node was not answered.
    pub fn unanswered(node: &Node, what: &str, error: Unanswered) -> Self {
        match error {
            Unanswered::Node(error) => Self::Node(error),
            Unanswered::Refused(reply) => Self::Refused {
                node: node.id().clone(),
                request: what.to_owned(),
                status: reply.status.as_u16(),
                message: reply.message(),
            },
            Unanswered::OutOfForm => Self::Unreadable(format!("node `{}` was asked for {what}", node.id())),
        }
    }
}
