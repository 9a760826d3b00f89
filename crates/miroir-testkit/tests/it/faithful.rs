//! What documents hold is shown as one server shows it, however odd: paths that lead nowhere, values longer than an index
//! keeps, texts that read like numbers, fields named like a server's own, vectors that several documents share.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use miroir_testkit::client::Client;
use miroir_testkit::oracle::{Dice, seed_from_env};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Map, Value, json};

/// Requests drawn at random in each test.
const REQUESTS: usize = 60;

/// One server, and Miroir over several.
struct Both {
    node: Node,
    cluster: Cluster,
}

impl Both {
    async fn start() -> Self {
        let cluster = Cluster::start(Topology { shards: 6, ..Topology::one_group(3, 2) }).await.unwrap();
        Self { node: Node::start("expected").await.unwrap(), cluster }
    }

    /// Makes an index on both sides. Documents arrive in the order of their ids, which then decides ties on both.
    async fn make(&self, index: &str, settings: &Value, documents: &[Value]) {
        for client in [self.node.client(), self.cluster.client()] {
            let settled = client.patch(&format!("/indexes/{index}/settings"), settings).await.unwrap();
            let path = format!("/indexes/{index}/documents?primaryKey=id");
            let added = client.post(&path, &json!(documents)).await.unwrap();
            for reply in [settled, added] {
                let task = client.wait_reply(reply).await.unwrap();
                assert_eq!(task["status"], "succeeded", "{task}");
            }
        }
    }

    /// What both answer, if it is the same in the order of facet values too.
    async fn ask(&self, path: &str, body: &Value) -> Value {
        self.ask_but(&[], path, body).await
    }

    /// The same without these fields of hits.
    async fn ask_but(&self, fields: &[&str], path: &str, body: &Value) -> Value {
        let answers = [self.node.client(), self.cluster.client()].map(|client| async move {
            let mut answer = post(client, path, body).await;
            for hit in answer["hits"].as_array_mut().into_iter().flatten() {
                hit.as_object_mut().unwrap().retain(|name, _| !fields.contains(&name.as_str()));
            }
            answer
        });
        let [expected, actual] = answers;
        let (expected, actual) = tokio::join!(expected, actual);
        assert_eq!(actual, expected, "{path} {body}");
        for facets in ["facetDistribution", "facetHits", "facetsByIndex"] {
            assert_eq!(actual[facets].to_string(), expected[facets].to_string(), "{path} {body}");
        }
        actual
    }
}

async fn post(client: &Client, path: &str, body: &Value) -> Value {
    let mut answer = client.post(path, body).await.unwrap().success().unwrap();
    let parts = answer.as_object_mut().unwrap();
    for volatile in ["processingTimeMs", "requestUid"] {
        parts.remove(volatile);
    }
    answer
}

fn dice() -> Dice {
    Dice::new(seed_from_env().unwrap())
}

/// A value of a field: plain, an object, or a list of both, at most so deep.
fn nested(dice: &mut Dice, depth: usize) -> Value {
    match dice.between(0, if depth == 0 { 3 } else { 9 }) {
        0 => json!(dice.between(0, 9)),
        1 => json!(dice.pick(&["red", "blue"])),
        2 => Value::Null,
        3 => json!(true),
        4..=6 => {
            let names = dice.some(&["a", "b", "c", "a.b", "d.c"], 0, 3);
            names.into_iter().map(|name| (name.to_owned(), nested(dice, depth - 1))).collect()
        }
        _ => (0..dice.between(0, 3)).map(|_| nested(dice, depth - 1)).collect(),
    }
}

/// Paths of which every document has some, and some of which no document has all.
const PATHS: &[&str] = &[
    "a", "b", "c", "a.b", "a.a", "a.c", "b.a", "b.b", "b.c", "a.b.c", "a.a.b", "b.d.c", "c.a", "c.a.b", "d",
    "a.b.a.b", "_geo", "_geo.lat", "rank", "group",
];

fn document_of_paths(dice: &mut Dice, id: usize) -> Value {
    let mut document = json!({
        "id": id,
        "title": dice.pick(&["red stone", "blue stone", "red river"]),
        "rank": dice.between(0, 5),
        "group": dice.pick(&["x", "y", "z"]),
        "_geo": { "lat": 45.0 + f64::from(u32::try_from(id).unwrap()) * 0.01, "lng": 5.0 },
    });
    for name in ["a", "b", "c", "a.b", "b.d"] {
        if dice.chance(70) {
            document[name] = nested(dice, 3);
        }
    }
    document
}

