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

/// The faults of requests, one after the other, and those that stay. A request to which none applies goes well.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    next: VecDeque<(Option<&'static str>, Fault)>,
    standing: Vec<(&'static str, Fault)>,
}

impl FaultPlan {
    /// The next request of any kind gets this.
    #[must_use]
    pub fn then(mut self, fault: Fault) -> Self {
        self.next.push_back((None, fault));
        self
    }

    /// The next request whose method and path contain `what`, such as `POST /indexes/films/documents`, gets this; others
    /// before it go well.
    #[must_use]
    pub fn then_on(mut self, what: &'static str, fault: Fault) -> Self {
        self.next.push_back((Some(what), fault));
        self
    }

    /// Every request whose method and path contain `what` gets this, if nothing else is planned for it.
    #[must_use]
    pub fn always_on(mut self, what: &'static str, fault: Fault) -> Self {
        self.standing.push((what, fault));
        self
    }

    /// Nobody listens any more.
    #[must_use]
    pub fn away() -> Self {
        Self::default().always_on("", Fault::Unreachable)
    }

    pub(super) fn next(&mut self, request: &NodeRequest) -> Option<Fault> {
        let words = format!("{} {}", request.method, request.path);
        let is_meant =
            self.next.front().is_some_and(|(what, _)| what.is_none_or(|what| words.contains(what)));
        if is_meant {
            return self.next.pop_front().map(|(_, fault)| fault);
        }
        self.standing.iter().find(|(what, _)| words.contains(what)).map(|(_, fault)| fault.clone())
    }
}
