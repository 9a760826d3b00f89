//! Documents that are related to documents of another index: over several nodes they are followed as on one server, and
//! nothing is shown that their own index hides.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Map, Value, json};

/// In every document of the other index, in fields that it hides.
const SECRET: &str = "nobody-sees-this";

/// One server, and Miroir.
struct Both {
    node: Node,
    cluster: Cluster,
}

impl Both {
    async fn start(topology: Topology) -> Self {
        let cluster = Cluster::start(topology).await.unwrap();
        let both = Self { node: Node::start("expected").await.unwrap(), cluster };
        both.switch(true).await;
        both
    }

    fn clients(&self) -> [&Client; 2] {
        [self.node.client(), self.cluster.client()]
    }

    async fn switch(&self, on: bool) {
        for client in self.clients() {
            let features = json!({"foreignKeys": on, "editDocumentsByFunction": true});
            client.patch("/experimental-features", &features).await.unwrap().success().unwrap();
        }
    }

    /// Writes to both; the tasks end alike, or are refused alike.
    async fn write(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut ends = Vec::new();
        for client in self.clients() {
            let body = Some(body).filter(|body| !body.is_null());
            let reply = client.send(method.parse().unwrap(), path, body).await.unwrap();
            if reply.status >= 400 {
                ends.push(seen(&reply));
                continue;
            }
            let task = client.wait_reply(reply).await.unwrap();
            let told = ["status", "type", "indexUid", "details", "error"];
            let told = told.iter().map(|key| ((*key).to_owned(), task[key].clone())).collect::<Map<_, _>>();
            ends.push(Value::Object(told));
        }
        assert_eq!(ends[0], ends[1], "{method} {path} {body}");
        ends.remove(0)
    }

    async fn assert_alike(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = Some(body).filter(|body| !body.is_null());
        let [expected, actual] = self.clients();
        let expected = expected.send(method.parse().unwrap(), path, body).await.unwrap();
        let actual = actual.send(method.parse().unwrap(), path, body).await.unwrap();
        for hidden in [SECRET, "_miroir_"] {
            assert!(!actual.text.contains(hidden), "{method} {path} {body:?}: {}", actual.text);
        }
        assert_eq!(seen(&actual), seen(&expected), "{method} {path} {body:?}");
        actual.body
    }

    /// Everything that follows relations.
    async fn assert_all_alike(&self) {
        for search in searches() {
            self.assert_alike("POST", "/indexes/books/search", &search).await;
            let query = with(&search, "indexUid", json!("books"));
            let other = json!({"indexUid": "people", "q": "ann"});
            self.assert_alike("POST", "/multi-search", &json!({"queries": [query, other]})).await;
            let federated = json!({"queries": [query, other], "federation": {"limit": 30}});
            self.assert_alike("POST", "/multi-search", &federated).await;
        }
        for filter in filters() {
            let fetch = json!({"filter": filter, "limit": 30});
            self.assert_alike("POST", "/indexes/books/documents/fetch", &fetch).await;
            let facets = json!({"facetName": "genre", "filter": filter});
            self.assert_alike("POST", "/indexes/books/facet-search", &facets).await;
            let similar = json!({"id": "b1", "embedder": "given", "filter": filter});
            self.assert_alike("POST", "/indexes/books/similar", &similar).await;
        }
        let path = "/indexes/books/documents?limit=30&filter=_foreign(author,fame>2)";
        self.assert_alike("GET", path, &Value::Null).await;
        self.assert_alike("GET", "/indexes/books/search?filter=_foreign(author,fame>2)", &Value::Null).await;
        self.assert_alike("GET", "/indexes/books/settings", &Value::Null).await;
        self.assert_alike("GET", "/indexes/books/settings/foreign-keys", &Value::Null).await;
    }

    async fn fill(&self) {
        let settings = json!({
            "displayedAttributes": ["id", "name", "home.city"],
            "filterableAttributes": ["fame", "name", "home.city"],
        });
        self.write("PATCH", "/indexes/people/settings", &settings).await;
        self.write("POST", "/indexes/people/documents?primaryKey=id", &json!(people())).await;
        let settings = json!({"displayedAttributes": ["*"], "filterableAttributes": ["fame"]});
        self.write("PATCH", "/indexes/others/settings", &settings).await;
        let others =
            (1..=8).map(|number| json!({"id": format!("w{number}"), "other": true, "fame": 9 - number}));
        self.write("POST", "/indexes/others/documents?primaryKey=id", &others.collect()).await;
        let settings = json!({
            "filterableAttributes": ["author", "genre", "with.by", "year"],
            "sortableAttributes": ["year"],
            "foreignKeys": [
                {"foreignIndexUid": "people", "fieldName": "author"},
                {"foreignIndexUid": "people", "fieldName": "with.by"},
            ],
            "embedders": {"given": {"source": "userProvided", "dimensions": 2}},
        });
        self.write("PATCH", "/indexes/books/settings", &settings).await;
        self.write("POST", "/indexes/books/documents?primaryKey=id", &json!(books())).await;
    }
}

