//! Makes one node's indexes what its peers' are: compares document by document and moves what differs.
//!
//! Over an empty node that is a copy; over one that missed a write it is a few documents. It is exact when nobody
//! writes meanwhile, and a good beginning when somebody does. Indexes are looked at side by side; what the node has to do
//! waits in its own queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{TryStreamExt, stream};
use miroir_core::document::marker::field_name;
use miroir_core::ids::{PhysicalUid, ShardId};
use miroir_core::path::NodePath;
use miroir_core::settings::node_settings;
use miroir_core::view::IndexEntry;
use reqwest::Method;
use serde_json::{Value, json};

use super::counter::{Counter, Ticket};
use super::documents::{Part, There};
use super::error::RebuildError;
use super::peers::{Peers, Wanted};
use super::survey::Survey;
use super::target::{Target, Work, ask};
use crate::node_api::{Node, NodeRequest};
use crate::write::inventory::{inventory_request, read_inventory};

/// Indexes that are looked at side by side. Each takes the memory of a page and a body.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// Which pass over the node this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pass {
    /// It may hold anything.
    First,
    /// It holds what the pass before left, and what was created since is missing.
    Later {
        /// Indexes that are as the pass before left them, on the peers too.
        untouched: BTreeSet<PhysicalUid>,
    },
}

impl Pass {
    /// Indexes that it does not look at.
    pub(super) fn untouched(&self) -> impl Iterator<Item = &PhysicalUid> {
        let untouched = match self {
            Self::First => None,
            Self::Later { untouched } => Some(untouched),
        };
        untouched.into_iter().flatten()
    }

    fn leaves_out(&self, index: &PhysicalUid) -> bool {
        match self {
            Self::First => false,
            Self::Later { untouched } => untouched.contains(index),
        }
    }
}

