//! The sandbox and the oracle tested on themselves, without Miroir.

use miroir_testkit::oracle::{Options, Size, World, run};
use miroir_testkit::sandbox::{Node, nodes_are_real};
use serde_json::json;

#[tokio::test]
async fn a_killed_node_comes_back_at_its_address_with_its_documents() {
    let mut node = Node::start("node").await.unwrap();
    let client = node.client().clone();
    let reply = client.post("/indexes/films/documents", &json!([{"id": 1}, {"id": 2}])).await.unwrap();
    let task = client.wait_reply(reply).await.unwrap();
    assert_eq!(task["status"], "succeeded", "{task}");
    node.process().kill().unwrap();
    assert!(client.get("/health").await.is_err(), "a killed node still answers");
    node.restart().await.unwrap();
    let stats = client.get("/indexes/films/stats").await.unwrap();
    assert_eq!(stats.body["numberOfDocuments"], 2, "{}", stats.text);
}

#[tokio::test]
async fn two_equal_nodes_give_equal_answers_to_every_search() {
    let (left, right) = (Node::start("left").await.unwrap(), Node::start("right").await.unwrap());
    let options = Options {
        name: "two nodes".to_owned(),
        expected: left.target().clone(),
        actual: right.target().clone(),
        real_nodes: nodes_are_real(),
    };
    for seed in [11, 12] {
        let world = World::generate(seed, Size { documents: 120, queries: 80 });
        let report = run(&world, &options).await.unwrap();
        assert!(report.queries > 80, "{report}");
        assert_eq!(report.equal, report.queries, "{report}");
        assert!(report.meets_bar(), "{report}");
    }
}
