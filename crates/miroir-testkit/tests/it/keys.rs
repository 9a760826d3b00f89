//! What API keys and tenant tokens open, over a cluster of three nodes, and that it is what they open on one node.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

const FILMS_KEY: &str = "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01";
const THREE: Topology = Topology { shards: 8, ..Topology::one_group(3, 2) };

/// Two indexes with documents of three users each.
async fn fill(client: &Client) {
    for index in ["films", "books"] {
        let settings = json!({
            "filterableAttributes": ["user", "genre"],
            "sortableAttributes": ["id"],
            "embedders": {"given": {"source": "userProvided", "dimensions": 2}},
        });
        let reply = client.patch(&format!("/indexes/{index}/settings"), &settings).await.unwrap();
        assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
        let genres = ["drama", "comedy"];
        let documents: Vec<Value> = (0..60)
            .map(|id| {
                let vectors = json!({"given": [id + 1, 60 - id]});
                json!({"id": id, "user": id % 3, "genre": genres[id % 2], "text": "word", "_vectors": vectors})
            })
            .collect();
        let reply = client.post(&format!("/indexes/{index}/documents"), &json!(documents)).await.unwrap();
        assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    }
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start(THREE).await.unwrap();
    fill(cluster.client()).await;
    cluster
}

/// A client with a new key.
async fn with_key(client: &Client, uid: &str, actions: &[&str], indexes: &[&str]) -> Client {
    let body = json!({"uid": uid, "actions": actions, "indexes": indexes, "expiresAt": null});
    let key = client.post("/keys", &body).await.unwrap().success().unwrap();
    client.with_key(key["key"].as_str().unwrap())
}

