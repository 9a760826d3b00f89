//! Plans and merges, whole: what nodes are asked, and what becomes of their answers.

#![expect(clippy::needless_pass_by_value, reason = "JSON literals read better without a reference")]

mod faithful;
mod family;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::*;
use crate::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::placement::{ReplicationFactor, assign};
use crate::settings::ClientSettings;
use crate::view::{IndexEntry, View};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn index(nodes: u32, factor: u32, settings: Value) -> (IndexEntry, View) {
    let members: BTreeMap<NodeId, GroupId> =
        (0..nodes).map(|node| (NodeId::new(format!("n{node}")), GroupId(0))).collect();
    let shards = ShardCount::new(8).unwrap();
    let physical = PhysicalUid::new("books");
    let placement = assign(&physical, shards, ReplicationFactor::new(factor).unwrap(), &members).unwrap();
    let mut client = ClientSettings::default();
    client.apply(&object(settings));
    let now = OffsetDateTime::UNIX_EPOCH;
    let uid = IndexUid::new("books");
    let primary_key = Some("id".to_owned());
    let entry = IndexEntry {
        uid,
        physical,
        primary_key,
        shards,
        placement,
        settings: client,
        created_at: now,
        updated_at: now,
    };
    let usable: BTreeSet<NodeId> = members.into_keys().collect();
    (entry, View { usable, ..View::default() })
}

fn request(body: Value) -> SearchRequest {
    SearchRequest::parse(object(body)).unwrap()
}

fn plan(nodes: u32, factor: u32, settings: Value, body: Value) -> SearchPlan {
    let (entry, view) = index(nodes, factor, settings);
    plan_search(&request(body), &entry, &view)
}

fn merged(plan: &SearchPlan, replies: Vec<Value>) -> Value {
    Value::Object(merge_replies(&plan.merge, replies.into_iter().map(object).collect()).body)
}

#[test]
fn one_node_that_holds_everything_is_asked_what_the_client_asked() {
    let body = json!({ "q": "tea", "filter": "size > 3", "limit": 7, "offset": 2, "some": "new parameter" });
    let plan = plan(3, 3, json!({}), body.clone());
    assert_eq!(plan.parts.len(), 1);
    assert_eq!(Value::Object(plan.parts[0].body.clone()), body);
}

#[test]
fn every_node_gets_all_hits_up_to_the_window_and_its_own_shards() {
    let plan = plan(
        3,
        2,
        json!({}),
        json!({ "q": "tea", "filter": ["a = 1", ["b = 2", "c = 3"]], "offset": 5, "limit": 7 }),
    );
    assert!(plan.parts.len() > 1);
    for part in &plan.parts {
        assert_eq!((&part.body["offset"], &part.body["limit"]), (&json!(0), &json!(12)));
        assert_eq!(part.body["showRankingScoreDetails"], true);
        let filter = part.body["filter"].as_array().unwrap();
        let (shards, asked) = filter.split_last().unwrap();
        let shards = shards.as_array().unwrap();
        assert_eq!(shards.len(), part.cover.shards.len());
        assert!(shards.iter().all(|shard| shard.as_str().unwrap().ends_with(" EXISTS")));
        assert_eq!(asked, [json!("a = 1"), json!(["b = 2", "c = 3"])]);
    }
}

#[test]
fn no_node_is_asked_for_more_than_can_ever_be_shown() {
    let settings = json!({ "pagination": { "maxTotalHits": 50 } });
    let plan = plan(3, 1, settings, json!({ "page": 4, "hitsPerPage": 20 }));
    for part in &plan.parts {
        assert_eq!((&part.body["page"], &part.body["hitsPerPage"]), (&json!(1), &json!(50)));
    }
}

#[test]
fn pages_of_one_query_use_the_same_nodes() {
    let first = plan(5, 2, json!({}), json!({ "q": "tea", "page": 1 }));
    let second = plan(5, 2, json!({}), json!({ "q": "tea", "page": 9, "hitsPerPage": 3 }));
    let covers = |plan: &SearchPlan| plan.parts.iter().map(|part| part.cover.clone()).collect::<Vec<_>>();
    assert_eq!(covers(&first), covers(&second));
}