/// Makes the target's indexes, settings and documents those of its peers.
pub(super) async fn copy_indexes(target: &Target, peers: &Peers, pass: &Pass) -> Result<(), RebuildError> {
    let work = async {
        let there = drop_other_indexes(target, peers).await?;
        let survey = Survey::of(peers, target.timeout()).await?;
        let is_there = |wanted: &Wanted| there.contains_key(&wanted.index.physical);
        let jobs: Vec<&Wanted> = peers
            .wanted
            .iter()
            .filter(|wanted| !is_there(wanted) || !pass.leaves_out(&wanted.index.physical))
            .collect();
        let documents = jobs.iter().map(|wanted| survey.documents(wanted)).sum();
        target.counter.begin(documents, jobs.len() as u64);
        let jobs = stream::iter(jobs.into_iter().map(Ok));
        jobs.try_for_each_concurrent(SIDE_BY_SIDE, async |wanted| {
            let there = if is_there(wanted) { There::Something } else { There::Nothing };
            copy_index(target, wanted, &survey, pass, there).await
        })
        .await?;
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

/// Makes one index of the target that of its peers, or deletes it if the target has to have none of this name. It is done
/// when this returns.
pub(super) async fn copy_one(
    target: &Target,
    index: &PhysicalUid,
    wanted: Option<&Wanted>,
) -> Result<(), RebuildError> {
    let work = async {
        let found = target.find_index(index).await?;
        let fits = |primary_key: &Option<String>| {
            wanted.is_some_and(|it| primary_key.is_none() || it.index.primary_key == *primary_key)
        };
        if found.as_ref().is_some_and(|primary_key| !fits(primary_key)) {
            drop_index(target, index).await?;
        }
        if let Some(wanted) = wanted {
            let survey = Survey::of_index(wanted, target.timeout()).await?;
            target.counter.expect(survey.documents(wanted));
            let there = if found.is_some_and(|it| fits(&it)) { There::Something } else { There::Nothing };
            copy_index(target, wanted, &survey, &Pass::Later { untouched: BTreeSet::new() }, there).await?;
        }
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

async fn drop_index(target: &Target, index: &PhysicalUid) -> Result<(), RebuildError> {
    let request = NodeRequest::new(Method::DELETE, ["indexes", index.as_str()]);
    target.put(request, Work { documents: 0, ticket: None }).await
}

/// Makes a node's documents of some shards of an index those of a peer. Nothing else may be written there meanwhile.
pub(in crate::write) async fn copy_documents(
    (node, peer): (&Node, &Node),
    (index, primary_key): (&IndexEntry, &str),
    shards: Vec<ShardId>,
    timeout: Duration,
) -> Result<(), RebuildError> {
    let counter = Counter::new();
    let target = Target::new(node.clone(), timeout, Arc::clone(&counter));
    let part = Part { index, primary_key, peer, shards, ticket: counter.ticket() };
    let work = async {
        part.copy(&target, There::Something).await?;
        target.all_ended().await;
        Ok(())
    };
    tokio::select! {
        failed = target.watch() => Err(failed),
        done = work => done,
    }
}

async fn copy_index(
    target: &Target,
    wanted: &Wanted,
    survey: &Survey,
    pass: &Pass,
    there: There,
) -> Result<(), RebuildError> {
    let ticket = target.counter.ticket();
    let index = &wanted.index;
    match there {
        There::Nothing => make_index(target, wanted, &ticket).await?,
        There::Something => copy_settings(target, wanted).await?,
    }
    let Some(primary_key) = &index.primary_key else { return Ok(()) };
    if *pass == Pass::First && there == There::Something {
        drop_other_shards(target, wanted, &ticket).await?;
    }
    let parts = survey.parts(wanted).into_iter().map(|(peer, shards)| {
        let ticket = Arc::clone(&ticket);
        Part { index, primary_key, peer, shards, ticket }
    });
    let mut by_peer: BTreeMap<_, Vec<Part<'_>>> = BTreeMap::new();
    for part in parts {
        by_peer.entry(part.peer.id()).or_default().push(part);
    }
    let copied = by_peer.into_values().map(async |parts| {
        for part in parts {
            part.copy(target, there).await?;
        }
        Ok::<_, RebuildError>(())
    });
    try_join_all(copied).await.map(|_| ())
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
            drop_index(target, &uid).await?;
        }
    }
    Ok(left)
}

/// Puts an index and its settings into the queue. Settings make an index too, so one task is enough for one without a
/// primary key.
async fn make_index(target: &Target, wanted: &Wanted, ticket: &Arc<Ticket>) -> Result<(), RebuildError> {
    let index = &wanted.index;
    if let Some(primary_key) = &index.primary_key {
        let body = json!({ "uid": index.physical, "primaryKey": primary_key });
        let request = NodeRequest::post("/indexes").json(body.to_string());
        target.put(request, Work { documents: 0, ticket: Some(Arc::clone(ticket)) }).await?;
    }
    target.put(write_settings(wanted), Work { documents: 0, ticket: Some(Arc::clone(ticket)) }).await
}

/// Peers have the same settings, so what one of them says is what the target has to say. Without one the catalog says it.
/// They are there when this returns: questions about documents depend on them.
async fn copy_settings(target: &Target, wanted: &Wanted) -> Result<(), RebuildError> {
    let path = NodePath::from(["indexes", wanted.index.physical.as_str(), "settings"]);
    if let Some(peer) = wanted.shards.values().next() {
        let right = ask(peer, NodeRequest::get(path.clone()), target.timeout()).await?;
        if target.ask(NodeRequest::get(path.clone())).await? == right {
            return Ok(());
        }
        target.run(NodeRequest::new(Method::DELETE, path)).await?;
    }
    target.run(write_settings(wanted)).await
}

fn write_settings(wanted: &Wanted) -> NodeRequest {
    let index = &wanted.index;
    let settings = node_settings(&index.settings, index.settings.as_patch(), index.node_context());
    NodeRequest::new(Method::PATCH, ["indexes", index.physical.as_str(), "settings"])
        .json(Value::Object(settings).to_string())
}

/// Deletes documents that belong to shards of other nodes, or to none, if there are any.
async fn drop_other_shards(
    target: &Target,
    wanted: &Wanted,
    ticket: &Arc<Ticket>,
) -> Result<(), RebuildError> {
    let index = &wanted.index;
    let others: Vec<String> =
        wanted.all_shards().map(|shard| format!("{} NOT EXISTS", field_name(*shard, index.shards))).collect();
    let path = |route| ["indexes", index.physical.as_str(), "documents", route];
    let question = json!({ "filter": others, "limit": 0 }).to_string();
    if target.ask(NodeRequest::post(path("fetch")).json(question)).await?["total"] == 0 {
        return Ok(());
    }
    let request = NodeRequest::post(path("delete")).json(json!({ "filter": others }).to_string());
    target.put(request, Work { documents: 0, ticket: Some(Arc::clone(ticket)) }).await
}
