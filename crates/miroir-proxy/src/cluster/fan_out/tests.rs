//! Questions to nodes in memory, of which some fail.

use std::collections::BTreeSet;

use miroir_core::error::ErrorCode;
use miroir_core::view::IndexEntry;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fixture::{cluster, films};
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};
use crate::node_api::questions;

/// Nodes a, b and c: b holds everything, a shard 0 and c shard 1.
struct Nodes([FakeNode; 3]);

impl Nodes {
    fn new() -> Self {
        Self(["a", "b", "c"].map(FakeNode::new))
    }

    /// The next request to the node of this number gets the fault.
    fn fail(&self, node: usize, fault: Fault) {
        self.0[node].plan(FaultPlan::default().then(fault));
    }

    /// How many requests each of them saw.
    fn seen(&self) -> [usize; 3] {
        self.0.each_ref().map(|node| node.seen().len())
    }

    /// Who answered for which shards, and what that lacks.
    async fn ask(&self, pool: Pool, if_missing: IfMissing) -> Gathered<(String, Vec<u32>)> {
        let cluster = cluster(self.0.iter().map(FakeNode::node).collect());
        let entry: IndexEntry = films();
        let fan_out = FanOut { placement: &entry.placement, pool, if_missing, metrics: None };
        let ask = async |part: CoverPart| match cluster.try_asking(&part.node, questions::version()).await {
            Outcome::Answered(_) => {
                Outcome::Answered((part.node.to_string(), part.shards.iter().map(|shard| shard.0).collect()))
            }
            Outcome::Refused(reply) => Outcome::Refused(reply),
            Outcome::Failed => Outcome::Failed,
        };
        fan_out.ask(entry.shards.shards(), ask).await
    }
}

fn all() -> Pool {
    pool(&["a", "b", "c"])
}

fn pool(nodes: &[&str]) -> Pool {
    nodes.iter().copied().map(NodeId::new).collect::<BTreeSet<_>>().into()
}

fn refusal(code: ErrorCode) -> Value {
    json!({ "message": "no", "code": code.as_str(), "type": "invalid_request" })
}

#[tokio::test(start_paused = true)]
async fn as_few_nodes_as_can_be_are_asked_and_each_once() {
    let nodes = Nodes::new();
    let gathered = nodes.ask(all(), IfMissing::GoOn).await;
    assert_eq!(gathered.replies, [("b".to_owned(), vec![0, 1])]);
    assert_eq!((gathered.shortfall, nodes.seen()), (Shortfall::default(), [0, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_node_that_fails_are_asked_for_elsewhere() {
    let busy = Fault::Refuse(StatusCode::TOO_MANY_REQUESTS, refusal(ErrorCode::Internal));
    let without_index = Fault::Refuse(StatusCode::NOT_FOUND, refusal(ErrorCode::IndexNotFound));
    let out_of_form = Fault::Refuse(StatusCode::OK, json!([]));
    for fault in [Fault::Unreachable, Fault::LoseAnswer, busy, without_index, out_of_form] {
        let nodes = Nodes::new();
        nodes.fail(1, fault.clone());
        let gathered = nodes.ask(all(), IfMissing::GiveUp).await;
        let expected = [("a".to_owned(), vec![0]), ("c".to_owned(), vec![1])];
        assert_eq!(gathered.replies, expected, "{fault:?}");
        assert_eq!(gathered.shortfall, Shortfall::default(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_of_which_every_copy_fails_is_missing_and_the_others_are_answered_for() {
    let nodes = Nodes::new();
    nodes.fail(1, Fault::Unreachable);
    nodes.fail(2, Fault::LoseRequest);
    let gathered = nodes.ask(all(), IfMissing::GoOn).await;
    assert_eq!(gathered.replies, [("a".to_owned(), vec![0])]);
    assert_eq!(gathered.shortfall.missing, [ShardId(1)]);
    assert_eq!(nodes.seen(), [1, 0, 0], "nobody is asked twice");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_any_more_for_an_answer_that_is_none_without_a_lost_shard() {
    let nodes = Nodes::new();
    let gathered = nodes.ask(pool(&["a"]), IfMissing::GiveUp).await;
    assert_eq!((gathered.shortfall.missing, nodes.seen()), (vec![ShardId(1)], [0, 0, 0]));
    let gathered = nodes.ask(pool(&["a"]), IfMissing::GoOn).await;
    assert_eq!((gathered.shortfall.missing, nodes.seen()), (vec![ShardId(1)], [1, 0, 0]));
    nodes.fail(1, Fault::Unreachable);
    let gathered = nodes.ask(pool(&["a", "b"]), IfMissing::GiveUp).await;
    assert_eq!((gathered.shortfall.missing, nodes.seen()), (vec![ShardId(1)], [1, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_finds_fault_with_the_request_is_believed() {
    let nodes = Nodes::new();
    nodes.fail(1, Fault::Refuse(StatusCode::BAD_REQUEST, refusal(ErrorCode::BadRequest)));
    let gathered = nodes.ask(all(), IfMissing::GoOn).await;
    let refusal = gathered.refusal.unwrap();
    assert_eq!((refusal.node, refusal.reply.status.as_u16()), (NodeId::new("b"), 400));
    assert_eq!((gathered.replies.len(), nodes.seen()), (0, [0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn what_a_node_that_is_behind_answered_for_is_stale() {
    let nodes = Nodes::new();
    let pool = Pool { in_sync: pool(&["a"]).in_sync, stale: pool(&["c"]).in_sync };
    let gathered = nodes.ask(pool, IfMissing::GiveUp).await;
    assert_eq!(gathered.replies.len(), 2);
    assert_eq!((gathered.shortfall.stale, gathered.shortfall.missing), (vec![ShardId(1)], vec![]));
}