#[test]
fn a_value_of_the_wrong_kind_is_left_for_a_node_to_refuse() {
    assert_eq!(SearchRequest::parse(object(json!({ "limit": "many" }))), Err(NotUnderstood("limit")));
    assert_eq!(SearchRequest::parse(object(json!({ "facets": "all" }))), Err(NotUnderstood("facets")));
    let crop = SearchRequest::parse(object(json!({ "attributesToCrop": ["title", 1] })));
    assert_eq!(crop, Err(NotUnderstood("attributesToCrop")));
    assert!(SearchRequest::parse(object(json!({ "page": null, "facets": null }))).is_ok());
    assert_eq!(SearchRequest::parse(object(json!({ "limit": null }))), Err(NotUnderstood("limit")));
    assert_eq!(SearchRequest::parse(object(json!({ "useNetwork": 1 }))), Err(NotUnderstood("useNetwork")));
}

fn hit(id: u32, details: Value) -> Value {
    json!({ "id": id, "_miroir_shard_001": null, "_rankingScoreDetails": details })
}

fn ids(answer: &Value) -> Vec<u64> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

fn text(typos: u32, id: u32) -> Value {
    json!({
        "words": { "order": 0, "matchingWords": 1, "maxMatchingWords": 1, "score": 1.0 },
        "typo": { "order": 1, "typoCount": typos, "maxTypoCount": typos + 1, "score": 0.5 },
        "id:asc": { "order": 2, "value": f64::from(id) },
    })
}

#[test]
fn hits_are_merged_rule_by_rule_with_counts_before_scores() {
    let plan = plan(2, 1, json!({}), json!({ "q": "tea" }));
    let answer = merged(
        &plan,
        vec![
            json!({ "hits": [hit(1, text(0, 1)), hit(4, text(1, 4))], "estimatedTotalHits": 2 }),
            json!({ "hits": [hit(2, text(0, 2)), hit(3, text(1, 3))], "estimatedTotalHits": 5 }),
        ],
    );
    assert_eq!(ids(&answer), [1, 2, 3, 4]);
    assert_eq!(answer["estimatedTotalHits"], 7);
    assert!(!answer.to_string().contains("_miroir_"));
    assert!(!answer.to_string().contains("_rankingScore"));
}

#[test]
fn details_for_the_client_do_not_show_the_tie_rule() {
    let plan = plan(2, 1, json!({}), json!({ "q": "tea", "showRankingScoreDetails": true }));
    let answer = merged(&plan, vec![json!({ "hits": [hit(1, text(0, 1))] }), json!({ "hits": [] })]);
    let details = answer["hits"][0]["_rankingScoreDetails"].as_object().unwrap();
    assert_eq!(details.keys().collect::<Vec<_>>(), ["words", "typo"]);
}

#[test]
fn numbers_stand_before_strings_and_missing_values_last_in_both_directions() {
    let sorted = |direction: &str, lists: [Vec<(u32, Value)>; 2]| {
        let key = format!("size:{direction}");
        let plan = plan(2, 1, json!({}), json!({ "sort": [key] }));
        let replies = lists.map(|list| {
            let hits = list
                .into_iter()
                .map(|(id, value)| hit(id, json!({ (key.as_str()): { "order": 0, "value": value } })));
            json!({ "hits": hits.collect::<Vec<_>>() })
        });
        ids(&merged(&plan, replies.to_vec()))
    };
    let list = |items: [(u32, Value); 3]| items.to_vec();
    let ascending = [
        list([(1, json!(1.0)), (2, json!("b")), (3, Value::Null)]),
        list([(4, json!(2.0)), (5, json!("a")), (6, Value::Null)]),
    ];
    assert_eq!(sorted("asc", ascending), [1, 4, 5, 2, 3, 6]);
    let descending = [
        list([(1, json!(1.0)), (2, json!("b")), (3, Value::Null)]),
        list([(4, json!(2.0)), (5, json!("a")), (6, Value::Null)]),
    ];
    assert_eq!(sorted("desc", descending), [4, 1, 2, 5, 3, 6]);
}

