//! Makes one node's indexes what its peers' are: compares document by document and moves what differs.
//!
//! Over an empty node that is a copy; over one that missed a write it is a few documents. It is exact when nobody
//! writes meanwhile, and a good beginning when somebody does.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::document::marker::field_name;
use miroir_core::ids::PhysicalUid;
use miroir_core::settings::node_settings;
use reqwest::Method;
use serde_json::{Value, json};

use super::error::RebuildError;
use super::peers::{Peers, Wanted};
use super::shard::copy_shard;
use super::target::{Target, ask};
use crate::cluster::{NodePath, NodeRequest};
use crate::write::inventory::{inventory_request, read_inventory};

/// Which pass over the node this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pass {
    /// It may hold anything.
    First,
    /// It holds what the first pass left, and what was created since is missing.
    Second {
        /// Indexes that are as the first pass left them, on the peers too.
        untouched: BTreeSet<PhysicalUid>,
    },
}

impl Pass {
    fn leaves_out(&self, index: &PhysicalUid) -> bool {
        match self {
            Self::First => false,
            Self::Second { untouched } => untouched.contains(index),
        }
    }
}

/// Makes the target's indexes, settings and documents those of its peers.
pub(super) async fn copy_indexes(target: &Target, peers: &Peers, pass: &Pass) -> Result<(), RebuildError> {
    let there = drop_other_indexes(target, peers).await?;
    for wanted in &peers.wanted {
        let index = &wanted.index;
        let is_new = !there.contains_key(&index.physical);
        if !is_new && pass.leaves_out(&index.physical) {
            continue;
        }
        if is_new {
            let body = json!({ "uid": index.physical, "primaryKey": index.primary_key });
            target.run(NodeRequest::post("/indexes").json(body.to_string())).await?;
        }
        copy_settings(target, wanted).await?;
        let Some(primary_key) = &index.primary_key else { continue };
        if *pass == Pass::First && !is_new {
            drop_other_shards(target, wanted).await?;
        }
        for (shard, peer) in &wanted.shards {
            let marker = field_name(*shard, index.shards);
            copy_shard(target, peer, &index.physical, primary_key, &marker).await?;
        }
    }
    Ok(())
}

/// Deletes what should not be there, or not with this primary key. Answers what is left.
async fn drop_other_indexes(
    target: &Target,
    peers: &Peers,
) -> Result<BTreeMap<PhysicalUid, Option<String>>, RebuildError> {
    let wanted: BTreeMap<&PhysicalUid, &Option<String>> =
        peers.wanted.iter().map(|wanted| (&wanted.index.physical, &wanted.index.primary_key)).collect();
    let answer = target.ask(inventory_request()).await?;
    let mut left = BTreeMap::new();
    let there = read_inventory(&answer).ok_or_else(|| RebuildError::Unreadable(answer.to_string()))?;
    for (uid, primary_key) in there {
        if wanted.get(&uid).is_some_and(|wanted| primary_key.is_none() || **wanted == primary_key) {
            left.insert(uid, primary_key);
        } else {
            target.run(NodeRequest::new(Method::DELETE, ["indexes", uid.as_str()])).await?;
        }
    }
    Ok(left)
}

/// Peers have the same settings, so what one of them says is what the target has to say. Without one the catalog says it.
async fn copy_settings(target: &Target, wanted: &Wanted) -> Result<(), RebuildError> {
    let index = &wanted.index;
    let path = NodePath::from(["indexes", index.physical.as_str(), "settings"]);
    if let Some(peer) = wanted.shards.values().next() {
        let right = ask(peer, NodeRequest::get(path.clone()), target.timeout()).await?;
        if target.ask(NodeRequest::get(path.clone())).await? == right {
            return Ok(());
        }
        target.run(NodeRequest::new(Method::DELETE, path.clone())).await?;
    }
    let settings = node_settings(&index.settings, index.settings.as_patch(), index.node_context());
    target.run(NodeRequest::new(Method::PATCH, path).json(Value::Object(settings).to_string())).await
}

/// Deletes documents that belong to shards of other nodes, or to none.
async fn drop_other_shards(target: &Target, wanted: &Wanted) -> Result<(), RebuildError> {
    let index = &wanted.index;
    let others: Vec<String> =
        wanted.all_shards().map(|shard| format!("{} NOT EXISTS", field_name(*shard, index.shards))).collect();
    let path = ["indexes", index.physical.as_str(), "documents", "delete"];
    target.run(NodeRequest::post(path).json(json!({ "filter": others }).to_string())).await
}