/// A document with every path, so that every node has met them all: what a server has not met means nothing to it.
fn document_with_all_paths(id: usize) -> Value {
    let inner = json!({ "a": { "b": { "a": { "b": 1 } } }, "b": { "c": 1, "a": { "b": 1 } }, "c": 1, "d": { "c": 1 } });
    json!({ "id": id, "title": "stone", "rank": 1, "group": "x", "a": inner, "b": inner, "c": inner, "d": 1,
        "_geo": { "lat": 45.0, "lng": 5.0 } })
}

#[tokio::test]
async fn fields_are_selected_as_on_one_server_whatever_else_is_needed() {
    if !nodes_are_real() {
        return;
    }
    let (both, mut dice) = (Both::start().await, dice());
    let settings = json!({
        "sortableAttributes": ["rank", "_geo", "a"], "filterableAttributes": ["group", "a", "rank"],
    });
    for (index, count) in [("small", 80), ("large", 1100)] {
        let mut documents: Vec<Value> = (0..60).map(document_with_all_paths).collect();
        documents.extend((60..count).map(|id| document_of_paths(&mut dice, id)));
        both.make(index, &settings, &documents).await;
    }
    for at in 0..REQUESTS {
        let names = dice.some(PATHS, 1, 5);
        let index = *dice.pick(&["small", "large"]);
        if at % 2 == 0 {
            let body = draw_listing(&mut dice, &names);
            both.ask(&format!("/indexes/{index}/documents/fetch"), &body).await;
        } else {
            let body = draw_search(&mut dice, &names);
            both.ask(&format!("/indexes/{index}/search"), &body).await;
        }
    }
}

#[tokio::test]
async fn a_path_counts_on_every_node_once_any_document_has_it() {
    if !nodes_are_real() {
        return;
    }
    let both = Both::start().await;
    let prices = [json!({ "usd": 5 }), json!(7), json!({ "eur": 1 }), json!([{ "eur": 2 }, 3])];
    let documents: Vec<Value> = (0..16)
        .map(|id| json!({ "id": id, "title": "red stone", "price": prices[if id == 0 { 0 } else { 1 + id % 3 }] }))
        .collect();
    both.make("paths", &json!({ "sortableAttributes": ["id"] }), &documents).await;
    let lists: [&[&str]; 4] = [
        &["id", "price.usd"],
        &["price.usd", "price.gbp", "title.x"],
        &["title.x", "price.gbp"],
        &["price.eur"],
    ];
    for names in lists {
        let window = json!({ "limit": 10, "offset": 3 });
        both.ask("/indexes/paths/documents/fetch", &with(&window, json!({ "fields": names }))).await;
        let sorted = json!({ "fields": names, "sort": ["id:desc"] });
        both.ask("/indexes/paths/documents/fetch", &with(&window, sorted)).await;
        let search = json!({ "attributesToRetrieve": names, "q": "stone", "sort": ["id:asc"] });
        both.ask("/indexes/paths/search", &with(&window, search.clone())).await;
        let formatted = with(&search, json!({ "attributesToHighlight": ["price.usd", "price.gbp"] }));
        both.ask("/indexes/paths/search", &with(&window, formatted)).await;
        let query = with(&search, json!({ "indexUid": "paths" }));
        both.ask("/multi-search", &json!({ "federation": {}, "queries": [query] })).await;
        for id in 0..4 {
            let path = format!("/indexes/paths/documents/{id}?fields={}", names.join(","));
            let documents = [both.node.client(), both.cluster.client()].map(|client| client.get(&path));
            let [expected, actual] = documents;
            let (expected, actual) = tokio::join!(expected, actual);
            assert_eq!(actual.unwrap().success().unwrap(), expected.unwrap().success().unwrap(), "{path}");
        }
    }
}

fn draw_listing(dice: &mut Dice, names: &[&str]) -> Value {
    // The distance tells all documents apart that the filters find.
    json!({
        "fields": names,
        "filter": dice.pick(&["group = y", "group = z"]),
        "sort": ["_geoPoint(40, 5):asc"],
        "offset": dice.between(0, 20),
        "limit": dice.between(5, 60),
    })
}