#[test]
fn distances_are_measured_anew_for_every_hit() {
    let key = "_geoPoint(0, 0):asc";
    let plan =
        plan(2, 1, json!({ "displayedAttributes": ["id"] }), json!({ "sort": ["_geoPoint(0,0):asc"] }));
    assert_eq!(plan.parts[0].body["attributesToRetrieve"], json!(["id", "_geo"]));
    let near = |id: u32, lng: f64| {
        json!({ "id": id, "_geo": { "lat": 0.0, "lng": lng }, "_geoDistance": 5,
                "_rankingScoreDetails": { (key): { "order": 0, "value": null, "distance": 1.0 } } })
    };
    let answer = merged(
        &plan,
        vec![json!({ "hits": [near(1, 0.1), near(2, 0.3)] }), json!({ "hits": [near(3, -0.2)] })],
    );
    assert_eq!(answer["hits"], json!([{ "id": 1 }, { "id": 3 }, { "id": 2 }]));
}

#[test]
fn facets_are_added_then_ordered_and_cut_as_the_client_set() {
    let settings =
        json!({ "faceting": { "maxValuesPerFacet": 2, "sortFacetValuesBy": { "color": "count" } } });
    let plan = plan(2, 1, settings, json!({ "facets": ["color", "size"] }));
    let answer = merged(
        &plan,
        vec![
            json!({ "hits": [], "estimatedTotalHits": 6,
                    "facetDistribution": { "color": { "blue": 1, "Red": 3 }, "size": { "10": 1, "2": 1 }, "_miroir_shard_001": {} },
                    "facetStats": { "size": { "min": 2.0, "max": 10.0 } } }),
            json!({ "hits": [], "estimatedTotalHits": 9,
                    "facetDistribution": { "color": { "green": 5, "red": 4 }, "size": { "1": 4 } },
                    "facetStats": { "size": { "min": 1.0, "max": 1.0 } } }),
        ],
    );
    let expected = json!({ "color": { "red": 7, "green": 5 }, "size": { "1": 4, "10": 1 } });
    assert_eq!(answer["facetDistribution"].to_string(), expected.to_string());
    assert_eq!(answer["facetStats"], json!({ "size": { "min": 1.0, "max": 10.0 } }));
    assert_eq!(answer["estimatedTotalHits"], 15);
}

#[test]
fn a_distinct_value_that_wins_on_two_nodes_counts_once() {
    let settings = json!({ "distinctAttribute": "sku", "filterableAttributes": ["color", "sku"] });
    let plan = plan(2, 1, settings, json!({ "facets": ["color"], "page": 1, "hitsPerPage": 2 }));
    assert_eq!(plan.parts[0].body["facets"], json!(["color", "sku"]));
    let hit = |id: u32, sku: Value, color: &str| json!({ "id": id, "sku": sku, "color": color, "_rankingScoreDetails": { "id:asc": { "order": 0, "value": f64::from(id) } } });
    let answer = merged(
        &plan,
        vec![
            json!({ "hits": [hit(1, json!("A"), "red"), hit(4, json!(null), "red")], "totalHits": 2,
                    "facetDistribution": { "color": { "red": 2 }, "sku": { "A": 1 } }, "facetStats": {} }),
            json!({ "hits": [hit(2, json!(" a"), "red"), hit(3, json!("b"), "blue")], "totalHits": 2,
                    "facetDistribution": { "color": { "red": 1, "blue": 1 }, "sku": { "a": 1, "b": 1 } }, "facetStats": {} }),
        ],
    );
    assert_eq!(ids(&answer), [1, 3]);
    assert_eq!((&answer["totalHits"], &answer["totalPages"]), (&json!(3), &json!(2)));
    assert_eq!(answer["facetDistribution"], json!({ "color": { "blue": 1, "red": 2 } }));
}

