//! Filters that try to leave their place: a tenant's may not reach another one's documents, whatever is written in it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use miroir_testkit::client::{Client, Reply};
use miroir_testkit::oracle::Dice;
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Value, json};
use sha2::Sha256;

const KEY: &str = "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3c01";

/// Of each run, besides those that are written out.
const GENERATED: usize = 60;

/// Filters that are no expressions by themselves and would be ones in the place of something else.
const ESCAPING: [&str; 12] = [
    "tenant = B) OR (n = 1",
    "tenant = B) OR (tenant = B",
    "n = 1) OR NOT (n = 1",
    "n = 1 OR",
    "n = 1) OR (",
    ") OR (tenant = B",
    "tenant = B OR tenant = '",
    "tenant = \"B\" OR tenant = \"",
    "tenant = B --",
    "tenant = B /*",
    "tenant = B #",
    "n IN [1] ) OR ( tenant IN [B",
];

/// Whole expressions that mean more than the tenant may see.
const GREEDY: [&str; 5] = [
    "tenant = B OR n = 1",
    "NOT tenant = A",
    "tenant EXISTS OR (n = 1) OR NOT n = 1",
    "tenant = 'B) OR (tenant = A'",
    "NOT (tenant = A) OR tenant = B",
];

async fn fill(client: &Client) {
    let on = json!({"dynamicSearchRules": true, "containsFilter": true});
    client.patch("/experimental-features", &on).await.unwrap().success().unwrap();
    let settings = json!({
        "filterableAttributes": ["tenant", "n"],
        "embedders": {"given": {"source": "userProvided", "dimensions": 2}},
    });
    let reply = client.patch("/indexes/docs/settings", &settings).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    let documents: Vec<Value> = (0..60)
        .map(|id| {
            let tenant = if id % 2 == 0 { "A" } else { "B" };
            json!({"id": id, "tenant": tenant, "n": id % 3, "text": "word", "_vectors": {"given": [id + 1, 60 - id]}})
        })
        .collect();
    let reply = client.post("/indexes/docs/documents", &json!(documents)).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    let pin = |id: u32| json!({"selector": {"indexUid": "docs", "id": id.to_string()}, "action": {"type": "pin", "position": 0}});
    let rule = json!({
        "active": true,
        "conditions": {"filter": {"values": {"n": 1}}},
        "actions": [pin(4), pin(1)],
    });
    let reply = client.patch("/dynamic-search-rules/pins", &rule).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
}

/// What a client of tenant A holds.
async fn tenant(client: &Client) -> Client {
    let body = json!({"uid": KEY, "actions": ["search"], "indexes": ["docs"], "expiresAt": null});
    let key = client.post("/keys", &body).await.unwrap().success().unwrap();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"searchRules": {"docs": {"filter": "tenant = A"}}, "apiKeyUid": KEY});
    let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "HS256"})), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key["key"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    client.with_key(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

/// Every way to search with a filter.
fn requests(filter: &Value) -> Vec<(&'static str, Value)> {
    let query = json!({"indexUid": "docs", "q": "word", "filter": filter});
    let facets = json!({"filter": filter, "facets": ["tenant"], "limit": 100});
    vec![
        ("/indexes/docs/search", facets),
        ("/indexes/docs/search", json!({"q": "word", "filter": filter, "page": 1, "hitsPerPage": 100})),
        (
            "/indexes/docs/search",
            json!({"vector": [1, 2], "hybrid": {"embedder": "given", "semanticRatio": 0.5}, "q": "word", "filter": filter}),
        ),
        ("/multi-search", json!({"queries": [query]})),
        ("/multi-search", json!({"queries": [query, query], "federation": {"limit": 100}})),
        ("/indexes/docs/facet-search", json!({"facetName": "tenant", "filter": filter})),
        ("/indexes/docs/similar", json!({"id": 0, "embedder": "given", "filter": filter, "limit": 100})),
    ]
}

/// The other tenant's documents in an answer, whatever form it has.
fn of_others(answer: &Value) -> bool {
    match answer {
        Value::Object(fields) => {
            let is_document = fields.get("tenant").is_some_and(|tenant| *tenant == json!("B"));
            let is_facet = fields.get("value").is_some_and(|value| *value == json!("B"));
            let is_count = fields.get("tenant").is_some_and(|counts| counts.get("B").is_some());
            is_document || is_facet || is_count || fields.values().any(of_others)
        }
        Value::Array(items) => items.iter().any(of_others),
        _ => false,
    }
}

/// An error without the positions that depend on how the server wrote the filter down.
fn seen(reply: &Reply) -> (u16, Value, Value) {
    let ids = |hits: &Value| -> Value {
        hits.as_array().into_iter().flatten().map(|hit| hit["id"].clone()).collect()
    };
    let found = if reply.status == 200 { ids(&reply.body["hits"]) } else { reply.body["message"].clone() };
    (reply.status, reply.body["code"].clone(), found)
}

/// Pieces put together until they look like a filter, mostly a broken one.
fn generated(dice: &mut Dice) -> String {
    let pieces = [
        "(",
        ")",
        ") OR (",
        " OR ",
        " AND ",
        "NOT ",
        "tenant = B",
        "tenant = A",
        "n = 1",
        "n IN [1, 2]",
        "'",
        "\"",
        "\\'",
        "]",
        "tenant EXISTS",
        "n = '1) OR (tenant = B'",
        "\n",
        "\u{a0}",
        "tenant CONTAINS B",
    ];
    let count = dice.between(2, 6);
    (0..count).map(|_| *dice.pick(&pieces)).collect()
}

#[tokio::test]
async fn no_filter_of_a_tenant_finds_another_tenants_documents() {
    if !nodes_are_real() {
        // The development node knows no rules, and they are what filters are put together for.
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("MIROIR_FILTER_SEED").map_or(now, |seed| seed.parse().unwrap());
    let node = Node::start("expected").await.unwrap();
    let cluster = Cluster::start(Topology::one_group(3, 2)).await.unwrap();
    let mut tenants = Vec::new();
    for client in [node.client(), cluster.client()] {
        fill(client).await;
        tenants.push(tenant(client).await);
    }
    let mut dice = Dice::new(seed);
    let written = ESCAPING.into_iter().chain(GREEDY).map(str::to_owned);
    let texts: Vec<String> = written.chain((0..GENERATED).map(|_| generated(&mut dice))).collect();
    let mut refused = 0;
    for text in &texts {
        for filter in [json!(text), json!([text]), json!([["n = 2", text]]), json!(["n = 1", text])] {
            for (path, body) in requests(&filter) {
                let expected = tenants[0].post(path, &body).await.unwrap();
                let actual = tenants[1].post(path, &body).await.unwrap();
                let what = format!("MIROIR_FILTER_SEED={seed}: {path} {body}");
                assert!(!of_others(&actual.body), "{what}: {}", actual.text);
                assert!(!actual.text.contains("_miroir_"), "{what}: {}", actual.text);
                let (expected, actual) = (seen(&expected), seen(&actual));
                assert_eq!(
                    (actual.0, &actual.1),
                    (expected.0, &expected.1),
                    "{what}: {actual:?} {expected:?}"
                );
                refused += usize::from(actual.0 == 400);
            }
        }
    }
    assert!(refused >= ESCAPING.len() * requests(&json!("")).len(), "{refused} refused");
}
