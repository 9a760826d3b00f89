//! What goes wrong with which request to a node in memory.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::node_api::NodeRequest;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// No connection: the node does not see it.
    Unreachable,
    /// It is lost on its way; nobody knows whether it was seen.
    LoseRequest,
    /// The node acts on it, and the answer is lost.
    LoseAnswer,
    /// The node answers this instead.
    Refuse(StatusCode, Value),
    /// The answer comes after this.
    Delay(Duration),
    /// There is no answer, and the node acts on it after this.
    ComeLate(Duration),
}

/// The faults of requests, one after the other. A request to which none applies goes well.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan(VecDeque<(Option<&'static str>, Fault)>);

impl FaultPlan {
    /// The next request of any kind gets this.
    #[must_use]
    pub fn then(mut self, fault: Fault) -> Self {
        self.0.push_back((None, fault));
        self
    }

    /// The next request whose method and path contain `what`, such as `POST /indexes/films/documents`, gets this; others
    /// before it go well.
    #[must_use]
    pub fn then_on(mut self, what: &'static str, fault: Fault) -> Self {
        self.0.push_back((Some(what), fault));
        self
    }

    pub(super) fn next(&mut self, request: &NodeRequest) -> Option<Fault> {
        let (what, _) = self.0.front()?;
        let is_meant = what.is_none_or(|what| format!("{} {}", request.method, request.path).contains(what));
        is_meant.then(|| self.0.pop_front()).flatten().map(|(_, fault)| fault)
    }
}
