//! The messages of a conversation, in OpenAI's form as far as Meilisearch 1.50 knows it. What it does not know is left out
//! when a message is written again, and what it knows stands in its order.

use serde::{Deserialize, Serialize};

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message {
    Developer(Said<DeveloperPart>),
    System(Said<TextPart>),
    User(Said<UserPart>),
    Assistant(Assistant),
    Tool(ToolAnswer),
    Function(FunctionAnswer),
}

impl Message {
    /// What the workspace tells the model before everything else.
    pub(super) fn instruction(text: String, is_developer: bool) -> Self {
        let content = text;
        if is_developer {
            Self::Developer(Said { content: Content::Text(content), name: None })
        } else {
            Self::System(Said { content: Content::Text(content), name: None })
        }
    }

    /// The model's wish to have tools called.
    pub(super) fn calls(calls: Vec<ToolCall>) -> Self {
        Self::Assistant(Assistant { tool_calls: Some(calls), ..Assistant::default() })
    }

    /// What came of one call.
    pub(super) fn answer(call: &str, text: String) -> Self {
        Self::Tool(ToolAnswer { content: Content::Text(text), tool_call_id: call.to_owned() })
    }
}

/// A message of which only the content counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Said<P> {
    content: Content<P>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A text, or parts of some kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content<P> {
    Text(String),
    Parts(Vec<P>),
}

/// Without a `type`, which Meilisearch does not write here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DeveloperPart {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum TextPart {
    Text { text: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum UserPart {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
    InputAudio { input_audio: InputAudio },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ImageUrl {
    url: String,
    detail: Option<ImageDetail>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ImageDetail {
    Auto,
    Low,
    High,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct InputAudio {
    data: String,
    format: InputAudioFormat,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InputAudioFormat {
    Wav,
    Mp3,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum AssistantPart {
    Text { text: String },
    Refusal { refusal: String },
}

/// What the model said before, or what it asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Assistant {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<AssistantPart>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<EarlierAudio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EarlierAudio {
    id: String,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolCall {
    pub(super) id: String,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<ToolKind>,
    pub(super) function: FunctionCall,
}

/// The one kind of tool that there is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToolKind {
    Function,
}

/// A function by its name, with its arguments as JSON in a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FunctionCall {
    pub(super) name: String,
    pub(super) arguments: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToolAnswer {
    content: Content<TextPart>,
    tool_call_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FunctionAnswer {
    content: Option<String>,
    name: String,
}
