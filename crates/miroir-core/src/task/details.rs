//! The `details` of a task: what is known when it is accepted, and what its end adds.

use serde_json::{Map, Value, json};

use super::{Deletion, Mutation, TaskStatus};
use crate::rules::RuleChange;
use crate::secret::mask;
use crate::settings::single_precision;

/// Settings keys whose reset is shown as what they are reset to.
const SHOWN_AS_EVERYTHING: [&str; 2] = ["displayedAttributes", "searchableAttributes"];

/// Settings keys whose lists Meilisearch keeps as sorted sets.
const SHOWN_AS_SETS: [&str; 5] =
    ["sortableAttributes", "stopWords", "nonSeparatorTokens", "separatorTokens", "dictionary"];

/// The details of a task that has just been accepted.
pub fn details_at_start(mutation: &Mutation) -> Map<String, Value> {
    let details = match mutation {
        Mutation::AddDocuments { received, .. } => {
            json!({ "receivedDocuments": received, "indexedDocuments": null })
        }
        Mutation::DeleteDocuments { deletion } => match deletion {
            Deletion::ByIds(ids) => {
                json!({ "providedIds": ids.len(), "deletedDocuments": null, "originalFilter": null })
            }
            Deletion::ByFilter(filter) => {
                json!({ "providedIds": 0, "deletedDocuments": null, "originalFilter": filter.to_string() })
            }
            Deletion::All => json!({ "deletedDocuments": null }),
        },
        Mutation::Settings { patch, .. } => return settings(patch),
        Mutation::CreateIndex { primary_key } | Mutation::UpdateIndex { primary_key } => {
            json!({ "primaryKey": primary_key })
        }
        Mutation::RenameIndex { .. } | Mutation::SwapIndexes { .. } => return names(mutation),
        Mutation::EditDocuments { filter, context, function } => json!({
            "editedDocuments": null,
            "deletedDocuments": null,
            "originalFilter": filter.as_ref().map(Value::to_string),
            "context": context,
            "function": function,
        }),
        Mutation::DeleteIndex => json!({ "deletedDocuments": null }),
        Mutation::Rules { change } => match change {
            RuleChange::Put { update, .. } => json!({ "rule": update, "updatedRules": 1 }),
            RuleChange::Delete { .. } => json!({ "updatedRules": 1 }),
            RuleChange::Clear => json!({ "deletedDocuments": null }),
        },
        Mutation::Errand { errand } => return errand.details(),
    };
    match details {
        Value::Object(details) => details,
        other => unreachable!("details are an object, not {other}"),
    }
}

/// The details of a task that has ended with `status`, after it wrote or deleted `count` documents.
pub fn details_at_end(
    mut details: Map<String, Value>,
    mutation: &Mutation,
    status: TaskStatus,
    count: u64,
) -> Map<String, Value> {
    let counted = match mutation {
        Mutation::AddDocuments { .. } => "indexedDocuments",
        Mutation::DeleteDocuments { .. }
        | Mutation::DeleteIndex
        | Mutation::Rules { change: RuleChange::Clear } => "deletedDocuments",
        Mutation::EditDocuments { .. } => "editedDocuments",
        Mutation::Settings { .. }
        | Mutation::CreateIndex { .. }
        | Mutation::UpdateIndex { .. }
        | Mutation::RenameIndex { .. }
        | Mutation::SwapIndexes { .. }
        | Mutation::Rules { .. }
        | Mutation::Errand { .. } => return details,
    };
    let count = if status == TaskStatus::Succeeded { count } else { 0 };
    details.insert(counted.to_owned(), count.into());
    if matches!(mutation, Mutation::EditDocuments { .. }) && status == TaskStatus::Succeeded {
        // Meilisearch 1.50 gives both the same number.
        details.insert("deletedDocuments".to_owned(), count.into());
    }
    details
}

fn names(mutation: &Mutation) -> Map<String, Value> {
    let mut details = Map::new();
    match mutation {
        Mutation::SwapIndexes { swaps } => {
            details.insert("swaps".to_owned(), json!(swaps));
        }
        Mutation::RenameIndex { old_uid, new_uid, primary_key } => {
            details.insert("primaryKey".to_owned(), json!(primary_key));
            details.insert("oldIndexUid".to_owned(), json!(old_uid));
            details.insert("newIndexUid".to_owned(), json!(new_uid));
        }
        _ => {}
    }
    details
}

fn settings(patch: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = patch.clone();
    for key in SHOWN_AS_EVERYTHING {
        if let Some(value) = shown.get_mut(key)
            && value.is_null()
        {
            *value = json!(["*"]);
        }
    }
    for key in SHOWN_AS_SETS {
        sort_set(&mut shown, key);
    }
    if let Some(Value::Object(typos)) = shown.get_mut("typoTolerance") {
        for key in ["disableOnWords", "disableOnAttributes"] {
            sort_set(typos, key);
        }
    }
    if let Some(Value::Array(rules)) = shown.get_mut("filterableAttributes") {
        rules.iter_mut().for_each(show_features);
    }
    let hybrid = shown.get_mut("chat").and_then(|chat| chat.pointer_mut("/searchParameters/hybrid"));
    if let Some(Value::Object(hybrid)) = hybrid {
        hybrid.entry("semanticRatio").or_insert(json!(0.5));
    }
    if let Some(Value::Object(embedders)) = shown.get_mut("embedders") {
        embedders.values_mut().for_each(show_embedder);
    }
    shown
}

fn sort_set(settings: &mut Map<String, Value>, key: &str) {
    if let Some(Value::Array(items)) = settings.get_mut(key) {
        items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        items.dedup();
    }
}

/// A rule with patterns is shown with all of its features, also with those that it leaves at their defaults.
fn show_features(rule: &mut Value) {
    let Value::Object(rule) = rule else { return };
    let given = rule.get("features").cloned().unwrap_or_default();
    let feature =
        |pointer: &str, default: bool| given.pointer(pointer).and_then(Value::as_bool).unwrap_or(default);
    let features = json!({
        "facetSearch": feature("/facetSearch", false),
        "filter": {
            "equality": feature("/filter/equality", true),
            "comparison": feature("/filter/comparison", false),
        },
    });
    rule.insert("features".to_owned(), features);
}

/// Hides the `apiKey` of an embedder and of the embedders in it, and rounds numbers as a server does.
fn show_embedder(embedder: &mut Value) {
    let Value::Object(fields) = embedder else { return };
    for (name, value) in fields {
        match value {
            Value::String(secret) if name == "apiKey" => *secret = mask(secret),
            parts if name == "distribution" => *parts = single_precision(parts),
            other => show_embedder(other),
        }
    }
}