fn draw_search(dice: &mut Dice, names: &[&str]) -> Value {
    let mut body = json!({
        "attributesToRetrieve": names,
        "filter": dice.pick(&["group = y", "group = z"]),
        "hitsPerPage": 60,
    });
    if dice.chance(60) {
        body["sort"] = json!(["_geoPoint(40, 5):asc"]);
    }
    if dice.chance(50) {
        body["distinct"] = json!("rank");
    }
    if dice.chance(50) {
        body["q"] = json!(dice.pick(&["red", "stone"]));
        let lists: [&[&str]; 4] = [&["title"], &["a.b"], &["nothing"], &["*"]];
        body["attributesToHighlight"] = json!(dice.pick(&lists));
    }
    body
}

/// 468 bytes, of which a server keeps no more of a value.
fn long(end: &str) -> String {
    format!("{}{end}", "velvet-arch-".repeat(39))
}

#[tokio::test]
async fn values_that_begin_alike_for_468_bytes_are_one() {
    if !nodes_are_real() {
        return;
    }
    let (both, mut dice) = (Both::start().await, dice());
    let settings =
        json!({ "filterableAttributes": ["label", "group"], "sortableAttributes": ["label", "group"] });
    let almost = &long("")[1..];
    let labels = [
        long("one"),
        long("TWO"),
        long(""),
        almost.to_owned(),
        format!("{almost}é"),
        format!("{almost}ÉZ"),
        "short".to_owned(),
    ];
    let documents: Vec<Value> = (0..40)
        .map(|id| json!({ "id": id, "label": dice.pick(&labels), "group": dice.between(0, 3), "title": "stone" }))
        .collect();
    both.make("labels", &settings, &documents).await;
    let search = "/indexes/labels/search";
    for filter in [json!([]), json!("group = 1"), json!("group > 1")] {
        for sort in ["label:asc", "label:desc"] {
            let body = json!({ "filter": filter, "sort": [sort], "hitsPerPage": 100, "attributesToRetrieve": ["id"] });
            both.ask(search, &body).await;
        }
        let sorted = json!({ "filter": filter, "sort": ["label:desc", "group:asc"], "fields": ["id"] });
        both.ask("/indexes/labels/documents/fetch", &sorted).await;
        let body = json!({ "filter": filter, "distinct": "label", "hitsPerPage": 100 });
        assert!(both.ask(search, &body).await["hits"].as_array().unwrap().len() <= 4);
        let spelled =
            post_shapes(&both, search, &json!({ "filter": filter, "facets": ["label"], "limit": 0 })).await;
        assert!(spelled <= 4);
        let facet_search = json!({ "filter": filter, "facetName": "label", "facetQuery": "velvet" });
        post_shapes(&both, "/indexes/labels/facet-search", &facet_search).await;
        let queries = json!([{ "indexUid": "labels", "filter": filter, "q": "stone" }]);
        let federated =
            json!({ "federation": { "distinct": "label", "hitsPerPage": 100 }, "queries": queries });
        both.ask("/multi-search", &federated).await;
    }
}

/// How many facet values both show, if they show them with the same counts. How a value is written depends on which of its
/// documents a server looks at.
async fn post_shapes(both: &Both, path: &str, body: &Value) -> usize {
    let shapes = [both.node.client(), both.cluster.client()].map(|client| async move {
        let answer = post(client, path, body).await;
        let distribution = answer["facetDistribution"]["label"].as_object().into_iter().flatten();
        let counts = distribution.map(|(_, count)| count.clone());
        let hits = answer["facetHits"].as_array().into_iter().flatten().map(|hit| hit["count"].clone());
        counts.chain(hits).collect::<Vec<Value>>()
    });
    let shapes = futures_util::future::join_all(shapes).await;
    assert_eq!(shapes[1], shapes[0], "{path} {body}");
    shapes[0].len()
}

