//! What one node gets of a decision. The same decision gives a node the same list for ever, so that a place in the list
//! names a request, across restarts too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::decision::{Grouping, Target};
use super::{Decision, Lack, Step, WriteMethod};
use crate::document::marker::selection_filter;
use crate::error::ErrorCode;
use crate::ids::{NodeId, ShardId};
use crate::rules::RuleUpdate;

/// One request to a node, without the documents or ids that go into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Op<'a> {
    /// `POST /indexes`.
    CreateIndex {
        /// Only if the client chose one.
        primary_key: Option<&'a str>,
    },
    /// `PATCH /indexes/{uid}`.
    UpdateIndex {
        /// The new key.
        primary_key: &'a str,
    },
    /// `DELETE /indexes/{uid}`.
    DeleteIndex,
    /// `PATCH /indexes/{uid}/settings`.
    Settings {
        /// The body.
        patch: &'a Map<String, Value>,
    },
    /// `POST` or `PUT /indexes/{uid}/documents`.
    AddDocuments {
        /// Which part of the payload.
        part: usize,
        /// Which of the two.
        method: WriteMethod,
        /// The index's primary key.
        primary_key: &'a str,
        /// The query parameter.
        skip_creation: bool,
        /// Documents of these shards.
        shards: BTreeSet<ShardId>,
    },
    /// `POST /indexes/{uid}/documents/delete-batch`.
    DeleteByIds {
        /// Ids of these shards.
        shards: BTreeSet<ShardId>,
        /// Whether this node's count of deleted documents counts.
        counts: Counts,
    },
    /// `POST /indexes/{uid}/documents/delete`.
    DeleteByFilter {
        /// The filter, with the selection of shards.
        filter: Value,
        /// Whether this node's count of deleted documents counts.
        counts: Counts,
    },
    /// `POST /indexes/{uid}/documents/edit`.
    EditDocuments {
        /// The filter, with the selection of shards.
        filter: Option<Value>,
        /// What the function may read.
        context: Option<&'a Value>,
        /// The function.
        function: &'a str,
        /// Whether this node's count of changed documents counts.
        counts: Counts,
    },
    /// `DELETE /indexes/{uid}/documents`.
    Clear,
    /// `PATCH /dynamic-search-rules/{uid}`.
    PutRule {
        /// Which.
        uid: &'a str,
        /// The body.
        update: &'a RuleUpdate,
    },
    /// `DELETE /dynamic-search-rules/{uid}`.
    DeleteRule {
        /// Which.
        uid: &'a str,
    },
    /// `DELETE /dynamic-search-rules`.
    ClearRules,
}

/// Whether a node's count of deleted documents goes into the task, or only another replica's does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counts {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It does, unless another node's does that got the same request for these shards.
    Once(BTreeSet<ShardId>),
}

impl Op<'_> {
    /// Whether it is about dynamic search rules.
    pub const fn is_about_rules(&self) -> bool {
        matches!(self, Self::PutRule { .. } | Self::DeleteRule { .. } | Self::ClearRules)
    }

    /// What a node lacks that has not done it.
    pub const fn lack(&self) -> Lack {
        match self {
            Self::CreateIndex { .. }
            | Self::UpdateIndex { .. }
            | Self::DeleteIndex
            | Self::Settings { .. } => Lack::Form,
            Self::AddDocuments { .. }
            | Self::DeleteByIds { .. }
            | Self::DeleteByFilter { .. }
            | Self::EditDocuments { .. }
            | Self::Clear
            | Self::PutRule { .. }
            | Self::DeleteRule { .. }
            | Self::ClearRules => Lack::Documents,
        }
    }

    /// The error with which a request that was sent again, because its answer was lost, finds its own work done.
    pub const fn error_when_repeated(&self) -> Option<ErrorCode> {
        match self {
            Self::CreateIndex { .. } => Some(ErrorCode::IndexAlreadyExists),
            Self::DeleteIndex => Some(ErrorCode::IndexNotFound),
            Self::UpdateIndex { .. }
            | Self::Settings { .. }
            | Self::AddDocuments { .. }
            | Self::DeleteByIds { .. }
            | Self::DeleteByFilter { .. }
            | Self::EditDocuments { .. }
            | Self::Clear
            | Self::PutRule { .. }
            | Self::DeleteRule { .. }
            | Self::ClearRules => None,
        }
    }
}

/// The shards of which some node must have done its part before the write is true.
pub fn touched_shards(decision: &Decision) -> BTreeSet<ShardId> {
    let Some(target) = &decision.target else { return BTreeSet::new() };
    let of_step = |step: &Step| match step {
        Step::AddDocuments { shards, .. } => shards.clone(),
        Step::DeleteByIds { counting }
        | Step::DeleteByFilter { counting, .. }
        | Step::EditDocuments { counting, .. } => counting.keys().copied().collect(),
        Step::CreateIndex { .. }
        | Step::UpdateIndex { .. }
        | Step::DeleteIndex
        | Step::Settings { .. }
        | Step::Clear
        | Step::PutRule { .. }
        | Step::DeleteRule { .. }
        | Step::ClearRules => target.placement.shard_count().shards().collect(),
    };
    decision.steps.iter().flat_map(of_step).collect()
}