fn people() -> Vec<Value> {
    let person = |number: u32| {
        json!({
            "id": format!("w{number}"), "name": format!("ann {number}"), "fame": number,
            "diary": SECRET, "home": {"city": format!("city {number}"), "street": SECRET},
        })
    };
    (1..=8).map(person).collect()
}

fn books() -> Vec<Value> {
    let author = |number: u32| match number {
        3 => json!(["w1", "w2", "gone"]),
        5 => json!(null),
        6 => json!("no id!"),
        7 => json!("gone"),
        _ => json!(format!("w{}", number % 8 + 1)),
    };
    let book = |number: u32| {
        json!({
            "id": format!("b{number}"), "title": format!("book {number}"), "author": author(number),
            "with": [{"by": format!("w{}", number % 3 + 1), "as": "w1"}, {"as": "w2"}],
            "genre": if number.is_multiple_of(2) { "drama" } else { "crime" }, "year": 1990 + number,
            "_vectors": {"given": [number, 10]},
        })
    };
    (1..=9).map(book).collect()
}

fn filters() -> Vec<Value> {
    [
        json!("_foreign(author, fame >= 1)"),
        json!("_foreign(author, fame > 6 OR name = 'ann 1')"),
        json!("NOT _foreign(author, fame < 4)"),
        json!(["genre = drama", ["_foreign(author, fame > 5)", "year > 1996"]]),
        json!("_foreign(with.by, home.city = 'city 2') AND year < 1999"),
        json!("_foreign(author, fame > 900)"),
        json!("_foreign(title, fame > 1)"),
        json!("_foreign(author, _foreign(author, fame > 1))"),
        json!("_foreign(author, diary = 1)"),
        json!("_foreign(author, fame >)"),
        json!("_foreign(author)"),
        json!("_foreign(nothing, fame = 1"),
    ]
    .into()
}

fn searches() -> Vec<Value> {
    let mut searches = vec![
        json!({}),
        json!({"q": "book", "limit": 4, "offset": 2, "attributesToHighlight": ["*"]}),
        json!({"sort": ["year:desc"], "attributesToRetrieve": ["title", "author"], "showRankingScore": true}),
        json!({"attributesToRetrieve": ["title"], "attributesToHighlight": ["author"]}),
        json!({"q": "w1", "attributesToHighlight": ["author", "with.by"], "showMatchesPosition": true}),
        json!({"q": "nothing at all", "matchingStrategy": "all"}),
        json!({"vector": [3, 10], "hybrid": {"embedder": "given", "semanticRatio": 1}, "retrieveVectors": true}),
    ];
    searches.extend(filters().into_iter().map(|filter| json!({"filter": filter, "facets": ["genre"]})));
    searches
}

fn with(body: &Value, key: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[key] = value;
    body
}

