//! What a client changes, in the form in which Meilisearch keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// One change of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleChange {
    /// A rule is made or changed.
    Put {
        /// Which.
        uid: String,
        /// Its new fields.
        update: RuleUpdate,
    },
    /// A rule is gone, if there is one.
    Delete {
        /// Which.
        uid: String,
    },
    /// All rules are gone.
    Clear,
}

/// New fields of a rule: `null` resets one, those that are not here stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleUpdate(Map<String, Value>);

impl RuleUpdate {
    /// Reads a body whose form is right, and brings it into the form that Meilisearch shows.
    pub fn new(body: &Map<String, Value>) -> Self {
        let mut update = Map::new();
        for field in ["description", "precedence", "active", "conditions", "actions"] {
            let Some(value) = body.get(field) else { continue };
            let value = match (field, value) {
                ("conditions", Value::Object(conditions)) => normal_conditions(conditions),
                ("actions", Value::Array(actions)) => actions.iter().map(normal_action).collect(),
                _ => value.clone(),
            };
            update.insert(field.to_owned(), value);
        }
        Self(update)
    }

    /// The fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The same for a node, which knows indexes by names of its own.
    #[must_use]
    pub fn for_node(mut self, name_on_nodes: impl Fn(&str) -> String) -> Self {
        let actions = self.0.get_mut("actions").and_then(Value::as_array_mut);
        for action in actions.into_iter().flatten() {
            if let Some(uid @ Value::String(_)) = action.pointer_mut("/selector/indexUid") {
                *uid = name_on_nodes(uid.as_str().unwrap_or_default()).into();
            }
        }
        self
    }

    /// The same with a value for each field that has a default.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        for (field, default) in [("active", json!(true)), ("conditions", json!({})), ("actions", json!([]))] {
            self.0.entry(field).or_insert(default);
        }
        self
    }

    /// Whether it names the index.
    pub fn names(&self, index: &str) -> bool {
        let actions = self.0.get("actions").and_then(Value::as_array);
        actions.into_iter().flatten().any(|action| action["selector"]["indexUid"] == index)
    }
}

fn normal_conditions(conditions: &Map<String, Value>) -> Value {
    let mut normal = Map::new();
    for (part, fields) in
        [("time", &["start", "end"][..]), ("query", &["isEmpty", "words"]), ("filter", &["values"])]
    {
        let Some(Value::Object(given)) = conditions.get(part) else { continue };
        let mut kept = Map::new();
        for field in fields {
            match (given.get(*field), part) {
                (Some(Value::String(date)), "time") => {
                    kept.insert((*field).to_owned(), normal_date(date).into())
                }
                (Some(Value::Object(values)), "filter") => kept.insert((*field).to_owned(), sorted(values)),
                (None, "filter") => kept.insert((*field).to_owned(), json!({})),
                (None | Some(Value::Null), _) => None,
                (Some(value), _) => kept.insert((*field).to_owned(), value.clone()),
            };
        }
        normal.insert(part.to_owned(), kept.into());
    }
    normal.into()
}

fn sorted(values: &Map<String, Value>) -> Value {
    let mut values: Vec<_> = values.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(values.into_iter().collect())
}

fn normal_date(text: &str) -> String {
    let date = OffsetDateTime::parse(text, &Rfc3339).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| text.to_owned())
}

fn normal_action(action: &Value) -> Value {
    let mut selector = Map::new();
    for field in ["indexUid", "id"] {
        if let Some(value) = action["selector"].get(field).filter(|value| !value.is_null()) {
            selector.insert(field.to_owned(), value.clone());
        }
    }
    json!({ "selector": selector, "action": { "type": "pin", "position": action["action"]["position"] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(body: Value) -> RuleUpdate {
        let Value::Object(body) = body else { panic!("a body is an object") };
        RuleUpdate::new(&body)
    }

    #[test]
    fn an_update_is_kept_as_meilisearch_shows_it() {
        let update = update(json!({
            "actions": [{ "action": { "position": 3, "type": "pin" }, "selector": { "id": "1", "indexUid": null } }],
            "conditions": {
                "filter": { "values": { "b": 1, "a": [1.5, "x"] } },
                "time": { "end": "2030-01-01T00:00:00.500+01:00", "start": null },
                "query": null,
            },
            "description": null,
        }));
        assert_eq!(
            Value::Object(update.fields().clone()).to_string(),
            json!({
                "description": null,
                "conditions": {
                    "time": { "end": "2030-01-01T00:00:00.5+01:00" },
                    "filter": { "values": { "a": [1.5, "x"], "b": 1 } },
                },
                "actions": [{ "selector": { "id": "1" }, "action": { "type": "pin", "position": 3 } }],
            })
            .to_string()
        );
    }

    #[test]
    fn nodes_get_their_own_names_of_indexes() {
        let update = update(json!({ "actions": [
            { "selector": { "indexUid": "films", "id": "1" }, "action": { "type": "pin", "position": 0 } },
            { "selector": { "id": "2" }, "action": { "type": "pin", "position": 1 } },
        ] }));
        assert!(update.names("films") && !update.names("books"));
        let on_node = update.for_node(|uid| format!("{uid}-2"));
        assert!(on_node.names("films-2"));
        assert_eq!(on_node.fields()["actions"][1]["selector"], json!({ "id": "2" }));
    }
}