/// The requests that `node` gets, in order; none if it holds nothing that the write is about.
pub fn ops_for<'a>(decision: &'a Decision, node: &NodeId) -> Vec<Op<'a>> {
    let Some(target) = &decision.target else { return Vec::new() };
    let held = target.placement.shards_of(node);
    if held.is_empty() {
        return Vec::new();
    }
    decision.steps.iter().flat_map(|step| ops_of_step(step, target, node, &held)).collect()
}

fn ops_of_step<'a>(step: &'a Step, target: &Target, node: &NodeId, held: &BTreeSet<ShardId>) -> Vec<Op<'a>> {
    match step {
        Step::CreateIndex { primary_key } => vec![Op::CreateIndex { primary_key: primary_key.as_deref() }],
        Step::UpdateIndex { primary_key } => vec![Op::UpdateIndex { primary_key }],
        Step::DeleteIndex => vec![Op::DeleteIndex],
        Step::Settings { patch } => vec![Op::Settings { patch }],
        Step::Clear => vec![Op::Clear],
        Step::PutRule { uid, update } => vec![Op::PutRule { uid, update }],
        Step::DeleteRule { uid } => vec![Op::DeleteRule { uid }],
        Step::ClearRules => vec![Op::ClearRules],
        &Step::AddDocuments { part, method, ref primary_key, skip_creation, ref shards, .. } => {
            let shards: BTreeSet<_> = shards.intersection(held).copied().collect();
            if shards.is_empty() {
                return Vec::new();
            }
            vec![Op::AddDocuments { part, method, primary_key, skip_creation, shards }]
        }
        Step::DeleteByIds { counting } => counted_apart(counting, node, held)
            .map(|(shards, counts)| Op::DeleteByIds { shards, counts })
            .collect(),
        Step::DeleteByFilter { filter, counting, grouping } => {
            grouped(*grouping, counting, target, node, held)
                .into_iter()
                .map(|(shards, counts)| {
                    let filter = select(&shards, held, target, Some(filter)).unwrap_or_default();
                    Op::DeleteByFilter { filter, counts }
                })
                .collect()
        }
        Step::EditDocuments { filter, context, function, counting, grouping } => {
            grouped(*grouping, counting, target, node, held)
                .into_iter()
                .map(|(shards, counts)| {
                    let filter = select(&shards, held, target, filter.as_ref());
                    Op::EditDocuments { filter, context: context.as_ref(), function, counts }
                })
                .collect()
        }
    }
}

fn grouped(
    grouping: Grouping,
    counting: &BTreeMap<ShardId, NodeId>,
    target: &Target,
    node: &NodeId,
    held: &BTreeSet<ShardId>,
) -> Vec<(BTreeSet<ShardId>, Counts)> {
    match grouping {
        Grouping::ByCounter => counted_apart(counting, node, held).collect(),
        Grouping::ByCopies => {
            let mut groups: BTreeMap<BTreeSet<&NodeId>, BTreeSet<ShardId>> = BTreeMap::new();
            for shard in counting.keys().filter(|shard| held.contains(shard)) {
                groups.entry(target.placement.all_replicas(*shard).collect()).or_default().insert(*shard);
            }
            groups.into_values().map(|shards| (shards.clone(), Counts::Once(shards))).collect()
        }
    }
}

/// The node's shards that it counts, and those that another replica counts, if there are any.
fn counted_apart(
    counting: &BTreeMap<ShardId, NodeId>,
    node: &NodeId,
    held: &BTreeSet<ShardId>,
) -> impl Iterator<Item = (BTreeSet<ShardId>, Counts)> {
    let concerned = counting.iter().filter(|(shard, _)| held.contains(shard));
    let (own, others): (Vec<_>, Vec<_>) = concerned.partition(|(_, counter)| *counter == node);
    let shards =
        |list: Vec<(&ShardId, &NodeId)>| list.into_iter().map(|(shard, _)| *shard).collect::<BTreeSet<_>>();
    [(shards(own), Counts::Yes), (shards(others), Counts::No)]
        .into_iter()
        .filter(|(shards, _)| !shards.is_empty())
}

/// The client's filter, restricted to these shards unless they are all that the node holds.
fn select(
    shards: &BTreeSet<ShardId>,
    held: &BTreeSet<ShardId>,
    target: &Target,
    filter: Option<&Value>,
) -> Option<Value> {
    if shards == held {
        return filter.cloned();
    }
    let mut all: Vec<Value> =
        selection_filter(shards.iter().copied(), target.placement.shard_count()).into_iter().collect();
    match filter {
        Some(Value::Array(items)) => all.extend(items.iter().cloned()),
        one => all.extend(one.cloned()),
    }
    Some(Value::Array(all))
}
