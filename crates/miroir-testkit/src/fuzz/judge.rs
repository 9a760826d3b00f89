//! What is wrong with an answer, seen beside the one server's.

use std::fmt;

use serde_json::Value;

use super::Request;
use crate::client::Reply;

/// What no answer may contain unless the request did.
const RESERVED: &str = "_miroir_";

/// What Miroir says of what it does not do; `docs/differences.md` lists it.
const NOT_SUPPORTED: &str = "miroir_not_supported";

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A 5xx that the one server does not give.
    Failed,
    /// Something of Miroir's own.
    Leak,
    /// Another status or code than the one server's.
    Differs,
    /// The task came to another end.
    Task,
    /// A panic in the log.
    Panic,
}

/// A request that was not answered as it should.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The seed and the number of the request.
    pub place: (u64, usize),
    /// The request.
    pub request: Option<Request>,
    /// What the one server said, and Miroir.
    pub answers: [String; 2],
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, number) = self.place;
        write!(f, "{:?} (seed {seed}, request {number})", self.fault)?;
        if let Some(request) = &self.request {
            let body = String::from_utf8_lossy(&request.body);
            write!(f, "\n  {} {}", request.method, request.path)?;
            write!(f, "\n  {:?} {:?} {}", request.authorization, request.content_type, cut(&body, 700))?;
        }
        let [expected, actual] = &self.answers;
        write!(f, "\n  one server: {}\n  Miroir:     {}", cut(expected, 500), cut(actual, 500))
    }
}

/// What is wrong with Miroir's answer.
pub(super) fn judge_reply(request: &Request, expected: &Reply, actual: &Reply) -> Option<Fault> {
    let code = |reply: &Reply| reply.error_code().map(str::to_owned);
    if actual.text.contains(RESERVED) && !String::from_utf8_lossy(&request.body).contains(RESERVED) {
        return Some(Fault::Leak);
    }
    if code(actual).as_deref() == Some(NOT_SUPPORTED) {
        return None;
    }
    if actual.status >= 500 && expected.status < 500 {
        return Some(Fault::Failed);
    }
    (actual.status != expected.status || code(actual) != code(expected)).then_some(Fault::Differs)
}

/// What is wrong with the end of Miroir's task.
pub(super) fn judge_task(expected: &Value, actual: &Value) -> Option<Fault> {
    if actual.to_string().contains(RESERVED) {
        return Some(Fault::Leak);
    }
    let end = |task: &Value| (task["status"].clone(), task["error"]["code"].clone(), task["type"].clone());
    (end(expected) != end(actual)).then_some(Fault::Task)
}

fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}
