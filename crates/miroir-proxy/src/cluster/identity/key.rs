//! The key with which Miroir works on a node: the one place where it uses the node's master key.

use std::collections::BTreeSet;
use std::time::Duration;

use miroir_core::identity::{Mark, NODE_KEY_ACTIONS};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Unusable;
use crate::node_api::{Node, Unanswered, questions};

/// What people call it.
const NAME: &str = "Miroir";

/// What is said behind the mark.
const EXPLANATION: &str =
    "The key with which Miroir works here. It also says whose node this is: leave it as it is.";

/// The keys of a node that carry a mark.
#[derive(Debug)]
pub enum Keys {
    /// The newest first.
    Listed(Vec<MarkedKey>),
    /// The node has no master key, or the configured key may not see keys.
    Hidden,
}

/// A key of a node that some Miroir made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedKey {
    /// What it says of the node.
    pub mark: Mark,
    /// Its uid.
    pub uid: String,
    value: String,
    /// Whether it grants what this version of Miroir does, and no more.
    fits: bool,
}

/// A key as a node shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownKey {
    uid: String,
    key: String,
    description: Option<String>,
    actions: BTreeSet<String>,
    indexes: Vec<String>,
    expires_at: Option<String>,
}

impl Keys {
    /// Those that are known.
    pub fn marked(&self) -> impl Iterator<Item = &MarkedKey> {
        match self {
            Self::Listed(keys) => keys.as_slice(),
            Self::Hidden => &[],
        }
        .iter()
    }
}

impl ShownKey {
    pub(super) fn marked(self) -> Option<MarkedKey> {
        let mark = Mark::parse(self.description.as_deref()?)?;
        let wanted: BTreeSet<&str> = NODE_KEY_ACTIONS.iter().map(|action| action.as_str()).collect();
        let fits = self.actions.iter().map(String::as_str).eq(wanted)
            && self.indexes == ["*"]
            && self.expires_at.is_none();
        Some(MarkedKey { mark, uid: self.uid, value: self.key, fits })
    }
}

/// Sees to it that requests to the node show Miroir's own key, and makes it if need be. If that can't be, they show the
/// configured key, and the answer says why.
pub(super) async fn ensure(
    node: &Node,
    own: &Mark,
    keys: &Keys,
    timeout: Duration,
) -> Result<Option<String>, Unusable> {
    let value = match keys {
        Keys::Hidden => Ok(None),
        Keys::Listed(keys) => match keys.iter().find(|key| key.mark == *own) {
            Some(key) if key.fits => Ok(Some(key.value.clone())),
            Some(key) => {
                delete(node, &key.uid, timeout).await?;
                make(node, own, timeout).await?.map(Some)
            }
            None => make(node, own, timeout).await?.map(Some),
        },
    };
    let (value, warning) = match value {
        Ok(value) => (value, None),
        Err(reason) => {
            let warning = format!(
                "Miroir can't make a key of its own there, and works with `node_master_key` for as long: {reason}"
            );
            (None, Some(warning))
        }
    };
    node.use_key(value.as_deref()).map_err(|_| Unusable::Unreadable("a question for its keys"))?;
    Ok(warning)
}

/// Makes the key, in place of one that has its uid. The inner error is the node's own.
async fn make(node: &Node, own: &Mark, timeout: Duration) -> Result<Result<String, String>, Unusable> {
    let uid = own.key_uid().to_string();
    let description = json!({
        "uid": uid,
        "name": NAME,
        "description": format!("{own} {EXPLANATION}"),
        "actions": NODE_KEY_ACTIONS,
        "indexes": ["*"],
        "expiresAt": null,
    });
    let order = questions::make_key(&description);
    let mut made = node.ask_as_master(order.clone(), timeout).await;
    if let Err(Unanswered::Refused(reply)) = &made
        && reply.status == StatusCode::CONFLICT
    {
        // Somebody has changed its description.
        delete(node, &uid, timeout).await?;
        made = node.ask_as_master(order, timeout).await;
    }
    if let Err(Unanswered::Refused(reply)) = &made {
        return Ok(Err(reply.message()));
    }
    let value = made.map_err(Unusable::because("an order to make a key"))?;
    tracing::info!(node = %node.id(), %uid, "Miroir made itself a key on a node");
    Ok(Ok(value))
}

/// Takes a key from the node. One that is gone already is as good.
pub(super) async fn delete(node: &Node, uid: &str, timeout: Duration) -> Result<(), Unusable> {
    match node.ask_as_master(questions::delete_key(uid), timeout).await {
        Err(Unanswered::Refused(reply)) if reply.status == StatusCode::NOT_FOUND => Ok(()),
        answer => answer.map_err(Unusable::because("an order to delete a key")),
    }
}

#[cfg(test)]
mod tests {
    use miroir_core::ids::{ClusterId, NodeId};
    use serde_json::Value;
    use uuid::uuid;

    use super::*;

    fn shown(mark: &Mark) -> Value {
        json!({
            "uid": mark.key_uid(), "key": "value", "name": NAME, "description": format!("{mark} {EXPLANATION}"),
            "actions": NODE_KEY_ACTIONS, "indexes": ["*"], "expiresAt": null, "createdAt": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn a_key_is_miroirs_by_its_mark_and_is_made_anew_unless_it_grants_just_what_is_needed() {
        let cluster = ClusterId(uuid!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01"));
        let mark = Mark { cluster, node: NodeId::new("a") };
        let read = |key: &Value| serde_json::from_value::<ShownKey>(key.clone()).unwrap().marked();
        let key = read(&shown(&mark)).unwrap();
        assert_eq!((&key.mark, key.value.as_str(), key.fits), (&mark, "value", true));
        let others = [
            ("actions", json!(["search"])),
            ("actions", json!(["*"])),
            ("indexes", json!(["a*"])),
            ("expiresAt", json!("2030-01-01T00:00:00Z")),
        ];
        for (field, value) in others {
            let mut changed = shown(&mark);
            changed[field] = value;
            assert!(!read(&changed).unwrap().fits, "{changed}");
        }
        for description in [json!(null), json!("a client's own")] {
            let mut changed = shown(&mark);
            changed["description"] = description;
            assert_eq!(read(&changed), None);
        }
    }
}
