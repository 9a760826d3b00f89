//! Keeps the nodes alike: each has the experimental features that clients switched, also a node that was away then or
//! joined later, and all should run one version. What differs is mended where it can be, and told where it can't.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::{Membership, versions_agree};
use crate::node_api::{Node, questions};
use crate::write::Records;

/// Between two looks at all nodes.
const FEATURES_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The feature that Miroir itself needs of nodes: it is on where searches over several indexes went, whatever clients see.
pub const OWN_FEATURE: &str = "network";

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at the nodes until the future is dropped.
pub async fn run_accord(membership: Arc<Membership>, records: Records) {
    let mut looks = interval(FEATURES_CHECK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut agreed = true;
    loop {
        looks.tick().await;
        match records.features().await {
            Ok(wanted) => {
                for node in membership.members().nodes() {
                    if membership.standing(node.id()).is_some_and(|standing| standing.reachable) {
                        look_at(node, &wanted).await;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the task store does not tell which experimental features are on; trying again");
            }
        }
        let versions = membership.versions();
        let agree = versions_agree(versions.values().map(String::as_str));
        if agreed && !agree {
            tracing::warn!(?versions, "the nodes run different versions of Meilisearch; answers may differ");
        }
        agreed = agree;
    }
}

async fn look_at(node: &Node, wanted: &BTreeMap<String, bool>) {
    let Ok(has) = node.ask(questions::features(), TIMEOUT).await else { return };
    let changes = missing_features(&has, wanted);
    if changes.is_empty() {
        return;
    }
    tracing::info!(node = %node.id(), ?changes, "node is told which features are on");
    if let Err(error) = node.ask(questions::change_features(&changes), TIMEOUT).await {
        tracing::warn!(node = %node.id(), %error, "node could not be told which experimental features are on; trying again");
    }
}

/// What to tell a node so that it has every feature as it was switched last. Features that the node does not know, those
/// that nobody ever switched, and Miroir's own are left alone.
fn missing_features(has: &Map<String, Value>, wanted: &BTreeMap<String, bool>) -> Map<String, Value> {
    let differs = |name: &String, on: bool| name != OWN_FEATURE && has.get(name) == Some(&Value::Bool(!on));
    wanted
        .iter()
        .filter(|(name, on)| differs(name, **on))
        .map(|(name, on)| (name.clone(), json!(on)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_only_what_it_has_otherwise_and_knows() {
        let has = json!({ "metrics": false, "network": true, "multimodal": true });
        let has = has.as_object().unwrap();
        let wanted = [("metrics", true), ("network", false), ("multimodal", true), ("teleport", true)];
        let wanted = wanted.map(|(name, on)| (name.to_owned(), on)).into();
        assert_eq!(Value::Object(missing_features(has, &wanted)), json!({ "metrics": true }));
        assert!(missing_features(has, &BTreeMap::new()).is_empty());
    }
}
