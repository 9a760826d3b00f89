//! Makes one node's dynamic search rules those of the log.

use std::collections::BTreeMap;

use miroir_core::rules::{RULES_FEATURE, RuleBook, RuleUpdate};
use serde_json::Value;

use crate::node_api::questions;
use crate::transfer::{Target, TransferError};

/// Gives the node these rules and no others. Where it has them nothing is written.
pub(super) async fn copy_rules(
    target: &Target,
    book: &RuleBook,
    features: &BTreeMap<String, bool>,
    name_on_nodes: impl Fn(&str) -> String,
) -> Result<(), TransferError> {
    let switched = features.get(RULES_FEATURE).copied();
    if book.is_empty() && switched.is_none() {
        return Ok(());
    }
    let is_on = switched == Some(true);
    if !is_on {
        switch(target, true).await?;
    }
    let copied = write_rules(target, book, &name_on_nodes).await;
    if !is_on {
        switch(target, false).await?;
    }
    copied
}

async fn write_rules(
    target: &Target,
    book: &RuleBook,
    name_on_nodes: &impl Fn(&str) -> String,
) -> Result<(), TransferError> {
    let wanted: Vec<(&str, RuleUpdate)> = book
        .by_place()
        .into_iter()
        .map(|(uid, rule)| (uid, rule.fields().clone().for_node(name_on_nodes)))
        .collect();
    if is_same(&wanted, &target.ask(questions::search_rules()).await?) {
        return Ok(());
    }
    let mut last = target.enqueue(questions::delete_search_rules()).await?;
    let mut before = "";
    for (uid, update) in wanted {
        // A node gives the rules of one batch their places by uid, and all of them by turn otherwise.
        if uid < before {
            target.wait_for(last).await?;
        }
        last = target.enqueue(questions::change_search_rule(uid, &update)).await?;
        before = uid;
    }
    target.wait_for(last).await
}

async fn switch(target: &Target, on: bool) -> Result<(), TransferError> {
    target.switch_features(&BTreeMap::from([(RULES_FEATURE.to_owned(), on)])).await
}

/// Whether a node's list holds these rules and no others.
fn is_same(wanted: &[(&str, RuleUpdate)], there: &[Value]) -> bool {
    let found = |uid: &str| there.iter().find(|rule| rule["uid"] == uid).and_then(Value::as_object);
    let has = |(uid, update): &(&str, RuleUpdate)| {
        found(uid).is_some_and(|rule| RuleUpdate::new(rule).with_defaults() == update.clone().with_defaults())
    };
    there.len() == wanted.len() && wanted.iter().all(has)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_the_same_whatever_is_left_to_its_default() {
        let update = |body: Value| RuleUpdate::new(body.as_object().unwrap());
        let there =
            [json!({ "uid": "a", "lastUpdatedAt": "2026-01-01T00:00:00Z", "active": true, "conditions": {},
            "actions": [] })];
        assert!(is_same(&[("a", update(json!({})))], &there));
        assert!(!is_same(&[("a", update(json!({ "precedence": 1 })))], &there));
        assert!(!is_same(&[("b", update(json!({})))], &there));
        assert!(!is_same(&[], &there) && is_same(&[], &[]));
    }
}
