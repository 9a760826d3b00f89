//! Nodes to read from, played by small servers.

use axum::Router;
use miroir_core::ids::NodeId;
use miroir_core::view::IndexEntry;

use crate::cluster::{Cluster, fixture};
use crate::node_api::Node;

/// The address of a server that answers so.
pub(super) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Two nodes that both hold the two shards of an index.
pub(super) fn two_nodes(addresses: [String; 2]) -> (Cluster, IndexEntry) {
    let nodes = ["a", "b"].into_iter().zip(addresses);
    let nodes = nodes.map(|(id, address)| Node::new(NodeId::new(id), &address, None).unwrap());
    (fixture::cluster(nodes.collect()), fixture::index("books", &[&["a", "b"], &["b", "a"]]))
}
