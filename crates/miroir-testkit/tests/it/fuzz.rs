//! Requests that nobody should send neither break Miroir nor make it show anything of its own.

use miroir_testkit::fuzz::{Fault, Options, run};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};

/// Of the seed that CI tries; `miroir-fuzz` tries more.
const REQUESTS: usize = 120;

#[tokio::test]
async fn requests_that_nobody_should_send_are_refused_like_on_one_node() {
    let node = Node::start("expected").await.unwrap();
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    let (expected, actual) = (node.target().clone(), cluster.target().clone());
    let report = run(&Options { expected, actual, seed: 1, requests: REQUESTS }).await.unwrap();
    assert_eq!(report.sent, REQUESTS);
    assert!(report.accepted > REQUESTS / 10, "{} of {REQUESTS} accepted", report.accepted);
    // The development node has not every route, and refuses less than what it is a stand-in for.
    let faults: &[Fault] = if nodes_are_real() {
        &[Fault::Failed, Fault::Leak, Fault::Differs, Fault::Task]
    } else {
        &[Fault::Failed, Fault::Leak]
    };
    let findings = report.of(faults);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let log = cluster.proxy_log();
    assert!(!log.contains("panicked at"), "{log}");
}
