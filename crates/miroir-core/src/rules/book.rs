//! All rules as they are at one place of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{RuleChange, RuleUpdate};

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its place among the rules: a server looks at rules of equal precedence in this order. Places of deleted rules are
    /// used again, the smallest one first.
    place: u64,
    /// When the last change of it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    last_updated_at: OffsetDateTime,
    /// Its fields, but those that have no value.
    fields: RuleUpdate,
}

/// A document that some rule wants at some position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The index, or any.
    pub index: Option<String>,
    /// The document.
    pub id: String,
    /// Where, counted from 0.
    pub position: u64,
}

impl Pin {
    /// Whether it concerns searches of this index.
    pub fn is_in(&self, index: &str) -> bool {
        self.index.as_ref().is_none_or(|it| it == index)
    }
}

impl Rule {
    /// Everything that makes the rule anew.
    pub fn fields(&self) -> &RuleUpdate {
        &self.fields
    }

    /// Its documents, in the rule's own order.
    fn pins(&self) -> impl Iterator<Item = Pin> {
        let actions = self.fields.fields().get("actions").and_then(Value::as_array);
        actions.into_iter().flatten().filter_map(|action| {
            let selector = &action["selector"];
            Some(Pin {
                index: selector["indexUid"].as_str().map(str::to_owned),
                id: selector["id"].as_str()?.to_owned(),
                position: action["action"]["position"].as_u64()?,
            })
        })
    }

    /// When the last change of it was accepted.
    pub fn last_updated_at(&self) -> OffsetDateTime {
        self.last_updated_at
    }

    fn reads_filters(&self) -> bool {
        let conditions = self.fields.fields().get("conditions");
        let values = conditions.and_then(|conditions| conditions.pointer("/filter/values"));
        values.and_then(Value::as_object).is_some_and(|values| !values.is_empty())
    }

    fn precedence(&self) -> u64 {
        self.fields.fields().get("precedence").and_then(Value::as_u64).unwrap_or(u64::MAX)
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    rules: BTreeMap<String, Arc<Rule>>,
    /// What searches ask for, worked out when the first one does.
    digest: OnceLock<Arc<Digest>>,
}

#[derive(Debug)]
struct Digest {
    pins: Vec<Pin>,
    reads_filters: bool,
}

impl PartialEq for RuleBook {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl RuleBook {
    /// These rules, by uid.
    pub fn new(rules: BTreeMap<String, Rule>) -> Self {
        let rules = rules.into_iter().map(|(uid, rule)| (uid, Arc::new(rule))).collect();
        Self { rules, digest: OnceLock::new() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Everything that rules pin, active or not, in the order in which a server looks at it: by the rules' precedence.
    pub fn pins(&self) -> &[Pin] {
        &self.digest().pins
    }

    /// Whether some rule has a condition on the filter.
    pub fn reads_filters(&self) -> bool {
        self.digest().reads_filters
    }

    fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| {
            let by_precedence = self.sorted(|rule| (rule.precedence(), rule.place));
            Arc::new(Digest {
                pins: by_precedence.into_iter().flat_map(|(_, rule)| rule.pins()).collect(),
                reads_filters: self.rules.values().any(|rule| rule.reads_filters()),
            })
        })
    }

    /// A rule.
    pub fn get(&self, uid: &str) -> Option<&Rule> {
        self.rules.get(uid).map(|rule| &**rule)
    }

    /// All rules with their uids, in the order in which they have to be made to get the same places again.
    pub fn by_place(&self) -> Vec<(&str, &Rule)> {
        self.sorted(|rule| rule.place)
    }

    /// All rules with their uids, those first that were not changed for the longest time.
    pub fn by_change(&self) -> Vec<(&str, &Rule)> {
        self.sorted(|rule| (rule.last_updated_at, rule.place))
    }

    fn sorted<K: Ord>(&self, key: impl Fn(&Rule) -> K) -> Vec<(&str, &Rule)> {
        let mut rules: Vec<_> = self.rules.iter().map(|(uid, rule)| (uid.as_str(), &**rule)).collect();
        rules.sort_by_key(|(_, rule)| key(rule));
        rules
    }