/// What must be alike: all but times, and the place in a filter that an error points at.
fn seen(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    forget(&mut body);
    if let Some(message) = body["message"].as_str() {
        body["message"] = json!(message.lines().next());
    }
    json!({"status": reply.status, "body": body})
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["processingTimeMs", "requestUid"].contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

async fn relations_are_followed(topology: Topology) {
    if !nodes_are_real() {
        // The development node knows no relations.
        return;
    }
    let both = Both::start(topology).await;
    both.fill().await;
    both.assert_all_alike().await;
    // Names are looked up when they are used, whatever nodes call the indexes.
    both.write("POST", "/swap-indexes", &json!([{"indexes": ["people", "others"]}])).await;
    both.assert_alike("POST", "/indexes/books/search", &json!({"filter": "_foreign(author, fame > 2)"}))
        .await;
    both.assert_alike("POST", "/indexes/books/search", &json!({})).await;
    both.write("POST", "/swap-indexes", &json!([{"indexes": ["people", "others"]}])).await;
    both.write("PATCH", "/indexes/books", &json!({"uid": "volumes"})).await;
    both.assert_alike("POST", "/indexes/volumes/search", &json!({"filter": "_foreign(author, fame > 2)"}))
        .await;
    both.write("PATCH", "/indexes/volumes", &json!({"uid": "books"})).await;
    // An index that is not there any more, and not again yet.
    both.write("DELETE", "/indexes/people", &Value::Null).await;
    for search in
        [json!({}), json!({"filter": "_foreign(author, fame > 2)"}), json!({"q": "zzz", "limit": 0})]
    {
        both.assert_alike("POST", "/indexes/books/search", &search).await;
    }
    both.write("POST", "/indexes/people/documents?primaryKey=id", &json!([{"id": "w2", "name": "new"}]))
        .await;
    both.assert_alike("POST", "/indexes/books/search", &json!({})).await;
}

#[tokio::test]
async fn relations_are_followed_over_shards_as_on_one_server() {
    relations_are_followed(Topology::one_group(3, 2)).await;
}

#[tokio::test]
async fn relations_are_followed_where_indexes_lie_on_some_nodes_only() {
    relations_are_followed(Topology { shards: 1, ..Topology::one_group(3, 1) }).await;
}

#[tokio::test]
async fn relations_are_followed_in_every_group() {
    relations_are_followed(Topology::groups(2, 2, 1)).await;
}

#[tokio::test]
async fn relations_are_followed_where_nodes_hold_all() {
    relations_are_followed(Topology::SINGLE).await;
}

#[tokio::test]
async fn what_takes_no_relations_refuses_them_as_one_server_does() {
    if !nodes_are_real() {
        return;
    }
    let both = Both::start(Topology::one_group(3, 2)).await;
    both.fill().await;
    let filter = "_foreign(author, fame > 2)";
    for filter in [json!(filter), json!(["genre = drama", [format!("year = 1 OR NOT {filter}")]])] {
        let deletion = json!({"filter": filter});
        both.assert_alike("POST", "/indexes/books/documents/delete", &deletion).await;
        let edit = json!({"filter": filter, "function": "doc.year += 1"});
        both.assert_alike("POST", "/indexes/books/documents/edit", &edit).await;
    }
    // The task fails before anything is sent, so any server will do.
    let export = json!({"url": both.node.target().url, "indexes": {"books": {"filter": filter}}});
    let reply = both.cluster.client().post("/export", &export).await.unwrap();
    let task = both.cluster.client().wait_reply(reply).await.unwrap();
    let message = task["error"]["message"].as_str().unwrap();
    let said = "Index `books`: Filter condition `_foreign` is not supported for this endpoint.";
    assert_eq!((message.lines().next(), &task["status"]), (Some(said), &json!("failed")));
    for wrong in
        [json!([{"foreignIndexUid": "people"}]), json!([3]), json!([{"fieldName": "author", "x": 1}])]
    {
        both.assert_alike("PUT", "/indexes/books/settings/foreign-keys", &wrong).await;
    }
    let named = json!({"filter": "_foreign(author, _miroir_shard_001 EXISTS)"});
    let reply = both.cluster.client().post("/indexes/books/search", &named).await.unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text);
    // Switched off, hits are as they were saved, and conditions are refused.
    both.switch(false).await;
    for search in [json!({}), json!({"filter": filter})] {
        both.assert_alike("POST", "/indexes/books/search", &search).await;
    }
    both.assert_alike("GET", "/indexes/books/settings/foreign-keys", &Value::Null).await;
    let keys = json!([{"foreignIndexUid": "people", "fieldName": "author"}]);
    both.assert_alike("PUT", "/indexes/books/settings/foreign-keys", &keys).await;
    both.switch(true).await;
    both.assert_alike("POST", "/indexes/books/search", &json!({"filter": filter})).await;
}

#[tokio::test]
async fn conditions_on_too_many_documents_are_refused() {
    if !nodes_are_real() {
        return;
    }
    let both = Both::start(Topology::one_group(3, 2)).await;
    both.fill().await;
    let person = |number: u32| json!({"id": format!("x{number}"), "name": format!("x {number}"), "fame": 50 + number / 96});
    let more: Vec<Value> = (0..112).map(person).collect();
    both.write("POST", "/indexes/people/documents", &json!(more)).await;
    for filter in [
        "_foreign(author, fame = 50)",
        "_foreign(author, fame = 50 OR fame < 5)",
        "_foreign(author, fame >= 50)",
        "_foreign(author, fame = 50) OR _foreign(with.by, fame < 9)",
        "_foreign(author, fame = 50) OR _foreign(with.by, fame = 50)",
    ] {
        both.assert_alike("POST", "/indexes/books/search", &json!({"filter": filter})).await;
        both.assert_alike("POST", "/indexes/books/documents/fetch", &json!({"filter": filter})).await;
    }
}
