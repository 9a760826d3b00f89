//! The settings of a workspace where no node can check them: nodes of an engine that knows no chats, such as the one for
//! development.

use serde_json::{Map, Value, json};

use super::Workspace;
use crate::error::{ErrorCode, ResponseError};
use crate::secret::mask;

const SOURCES: [&str; 4] = ["openAi", "azureOpenAi", "mistral", "vLlm"];
const TEXTS: [&str; 6] = ["orgId", "projectId", "apiVersion", "deploymentId", "baseUrl", "apiKey"];

/// What a model is told where nobody says anything else.
const PROMPTS: [(&str, &str); 5] = [
    ("system", "Answer with what you find by searching. Search as often as you need, with different words."),
    ("searchDescription", "Finds documents by words and by filters, in one of these indexes:"),
    ("searchQParam", "The words to search for. They may be empty."),
    (
        "searchFilterParam",
        "A filter such as `year > 1990 AND genre = drama`, or nothing. It may use these attributes:",
    ),
    ("searchIndexUidParam", "The index to search."),
];

/// Settings as clients are shown them: with every part, and with the key masked.
///
/// # Errors
/// What Meilisearch would refuse, in words of our own.
pub fn shown_settings(set: &Map<String, Value>) -> Result<Value, ResponseError> {
    let known = |name: &str| name == "source" || name == "prompts" || TEXTS.contains(&name);
    if let Some(name) = set.keys().find(|name| !known(name)) {
        return Err(refused(format!("Unknown field `{name}`.")));
    }
    let source = text(set, "source")?.unwrap_or(SOURCES[0]);
    if !SOURCES.contains(&source) {
        return Err(refused(format!("Unknown value `{source}` at `.source`.")));
    }
    let mut shown = Map::from_iter([("source".to_owned(), json!(source))]);
    for name in TEXTS {
        let value = text(set, name)?;
        let value = if name == "apiKey" { json!(value.map(mask)) } else { json!(value) };
        shown.insert(name.to_owned(), value);
    }
    let needed: &[&str] = match source {
        "azureOpenAi" => &["baseUrl", "deploymentId", "apiVersion"],
        "vLlm" => &["baseUrl"],
        _ => &[],
    };
    if let Some(name) = needed.iter().find(|name| shown[**name].is_null()) {
        return Err(refused(format!("{source} requires setting a valid `{name}`")));
    }
    shown.insert("prompts".to_owned(), prompts(set.get("prompts"))?);
    let shown = Value::Object(shown);
    Workspace::read(&shown, &shown).map_err(|error| refused(error.to_string()))?;
    Ok(shown)
}

fn prompts(set: Option<&Value>) -> Result<Value, ResponseError> {
    let set = match set {
        None | Some(Value::Null) => &Map::new(),
        Some(Value::Object(set)) => set,
        Some(_) => return Err(refused("Invalid value type at `.prompts`: expected an object".to_owned())),
    };
    if let Some(name) = set.keys().find(|name| PROMPTS.iter().all(|(known, _)| known != name)) {
        return Err(refused(format!("Unknown field `{name}` inside `.prompts`.")));
    }
    let prompt =
        |(name, default): &(&str, &str)| Ok(((*name).to_owned(), json!(text(set, name)?.unwrap_or(default))));
    PROMPTS.iter().map(prompt).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn text<'a>(set: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ResponseError> {
    match set.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refused(format!("Invalid value type at `.{name}`: expected a string"))),
    }
}

fn refused(message: String) -> ResponseError {
    ResponseError::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(set: &Value) -> Result<Value, String> {
        shown_settings(set.as_object().unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn every_part_is_shown_and_the_key_is_masked() {
        let shown = shown(&json!({ "apiKey": "0123456789", "prompts": { "system": "Be short." } })).unwrap();
        assert_eq!((&shown["source"], &shown["apiKey"]), (&json!("openAi"), &json!("01XXXX...")));
        assert_eq!(shown["prompts"]["system"], "Be short.");
        assert_eq!(shown["prompts"].as_object().map(Map::len), Some(5));
        assert_eq!(shown.as_object().map(Map::len), Some(8));
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        for (set, message) in [
            (json!({ "speed": 1 }), "Unknown field `speed`."),
            (json!({ "source": "none" }), "Unknown value `none` at `.source`."),
            (json!({ "orgId": 1 }), "Invalid value type at `.orgId`: expected a string"),
            (json!({ "source": "vLlm" }), "vLlm requires setting a valid `baseUrl`"),
            (json!({ "prompts": { "speed": "a" } }), "Unknown field `speed` inside `.prompts`."),
        ] {
            assert_eq!(shown(&set), Err(message.to_owned()));
        }
    }
}
