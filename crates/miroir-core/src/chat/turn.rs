//! What becomes of the pieces of a model's answers: they are passed on, or put together to calls of the search tool.
//!
//! ```text
//!            text              pieces of a call         a piece without any
//!  waiting --------> waiting -------------------> gathering ------------> waiting, with calls to answer
//! ```
//!
//! Calls outlive an answer that ends before a piece without any (as Meilisearch 1.50 has it). Nothing of a call of another
//! tool is ever passed on.

use std::collections::BTreeMap;

use super::ChatRequest;
use super::chunk::{CallPiece, Chunk, FinishReason};
use super::message::{FunctionCall, Message, ToolCall, ToolKind};
use super::tool::SEARCH_TOOL;

/// What a piece asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelStep {
    /// Pass this on to the client.
    Forward(String),
    /// Wait for more.
    Wait,
    /// Answer these calls, then wait for more.
    Search(Vec<SearchCall>),
    /// The answer is over.
    Over,
    /// The piece is of a form that no model should send.
    Broken(&'static str),
}

/// A call of the search tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchCall {
    /// What the model calls it.
    pub id: String,
    /// The arguments, which should be JSON.
    pub arguments: String,
}

/// What came so far.
#[derive(Debug, Default)]
pub struct ModelAnswer {
    calls: BTreeMap<u32, Call>,
    finish: Option<FinishReason>,
}

#[derive(Debug)]
enum Call {
    Search(SearchCall),
    Other,
}

impl ModelAnswer {
    /// Begins the next answer.
    pub fn begin(&mut self) {
        self.finish = None;
    }

    /// Takes the next piece.
    pub fn take(&mut self, chunk: &Chunk) -> ModelStep {
        let Some(choice) = chunk.choices.first() else { return ModelStep::Over };
        self.finish = choice.finish_reason;
        let Some(pieces) = &choice.delta.tool_calls else {
            return if self.calls.is_empty() { ModelStep::Forward(chunk.written()) } else { self.searches() };
        };
        match pieces.iter().try_for_each(|piece| self.add(piece)) {
            Ok(()) => ModelStep::Wait,
            Err(fault) => ModelStep::Broken(fault),
        }
    }

    /// Whether the model waits for the answers to its calls.
    pub fn goes_on(&self) -> bool {
        self.finish == Some(FinishReason::ToolCalls)
    }

    fn add(&mut self, piece: &CallPiece) -> Result<(), &'static str> {
        const NO_ARGUMENTS: &str = "a call of a tool has no arguments";
        let function = piece.function.as_ref().ok_or("a call of a tool has no function")?;
        let arguments = function.arguments.clone().ok_or(NO_ARGUMENTS);
        match self.calls.get_mut(&piece.index) {
            Some(Call::Search(call)) => call.arguments.push_str(&arguments?),
            Some(Call::Other) => {}
            None => {
                let call = if function.name.as_deref() == Some(SEARCH_TOOL) {
                    let id = piece.id.clone().ok_or("a call of a tool has no id")?;
                    Call::Search(SearchCall { id, arguments: arguments? })
                } else {
                    Call::Other
                };
                self.calls.insert(piece.index, call);
            }
        }
        Ok(())
    }

    fn searches(&mut self) -> ModelStep {
        let calls = std::mem::take(&mut self.calls).into_values().filter_map(|call| match call {
            Call::Search(call) => Some(call),
            Call::Other => None,
        });
        ModelStep::Search(calls.collect())
    }
}

impl SearchCall {
    pub(super) fn written(&self) -> ToolCall {
        let function = FunctionCall { name: SEARCH_TOOL.to_owned(), arguments: self.arguments.clone() };
        ToolCall { id: self.id.clone(), kind: Some(ToolKind::Function), function }
    }
}

impl ChatRequest {
    /// Adds what the model asked for, before the answers to it.
    pub fn note_calls(&mut self, calls: &[SearchCall]) {
        self.messages.push(Message::calls(calls.iter().map(SearchCall::written).collect()));
    }

    /// Adds what came of one call.
    pub fn note_answer(&mut self, call: &SearchCall, text: &str) {
        self.messages.push(Message::answer(&call.id, text.to_owned()));
    }
}
