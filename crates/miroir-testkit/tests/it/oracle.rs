//! Miroir over every standard topology answers like one server: the main test of the project.
//!
//! One topology runs at a time: two cores are busy with one cluster, and a failure's output stays readable.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panic and show the report"
)]

use miroir_testkit::oracle::{Options, Size, World, run, seed_from_env};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use tokio::sync::Mutex;

/// Per world; 6 topologies with 2 worlds each make some 2,200 searches.
const SIZE: Size = Size { documents: 300, queries: 180 };
const WORLDS: u64 = 2;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Compares a cluster with one node; each topology has worlds of its own.
async fn assert_same_answers(topology: Topology) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let place = Topology::STANDARD.iter().position(|standard| *standard == topology).unwrap();
    let first = seed_from_env().unwrap() + WORLDS * u64::try_from(place).unwrap();
    let node = Node::start("expected").await.unwrap();
    let cluster = Cluster::start(topology).await.unwrap();
    let options = Options {
        name: topology.to_string(),
        expected: node.target().clone(),
        actual: cluster.target().clone(),
        real_nodes: nodes_are_real(),
    };
    for seed in first..first + WORLDS {
        let world = World::generate(seed, SIZE);
        let report = run(&world, &options).await;
        let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error:#}\n{}", cluster.proxy_log()));
        println!("{report}");
        assert!(report.queries >= SIZE.queries, "{report}");
        assert!(report.meets_bar(), "{report}");
    }
}

#[tokio::test]
async fn one_node_behind_miroir_answers_like_one_node() {
    assert_same_answers(Topology::SINGLE).await;
}

#[tokio::test]
async fn three_nodes_with_one_copy_answer_like_one_node() {
    assert_same_answers(Topology::one_group(3, 1)).await;
}

#[tokio::test]
async fn three_nodes_with_two_copies_answer_like_one_node() {
    assert_same_answers(Topology::one_group(3, 2)).await;
}

#[tokio::test]
async fn three_nodes_with_three_copies_answer_like_one_node() {
    assert_same_answers(Topology::one_group(3, 3)).await;
}

#[tokio::test]
async fn two_groups_of_two_nodes_answer_like_one_node() {
    assert_same_answers(Topology::groups(2, 2, 1)).await;
}

#[tokio::test]
async fn two_groups_of_three_nodes_with_two_copies_answer_like_one_node() {
    assert_same_answers(Topology::groups(2, 3, 2)).await;
}