#[test]
fn facets_asked_for_by_a_pattern_count_each_distinct_value_once() {
    let settings = json!({ "distinctAttribute": "sku", "filterableAttributes": ["sku", { "attributePatterns": ["col*", "info.*"] }] });
    for facets in [json!(["*"]), json!(["col*", "info*"])] {
        let body = json!({ "facets": facets, "attributesToRetrieve": ["id"], "hitsPerPage": 5 });
        let plan = plan(2, 1, settings.clone(), body);
        let reads = plan.parts[0].body["attributesToRetrieve"].as_array().unwrap();
        assert!(["sku", "*", "info"].iter().all(|name| reads.contains(&json!(name))), "{reads:?}");
        let reply = |id: u32| {
            let details = json!({ "id:asc": { "order": 0, "value": f64::from(id) } });
            json!({ "totalHits": 1, "facetDistribution": { "color": { "red": 1 }, "info.size": { "3": 1 } },
                    "facetStats": { "info.size": { "min": 3.0, "max": 3.0 } },
                    "hits": [{ "id": id, "sku": "a", "color": "red", "info": { "size": 3 }, "_rankingScoreDetails": details }] })
        };
        let answer = merged(&plan, vec![reply(1), reply(2)]);
        assert_eq!(answer["facetDistribution"], json!({ "color": { "red": 1 }, "info.size": { "3": 1 } }));
        assert_eq!(answer["hits"], json!([{ "id": 1 }]));
    }
}

#[test]
fn a_distinct_attribute_that_a_pattern_asks_for_stays_in_the_answer() {
    let settings = json!({ "filterableAttributes": [{ "attributePatterns": ["*"] }] });
    let plan = plan(2, 1, settings, json!({ "facets": ["col*"], "distinct": "color" }));
    assert_eq!(plan.parts[0].body["facets"], json!(["col*"]));
    let reply = json!({ "hits": [], "totalHits": 1, "facetDistribution": { "color": { "red": 1 } } });
    let answer = merged(&plan, vec![reply, json!({ "hits": [], "totalHits": 0, "facetDistribution": {} })]);
    assert_eq!(answer["facetDistribution"], json!({ "color": { "red": 1 } }));
}

#[test]
fn a_distinct_attribute_that_a_pattern_makes_filterable_is_counted_by_nodes() {
    let settings = json!({ "filterableAttributes": [{ "attributePatterns": ["col*"] }] });
    let plan = plan(2, 1, settings, json!({ "distinct": "color" }));
    assert_eq!(plan.parts[0].body["facets"], json!(["color"]));
    let reply = |color: &str| json!({ "hits": [], "totalHits": 2000, "facetDistribution": { "color": { color: 1, "blue": 1999 } } });
    let answer = merged(&plan, vec![reply("red"), reply("green")]);
    assert_eq!((&answer["estimatedTotalHits"], answer.get("facetDistribution")), (&json!(3), None));
}

#[test]
fn a_distinct_attribute_that_is_not_filterable_is_not_asked_for_as_a_facet() {
    let plan = plan(2, 1, json!({ "distinctAttribute": "sku" }), json!({}));
    assert_eq!(plan.parts[0].body.get("facets"), None);
    assert_eq!(plan.merge.hidden_facet, None);
}

#[test]
fn attributes_read_for_the_merge_do_not_reach_the_client() {
    let settings = json!({ "displayedAttributes": ["title", "size"], "distinctAttribute": "sku" });
    let body = json!({ "attributesToRetrieve": ["title", "secret"], "attributesToHighlight": ["*"] });
    let plan = plan(2, 1, settings, body);
    assert_eq!(plan.parts[0].body["attributesToRetrieve"], json!(["title", "sku"]));
    assert_eq!(plan.parts[0].body["attributesToHighlight"], json!(["title", "size"]));
    let hit = json!({ "title": "x", "sku": 1, "_formatted": { "title": "x", "size": "1", "sku": "1" } });
    let answer =
        merged(&plan, vec![json!({ "hits": [hit], "totalHits": 1 }), json!({ "hits": [], "totalHits": 0 })]);
    assert_eq!(answer["hits"], json!([{ "title": "x", "_formatted": { "title": "x", "size": "1" } }]));
}