#[tokio::test]
async fn texts_that_read_like_numbers_stay_texts_in_a_facet_with_numbers() {
    if !nodes_are_real() {
        return;
    }
    let (both, mut dice) = (Both::start().await, dice());
    for (index, order) in [("named", "alpha"), ("counted", "count")] {
        for cap in [1, 3, 100] {
            let settings = json!({
                "filterableAttributes": ["part", "group"],
                "faceting": { "maxValuesPerFacet": cap, "sortFacetValuesBy": { "*": order } },
            });
            let documents: Vec<Value> = (0..60).map(|id| document_of_parts(&mut dice, id)).collect();
            let index = format!("{index}_{cap}");
            both.make(&index, &settings, &documents).await;
            let mut filters = vec![json!([])];
            if order == "alpha" {
                filters.extend((0..8).map(|group| json!(format!("group = {group}"))));
            }
            for filter in filters {
                let body = json!({ "filter": filter, "facets": ["part"], "limit": 0 });
                both.ask(&format!("/indexes/{index}/search"), &body).await;
            }
        }
    }
}

/// Numbers in one range, texts that read like numbers in and below it, and texts.
fn document_of_parts(dice: &mut Dice, id: usize) -> Value {
    let part = match dice.between(0, 4) {
        0 | 1 => json!(dice.between(40, 99)),
        2 => json!(dice.between(10, 39).to_string()),
        3 => json!(dice.pick(&["50.5", "60.5", "007", "1e2"])),
        _ => json!(format!("c{}", dice.between(1, 3))),
    };
    json!({ "id": id, "part": part, "group": dice.between(0, 7) })
}

fn saved_hit(dice: &mut Dice, id: usize) -> Value {
    let mut document = json!({
        "id": id, "title": dice.pick(&["red stone", "stone", "blue stone"]), "group": dice.between(0, 3),
        "_vectors": { "m": [dice.real(-1.0, 1.0), dice.real(-1.0, 1.0), 1.0] },
    });
    for (name, value) in [
        ("_rankingScore", json!(0.125)),
        ("_rankingScoreDetails", json!({ "words": { "order": 7, "matchingWords": 99 } })),
        ("_formatted", json!({ "title": "saved", "more": 1 })),
        ("_matchesPosition", json!({ "title": [{ "start": 0, "length": 1 }] })),
        ("_federation", json!({ "indexUid": "films", "pinnedPosition": 0, "weightedRankingScore": 9 })),
    ] {
        if dice.chance(50) {
            document[name] = value;
        }
    }
    document
}

#[tokio::test]
async fn fields_named_like_a_servers_own_are_shown_as_one_server_shows_them() {
    if !nodes_are_real() {
        return;
    }
    let (both, mut dice) = (Both::start().await, dice());
    let settings = json!({
        "searchableAttributes": ["title"],
        "filterableAttributes": ["group"],
        "sortableAttributes": ["id"],
        "embedders": { "m": { "source": "userProvided", "dimensions": 3 } },
    });
    let documents: Vec<Value> = (0..40).map(|id| saved_hit(&mut dice, id)).collect();
    both.make("saved", &settings, &documents).await;
    for at in 0..REQUESTS {
        let mut body = Map::new();
        for (name, value) in [
            ("showRankingScore", json!(true)),
            ("attributesToHighlight", json!(["title"])),
            ("showMatchesPosition", json!(true)),
            (
                "attributesToRetrieve",
                json!(["id", "_rankingScore", "_rankingScoreDetails", "_federation", "_formatted"]),
            ),
        ] {
            if dice.chance(30) {
                body.insert(name.to_owned(), value);
            }
        }
        // What one server counts under it in a hybrid search depends on the window.
        if at % 4 < 2 && dice.chance(30) {
            body.insert("distinct".to_owned(), json!("group"));
        }
        body.insert("q".to_owned(), json!(dice.pick(&["stone", "red", ""])));
        let body = Value::Object(body);
        match at % 4 {
            0 => both.ask("/indexes/saved/search", &with(&body, json!({ "hitsPerPage": 30 }))).await,
            1 => {
                let query = with(&body, json!({ "indexUid": "saved" }));
                let federation = json!({ "hitsPerPage": 30 });
                both.ask("/multi-search", &json!({ "federation": federation, "queries": [query] })).await
            }
            2 => {
                let kept = ["showRankingScore", "attributesToRetrieve"];
                let body = body.as_object().unwrap().iter().filter(|(name, _)| kept.contains(&name.as_str()));
                let body = body.map(|(name, value)| (name.clone(), value.clone())).collect();
                let id = json!({ "id": dice.between(0, 39), "embedder": "m", "limit": 40 });
                both.ask_but(&["_federation"], "/indexes/saved/similar", &with(&Value::Object(body), id))
                    .await
            }
            _ => {
                let hybrid = json!({ "embedder": "m", "semanticRatio": dice.pick(&[0.5, 1.0]) });
                let vector = json!({ "vector": [0.5, -0.25, 1.0], "hybrid": hybrid, "hitsPerPage": 30 });
                both.ask("/indexes/saved/search", &with(&body, vector)).await
            }
        };
    }
}

