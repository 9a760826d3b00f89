//! Which attributes of a hit the client may see.
//!
//! Nodes whose answers are merged display everything (see [`crate::settings`]), so a request names exactly what the
//! client may see, and whatever the merge asked for on top is taken out of the answer. Nodes read and send only what is
//! named, so large fields that are not displayed cost nothing.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{SearchKind, SearchRequest};
use crate::document::fields::{keep, keep_formatted, lies_below};
use crate::document::paths::is_path;
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
    /// What nodes are asked to say about a hit beside its document. Fields of other names are the document's, whatever they
    /// are called.
    told: Vec<&'static str>,
}

/// The field in which a document carries its vectors.
const VECTORS: &str = "_vectors";

impl Shown {
    /// Works out what of the request and the settings decides which attributes are seen.
    pub fn new(request: &SearchRequest, settings: &ClientSettings) -> Self {
        let displayed = displayed(settings);
        let mut retrieved = retrieved(request, displayed.as_deref());
        let mut formatted = formatted(request, displayed.as_deref());
        for list in retrieved.iter_mut().chain([&mut formatted]) {
            list.retain(|name| request.paths.means_something(name));
        }
        let vectors_are_given = has_given_vectors(settings);
        let told = told_by_nodes(request, !formatted.is_empty());
        let mut shown = Self { displayed, retrieved, extra: Vec::new(), formatted, vectors_are_given, told };
        for attribute in request.paths.beside() {
            shown.also_read(&attribute);
        }
        shown
    }

    /// The paths that decide what is shown of a hit, if nodes have met them.
    pub fn paths_of(request: &SearchRequest, settings: &ClientSettings) -> Vec<String> {
        let displayed = displayed(settings);
        let retrieved = retrieved(request, displayed.as_deref()).unwrap_or_default();
        let formatted = formatted(request, displayed.as_deref());
        let paths: BTreeSet<String> =
            retrieved.into_iter().chain(formatted).filter(|name| is_path(name)).collect();
        paths.into_iter().collect()
    }

    /// Whether nodes say this about every hit, so that it is not what the document has under the name.
    pub fn is_told(&self, name: &str) -> bool {
        self.told.contains(&name)
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
            if let Some(mut list) = expanded(request, key, self.displayed.as_deref()) {
                let beside = list.iter().flat_map(|name| {
                    let bare = without_length(name);
                    request.paths.beside_name(bare).map(move |passed| name.replacen(bare, passed, 1))
                });
                let beside: Vec<String> = beside.collect();
                list.extend(beside);
                body.insert(key.to_owned(), json!(list));
            }
        }
    }

    /// Takes out of a node's hit what the client did not ask for; and out of `own`, the fields of its document behind what
    /// the node says under their names.
    pub fn trim(&self, hit: &mut Map<String, Value>, own: &mut Map<String, Value>) {
        self.trim_matches(hit);
        self.trim_vectors(hit);
        if self.extra.is_empty() {
            return;
        }
        let Some(retrieved) = &self.retrieved else { return };
        let (mut about, document): (Map<String, Value>, Map<String, Value>) =
            std::mem::take(hit).into_iter().partition(|(name, _)| self.is_told(name));
        *hit = keep(document, retrieved);
        *own = keep(std::mem::take(own), retrieved);
        if !has_place(hit) {
            about.shift_remove(DISTANCE);
        }
        if let Some(formatted) = about.get_mut(FORMATTED).and_then(Value::as_object_mut) {
            let names = retrieved.iter().chain(&self.formatted).map(String::as_str);
            if !names.clone().any(|name| name == "*") {
                *formatted = keep_formatted(std::mem::take(formatted), names);
            }
            if formatted.is_empty() {
                about.shift_remove(FORMATTED);
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

    /// Matches are shown for all displayed attributes, and nodes display more than the client allowed. A plain value on the
    /// way of a displayed path is displayed too.
    fn trim_matches(&self, hit: &mut Map<String, Value>) {
        let is_displayed = |names: &[String], field: &str| {
            names.iter().any(|name| lies_below(field, name) || lies_below(name, field))
        };
        if self.is_told(MATCHES)
            && let (Some(displayed), Some(Value::Object(matches))) = (&self.displayed, hit.get_mut(MATCHES))
        {
            matches.retain(|field, _| is_displayed(displayed, field));
        }
    }
}

/// The client's `displayedAttributes`; `None` for all.
fn displayed(settings: &ClientSettings) -> Option<Vec<String>> {
    let list = settings.list("displayedAttributes").filter(|list| !list.contains(&"*"))?;
    Some(list.into_iter().map(str::to_owned).collect())
}

/// What the client retrieves; `None` for everything.
fn retrieved(request: &SearchRequest, displayed: Option<&[String]>) -> Option<Vec<String>> {
    match (displayed, &request.attributes_to_retrieve) {
        (None, asked) => asked.clone(),
        (Some(displayed), None) => Some(displayed.to_vec()),
        (Some(displayed), Some(asked)) => {
            Some(asked.iter().filter(|name| displayed.contains(name)).cloned().collect())
        }
    }
}

/// What the client highlights or crops.
fn formatted(request: &SearchRequest, displayed: Option<&[String]>) -> Vec<String> {
    let lists = ["attributesToHighlight", "attributesToCrop"].into_iter();
    let names = lists.flat_map(|key| expanded(request, key, displayed).unwrap_or_default());
    names.map(|name| without_length(&name).to_owned()).collect()
}

const FORMATTED: &str = "_formatted";
const MATCHES: &str = "_matchesPosition";
const DISTANCE: &str = "_geoDistance";
pub(super) const SCORE: &str = "_rankingScore";
pub(super) const DETAILS: &str = "_rankingScoreDetails";

/// What nodes say about the hits of this search. Details they are always asked for, vectors belong to nobody else, and the
/// halves of a hybrid search need scores.
fn told_by_nodes(request: &SearchRequest, is_formatted: bool) -> Vec<&'static str> {
    let shows_matches = request.body.get("showMatchesPosition").is_some_and(|shows| *shows == true);
    let is_scored = request.show_ranking_score || matches!(request.kind, SearchKind::Hybrid { .. });
    let told = [
        (DETAILS, true),
        (VECTORS, true),
        (SCORE, is_scored),
        (FORMATTED, is_formatted),
        (MATCHES, shows_matches),
        (DISTANCE, request.sort.iter().any(|sort| sort.contains("_geoPoint("))),
    ];
    told.into_iter().filter_map(|(name, is_told)| is_told.then_some(name)).collect()
}

/// Whether the client sees the place from which a distance is measured.
fn has_place(document: &Map<String, Value>) -> bool {
    let has = |coordinate: &str| document.get("_geo").is_some_and(|place| place.get(coordinate).is_some());
    has("lat") && has("lng")
}

fn has_given_vectors(settings: &ClientSettings) -> bool {
    let embedders = settings.get("embedders").and_then(Value::as_object);
    embedders.into_iter().flatten().any(|(_, embedder)| embedder["source"] == "userProvided")
}

/// Vectors that a server made itself are regenerated with the document; others came with it.
fn carries_vectors(hit: &Map<String, Value>) -> bool {
    let vectors = hit.get(VECTORS).and_then(Value::as_object);
    vectors.into_iter().flatten().any(|(_, vector)| vector["regenerate"] != true)
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