#[test]
fn values_below_a_listed_attribute_order_hits_and_stay_hidden_from_the_client() {
    let settings = json!({ "displayedAttributes": ["title"], "sortableAttributes": ["price"] });
    let body = json!({ "sort": ["price.usd:asc"], "showRankingScoreDetails": true });
    let plan = plan(2, 1, settings, body);
    let hit = |title: &str, usd: f64| {
        let details =
            json!({ "price.usd:asc": { "order": 0, "value": usd }, "id:asc": { "order": 1, "value": 1.0 } });
        json!({ "title": title, "_rankingScoreDetails": details })
    };
    let replies = vec![json!({ "hits": [hit("a", 1.0), hit("c", 3.0)] }), json!({ "hits": [hit("b", 2.0)] })];
    let answer = merged(&plan, replies);
    let shown = |title: &str| json!({ "title": title, "_rankingScoreDetails": { "<hidden-rule-0>": { "order": 0, "value": "<hidden>" } } });
    assert_eq!(answer["hits"], json!([shown("a"), shown("b"), shown("c")]));
}

#[test]
fn a_rule_whose_values_a_node_hides_is_an_error_and_no_tie() {
    let plan = plan(2, 1, json!({}), json!({ "sort": ["price:asc"] }));
    let hidden = hit(1, json!({ "<hidden-rule-0>": { "order": 0, "value": "<hidden>" } }));
    let replies = [object(json!({ "hits": [hidden] })), object(json!({ "hits": [] }))];
    let error = check_rules(&plan.merge, &replies).unwrap_err();
    assert_eq!(error.to_string(), "a node hides the values of its rule `<hidden-rule-0>`");
}

#[test]
fn a_list_of_displayed_attributes_shows_vectors_as_one_server_does() {
    let shows = |displayed: Value, source: &str, regenerate: bool| {
        let settings =
            json!({ "displayedAttributes": displayed, "embedders": { "e": { "source": source } } });
        let plan = plan(2, 1, settings, json!({ "retrieveVectors": true }));
        let vectors = json!({ "e": { "embeddings": [[0.5]], "regenerate": regenerate } });
        let hits = json!([{ "title": "x", "_vectors": vectors }]);
        let answer = merged(&plan, vec![json!({ "hits": hits }), json!({ "hits": [] })]);
        answer["hits"][0].get("_vectors").is_some()
    };
    assert!(shows(json!(["*"]), "userProvided", false));
    assert!(shows(json!(["title"]), "userProvided", false));
    assert!(!shows(json!(["title", "_vectors"]), "userProvided", false));
    assert!(!shows(json!(["title"]), "rest", true));
    assert!(shows(json!(["title", "_vectors"]), "rest", true));
    assert!(shows(json!(["title"]), "rest", false));
}

/// Splits hits 0..n over lists at random and gives each its place as details.
fn dealt(places: &[u8], lists: usize) -> Vec<Value> {
    let mut hits = vec![Vec::new(); lists];
    for (id, place) in (0_u32..).zip(places) {
        hits[usize::from(*place) % lists]
            .push(hit(id, json!({ "id:asc": { "order": 0, "value": f64::from(id) } })));
    }
    hits.into_iter().map(|hits| json!({ "estimatedTotalHits": hits.len(), "hits": hits })).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_hits_lie_on_nodes_pages_show_each_once_and_in_order(
        places in prop::collection::vec(0_u8..5, 0..60),
        lists in 1_usize..5,
        size in 1_usize..9,
    ) {
        let mut shown = Vec::new();
        for offset in (0..places.len()).step_by(size) {
            let plan = plan(2, 1, json!({}), json!({ "offset": offset, "limit": size }));
            let answer = merged(&plan, dealt(&places, lists));
            prop_assert_eq!(&answer["estimatedTotalHits"], &json!(places.len()));
            shown.extend(ids(&answer));
        }
        prop_assert_eq!(shown, (0..places.len() as u64).collect::<Vec<_>>());
    }
}