/// A client with a token that the key of `parent` has signed.
fn with_token(parent: &Client, uid: &str, rules: &Value) -> Client {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"searchRules": rules, "apiKeyUid": uid});
    let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "HS256"})), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(parent.target().key.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    parent.with_key(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

fn names(page: &Value, name: &str) -> Vec<Value> {
    page["results"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}

#[tokio::test]
async fn a_key_opens_its_actions_on_its_indexes_and_lists_nothing_else() {
    let cluster = cluster().await;
    let master = cluster.client();
    let films =
        with_key(master, FILMS_KEY, &["indexes.get", "stats.get", "tasks.get", "documents.add"], &["fil*"])
            .await;
    let indexes = films.get("/indexes").await.unwrap().success().unwrap();
    assert_eq!((names(&indexes, "uid"), &indexes["total"]), (vec![json!("films")], &json!(1)));
    let stats = films.get("/stats").await.unwrap().success().unwrap();
    assert_eq!(stats["indexes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["films"]);
    let tasks = films.get("/tasks").await.unwrap().success().unwrap();
    assert_eq!((names(&tasks, "indexUid"), &tasks["total"]), (vec![json!("films"); 2], &json!(4)));
    let batches = films.get("/batches").await.unwrap().success().unwrap();
    assert_eq!(names(&batches, "uid"), [json!(1), json!(0)]);
    for (path, status) in [("/tasks/0", 200), ("/tasks/2", 404), ("/batches/1", 200), ("/batches/3", 404)] {
        assert_eq!(films.get(path).await.unwrap().status, status, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/indexes/books"),
        (Method::GET, "/indexes/films/documents"),
        (Method::GET, "/indexes/films/search?q=word"),
        (Method::DELETE, "/indexes/films"),
        (Method::GET, "/keys"),
        (Method::GET, "/version"),
        (Method::POST, "/multi-search"),
    ] {
        let reply = films.send(method, path, None).await.unwrap();
        assert_eq!(
            (reply.status, reply.error_code()),
            (403, Some("invalid_api_key")),
            "{path}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn a_key_that_may_not_create_indexes_writes_only_into_those_there_are() {
    let cluster = cluster().await;
    let master = cluster.client();
    let add = with_key(master, FILMS_KEY, &["documents.add", "settings.update"], &["films", "new"]).await;
    let document = json!([{"id": 1}]);
    for (path, status) in [("/indexes/films/documents", "succeeded"), ("/indexes/new/documents", "failed")] {
        let reply = add.post(path, &document).await.unwrap();
        assert_eq!(master.wait_reply(reply).await.unwrap()["status"], status, "{path}");
    }
    let reply = add.put("/indexes/new/settings/stop-words", &json!(["a"])).await.unwrap();
    let task = master.wait_reply(reply).await.unwrap();
    assert_eq!(task["error"]["code"], "index_not_found", "{task}");
    assert_eq!(master.get("/indexes/new").await.unwrap().status, 404);

    let swap =
        with_key(master, "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a02", &["indexes.*"], &["films", "new*"]).await;
    let refused = swap.post("/swap-indexes", &json!([{"indexes": ["films", "books"]}])).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (403, Some("invalid_api_key")), "{}", refused.text);
    let refused = swap.post("/indexes", &json!({"uid": "other"})).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (403, Some("invalid_api_key")), "{}", refused.text);
    let reply = swap.post("/indexes", &json!({"uid": "new-1"})).await.unwrap();
    assert_eq!(master.wait_reply(reply).await.unwrap()["status"], "succeeded");
}

#[tokio::test]
async fn a_token_finds_what_its_filter_lets_it_and_ends_with_its_key() {
    let cluster = cluster().await;
    let master = cluster.client();
    let films = with_key(master, FILMS_KEY, &["search"], &["films", "books"]).await;
    let token = with_token(&films, FILMS_KEY, &json!({"films": {"filter": "user = 1"}, "bo*": {}}));
    let search =
        json!({"q": "word", "filter": "genre = drama OR genre = comedy", "facets": ["user"], "limit": 100});
    let found = token.post("/indexes/films/search", &search).await.unwrap().success().unwrap();
    let users: Vec<&Value> = found["hits"].as_array().unwrap().iter().map(|hit| &hit["user"]).collect();
    assert_eq!(users, vec![&json!(1); 20]);
    assert_eq!(found["facetDistribution"]["user"], json!({"1": 20}));
    let found =
        token.get("/indexes/films/search?filter=genre=drama&limit=1").await.unwrap().success().unwrap();
    assert_eq!(found["estimatedTotalHits"], 10, "{found}");
    let all = token.get("/indexes/books/search?limit=1").await.unwrap().success().unwrap();
    assert_eq!(all["estimatedTotalHits"], 60, "{all}");
    for path in ["/indexes/films/documents", "/indexes", "/tasks", "/keys"] {
        assert_eq!(token.get(path).await.unwrap().status, 403, "{path}");
    }
    let forged = with_token(master, FILMS_KEY, &json!(["*"]));
    assert_eq!(forged.get("/indexes/films/search").await.unwrap().error_code(), Some("invalid_api_key"));

    assert_eq!(master.delete(&format!("/keys/{FILMS_KEY}")).await.unwrap().status, 204);
    for client in [&token, &films] {
        let reply = client.get("/indexes/films/search").await.unwrap();
        assert_eq!((reply.status, reply.error_code()), (403, Some("invalid_api_key")), "{}", reply.text);
    }
}

#[tokio::test]
async fn keys_are_kept_over_a_crash_and_have_the_values_that_meilisearch_gives_them() {
    let mut cluster = Cluster::start(Topology::SINGLE).await.unwrap();
    let defaults = cluster.client().get("/keys").await.unwrap().success().unwrap();
    assert_eq!(
        names(&defaults, "name"),
        ["Search", "Admin", "Read-Only Admin", "Chat"].map(|name| json!(format!("Default {name} API Key")))
    );
    let films = with_key(cluster.client(), FILMS_KEY, &["search"], &["films"]).await;
    // HMAC-SHA256 of the uid under the sandbox's master key.
    assert_eq!(films.target().key, "e67558a6683e5d8181e314db8a712e2dce62ca9eb6c88bc1acebda2e03574af2");
    let before = cluster.client().get("/keys").await.unwrap().success().unwrap();
    cluster.kill_proxy().unwrap();
    cluster.restart_proxy().await.unwrap();
    assert_eq!(cluster.client().get("/keys").await.unwrap().success().unwrap(), before);
    assert_eq!(films.get("/indexes/films/search").await.unwrap().status, 404);
}

#[tokio::test]
async fn without_a_master_key_everything_is_open_but_the_keys() {
    let open = json!({"master_key": null, "open_without_master_key": true});
    let cluster = Cluster::start_with(Topology::SINGLE, open).await.unwrap();
    for key in ["", "any"] {
        let client = cluster.client().with_key(key);
        let reply = client.post("/indexes", &json!({"uid": "films"})).await.unwrap();
        client.wait_reply(reply).await.unwrap();
        assert_eq!(client.get("/indexes/films/search").await.unwrap().status, 200);
        assert_eq!(client.get("/_miroir/topology").await.unwrap().status, 200);
        let reply = client.get("/keys").await.unwrap();
        assert_eq!((reply.status, reply.error_code()), (401, Some("missing_master_key")), "{}", reply.text);
    }
}

/// What two servers must agree on: the status, what an error says, and what a listing holds.
fn seen(reply: &Reply) -> Value {
    let listed = |name: &str| reply.body["results"].as_array().map(|_| names(&reply.body, name));
    json!({
        "status": reply.status,
        "code": reply.body["code"],
        "message": reply.body["message"],
        "uids": listed("uid"),
        "indexUids": listed("indexUid"),
        "next": reply.body["next"].is_number(),
        "total": reply.body["total"],
        "found": reply.body["estimatedTotalHits"],
        "facets": reply.body["facetDistribution"],
        "values": reply.body["facetHits"],
        "totals": listed("estimatedTotalHits"),
        "facetsByIndex": reply.body["facetsByIndex"],
    })
}

#[tokio::test]
async fn keys_and_tokens_open_what_they_open_on_one_node() {
    if !nodes_are_real() {
        // A development node checks keys less closely: there is nothing to compare with, and no client's key is made there.
        let cluster = Cluster::start(Topology::SINGLE).await.unwrap();
        with_key(cluster.client(), FILMS_KEY, &["search"], &["films"]).await;
        let keys = cluster.nodes()[0].client().get("/keys").await.unwrap().success().unwrap();
        assert_eq!(names(&keys, "name"), ["Miroir"]);
        return;
    }
    let (node, cluster) = (Node::start("expected").await.unwrap(), cluster().await);
    fill(node.client()).await;
    let sides = [node.client(), cluster.client()];
    let mut differences = Vec::new();
    for (number, actions, indexes) in keys() {
        let uid = format!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3b{number:02}");
        let mut callers = Vec::new();
        for master in sides {
            let key = with_key(master, &uid, actions, indexes).await;
            let tokens = token_rules().map(|rules| with_token(&key, &uid, &rules));
            callers.push([vec![key], tokens.into()].concat());
        }
        for (expected, actual) in callers[0].iter().zip(&callers[1]) {
            for (method, path, body) in requests() {
                let what = format!(
                    "{method} {path} {body} with {actions:?} on {indexes:?}, {}",
                    actual.target().key
                );
                let body = (method != Method::GET).then_some(&body);
                let expected = expected.send(method.clone(), path, body).await.unwrap();
                let actual = actual.send(method, path, body).await.unwrap();
                if seen(&actual) != seen(&expected) {
                    differences.push(format!("{what}:\n  {}\n  {}", seen(&expected), seen(&actual)));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn keys() -> [(u32, &'static [&'static str], &'static [&'static str]); 10] {
    [
        (0, &["*"], &["*"]),
        (1, &["*"], &["films"]),
        (2, &["*"], &[]),
        (3, &["*.get"], &["*"]),
        (4, &["*.get"], &["b*", "other"]),
        (5, &["documents.*", "tasks.*"], &["films"]),
        (6, &["search"], &["films", "books"]),
        (7, &["indexes.*", "settings.*", "stats.*"], &["films"]),
        (8, &["version", "keys.get"], &["*"]),
        (9, &[], &["*"]),
    ]
}

fn token_rules() -> [Value; 8] {
    [
        json!(["*"]),
        json!([]),
        json!(["films"]),
        json!({"fil*": {"filter": "user = 1"}, "books": {"filter": [["user = 0", "user = 2"]]}}),
        json!({"films": {"filter": "nothing = 1"}}),
        json!({"films": {"filter": "user ="}}),
        json!({"films": {"filter": ["user ="]}, "books": {"filter": [["nothing = 1"]]}}),
        json!({"films": {"filter": 3}}),
    ]
}

/// Requests that change nothing, whether they are let in or not.
fn requests() -> Vec<(Method, &'static str, Value)> {
    let get = |path| (Method::GET, path, Value::Null);
    let post = |path, body| (Method::POST, path, body);
    vec![
        get("/indexes"),
        get("/indexes?limit=1"),
        get("/indexes/films"),
        get("/indexes/none"),
        get("/indexes/not%20a%20name"),
        get("/indexes/films/settings/stop-words"),
        get("/indexes/books/documents?limit=1"),
        get("/indexes/films/documents/1"),
        get("/indexes/films/stats"),
        get("/tasks?limit=1"),
        get("/tasks?limit=2&from=2"),
        get("/tasks?indexUids=books"),
        get("/tasks/0"),
        get("/tasks/3"),
        get("/version"),
        get("/keys?limit=0&page=1"),
        get("/keys/unknown"),
        get("/experimental-features"),
        get("/indexes/films/search?limit=1&filter=user>0"),
        get("/indexes/books/search?facets=genre"),
        post("/indexes/films/search", json!({"q": "word", "limit": 0, "facets": ["user"]})),
        post("/indexes/films/search", json!({"filter": [["user = 0", "user = 1"], "genre = drama"]})),
        post("/indexes/films/search", json!({"filter": "", "limit": 1})),
        post("/indexes/films/search", json!({"filter": "genre ="})),
        post("/indexes/films/search", json!({"filter": 5})),
        post("/indexes/films/search", json!({"limit": "many"})),
        post("/indexes/none/search", json!({})),
        post("/indexes/films/facet-search", json!({"facetName": "genre", "filter": "user < 2"})),
        post("/indexes/books/facet-search", json!({"facetName": "genre"})),
        post(
            "/multi-search",
            json!({"queries": [{"indexUid": "films", "q": "word"}, {"indexUid": "books"}]}),
        ),
        post(
            "/multi-search",
            json!({"queries": [{"indexUid": "none"}, {"indexUid": "films", "filter": "genre = drama"}]}),
        ),
        post(
            "/multi-search",
            json!({"queries": [{"indexUid": "films", "filter": ["user < 2"]}], "federation": {}}),
        ),
        post(
            "/multi-search",
            json!({
                "queries": [{"indexUid": "books", "filter": "genre ="}, {"indexUid": "films"}],
                "federation": {"facetsByIndex": {"films": ["user"]}},
            }),
        ),
        post(
            "/multi-search",
            json!({
                "queries": [{"indexUid": "films"}, {"indexUid": "books", "filter": "user > 0"}],
                "federation": {"facetsByIndex": {"films": ["user"], "books": ["genre"]}, "limit": 1},
            }),
        ),
        post("/multi-search", json!({"queries": [{"q": "word"}]})),
        post("/multi-search", json!({"queries": []})),
        post("/indexes/films/similar", json!({"id": 1, "embedder": "none"})),
        post("/indexes/films/similar", json!({"id": 1, "embedder": "given", "limit": 0})),
        post("/indexes/films/similar", json!({"id": 1, "embedder": "given", "filter": "genre ="})),
        post("/indexes/books/similar", json!({"id": 1, "embedder": "given", "filter": "nothing = 1"})),
        get("/indexes/films/similar?id=1&embedder=given&limit=0&filter=user<2"),
        post("/indexes/films/documents/edit", json!({"function": 5})),
        post("/indexes", json!({"primaryKey": "id"})),
        post("/indexes", json!({"uid": "not a name"})),
        post("/indexes/not%20a%20name/documents", json!([])),
        post("/swap-indexes", json!([{"indexes": ["films", "books"]}, {"indexes": ["films"]}])),
        post("/tasks/cancel", json!({})),
        (Method::DELETE, "/indexes/not%20a%20name", json!({})),
        (Method::DELETE, "/keys/unknown", json!({})),
        (Method::PATCH, "/keys/unknown", json!({"name": "x"})),
        (Method::PATCH, "/keys/unknown", json!({"uid": "x"})),
        post("/keys", json!({"actions": ["version"], "indexes": ["a"], "expiresAt": null})),
    ]
}
