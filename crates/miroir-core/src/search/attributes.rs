//! Which attributes of a hit the client may see.
//!
//! Nodes whose answers are merged display everything (see [`crate::settings`]), so a request names exactly what the
//! client may see, and whatever the merge asked for on top is taken out of the answer. Nodes read and send only what is
//! named, so large fields that are not displayed cost nothing.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::SearchRequest;
use crate::document::fields::select;
use crate::settings::ClientSettings;

/// The attributes that end up in the client's hits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The client's `displayedAttributes`; `None` for all.
    displayed: Option<Vec<String>>,
    /// What the client retrieves of them; `None` for everything.
    retrieved: Option<Vec<String>>,
    /// Attributes that only the merge reads.
    extra: Vec<String>,
    /// What the client highlights or crops: it stands in `_formatted` even when not retrieved.
    formatted: Vec<String>,
    /// Vectors come from the clients, so documents carry them.
    vectors_are_given: bool,
}

/// The field in which a document carries its vectors.
const VECTORS: &str = "_vectors";

impl Shown {
    /// Works out what of the request and the settings decides which attributes are seen.
    pub fn new(request: &SearchRequest, settings: &ClientSettings) -> Self {
        let displayed: Option<Vec<String>> = settings
            .list("displayedAttributes")
            .filter(|list| !list.contains(&"*"))
            .map(|list| list.into_iter().map(str::to_owned).collect());
        let retrieved = match (&displayed, &request.attributes_to_retrieve) {
            (None, asked) => asked.clone(),
            (Some(displayed), None) => Some(displayed.clone()),
            (Some(displayed), Some(asked)) => {
                Some(asked.iter().filter(|name| displayed.contains(name)).cloned().collect())
            }
        };
        let formatted = ["attributesToHighlight", "attributesToCrop"]
            .into_iter()
            .flat_map(|key| expanded(request, key, displayed.as_deref()).unwrap_or_default())
            .map(|name| without_length(&name).to_owned())
            .collect();
        let vectors_are_given = has_given_vectors(settings);
        Self { displayed, retrieved, extra: Vec::new(), formatted, vectors_are_given }
    }

    /// Asks nodes for one more attribute, which the client is not to see unless it asked for it.
    pub fn also_read(&mut self, attribute: &str) {
        let covered = self.retrieved.as_ref().is_none_or(|list| list.iter().any(|name| name == attribute));
        if !covered && !self.extra.iter().any(|name| name == attribute) {
            self.extra.push(attribute.to_owned());
        }
    }

    /// Puts the attribute lists into a node's request.
    pub fn write_to(&self, body: &mut Map<String, Value>, request: &SearchRequest) {
        if let Some(retrieved) = &self.retrieved {
            let list: Vec<&String> = retrieved.iter().chain(&self.extra).collect();
            body.insert("attributesToRetrieve".to_owned(), json!(list));
        }
        for key in ["attributesToHighlight", "attributesToCrop"] {
            if let Some(list) = expanded(request, key, self.displayed.as_deref()) {
                body.insert(key.to_owned(), json!(list));
            }
        }
    }

    /// Takes out of a node's hit what the client did not ask for.
    pub fn trim(&self, hit: &mut Map<String, Value>) {
        self.trim_matches(hit);
        self.trim_vectors(hit);
        if self.extra.is_empty() {
            return;
        }
        let Some(retrieved) = &self.retrieved else { return };
        let (mut about, document) = take_apart(std::mem::take(hit));
        *hit = select(document, retrieved.iter().map(String::as_str));
        if !retrieved.iter().any(|name| covers(name, "_geo")) {
            about.shift_remove("_geoDistance");
        }
        if let Some(formatted) = about.get_mut("_formatted").and_then(Value::as_object_mut) {
            let names = retrieved.iter().chain(&self.formatted).map(String::as_str);
            if !names.clone().any(|name| name == "*") {
                *formatted = select(std::mem::take(formatted), names);
            }
        }
        hit.append(&mut about);
    }

    /// Meilisearch hides the values of sort rules on fields that are not displayed, and the nodes' lists are longer than
    /// the client's.
    pub fn trim_details(&self, details: &mut Map<String, Value>) {
        let Some(displayed) = &self.displayed else { return };
        *details = std::mem::take(details)
            .into_iter()
            .map(|(rule, detail)| match rule.rsplit_once(':') {
                Some((field, "asc" | "desc"))
                    if !rule.starts_with("_geoPoint(") && !displayed.iter().any(|name| name == field) =>
                {
                    let order = detail["order"].clone();
                    (format!("<hidden-rule-{order}>"), json!({ "order": order, "value": "<hidden>" }))
                }
                _ => (rule, detail),
            })
            .collect();
    }

    /// A list of displayed attributes hides vectors when it has `_vectors` and documents carry vectors of their own, or
    /// when neither is so (Meilisearch 1.50).
    fn trim_vectors(&self, hit: &mut Map<String, Value>) {
        let Some(displayed) = &self.displayed else { return };
        let carried = self.vectors_are_given || carries_vectors(hit);
        if displayed.iter().any(|name| name == VECTORS) == carried {
            hit.shift_remove(VECTORS);
        }
    }

    /// Matches are shown for all displayed attributes, and nodes display more than the client allowed.
    fn trim_matches(&self, hit: &mut Map<String, Value>) {
        if let (Some(displayed), Some(Value::Object(matches))) =
            (&self.displayed, hit.get_mut("_matchesPosition"))
        {
            matches.retain(|field, _| displayed.iter().any(|name| covers(name, field)));
        }
    }
}

/// What a hit says about the document, apart from the document itself.
const ABOUT_THE_HIT: [&str; 7] = [
    "_federation",
    "_formatted",
    "_matchesPosition",
    "_rankingScore",
    "_rankingScoreDetails",
    "_geoDistance",
    "_vectors",
];

fn has_given_vectors(settings: &ClientSettings) -> bool {
    let embedders = settings.get("embedders").and_then(Value::as_object);
    embedders.into_iter().flatten().any(|(_, embedder)| embedder["source"] == "userProvided")
}

/// Vectors that a server made itself are regenerated with the document; others came with it.
fn carries_vectors(hit: &Map<String, Value>) -> bool {
    let vectors = hit.get(VECTORS).and_then(Value::as_object);
    vectors.into_iter().flatten().any(|(_, vector)| vector["regenerate"] != true)
}

fn take_apart(hit: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    hit.into_iter().partition(|(name, _)| ABOUT_THE_HIT.contains(&name.as_str()))
}

/// Whether `field` is `name` or lies below it.
fn covers(name: &str, field: &str) -> bool {
    field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn without_length(name: &str) -> &str {
    name.split_once(':').map_or(name, |(name, _)| name)
}

/// A list of `name` or `name:length` items with `*` replaced by what the client displays.
fn expanded(request: &SearchRequest, key: &str, displayed: Option<&[String]>) -> Option<Vec<String>> {
    let list = request.body.get(key)?.as_array()?;
    let mut names = Vec::new();
    for name in list.iter().filter_map(Value::as_str) {
        match displayed {
            Some(displayed) if without_length(name) == "*" => {
                names.extend(displayed.iter().map(|shown| name.replacen('*', shown, 1)));
            }
            Some(displayed) if !displayed.iter().any(|shown| shown == without_length(name)) => {}
            _ => names.push(name.to_owned()),
        }
    }
    Some(names)
}
