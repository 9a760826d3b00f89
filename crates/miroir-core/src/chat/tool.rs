//! The tools of a chat: the one with which the model searches, which only it sees, and those by which a client says that it
//! wants to be told of searches, which the model never sees.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::message::{Message, ToolKind};
use super::request::{Tool, ToolFunction};
use super::{ChatRequest, Chunk, Prompts, SearchCall};
use crate::error::{ErrorCode, ResponseError};
use crate::search::values_by_count;

/// The tool with which the model searches.
pub(super) const SEARCH_TOOL: &str = "_meiliSearchInIndex";
const PROGRESS: &str = "_meiliSearchProgress";
const SOURCES: &str = "_meiliSearchSources";
const APPEND: &str = "_meiliAppendConversationMessage";

/// So many values of a facet are shown to the model.
const VALUES_SHOWN: usize = 10;

/// What the model is told of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexOffer {
    /// Its name.
    pub uid: String,
    /// What it is good for, as its settings say.
    pub description: String,
    /// What can be filtered by ([`facet_lines`]).
    pub facets: String,
}

/// The arguments of the search tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SearchArguments {
    /// Where to search.
    pub index_uid: String,
    /// For which words.
    pub q: Option<String>,
    /// Among which documents.
    pub filter: Option<String>,
}

impl SearchArguments {
    /// The search: what the index's settings for chats say, with what the model wants.
    pub fn body(&self, parameters: Option<&Value>) -> Map<String, Value> {
        let mut body = parameters.and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, value) in [("q", &self.q), ("filter", &self.filter)] {
            if let Some(value) = value {
                body.insert(key.to_owned(), json!(value));
            }
        }
        body
    }
}

/// What a client wants to be told of searches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToolReports {
    progress: bool,
    sources: bool,
    conversation: bool,
}

/// One server's order of keys, in the texts that tell of searches.
#[derive(Serialize)]
struct Progress<'a> {
    call_id: &'a str,
    function_name: &'a str,
    function_arguments: &'a str,
}

#[derive(Serialize)]
struct Sources<'a> {
    call_id: &'a str,
    sources: &'a [Map<String, Value>],
}

impl ToolReports {
    /// That a search begins, one or two events. `fresh` makes ids.
    pub fn begun(self, at: &Chunk, call: &SearchCall, mut fresh: impl FnMut() -> String) -> Vec<String> {
        let mut events = Vec::new();
        if self.progress {
            let arguments = &call.arguments;
            let told =
                Progress { call_id: &call.id, function_name: SEARCH_TOOL, function_arguments: arguments };
            events.push(event(at, fresh(), PROGRESS, &told));
        }
        if self.conversation {
            events.push(event(at, fresh(), APPEND, &Message::calls(vec![call.written()])));
        }
        events
    }

    /// What a search found.
    pub fn found(
        self,
        at: &Chunk,
        call: &SearchCall,
        documents: &[Map<String, Value>],
        fresh: impl FnOnce() -> String,
    ) -> Option<String> {
        let told = Sources { call_id: &call.id, sources: documents };
        self.sources.then(|| event(at, fresh(), SOURCES, &told))
    }

    /// What the model is answered.
    pub fn answered(
        self,
        at: &Chunk,
        call: &SearchCall,
        text: &str,
        fresh: impl FnOnce() -> String,
    ) -> Option<String> {
        self.conversation.then(|| event(at, fresh(), APPEND, &Message::answer(&call.id, text.to_owned())))
    }
}

fn event(at: &Chunk, id: String, tool: &str, told: &impl Serialize) -> String {
    let told = serde_json::to_string(told).expect("maps have texts for keys");
    at.calling(id, tool, told).written()
}

impl ChatRequest {
    /// Takes the client's tools out, which are for its own ears.
    ///
    /// # Errors
    /// Other tools are not supported by Meilisearch 1.50 either.
    pub fn take_reports(&mut self) -> Result<ToolReports, ResponseError> {
        let mut reports = ToolReports::default();
        for tool in self.tools.take().unwrap_or_default() {
            match tool.function.name.as_str() {
                PROGRESS => reports.progress = true,
                SOURCES => reports.sources = true,
                APPEND => reports.conversation = true,
                SEARCH_TOOL => {
                    let message = format!("{SEARCH_TOOL} function is already defined.");
                    return Err(ResponseError::new(ErrorCode::BadRequest, message));
                }
                other => {
                    let message = format!("{other}: External functions are not supported yet.");
                    let code = ErrorCode::UnimplementedExternalFunctionCalling;
                    return Err(ResponseError::new(code, message));
                }
            }
        }
        Ok(reports)
    }

    /// Adds the search tool, and what the workspace tells the model before everything else.
    pub fn offer_search(&mut self, prompts: &Prompts, is_developer: bool, indexes: &[IndexOffer]) {
        self.tools = Some(vec![Tool { kind: ToolKind::Function, function: search_tool(prompts, indexes) }]);
        self.messages.insert(0, Message::instruction(prompts.system.clone(), is_developer));
    }
}

fn search_tool(prompts: &Prompts, indexes: &[IndexOffer]) -> ToolFunction {
    let (mut description, mut filter) =
        (prompts.search_description.clone(), prompts.search_filter_param.clone());
    for index in indexes {
        let uid = &index.uid;
        let _ = write!(description, "\n\n - {uid}: {}\n\n", index.description);
        let _ = write!(filter, "\n## Facet distributions of the {uid} index\n{}\n", index.facets);
    }
    let uids: Vec<&String> = indexes.iter().map(|index| &index.uid).collect();
    ToolFunction {
        name: SEARCH_TOOL.to_owned(),
        description: Some(description),
        parameters: Some(json!({
            "type": "object",
            "properties": {
                "index_uid": { "type": "string", "enum": uids, "description": prompts.search_index_uid_param },
                "q": { "type": "string", "description": prompts.search_q_param },
                "filter": { "type": "string", "description": filter },
            },
            "required": ["index_uid", "q", "filter"],
            "additionalProperties": false,
        })),
        strict: Some(true),
    }
}

/// The facets of an index as the model reads them: a line for each, with its most frequent values. `answer` is that to a
/// search with facets.
pub fn facet_lines(answer: &Map<String, Value>) -> String {
    let mut lines = String::new();
    for (facet, values) in values_by_count(answer, VALUES_SHOWN) {
        let end = if values.is_empty() { "" } else { "." };
        let _ = writeln!(lines, "{facet}: {}{end}", values.join(", "));
    }
    lines
}