    /// Makes a change that was accepted at `at`. Answers the uids of rules that are not what they were.
    pub fn apply(&mut self, change: &RuleChange, at: OffsetDateTime) -> Vec<String> {
        self.digest.take();
        match change {
            RuleChange::Put { uid, update } => {
                let rule = match self.rules.remove(uid) {
                    Some(rule) => rule,
                    None => Arc::new(Rule {
                        place: self.free_place(),
                        last_updated_at: at,
                        fields: RuleUpdate::default(),
                    }),
                };
                let rule = Arc::make_mut(self.rules.entry(uid.clone()).or_insert(rule));
                rule.last_updated_at = at;
                let mut fields = rule.fields.fields().clone();
                for (field, value) in update.fields() {
                    if value.is_null() {
                        fields.shift_remove(field);
                    } else {
                        fields.insert(field.clone(), value.clone());
                    }
                }
                rule.fields = RuleUpdate::new(&fields);
                vec![uid.clone()]
            }
            RuleChange::Delete { uid } => self.rules.remove(uid).map(|_| uid.clone()).into_iter().collect(),
            RuleChange::Clear => std::mem::take(&mut self.rules).into_keys().collect(),
        }
    }

    fn free_place(&self) -> u64 {
        let taken: BTreeSet<u64> = self.rules.values().map(|rule| rule.place).collect();
        (0..)
            .zip(&taken)
            .find(|(place, taken)| place != *taken)
            .map_or(taken.len() as u64, |(place, _)| place)
    }

    /// A rule as clients see it.
    pub fn shown(&self, uid: &str) -> Option<Value> {
        let rule = self.rules.get(uid)?;
        let fields = rule.fields.fields();
        let mut shown = Map::from_iter([("uid".to_owned(), json!(uid))]);
        let mut show = |field: &str, default: Option<Value>| {
            if let Some(value) = fields.get(field).cloned().or(default) {
                shown.insert(field.to_owned(), value);
            }
        };
        show("description", None);
        show("lastUpdatedAt", rule.last_updated_at.format(&Rfc3339).ok().map(Value::from));
        show("precedence", None);
        show("active", Some(json!(true)));
        show("conditions", Some(json!({})));
        show("actions", Some(json!([])));
        Some(shown.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn put(uid: &str, body: Value) -> RuleChange {
        let Value::Object(body) = body else { panic!("a body is an object") };
        RuleChange::Put { uid: uid.to_owned(), update: RuleUpdate::new(&body) }
    }

    fn uids<'a>(rules: &[(&'a str, &Rule)]) -> Vec<&'a str> {
        rules.iter().map(|(uid, _)| *uid).collect()
    }

    #[test]
    fn fields_that_a_change_does_not_name_stay_and_null_resets() {
        let mut book = RuleBook::default();
        book.apply(&put("a", json!({ "description": "x", "precedence": 3, "active": false })), NOW);
        book.apply(&put("a", json!({ "active": null, "precedence": 4 })), NOW + time::Duration::SECOND);
        assert_eq!(
            book.shown("a").unwrap().to_string(),
            json!({ "uid": "a", "description": "x", "lastUpdatedAt": "1970-01-01T00:00:01Z", "precedence": 4,
                "active": true, "conditions": {}, "actions": [] })
            .to_string()
        );
        assert_eq!(book.shown("b"), None);
    }

    #[test]
    fn the_places_of_deleted_rules_are_used_again() {
        let mut book = RuleBook::default();
        for uid in ["c", "b", "a"] {
            book.apply(&put(uid, json!({})), NOW);
        }
        assert_eq!(book.apply(&RuleChange::Delete { uid: "b".to_owned() }, NOW), ["b"]);
        assert_eq!(book.apply(&RuleChange::Delete { uid: "b".to_owned() }, NOW), [""; 0]);
        book.apply(&put("z", json!({})), NOW);
        book.apply(&put("y", json!({})), NOW);
        assert_eq!(uids(&book.by_place()), ["c", "z", "a", "y"]);
        assert_eq!(book.apply(&RuleChange::Clear, NOW).len(), 4);
        assert!(book.is_empty());
    }

    #[test]
    fn rules_without_a_precedence_come_last() {
        let mut book = RuleBook::default();
        let pin =
            |id: &str| json!([{ "selector": { "id": id }, "action": { "type": "pin", "position": 7 } }]);
        book.apply(&put("a", json!({ "actions": pin("1") })), NOW);
        book.apply(&put("b", json!({ "actions": pin("2"), "precedence": 5 })), NOW);
        book.apply(&put("c", json!({ "actions": pin("3"), "precedence": 2 })), NOW - time::Duration::SECOND);
        let ids: Vec<_> = book.pins().iter().map(|pin| pin.id.as_str()).collect();
        assert_eq!(ids, ["3", "2", "1"]);
        assert_eq!(uids(&book.by_change()), ["c", "a", "b"]);
    }
}
