//! Templates see a document as clients do: nothing that a filter makes of it tells of the field that Miroir keeps in it.

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const FIELDS: [&str; 9] = [
    "{{ doc | size }}",
    "{{ doc }}",
    "{% for f in doc %}{{ f[0] | upcase }};{% endfor %}",
    "{% for f in doc %}{{ f[0] | slice: 1, 4 }};{% endfor %}",
    "{% for f in doc %}{{ f[0] | size }};{% endfor %}",
    "{{ fields | size }}",
    "{% for f in fields %}{{ f.name | capitalize }}={{ f.value }},{{ f.is_searchable }};{% endfor %}",
    "{{ fields | map: 'name' | join: '-' | downcase | replace: '_', '.' }}",
    "{{ doc.nothing_of_that_name }}",
];

async fn prepare(client: &Client, settings: &Value) {
    let features = json!({"renderRoute": true, "multimodal": true});
    client.patch("/experimental-features", &features).await.unwrap().success().unwrap();
    let films = json!([{"id": 1, "title": "tea", "year": 1990, "_geo": {"lat": 1, "lng": 2}}, {"id": 2, "title": null}]);
    client.wait_reply(client.post("/indexes/films/documents", &films).await.unwrap()).await.unwrap();
    client.wait_reply(client.patch("/indexes/films/settings", settings).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_template_renders_what_it_renders_on_one_server() {
    let cluster = Cluster::start(Topology::one_group(2, 1)).await.unwrap();
    if !nodes_are_real() {
        let reply = cluster.client().post("/render-template", &json!({})).await.unwrap();
        assert!(reply.status >= 400, "{}", reply.text);
        return;
    }
    let node = Node::start("expected").await.unwrap();
    for settings in [json!({"sortableAttributes": ["year"]}), json!({"searchableAttributes": ["title"]})] {
        for client in [node.client(), cluster.client()] {
            prepare(client, &settings).await;
        }
        for template in FIELDS {
            for id in ["1", "2", "3"] {
                for (kind, inline) in [
                    ("inlineDocumentTemplate", json!(template)),
                    ("inlineFragment", json!({"a": template.replace("fields", "doc"), "b": ["x"]})),
                ] {
                    let body = json!({
                        "template": {"kind": kind, "inline": inline},
                        "input": {"kind": "indexDocument", "indexUid": "films", "id": id},
                    });
                    let send = async |client: &Client| {
                        client.send(Method::POST, "/render-template", Some(&body)).await.unwrap()
                    };
                    let (expected, actual) = (send(node.client()).await, send(cluster.client()).await);
                    // Servers meet the fields of a document in any order.
                    let letters = |reply: &Reply| {
                        let mut letters: Vec<char> = reply.text.chars().collect();
                        letters.sort_unstable();
                        letters.into_iter().collect::<String>()
                    };
                    let same = (actual.status, letters(&actual)) == (expected.status, letters(&expected));
                    assert!(same, "{body}: {} and not {}", actual.text, expected.text);
                    assert!(!actual.text.to_lowercase().contains("miroir"), "{}", actual.text);
                }
            }
        }
    }
}