fn with(body: &Value, more: Value) -> Value {
    let (mut body, more) = (body.as_object().unwrap().clone(), more);
    body.extend(more.as_object().unwrap().clone());
    Value::Object(body)
}

#[tokio::test]
async fn equally_near_documents_come_by_their_primary_key_on_every_page() {
    if !nodes_are_real() {
        return;
    }
    let both = Both::start().await;
    let settings = json!({ "embedders": { "m": { "source": "userProvided", "dimensions": 3 } } });
    let vectors = [[0.1, 0.6, 0.8], [0.9, 0.1, -0.2], [0.1, 0.6, 0.8]];
    let documents: Vec<Value> = (0..24)
        .map(|id| json!({ "id": format!("doc{id:02}"), "title": "stone", "_vectors": { "m": vectors[id % 3] } }))
        .collect();
    both.make("near", &settings, &documents).await;
    let ids = |answer: &Value| -> Vec<String> {
        answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    };
    let near = |id: &usize| id % 3 != 1;
    let named = |id: usize| format!("doc{id:02}");
    let all: Vec<String> = (0..24).filter(near).chain((0..24).filter(|id| !near(id))).map(named).collect();
    let client = both.cluster.client();
    for (at, limit) in [(0, 24), (3, 7), (0, 1), (0, 24), (8, 2), (12, 9)] {
        let window = json!({ "offset": at, "limit": limit });
        let expected: Vec<String> = all.iter().skip(at).take(limit).cloned().collect();
        for ratio in [1.0, 0.9] {
            let hybrid = json!({ "vector": vectors[0], "hybrid": { "embedder": "m", "semanticRatio": ratio }, "q": "" });
            let found = post(client, "/indexes/near/search", &with(&window, hybrid)).await;
            assert_eq!(ids(&found), expected, "{window} {ratio}");
        }
        let first = with(&window, json!({ "id": "doc00", "embedder": "m" }));
        let found = post(client, "/indexes/near/similar", &first).await;
        let expected: Vec<String> = all.iter().skip(1 + at).take(limit).cloned().collect();
        assert_eq!(ids(&found), expected, "{window}");
    }
}

#[tokio::test]
async fn facet_search_counts_every_distinct_value_once() {
    if !nodes_are_real() {
        return;
    }
    let (both, mut dice) = (Both::start().await, dice());
    for (at, order) in ["alpha", "count"].into_iter().enumerate() {
        let settings = json!({
            "distinctAttribute": "product",
            "filterableAttributes": ["color", "size", "product"],
            "faceting": { "sortFacetValuesBy": { "*": order } },
        });
        // Fewer products than one server looks at before it gives up counting exactly.
        let documents: Vec<Value> = (0..70)
            .map(|id| {
                let product = dice.between(1, 17);
                let colors: &[&str] =
                    if product % 2 == 0 { &["Red", "Rose"] } else { &["Blue", "Black", "Red"] };
                json!({
                    "id": id,
                    "product": format!("p{product}"),
                    "title": dice.pick(&["stone", "stone river", "river"]),
                    "color": dice.some(colors, 1, 2),
                    "size": dice.pick(&["S", "M", "L"]),
                })
            })
            .collect();
        let index = format!("variants_{at}");
        both.make(&index, &settings, &documents).await;
        for facet in ["color", "size", "product"] {
            for more in [
                json!({}),
                json!({ "facetQuery": "r" }),
                json!({ "facetQuery": "p1" }),
                json!({ "q": "stone" }),
                json!({ "q": "river", "facetQuery": "b", "filter": "size = M" }),
                json!({ "filter": "color = Red" }),
            ] {
                let body = with(&json!({ "facetName": facet }), more);
                both.ask(&format!("/indexes/{index}/facet-search"), &body).await;
            }
        }
    }
}
