//! What Miroir asks of a node, and how: the only room that knows how requests to nodes are made, which key they show, how they
//! are counted, and what a good answer looks like. Errors say whether the node may have seen the request.

mod access;
mod alarm;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod form;
mod http;
mod metrics;
mod node;
mod operation;
pub mod questions;
mod reply;
mod request;
mod scrub;
mod transport;

pub use alarm::Alarm;
pub use error::{NodeError, UnusableNode};
pub use form::Form;
pub use metrics::{NodeMetrics, Timings, timings};
pub use node::Node;
pub use questions::{DocumentsPage, InternalSizes, NodeTaskState, Question, TaskQuery, Unanswered};
pub use reply::NodeReply;
pub use request::{AnswerSize, NodeRequest};
pub use scrub::{ABSENT_SUFFIX, scrub_reply};
pub use transport::Transport;
