//! Batches of documents that one Meilisearch takes or refuses as a whole: Miroir over three nodes ends its tasks with
//! the same words, and leaves the same behind.
//!
//! Against real servers whole tasks and what is left are compared; the development node, whose engine is older, shares
//! statuses, codes and counts.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use reqwest::Method;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// Cases that are tried at the same time, each with an index of its own.
const AT_ONCE: usize = 4;

/// What is asked of an index, and what comes before.
#[derive(Debug, Clone)]
struct Case {
    settings: Value,
    before: &'static str,
    method: Method,
    /// After `/indexes/{uid}/documents`.
    path: &'static str,
    content_type: &'static str,
    body: String,
    /// An older engine answers otherwise.
    is_new: bool,
}

impl Case {
    /// Documents to add as JSON, to an index that is not there.
    fn add(body: impl Into<String>) -> Self {
        Self {
            settings: Value::Null,
            before: "",
            method: Method::POST,
            path: "",
            content_type: JSON,
            body: body.into(),
            is_new: false,
        }
    }

    fn to(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    fn with(self, settings: Value) -> Self {
        Self { settings, ..self }
    }

    fn after(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn typed(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    fn new_in_1_50(self) -> Self {
        Self { is_new: true, ..self }
    }

    /// Whether the development node answers otherwise than 1.50 does. It reads documents as a whole before it takes them,
    /// so it refuses at once what 1.50 finds in the task, and knows one value only for each name of a document.
    fn is_read_otherwise(&self) -> bool {
        let at_once = ["1E400", "1E500", "\\ud800", "[2,{"];
        let repeated = [r#""id":"a b","id":1"#, r#""id":1,"id":2"#];
        let in_body = |texts: &[&str]| texts.iter().any(|text| self.body.contains(text));
        let skips = self.path.contains("skipCreation") && !self.settings.is_null();
        let names_key_of_nothing = self.body == "[]" && self.path.contains("primaryKey");
        self.is_new || in_body(&at_once) || in_body(&repeated) || skips || names_key_of_nothing
    }

    /// The answer, with the finished task in it if there is one, and what the index looks like afterwards.
    async fn run(&self, client: &Client, index: &str) -> Value {
        if !self.settings.is_null() {
            let reply = client.patch(&format!("/indexes/{index}/settings"), &self.settings).await.unwrap();
            let task = client.wait_reply(reply).await.unwrap();
            assert_eq!(task["status"], "succeeded", "{task}");
        }
        if !self.before.is_empty() {
            let documents = format!("/indexes/{index}/documents");
            let body = self.before.as_bytes().to_vec();
            let reply = client.send_raw(Method::POST, &documents, Some(JSON), body).await.unwrap();
            let task = client.wait_reply(reply).await.unwrap();
            assert_eq!(task["status"], "succeeded", "{task}");
        }
        let path = format!("/indexes/{index}/documents{}", self.path);
        let content_type = (!self.content_type.is_empty()).then_some(self.content_type);
        let body = self.body.clone().into_bytes();
        let reply = client.send_raw(self.method.clone(), &path, content_type, body).await.unwrap();
        let mut outcome = json!({ "status": reply.status });
        if reply.status == 202 {
            outcome["task"] = masked(client.wait_reply(reply).await.unwrap());
        } else {
            outcome["error"] = reply.body;
        }
        if nodes_are_real() {
            outcome["left"] = what_is_left(client, index).await;
        } else {
            for error in ["/error", "/task/error"] {
                if let Some(error) = outcome.pointer_mut(error) {
                    *error = error["code"].take();
                }
            }
        }
        outcome
    }
}

fn masked(mut task: Value) -> Value {
    for name in ["uid", "batchUid", "duration", "enqueuedAt", "startedAt", "finishedAt"] {
        let value = task[name].take();
        assert!(!value.is_null(), "{name} is missing");
    }
    task
}

/// Primary key and documents of an index.
async fn what_is_left(client: &Client, index: &str) -> Value {
    let key = client.get(&format!("/indexes/{index}")).await.unwrap();
    let listing = client.get(&format!("/indexes/{index}/documents?limit=1000")).await.unwrap();
    json!({ "primaryKey": key.body["primaryKey"], "documents": sorted(&listing) })
}

fn sorted(listing: &Reply) -> Vec<String> {
    let documents = listing.body["results"].as_array();
    let fields = |document: &Value| BTreeMap::from_iter(document.as_object().cloned().unwrap());
    let mut documents: Vec<String> =
        documents.into_iter().flatten().map(|document| json!(fields(document)).to_string()).collect();
    documents.sort_unstable();
    documents
}

/// Tries every case on one node and on Miroir over three nodes that keep two copies.
async fn assert_alike(cases: Vec<Case>) {
    let node = Node::start("expected").await.unwrap();
    let cluster = Cluster::start(Topology { shards: 6, ..Topology::one_group(3, 2) }).await.unwrap();
    let cases = cases.into_iter().filter(|case| nodes_are_real() || !case.is_read_otherwise());
    let tried = stream::iter(cases.enumerate()).map(|(number, case)| {
        let (node, cluster) = (node.client(), cluster.client());
        async move {
            let index = format!("case-{number}");
            let expected = case.run(node, &index).await;
            let actual = case.run(cluster, &index).await;
            (actual != expected).then(|| format!("{case:?}\n  one node: {expected}\n  Miroir:   {actual}\n"))
        }
    });
    let differences: Vec<String> = tried.buffer_unordered(AT_ONCE).filter_map(async |it| it).collect().await;
    assert!(differences.is_empty(), "{}", differences.concat());
}

#[tokio::test]
async fn ids_are_judged_like_on_one_node() {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let ids = [
        "1",
        "-1",
        "0",
        "-0",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1.0",
        "1e2",
        "null",
        "true",
        "[1]",
        "{\"a\":1}",
        "\"\"",
        "\" \"",
        "\"a b\"",
        "\"a.b\"",
        "\"a/b\"",
        "\"é\"",
        "\"\\u0061\"",
        "\"01\"",
        "\"-\"",
        "01",
        &long(511),
        &long(512),
    ];
    let crashing = ["1E400", "\"\\ud800\"", "{\"a\":1E400}"];
    let one = |id: &str| Case::add(format!("[{{\"id\":{id}}}]")).to("?primaryKey=id");
    let mut cases: Vec<_> = ids.into_iter().map(one).collect();
    cases.extend(crashing.into_iter().map(|id| one(id).new_in_1_50()));
    for body in [
        r#"[{"id":1,"n":1},{"id":"1","n":2},{"id":"01"},{"id":1,"n":3}]"#,
        r#"[{"id":1},{"title":"no id"}]"#,
        r#"[{"id":1},{"id":"a b"},{"id":null}]"#,
        r#"[{"id":1},{"title" : "x",  "n":1.50 }]"#,
        r#"[{"id":1,"id":"a b"}]"#,
        r#"[{"id":"a b","id":1}]"#,
        r#"{"id":"a b","id":1}"#,
    ] {
        cases.push(Case::add(body));
        cases.push(Case::add(body).by(Method::PUT).after(r#"[{"id":1,"old":true}]"#));
    }
    cases.push(Case::add(r#"[{"a":1E400}]"#).to("?primaryKey=id").new_in_1_50());
    assert_alike(cases).await;
}

#[tokio::test]
async fn ids_along_a_path_are_judged_like_on_one_node() {
    let mut cases = Vec::new();
    for document in [
        r#"{"a":{"b":1}}"#,
        r#"{"a.b":1}"#,
        r#"{"a":{"b":1},"a.b":2}"#,
        r#"{"a":{"b":null}}"#,
        r#"{"a":{"b":null,"c":1}}"#,
        r#"{"a":{"b":"x y","c":1}}"#,
        r#"{"a":{"c":1,"b":1.5}}"#,
        r#"{"a":1}"#,
        r#"{"a":[{"b":1}]}"#,
        r#"{"a":{}}"#,
        r#"{"a":{"b":1},"a.b":"x y"}"#,
        r#"{"a":{"b":{"c":1}}}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":{"b":1,"c":1E400}}"#,
    ] {
        cases.push(Case::add(format!("[{document}]")).to("?primaryKey=a.b"));
    }
    for document in [
        r#"{"a":{"b":{"c":1}}}"#,
        r#"{"a.b":{"c":1}}"#,
        r#"{"a":{"b.c":1,"b":{"c":2}}}"#,
        r#"{"a":{"b.c":1},"a.b":{"d":2}}"#,
        r#"{"a":{"b":{"c":null,"d":1}}}"#,
    ] {
        cases.push(Case::add(format!("[{document}]")).to("?primaryKey=a.b.c"));
    }
    for (key, document) in [
        ("?primaryKey=.a", r#"{"":{"a":1},"a":2,".a":3}"#),
        ("?primaryKey=a.", r#"{"a.":1,"a":{"":2}}"#),
        ("?primaryKey=", r#"{"":1}"#),
        ("?primaryKey=_geo", r#"{"_geo":1}"#),
        ("?primaryKey=_vectors", r#"{"_vectors":{"a":1}}"#),
        ("?primaryKey=%2A", r#"{"*":1}"#),
        ("?primaryKey=id", r#"{"i\u0064":7}"#),
    ] {
        cases.push(Case::add(format!("[{document}]")).to(key));
    }
    assert_alike(cases).await;
}

#[tokio::test]
async fn the_primary_key_is_found_like_on_one_node() {
    let documents = [
        "{}",
        r#"{"a":1}"#,
        r#"{"id":1}"#,
        r#"{"ID":1}"#,
        r#"{"Id":1,"iD":2}"#,
        r#"{"paid":1}"#,
        r#"{"movieId":1,"id":2}"#,
        r#"{"a":{"id":1}}"#,
        r#"{"a.id":1}"#,
        r#"{"uuid":"a-b","x":1}"#,
        r#"{"did":1,"cid":2,"bid":3}"#,
        r#"{"İD":1}"#,
        r#"{"id ":1}"#,
        r#"{"_vectors":{},"id":1}"#,
        r#"{"id":null}"#,
        r#"{"id":1,"id":2}"#,
        r#"{"\ud800id":1}"#,
    ];
    let mut cases: Vec<_> = documents.iter().map(|document| Case::add(format!("[{document}]"))).collect();
    let known = r#"[{"id":9}]"#;
    cases.extend([
        Case::add("[]"),
        Case::add("[]").to("?primaryKey=sku"),
        Case::add("[]").after(known),
        Case::add("[]").to("?primaryKey=sku").after(known),
        Case::add(r#"[{"x":1},{"id":1}]"#),
        Case::add(r#"[{"id":1},{"x":1}]"#),
        Case::add(r#"[{"id":1},{"id":2,"other_id":3}]"#),
        Case::add(r#"[{"x":1},{"id":1}]"#).after(known),
        Case::add(r#"[{"id":1,"sku":2}]"#).to("?primaryKey=sku").after(known),
        Case::add(r#"[{"id":1,"sku":2}]"#).to("?primaryKey=id").after(known),
        Case::add(r#"[{"id":1,"sku":2}]"#).to("?primaryKey=sku"),
        Case::add(r#"[{"id":1,"sku":2}]"#).to("?primaryKey=nothing"),
    ]);
    assert_alike(cases).await;
}

#[tokio::test]
async fn payloads_of_every_format_are_judged_like_on_one_node() {
    let mut cases = Vec::new();
    for body in
        ["", "null", "7", "\"x\"", "[1]", "[{\"id\":1},2]", "[2,{\"id\":1}]", "[[{\"id\":1}]]", "[{}", "{}"]
    {
        cases.push(Case::add(body));
        cases.push(Case::add(body).typed(NDJSON));
    }
    for body in [
        "{\"id\":1}{\"id\":2} {\"id\":\"a b\"}",
        "{\"id\":1}\n{\"x\":2}\n",
        "{\"id\":1}\n3",
        "{\"id\":1,\"id\":\"a b\"}",
        " \n",
    ] {
        cases.push(Case::add(body).typed(NDJSON));
    }
    for body in [
        "id:number,a\n1,b\n2.5,c\n",
        "id,a\n1,b\n,c\n",
        "id:string\n1\n",
        "id:boolean\ntrue\n",
        "id\na b\n",
        "a,b\n1,2\n",
        "id:number\n1e400\n",
        "id,id\n1,2\n",
        "id,other_id\n1,2\n",
        "id:number\n9999999999999999999\n",
        "id:number\n-0\n",
        "id:number,n:number,b:boolean\n1, 2.5 ,TRUE\n",
        "id,n:number,b:boolean,s\n1,,,\n2,-3,false, x \n",
        "id\n",
        "id:other\n1\n",
        "a:b:number,id\n1,2\n",
    ] {
        cases.push(Case::add(body).typed(CSV));
    }
    cases.push(Case::add("id;n:number\n1;2\n").typed(CSV).to("?csvDelimiter=%3B"));
    cases.push(Case::add("[{\"id\":1}]").to("?csvDelimiter=%3B"));
    cases.push(Case::add("[{\"id\":1}]").typed(""));
    assert_alike(cases).await;
}

#[tokio::test]
async fn places_and_unreadable_values_are_judged_like_on_one_node() {
    let geo = || json!({ "filterableAttributes": ["_geo"] });
    let places = [
        "null",
        "5",
        "\"x\"",
        "[]",
        "{}",
        "{\"lat\":1}",
        "{\"lng\":1,\"x\":2}",
        "{\"a\":1,\"lat\":1,\"b\":1,\"lng\":2,\"c\":2}",
        "{\"lat\":\"a\",\"lng\":2}",
        "{\"lat\":1,\"lng\":null}",
        "{\"lat\":\"x\",\"lng\":[]}",
        "{\"lat\":\"NaN\",\"lng\":1}",
        "{\"lat\":\"1e2\",\"lng\":\"-.5\"}",
        "{\"lat\":1000,\"lng\":1e10}",
        "{\"lat\":1E400,\"lng\":1}",
        "{\"lat\":1,\"lat\":\"x\",\"lng\":1}",
    ];
    let among_others = |place: &str| {
        let good = "\"_geo\":{\"lat\":1,\"lng\":2}";
        let documents: Vec<_> = (1..9)
            .map(|id| match id {
                5 => format!("{{\"id\":{id},\"_geo\":{place}}}"),
                _ => format!("{{\"id\":{id},{good}}}"),
            })
            .collect();
        format!("[{}]", documents.join(","))
    };
    let mut cases: Vec<_> = places.iter().map(|place| Case::add(among_others(place)).with(geo())).collect();
    let bad = || among_others("\"Paris\"");
    let pattern = json!([{ "attributePatterns": ["_geo"] }]);
    cases.extend([
        Case::add(bad()),
        Case::add(bad()).with(json!({ "sortableAttributes": ["_geo"] })),
        Case::add(bad()).with(json!({ "filterableAttributes": ["*"] })),
        Case::add(bad()).with(json!({ "filterableAttributes": pattern })),
        Case::add(r#"[{"id":1,"_geo":5},{"id":1}]"#).with(geo()),
        Case::add(r#"[{"id":1,"_geo":5},{"id":1}]"#).with(geo()).by(Method::PUT),
        Case::add(r#"[{"id":1,"_geo":5},{"id":1,"_geo":null}]"#).with(geo()).by(Method::PUT),
        Case::add(r#"[{"id":2,"_geo":5},{"id":1,"_geo":6},{"id":2,"_geo":7}]"#).with(geo()),
        Case::add(r#"[{"id":2,"_geo":5},{"id":1,"_geo":6},{"id":2,"_geo":7}]"#).with(geo()).by(Method::PUT),
        Case::add(r#"[{"id":1,"x":1E400},{"id":2,"_geo":5}]"#).with(geo()),
        Case::add(r#"[{"id":1,"x":1E400},{"id":null}]"#),
        Case::add(r#"[{"id":1},{"id":2,"x":{"y":[1E400]}},{"id":3,"x":1E500}]"#),
        Case::add(r#"[{"id":1,"x":"\ud800"}]"#),
        Case::add(r#"[{"id":1,"x":1E400},{"id":1}]"#),
        Case::add(r#"[{"id":1,"_geo":5},{"id":2}]"#).with(geo()).to("?skipCreation=true"),
        Case::add(r#"[{"id":1,"_geo":5},{"id":2}]"#)
            .with(geo())
            .after(r#"[{"id":1}]"#)
            .to("?skipCreation=true"),
    ]);
    assert_alike(cases).await;
}

#[tokio::test]
async fn vectors_are_judged_like_on_one_node() {
    let sky = || json!({ "embedders": { "sky": { "source": "userProvided", "dimensions": 3 } } });
    let entries = [
        "null",
        "5",
        "1e3",
        "true",
        "\"x\"",
        "1E400",
        "[]",
        "[1,2]",
        "[[1,2,3],[]]",
        "[\"a\",2,3]",
        "[1,null,3]",
        "[1,2,[3]]",
        "[[1,2,3],5]",
        "[[1,2,\"x\"]]",
        "[true]",
        "{}",
        "{\"regenerate\":true}",
        "{\"regenerate\":\"x\"}",
        "{\"embeddings\":[1,2,3]}",
        "{\"regenerate\":false,\"embeddings\":\"x\"}",
        "{\"regenerate\":false,\"embeddings\":[[1,2,3],[1]]}",
        "{\"regenerate\":false,\"x\":1}",
        "{\"regenerate\":\"x\",\"embeddings\":[1]}",
        "{\"regenerate\":true,\"embeddings\":[1,2,3]}",
    ];
    let newer = [
        "[{\"a\":1}]",
        "[1,2,1E400]",
        "{\"regenerate\":false}",
        "{\"regenerate\":false,\"embeddings\":null}",
        "{\"regenerate\":false,\"embeddings\":{\"a\":1}}",
    ];
    let among_others = |entry: &str| {
        let documents: Vec<_> = (1..9)
            .map(|id| match id {
                5 => format!("{{\"id\":{id},\"_vectors\":{{\"sky\":{entry}}}}}"),
                _ => format!("{{\"id\":{id},\"_vectors\":{{\"sky\":[1,{id},3]}}}}"),
            })
            .collect();
        format!("[{}]", documents.join(","))
    };
    let mut cases = Vec::new();
    for entry in entries {
        cases.push(Case::add(among_others(entry)).with(sky()));
    }
    for entry in newer {
        cases.push(Case::add(among_others(entry)).with(sky()).new_in_1_50());
    }
    for vectors in
        ["null", "5", "\"x\"", "[1]", "{}", "{\"sea\":5}", "{\"sea\":[\"a\"]}", "{\"sea\":null,\"sea\":{}}"]
    {
        cases.push(Case::add(format!("[{{\"id\":1}},{{\"id\":2,\"_vectors\":{vectors}}}]")));
    }
    cases.push(Case::add(r#"[{"id":1},{"id":2,"_vectors":{"sea":[1E400]}}]"#).new_in_1_50());
    let mut both = sky();
    both["sortableAttributes"] = json!(["_geo"]);
    cases.extend([
        Case::add(r#"[{"id":1},{"id":2,"_vectors":{"sky":[1]}},{"id":3,"_geo":5}]"#).with(both.clone()),
        Case::add(r#"[{"id":1,"_geo":5},{"id":2,"_vectors":{"sky":5}}]"#).with(both),
    ]);
    assert_alike(cases).await;
}

#[tokio::test]
async fn missing_vectors_are_judged_like_on_one_node() {
    let sky = || json!({ "embedders": { "sky": { "source": "userProvided", "dimensions": 3 } } });
    let there = r#"[{"id":1,"_vectors":{"sky":[1,2,3]}},{"id":2,"_vectors":{"sky":[3,2,1]}}]"#;
    let many: Vec<_> = (0..250)
        .map(|id| if id < 130 { json!({"id": id, "_vectors": {"sky": null}}) } else { json!({"id": id}) })
        .collect();
    let mut cases = vec![
        Case::add(r#"[{"id":1},{"id":2},{"id":3,"_vectors":{"sky":[1]}}]"#).with(sky()),
        Case::add(r#"[{"id":1},{"id":2},{"id":3,"_vectors":{"sky":null}}]"#).with(sky()),
        Case::add(r#"[{"id":1,"vectors":{"sky":[1,2,3]}},{"id":2,"_vector":1},{"id":3,"_vectors":{"ski":[1,2,3]}}]"#)
            .with(sky()),
        Case::add(json!(many).to_string()).with(sky()),
        Case::add(r#"[{"id":1},{"id":2}]"#).with(sky()).to("?skipCreation=true"),
    ];
    for method in [Method::POST, Method::PUT] {
        for body in [
            r#"[{"id":1,"t":5},{"id":2,"t":6}]"#,
            r#"[{"id":1,"t":5},{"id":7},{"id":8}]"#,
            r#"[{"id":1,"t":5,"_vectors":{"ski":[1]}}]"#,
            r#"[{"id":1,"t":5,"_vectors":{"sky":{"regenerate":true}}}]"#,
        ] {
            cases.push(Case::add(body).with(sky()).after(there).by(method.clone()));
        }
    }
    cases.push(Case::add(r#"[{"id":1,"t":5},{"id":7}]"#).with(sky()).after(there).to("?skipCreation=true"));
    cases.push(
        Case::add(r#"[{"id":1,"t":5}]"#)
            .with(sky())
            .after(r#"[{"id":1,"_vectors":{"sky":null}}]"#)
            .new_in_1_50(),
    );
    assert_alike(cases).await;
}

#[tokio::test]
async fn deletions_are_judged_like_on_one_node() {
    let there = r#"[{"id":1,"n":1},{"id":"1-5","n":2},{"id":"b","n":3},{"id":"true","n":3}]"#;
    let delete = |body: &str| Case::add(body).with(json!({ "filterableAttributes": ["n"] })).after(there);
    let mut cases = Vec::new();
    for path in ["/1", "/01", "/b", "/a%20b", "/1.5", "/%C3%A9", "/null", "", "?primaryKey=sku"] {
        cases.push(delete("").by(Method::DELETE).to(path).typed(""));
    }
    for body in [
        "[]",
        "[1]",
        "[\"1\",1,1]",
        "[1.5]",
        "[1.0]",
        "[true]",
        "[null]",
        "[[1]]",
        "[{\"id\":1}]",
        "[\"\",\"a b\"]",
        "[-1,18446744073709551616]",
        "[1E400]",
        "{}",
        "1",
        "[",
    ] {
        cases.push(delete(body).to("/delete-batch"));
    }
    for body in [
        r#"{"filter":"n = 3"}"#,
        r#"{"filter":["n = 3",["n = 1","id = 1"]]}"#,
        r#"{"filter":"n > "}"#,
        r#"{"filter":"colour = 3"}"#,
        r#"{"filter":""}"#,
        r#"{"filter":"   "}"#,
        r#"{"filter":[]}"#,
        r#"{"filter":[""]}"#,
        r#"{"filter":null}"#,
        r#"{"filter":7}"#,
        r#"{"filter":["n = 1",7]}"#,
        r#"{"filter":[[["n = 1"]]]}"#,
        r#"{"filter":"_geoRadius(1,2,3)"}"#,
        "{}",
        r#"{"filters":"n = 3"}"#,
        "[]",
        "",
    ] {
        cases.push(delete(body).to("/delete").new_in_1_50());
    }
    let long = "x".repeat(512);
    cases.push(delete(&format!("[1,\"{long}\"]")).to("/delete-batch"));
    let nowhere = Case::add("");
    cases.extend([
        nowhere.clone().by(Method::DELETE).typed(""),
        nowhere.clone().by(Method::DELETE).typed("").to("/1"),
        Case::add("[1]").to("/delete-batch"),
        Case::add(r#"["",1]"#).to("/delete-batch").with(json!({ "filterableAttributes": ["n"] })),
        Case::add(r#"{"filter":"n = 3"}"#).to("/delete"),
    ]);
    assert_alike(cases).await;
}
