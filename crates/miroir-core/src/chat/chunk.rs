//! One piece of a model's answer, in OpenAI's form as far as Meilisearch 1.50 knows it. Clients get what is known, in this
//! order, and null for what is not there.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::message::ToolKind;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    id: String,
    pub(super) choices: Vec<Choice>,
    created: u32,
    model: String,
    service_tier: Option<Tier>,
    system_fingerprint: Option<String>,
    object: String,
    usage: Option<Usage>,
}

impl Chunk {
    /// What the model says that it used so far; most pieces don't say.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// As it is sent to clients.
    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).expect("a piece has no maps")
    }

    /// The same piece with nothing to say but that this function be called.
    pub(super) fn calling(&self, id: String, name: &str, arguments: String) -> Self {
        let function = Some(FunctionPiece { name: Some(name.to_owned()), arguments: Some(arguments) });
        let call = CallPiece { index: 0, id: Some(id), kind: Some(ToolKind::Function), function };
        let delta = Delta { tool_calls: Some(vec![call]), role: Some(Role::Assistant), ..Delta::default() };
        let choice = Choice { index: 0, delta, finish_reason: None, logprobs: None };
        let mut choices = self.choices.clone();
        if choices.is_empty() {
            choices.push(choice);
        } else {
            choices[0] = choice;
        }
        Self { choices, ..self.clone() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Scale,
    Default,
    Auto,
}

/// How many tokens an answer took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Those of the question.
    pub prompt_tokens: u32,
    /// Those of the answer.
    pub completion_tokens: u32,
    /// Both together.
    pub total_tokens: u32,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PromptDetails {
    audio_tokens: Option<u32>,
    cached_tokens: Option<u32>,
}

#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CompletionDetails {
    accepted_prediction_tokens: Option<u32>,
    audio_tokens: Option<u32>,
    reasoning_tokens: Option<u32>,
    rejected_prediction_tokens: Option<u32>,
}

/// One of several answers that a model gives at once; there is never more than one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Choice {
    index: u32,
    pub(super) delta: Delta,
    pub(super) finish_reason: Option<FinishReason>,
    logprobs: Option<Logprobs>,
}

/// Why a model says no more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    FunctionCall,
}

/// What a piece adds to an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Delta {
    #[serde(default, deserialize_with = "text_or_parts")]
    content: Option<String>,
    function_call: Option<FunctionPiece>,
    pub(super) tool_calls: Option<Vec<CallPiece>>,
    role: Option<Role>,
    refusal: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    User,
    Assistant,
    Tool,
    Function,
}

/// A piece of a call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CallPiece {
    pub(super) index: u32,
    pub(super) id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<ToolKind>,
    pub(super) function: Option<FunctionPiece>,
}

/// A piece of a function's name and arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FunctionPiece {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Logprobs {
    content: Option<Vec<TokenLogprob>>,
    refusal: Option<Vec<TokenLogprob>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TokenLogprob {
    token: String,
    logprob: f32,
    bytes: Option<Vec<u8>>,
    top_logprobs: Vec<TopLogprob>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TopLogprob {
    token: String,
    logprob: f32,
    bytes: Option<Vec<u8>>,
}

/// Mistral may send a list of typed parts. Those that are texts are one text, and nothing else is.
fn text_or_parts<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(input)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter(|part| part["type"] == "text");
            Some(texts.filter_map(|part| part["text"].as_str()).collect::<String>())
                .filter(|text| !text.is_empty())
        }
        _ => None,
    })
}
