//! Which documents exist: asked of the nodes where only they can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use miroir_core::hash::shard_of;
use miroir_core::ids::{NodeId, ShardId};
use miroir_core::view::IndexEntry;
use reqwest::StatusCode;
use serde_json::{Map, json};

use crate::cluster::{FanOut, IfMissing, Membership, Outcome};
use crate::node_api::{Unanswered, questions};

/// Documents that one request asks for at most.
const ASKED_TOGETHER: usize = 1000;

/// What nodes say of documents.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// Those that exist.
    pub(super) found: BTreeSet<String>,
    /// Those that no replica tells of.
    pub(super) unknown: BTreeSet<String>,
}

impl Existing {
    /// Those that may exist: nodes decide when they get there.
    pub(super) fn possible(mut self) -> BTreeSet<String> {
        self.found.append(&mut self.unknown);
        self.found
    }
}

/// Which of the documents exist on a readable replica of their shard.
pub(super) async fn find_existing(
    membership: &Membership,
    readable: &BTreeSet<NodeId>,
    timeout: Duration,
    index: &IndexEntry,
    ids: &BTreeSet<String>,
) -> Existing {
    let mut by_shard: BTreeMap<ShardId, Vec<&str>> = BTreeMap::new();
    for id in ids {
        by_shard.entry(shard_of(id, index.shards)).or_default().push(id);
    }
    let fan_out = FanOut {
        placement: &index.placement,
        pool: readable.clone().into(),
        if_missing: IfMissing::GoOn,
        metrics: None,
    };
    let gathered = fan_out
        .ask(by_shard.keys().copied(), async |part| {
            let ids: Vec<&str> = part.shards.iter().flat_map(|shard| &by_shard[shard]).copied().collect();
            match ask_node(membership, &part.node, timeout, index, &ids).await {
                Some(found) => Outcome::Answered(found),
                None => Outcome::Failed,
            }
        })
        .await;
    let unknown = gathered.shortfall.missing.iter().flat_map(|shard| &by_shard[shard]);
    Existing {
        unknown: unknown.map(|id| (*id).to_owned()).collect(),
        found: gathered.replies.into_iter().flatten().collect(),
    }
}

/// Those of these documents that a node has; `None` if it does not say.
async fn ask_node(
    membership: &Membership,
    node: &NodeId,
    timeout: Duration,
    index: &IndexEntry,
    ids: &[&str],
) -> Option<Vec<String>> {
    let node = membership.node(node)?;
    let primary_key = index.primary_key.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for ids in ids.chunks(ASKED_TOGETHER) {
        let query = Map::from_iter([
            ("ids".to_owned(), json!(ids)),
            ("fields".to_owned(), json!([primary_key])),
            ("limit".to_owned(), json!(ids.len())),
        ]);
        let page = node.ask(questions::documents(&index.physical, &query), timeout).await;
        match page.and_then(|page| page.ids(primary_key)) {
            Ok(ids) => found.extend(ids),
            // The index is still to be made there.
            Err(Unanswered::Refused(reply)) if reply.status == StatusCode::NOT_FOUND => {
                return Some(Vec::new());
            }
            Err(reason) => {
                tracing::warn!(node = %node.id(), %reason, "node does not say which documents exist; asking another copy");
                return None;
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixture::{cluster, films};
    use crate::node_api::NodeRequest;
    use crate::node_api::fake::{FakeNode, Fault, FaultPlan};

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn texts(ids: impl IntoIterator<Item = u32>) -> BTreeSet<String> {
        ids.into_iter().map(|id| id.to_string()).collect()
    }

    /// Which of the documents 0 to 9 exist, where a, b and c have even ones and the nodes of `lost` do not answer.
    async fn find(readable: &[&str], lost: &[usize]) -> Existing {
        let nodes = ["a", "b", "c"].map(FakeNode::new);
        for node in &nodes {
            let even: Vec<String> = (0..5).map(|id| json!({ "id": id * 2 }).to_string()).collect();
            let add =
                NodeRequest::post("/indexes/films/documents").body("application/x-ndjson", even.join("\n"));
            node.node().send(add, TIMEOUT).await.unwrap();
        }
        for node in lost {
            nodes[*node].plan(FaultPlan::default().then(Fault::Unreachable));
        }
        let cluster = cluster(nodes.iter().map(FakeNode::node).collect());
        let readable = readable.iter().copied().map(NodeId::new).collect();
        find_existing(&cluster.membership, &readable, TIMEOUT, &films(), &texts(0..10)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_document_exists_if_one_replica_of_its_shard_says_so() {
        for lost in [vec![], vec![1]] {
            let existing = find(&["a", "b", "c"], &lost).await;
            assert_eq!((existing.found, existing.unknown), (texts([0, 2, 4, 6, 8]), texts([])), "{lost:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn documents_of_shards_that_nobody_tells_of_may_exist() {
        let first: BTreeSet<String> =
            texts(0..10).into_iter().filter(|id| shard_of(id, films().shards) == ShardId(0)).collect();
        let existing = find(&["a", "b"], &[1]).await;
        assert_eq!(existing.unknown, &texts(0..10) - &first);
        assert_eq!(existing.found, &first & &texts([0, 2, 4, 6, 8]));
        assert_eq!(existing.possible(), &(&texts(0..10) - &first) | &(&first & &texts([0, 2, 4, 6, 8])));
    }
}
