//! A workspace: which model answers, where, and what it is told.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// The servers that are known to speak OpenAI's protocol, each in its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// `OpenAI`.
    #[default]
    OpenAi,
    /// `OpenAI` at Microsoft.
    AzureOpenAi,
    /// Mistral.
    Mistral,
    /// One of one's own.
    VLlm,
}

/// The settings of a workspace.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workspace {
    source: Source,
    org_id: Option<String>,
    project_id: Option<String>,
    api_version: Option<String>,
    deployment_id: Option<String>,
    base_url: Option<String>,
    api_key: Option<String>,
    /// What the model is told.
    pub prompts: Prompts,
}

/// What the model is told of its task and its tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Prompts {
    pub(super) system: String,
    pub(super) search_description: String,
    pub(super) search_q_param: String,
    pub(super) search_filter_param: String,
    pub(super) search_index_uid_param: String,
}

/// Where and how to ask a model.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a query.
    pub url: String,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// Headers that say who asks; secret.
    pub headers: Vec<(&'static str, String)>,
}

/// Without the key.
impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Without what says who asks.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Models that are told what to do by a message of the system; newer ones by one of the developer.
const OLD_MODELS: [&str; 6] = ["gpt-3.5", "gpt-4", "gpt-4.1", "gpt-4.5", "gpt-4o", "chatgpt-4o"];

impl Workspace {
    /// Settings as they are shown to clients, with the key that `set` has and clients are not shown.
    pub fn read(set: &Value, shown: &Value) -> Result<Self, serde_json::Error> {
        let workspace = Self::deserialize(shown)?;
        Ok(Self { api_key: set["apiKey"].as_str().map(str::to_owned), ..workspace })
    }

    /// A text that goes to the log, without the key: servers repeat it when they refuse it.
    pub fn without_key(&self, text: &str) -> String {
        match self.api_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => text.replace(key, "…"),
            None => text.to_owned(),
        }
    }

    /// Where the model is.
    pub fn endpoint(&self) -> Endpoint {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (base, key) = (self.base_url(), text(&self.api_key));
        if self.source == Source::AzureOpenAi {
            return Endpoint {
                url: format!("{base}/openai/deployments/{}/chat/completions", text(&self.deployment_id)),
                query: vec![("api-version", text(&self.api_version))],
                headers: vec![("api-key", key)],
            };
        }
        let named = [("openai-organization", &self.org_id), ("openai-project", &self.project_id)];
        let mut headers: Vec<_> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone().filter(|value| !value.is_empty())?)))
            .collect();
        headers.push(("authorization", format!("Bearer {key}")));
        headers.push(("openai-beta", "assistants=v2".to_owned()));
        Endpoint { url: format!("{base}/chat/completions"), query: Vec::new(), headers }
    }

    /// Without a slash at its end.
    fn base_url(&self) -> &str {
        let base = match (&self.base_url, self.source) {
            (Some(base), _) => base,
            (None, Source::OpenAi) => "https://api.openai.com/v1",
            (None, Source::Mistral) => "https://api.mistral.ai/v1",
            (None, Source::AzureOpenAi | Source::VLlm) => "",
        };
        base.trim_end_matches('/')
    }

    /// Whether this model takes its instruction from a developer, not from the system.
    pub fn instructs_as_developer(&self, model: &str) -> bool {
        let is_old = OLD_MODELS
            .iter()
            .any(|old| model.strip_prefix(old).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')));
        matches!(self.source, Source::OpenAi | Source::AzureOpenAi) && !is_old
    }

    /// Whether the model can be asked how many tokens it used.
    pub const fn tells_usage(&self) -> bool {
        matches!(self.source, Source::OpenAi | Source::AzureOpenAi)
    }

    /// Whether the server says what is wrong as Mistral's do.
    pub const fn fails_like_mistral(&self) -> bool {
        matches!(self.source, Source::Mistral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_key_is_in_no_text_for_people() {
        let set = json!({ "source": "azureOpenAi", "baseUrl": "http://a", "apiKey": "sesame" });
        let workspace = Workspace::read(&set, &set).unwrap();
        assert!(!format!("{workspace:?} {:?}", workspace.endpoint()).contains("sesame"));
        assert_eq!(workspace.without_key("`sesame` is no key"), "`…` is no key");
        assert_eq!(Workspace::default().without_key("a"), "a");
    }
}
