//! Why a node can't be used, or why that can't be found out now.

use miroir_core::identity::Stranger;
use miroir_core::ids::NodeId;
use miroir_store::StoreError;
use thiserror::Error;

use crate::node_api::{NodeError, Unanswered};

/// See the module.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It is not this cluster's.
    #[error("{}", advice(.stranger, .node))]
    Foreign {
        /// What it is taken for.
        node: NodeId,
        /// What it is.
        stranger: Stranger,
    },
    /// It is no Meilisearch at all.
    #[error(
        "a Miroir answers at its address, maybe this one itself, and not a Meilisearch: correct the node's `address`"
    )]
    Miroir,
    /// It does not let Miroir in.
    #[error("it refuses Miroir's key; see `node_master_key` in the configuration")]
    RefusesKey,
    /// It answers with an error to what every node answers.
    #[error("{question} was answered with {status}: {message}")]
    Refused {
        /// What was asked.
        question: &'static str,
        /// The HTTP status.
        status: u16,
        /// What the node says.
        message: String,
    },
    /// It answers with something that Miroir does not understand.
    #[error("the answer to {0} can't be read: is it a Meilisearch?")]
    Unreadable(&'static str),
    /// It does not answer.
    #[error(transparent)]
    NoAnswer(#[from] NodeError),
    /// What the catalog has can't be found out.
    #[error("whose it is can't be found out: {0}")]
    Store(#[from] StoreError),
}

/// What is wrong and what can be done about just this node.
fn advice(stranger: &Stranger, node: &NodeId) -> String {
    stranger.to_string().replace("{id}", node.as_str())
}

impl Unusable {
    /// Why a node can't be used that does not answer this, which the error names.
    pub(in crate::cluster) fn because(question: &'static str) -> impl Fn(Unanswered) -> Self {
        move |error| match error {
            Unanswered::Node(error) => Self::NoAnswer(error),
            Unanswered::Refused(reply) => {
                Self::Refused { question, status: reply.status.as_u16(), message: reply.message() }
            }
            Unanswered::OutOfForm => Self::Unreadable(question),
        }
    }

    /// Whether somebody has to do something before the node may be used. The others may be over at the next look.
    pub const fn is_about_whose(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Miroir)
    }
}
