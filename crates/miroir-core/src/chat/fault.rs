//! What goes wrong in the middle of a chat. The answer has begun by then, so it is told as an event of the stream.

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, ResponseError};

/// An error as an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamFault {
    event_id: String,
    r#type: &'static str,
    error: Told,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    r#type: String,
    code: Option<String>,
    message: String,
    param: Option<String>,
    event_id: Option<String>,
}

/// How OpenAI's servers, and those like them, say what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OpenAiFault {
    error: MistralFault,
}

/// How Mistral's servers say it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MistralFault {
    message: String,
    r#type: String,
    param: Option<String>,
    code: Option<String>,
}

impl From<OpenAiFault> for MistralFault {
    fn from(fault: OpenAiFault) -> Self {
        fault.error
    }
}

impl StreamFault {
    /// What the model's server says. `id` is a fresh one, here and below.
    pub fn of_model(id: String, fault: MistralFault) -> Self {
        let MistralFault { message, r#type, param, code } = fault;
        Self::new(id, Told { r#type, code, message, param, event_id: None })
    }

    /// What went wrong with the model's answer, by kind.
    pub fn of_kind(id: String, kind: &str, message: String) -> Self {
        Self::new(id, Told { r#type: kind.to_owned(), code: None, message, param: None, event_id: None })
    }

    /// A piece of the model's answer that can't be read.
    pub fn of_piece(id: String, fault: &serde_json::Error) -> Self {
        let mut event = Self::of_kind(id, "json_deserialize_error", fault.to_string());
        event.error.code = Some("internal".to_owned());
        event
    }

    /// A search that failed. Meilisearch shows the status of its error as code.
    pub fn of_search(id: String, fault: &ResponseError) -> Self {
        let mut event = Self::of_kind(id, "response_error", fault.message.clone());
        event.error.code = Some(fault.status().to_string());
        event
    }

    fn new(event_id: String, error: Told) -> Self {
        Self { event_id, r#type: "error", error }
    }

    /// As it is sent.
    pub fn written(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }
}

/// How Meilisearch begins to say what is wrong with a search when it is found while searching, not before. Then the model is
/// told, and nobody else.
const FOUND_WHILE_SEARCHING: [&str; 6] = [
    "Attribute ",
    "Filter operator ",
    "Bad latitude ",
    "Bad longitude ",
    "The top latitude ",
    "Too many filter",
];

/// The error of a search as chats tell it: they name the index in errors about a filter's form, which searches don't.
pub fn as_chats_tell(mut fault: ResponseError, index: &str) -> ResponseError {
    let about_form = matches!(fault.code, ErrorCode::InvalidSearchFilter | ErrorCode::FeatureNotEnabled);
    if about_form && !fault.message.starts_with("Index `") {
        fault.message = format!("Index `{index}`: {}", fault.message);
    }
    fault
}

/// What the model alone is told of a search with this filter that failed; none if the client is told too.
pub fn for_the_model_alone(fault: &ResponseError, index: &str, filter: Option<&str>) -> Option<String> {
    let message = fault.message.strip_prefix(&format!("Index `{index}`: "))?;
    let told = FOUND_WHILE_SEARCHING.iter().any(|words| message.starts_with(words));
    told.then(|| filter.and_then(|filter| pointing(message, filter)).unwrap_or_else(|| message.to_owned()))
}

/// Searches show a filter as the server writes it, chats as it was typed: the place of an attribute is another one.
fn pointing(message: &str, filter: &str) -> Option<String> {
    let attribute = message.strip_prefix("Attribute `")?.split_once('`')?.0;
    let (text, _) = message.rsplit_once('\n')?;
    let start = filter[..filter.find(attribute)?].chars().count() + 1;
    let is_one_line = !filter.contains('\n');
    is_one_line.then(|| format!("{text}\n{start}:{} {filter}", start + attribute.chars().count()))
}
