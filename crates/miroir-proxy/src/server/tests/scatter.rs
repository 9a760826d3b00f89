//! Searches over nodes of which some fail, or change, meanwhile.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::{IndexUid, ShardId};
use miroir_core::search::SearchRequest;
use serde_json::{Map, Value, json};

use super::bench::{Bench, fakes};
use crate::cluster::{Cluster, fixture};
use crate::error::RequestError;
use crate::node_api::fake::{FakeNode, Fault, FaultPlan};
use crate::probe::Original;
use crate::search::{Answer, read_uniformly, run_search};

/// Whoever searches a bench.
pub(super) struct Searcher {
    cluster: Cluster,
    nodes: Vec<FakeNode>,
}

/// What came of a search.
#[derive(Debug)]
pub(super) struct Asked {
    /// How many documents were found; or for which shards nobody answered.
    pub(super) hits: Result<usize, Vec<ShardId>>,
    /// Shards that the answer lacks.
    missing: Vec<ShardId>,
    /// Whom the last try asked.
    pub(super) nodes: Vec<String>,
    /// Whether all of these had the same settings.
    pub(super) is_uniform: bool,
}

const SEARCH: &str = "POST /indexes/films/search";

impl Searcher {
    pub(super) fn new(bench: &Bench) -> Self {
        let cluster = fixture::over(Arc::clone(&bench.membership), Arc::clone(&bench.view));
        Self { cluster, nodes: bench.ground.fakes.clone() }
    }

    /// Searches for everything.
    pub(super) async fn ask(&self, index: &str) -> Asked {
        let uid = IndexUid::new(index);
        let body: Map<String, Value> = [("limit".to_owned(), json!(1000))].into_iter().collect();
        let (request, original) = (SearchRequest::parse(body.clone()).unwrap(), Original::search(&body));
        let before: RefCell<Vec<usize>> = RefCell::default();
        let view = self.cluster.view.load();
        let ask =
            async |view: Arc<miroir_core::view::View>| -> Result<Result<Answer, RequestError>, RequestError> {
                *before.borrow_mut() = self.nodes.iter().map(|node| node.seen().len()).collect();
                let entry = Arc::clone(view.index(&uid).unwrap());
                Ok(run_search(&self.cluster, &view, &entry, &request, &original).await)
            };
        let (found, note) = read_uniformly(&self.cluster, &view, [uid.clone()], None, ask).await.unwrap();
        let before = before.into_inner();
        let was_asked = |(node, before): &(&FakeNode, usize)| {
            node.seen()[*before..].iter().any(|request| request.ends_with("/search"))
        };
        let asked = self.nodes.iter().zip(before).filter(was_asked);
        let nodes = asked.map(|(node, _)| node.node().id().to_string()).collect();
        let (hits, missing) = match found {
            Ok(answer) => (Ok(answer.body["hits"].as_array().unwrap().len()), answer.shortfall.missing),
            Err(RequestError::ShardsUnavailable(shards)) => (Err(shards), Vec::new()),
            Err(error) => panic!("{error}"),
        };
        Asked { hits, missing, nodes, is_uniform: note.uniform }
    }
}

async fn filled(nodes: &[FakeNode]) -> Bench {
    let bench = Bench::start(nodes, 2).await;
    bench.succeeds(bench.add("films", 0..40).await).await;
    bench.until_all_is_done().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_node_that_is_lost_during_a_search_are_found_on_others() {
    let slow = Fault::Delay(Duration::from_mins(1));
    for fault in [Fault::Unreachable, Fault::LoseRequest, Fault::LoseAnswer, slow] {
        let nodes = fakes(["a", "b", "c"]);
        let bench = filled(&nodes).await;
        let searcher = Searcher::new(&bench);
        for node in &nodes {
            node.plan(FaultPlan::default().then_on(SEARCH, fault.clone()));
            let asked = searcher.ask("films").await;
            assert_eq!((asked.hits, asked.missing), (Ok(40), vec![]), "{fault:?}");
            node.plan(FaultPlan::default());
            bench.until("all of them are usable", || bench.view.load().usable.len() == 3).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shards_of_which_every_copy_is_lost_are_named_or_missing_as_the_operator_wants_it() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes).await;
    let mut searcher = Searcher::new(&bench);
    let placement = bench.view.load().index(&IndexUid::new("films")).unwrap().placement.clone();
    let only = |shard: &ShardId| placement.all_replicas(*shard).all(|node| node.as_str() != "c");
    let lost: Vec<ShardId> = placement.shard_count().shards().filter(only).collect();
    assert!(!lost.is_empty() && lost.len() < 6, "{lost:?}");
    // Lost in the same round, and both were there when it began.
    for node in &nodes[..2] {
        node.plan(FaultPlan::default().always_on(SEARCH, Fault::LoseAnswer));
    }
    assert_eq!(searcher.ask("films").await.hits, Err(lost.clone()));
    searcher.cluster.unavailable_shards = UnavailableShardPolicy::Partial;
    let asked = searcher.ask("films").await;
    assert_eq!((asked.hits, asked.missing), (Ok(nodes[2].ids("films").len()), lost));
    for node in &nodes {
        node.plan(FaultPlan::default().always_on(SEARCH, Fault::LoseAnswer));
    }
    let all: Vec<ShardId> = placement.shard_count().shards().collect();
    assert_eq!(searcher.ask("films").await.hits, Err(all), "without any answer there is none");
}

#[tokio::test(start_paused = true)]
async fn a_search_during_which_settings_change_is_made_again_with_one_kind_of_them() {
    let nodes = fakes(["a", "b", "c"]);
    let bench = filled(&nodes).await;
    let searcher = Searcher::new(&bench);
    for node in &nodes {
        // Long enough for a change to come through in between.
        node.plan(FaultPlan::default().then_on(SEARCH, Fault::Delay(Duration::from_secs(4))));
    }
    let change = async {
        let task = bench.change_settings("films", json!({ "stopWords": ["a"] })).await;
        bench.succeeds(task).await;
    };
    let (asked, ()) = tokio::join!(searcher.ask("films"), change);
    assert_eq!((asked.hits, asked.is_uniform), (Ok(40), true));
    let times = |node: &FakeNode| node.seen().iter().filter(|request| request.ends_with("/search")).count();
    assert!(nodes.iter().map(times).sum::<usize>() > asked.nodes.len(), "the first try was of two kinds");
}
