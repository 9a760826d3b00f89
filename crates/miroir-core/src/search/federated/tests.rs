//! Plans, rules and merges of federated searches.

#![expect(clippy::needless_pass_by_value, reason = "JSON literals read better without a reference")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::rules::{Canonical, Comparable};
use super::{Batch, Fault, FederatedPlan, MultiRequest, plan_federated, whole_node};
use crate::error::ErrorCode;
use crate::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::placement::{ReplicationFactor, assign};
use crate::search::{IndexMerge, merge_federated};
use crate::settings::ClientSettings;
use crate::view::{IndexEntry, View};

const DEFAULT_RULES: [&str; 7] =
    ["words", "typo", "proximity", "attributeRank", "sort", "wordPosition", "exactness"];

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn add_index(view: &mut View, uid: &str, factor: u32, settings: Value) {
    let members: BTreeMap<NodeId, GroupId> =
        (0..3).map(|node| (NodeId::new(format!("n{node}")), GroupId(0))).collect();
    let shards = ShardCount::new(8).unwrap();
    let physical = PhysicalUid::new(format!("{uid}-2"));
    let placement = assign(&physical, shards, ReplicationFactor::new(factor).unwrap(), &members).unwrap();
    let mut client = ClientSettings::default();
    client.apply(&object(settings));
    let now = OffsetDateTime::UNIX_EPOCH;
    let entry = IndexEntry {
        uid: IndexUid::new(uid),
        physical,
        primary_key: Some("id".to_owned()),
        shards,
        placement,
        settings: client,
        created_at: now,
        updated_at: now,
    };
    view.indexes.insert(entry.uid.clone(), Arc::new(entry));
    view.usable = members.into_keys().collect::<BTreeSet<_>>();
}

/// Two scattered indexes, `a` and `b`.
fn view() -> View {
    let mut view = View::default();
    add_index(&mut view, "a", 1, json!({}));
    add_index(&mut view, "b", 1, json!({}));
    view
}

fn request(federation: Value, queries: Value) -> MultiRequest {
    MultiRequest::parse(&json!({ "federation": federation, "queries": queries })).unwrap()
}

fn planned(view: &View, federation: Value, queries: Value) -> Result<FederatedPlan, Fault> {
    let request = request(federation, queries);
    plan_federated(&request, request.federation.as_ref().unwrap(), view, Some("me"))
}

fn refused(view: &View, queries: Value) -> Option<(usize, ErrorCode, String)> {
    match planned(view, json!({}), queries) {
        Err(Fault::Query { position, error, .. }) => Some((position, error.code, error.message)),
        _ => None,
    }
}

#[test]
fn queries_of_one_index_are_asked_apart_counted_together_and_name_their_place() {
    let queries = json!([
        { "indexUid": "b", "q": "tea", "sort": ["price:desc"] },
        { "indexUid": "a", "q": "tea", "filter": "size > 3", "federationOptions": { "weight": 2.0 } },
        { "indexUid": "b" },
    ]);
    let federation = json!({ "offset": 3, "limit": 4, "facetsByIndex": { "b": ["brand"] } });
    let plan = planned(&view(), federation, queries).unwrap();
    assert_eq!(plan.indexes.iter().map(|index| index.uid.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let index = &plan.indexes[1];
    assert_eq!(index.groups, [[0], [1]]);
    for part in &index.cover.parts {
        let [first, second, counted] = &index.bodies(part, &plan.batches(1)[0])[..] else {
            panic!("not three requests")
        };
        assert_eq!(first["federation"], json!({ "offset": 0, "limit": 7 }));
        assert_eq!(first["queries"][0]["indexUid"], "b-2");
        let place = |body: &Value| body["queries"][0]["federationOptions"]["queryPosition"].clone();
        assert_eq!((place(first), place(second)), (json!(0), json!(2)));
        let facets = json!({ "b-2": ["brand"] });
        assert_eq!(counted["federation"], json!({ "offset": 0, "limit": 0, "facetsByIndex": facets }));
        assert_eq!(counted["queries"][1]["q"], "\0");
        assert!(counted["queries"].as_array().unwrap().iter().all(|query| query.get("sort").is_none()));
    }
    let bodies = plan.indexes[0].bodies(&plan.indexes[0].cover.parts[0], &plan.batches(0)[0]);
    assert_eq!(bodies.len(), 1, "a single query counts itself");
    let weighted = &bodies[0]["queries"][0];
    assert_eq!(weighted["federationOptions"], json!({ "weight": 2.0, "queryPosition": 1 }));
    assert_eq!(weighted["filter"], json!("size > 3"));
}

#[test]
fn a_missing_index_and_rules_that_do_not_compare_are_found_in_the_order_of_indexes() {
    let queries = json!([{ "indexUid": "b" }, { "indexUid": "zz" }]);
    assert_eq!(
        refused(&view(), queries).map(|found| (found.0, found.1)),
        Some((1, ErrorCode::IndexNotFound))
    );
    let queries = json!([{ "indexUid": "b", "sort": ["x:asc"] }, { "indexUid": "a", "sort": ["x:desc"] }]);
    let (position, code, message) = refused(&view(), queries).unwrap();
    assert_eq!((position, code), (0, ErrorCode::InvalidMultiSearchQueryRankingRules));
    assert!(message.starts_with("The results of queries #1 and #0 are incompatible: \n"), "{message}");
}

#[test]
fn what_does_not_compare_is_told_in_meilisearchs_words() {
    let mut comparable = Comparable::default();
    let words = Canonical::of(&DEFAULT_RULES, &object(json!({ "q": "dune" })));
    comparable.admit(words, 1, "books").unwrap();
    let sorted = Canonical::of(&DEFAULT_RULES, &object(json!({ "sort": ["rank:asc"] })));
    assert!(!comparable.compares_with(&sorted));
    let message = comparable.admit(sorted, 0, "shop").unwrap_err();
    let expected = "The results of queries #1 and #0 are incompatible:\x20
  1. `queries[1]`, `books.rankingRules[0..=5]`: relevancy rule(s) words, typo, proximity, attributeRank, wordPosition, exactness
  2. `queries[0].sort[0]`, `shop.rankingRules[0]`: ascending sort rule(s) on field `rank`
  - cannot compare a relevancy rule with a sort rule
  - note: The ranking rules of query #1 were modified during canonicalization:
   1. Removed rule `sort` at position #4 in ranking rules because `query.sort` is empty
  - note: The ranking rules of query #0 were modified during canonicalization:
    1. Removed relevancy rule `words` at position #0 in ranking rules because the query is a placeholder search (`q`: \"\")
";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn the_longer_rules_stay_the_measure() {
    let mut comparable = Comparable::default();
    let of = |body: Value| Canonical::of(&["words", "sort", "typo", "price:desc"], &object(body));
    comparable.admit(of(json!({ "q": "a", "sort": ["x:asc", "y:asc"] })), 0, "a").unwrap();
    comparable.admit(Canonical::of(&["typo"], &object(json!({ "q": "a" }))), 1, "b").unwrap();
    assert!(!comparable.compares_with(&of(json!({ "q": "a" }))));
    let hybrid = json!({ "q": "a", "hybrid": { "embedder": "e", "semanticRatio": 1.0 } });
    assert!(comparable.compares_with(&Canonical::of(&["words", "typo"], &object(hybrid))));
}

#[test]
fn one_node_is_asked_only_if_it_holds_every_index_as_a_whole() {
    let mut view = view();
    add_index(&mut view, "whole", 3, json!({}));
    let of = |queries: Value| whole_node(&request(json!({}), queries), &view, &view.usable);
    assert!(of(json!([{ "indexUid": "whole" }, { "indexUid": "no-such-index" }])).is_some());
    assert_eq!(of(json!([{ "indexUid": "whole" }, { "indexUid": "a" }])), None);
}

/// A node's hit, found by the query of this ordinal.
fn hit(id: u32, ordinal: u32, score: f64) -> Value {
    json!({
        "id": id,
        "_miroir_shard_001": null,
        "_federation": {
            "indexUid": "a-2", "queriesPosition": ordinal, "weightedRankingScore": score,
            "weightedScoreValues": [{ "weightedScore": score }, { "sort": { "asc": true, "value": id } }],
        },
        "_rankingScoreDetails": {
            "words": { "order": 0, "matchingWords": 1, "maxMatchingWords": 1, "score": score },
            "proximity": { "order": 1, "score": score },
            "id:asc": { "order": 2, "value": id },
        },
    })
}

fn reply(total: u32, hits: Value) -> Vec<Map<String, Value>> {
    vec![object(json!({ "hits": hits, "estimatedTotalHits": total }))]
}

/// What there is of each index, when each node has answered all requests at once.
fn in_one_batch(plan: &FederatedPlan, replies: Vec<Vec<Vec<Map<String, Value>>>>) -> Vec<IndexMerge<'_>> {
    let begin = |(at, parts)| {
        let mut index = IndexMerge::begin(plan, at);
        index.add(&plan.batches(at)[0], parts);
        index
    };
    replies.into_iter().enumerate().map(begin).collect()
}

fn merged(plan: &FederatedPlan, replies: Vec<Vec<Vec<Map<String, Value>>>>) -> Value {
    Value::Object(merge_federated(plan, in_one_batch(plan, replies)).unwrap().body)
}

#[test]
fn hits_of_all_nodes_and_indexes_are_ordered_by_weighted_scores_and_ties_by_position() {
    let queries = json!([{ "indexUid": "b", "q": "tea" }, { "indexUid": "a", "q": "tea" }]);
    let plan = planned(&view(), json!({ "limit": 4 }), queries).unwrap();
    let answer = merged(
        &plan,
        vec![
            vec![reply(5, json!([hit(1, 1, 0.9), hit(5, 1, 0.5)])), reply(2, json!([hit(2, 1, 0.9)]))],
            vec![reply(1, json!([hit(9, 0, 0.9)]))],
        ],
    );
    let ids: Vec<u64> =
        answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [9, 1, 2, 5]);
    assert_eq!(answer["estimatedTotalHits"], 8);
    assert_eq!(
        answer["hits"][1],
        json!({ "id": 1, "_federation": { "indexUid": "a", "queriesPosition": 1, "weightedRankingScore": 0.9 } })
    );
}

#[test]
fn a_document_of_two_queries_that_were_asked_apart_comes_once() {
    let queries =
        json!([{ "indexUid": "a", "q": "tea", "sort": ["price:desc"] }, { "indexUid": "a", "q": "cup" }]);
    let plan = planned(&view(), json!({}), queries).unwrap();
    let parts = vec![vec![
        object(json!({ "hits": [hit(1, 0, 0.9)], "estimatedTotalHits": 1 })),
        object(json!({ "hits": [hit(2, 1, 0.95), hit(1, 1, 0.5)], "estimatedTotalHits": 2 })),
        // What is only counted comes in no order that means anything.
        object(json!({ "hits": [hit(3, 1, 0.99)], "estimatedTotalHits": 2 })),
    ]];
    let answer = merged(&plan, vec![parts]);
    let places: Vec<(u64, u64)> = answer["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| (hit["id"].as_u64().unwrap(), hit["_federation"]["queriesPosition"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(2, 1), (1, 0)]);
    assert_eq!(answer["estimatedTotalHits"], 2);
}

fn facets(hits: Value, distribution: Value) -> Vec<Map<String, Value>> {
    let facets = json!({ "a-2": { "distribution": distribution, "stats": {} } });
    let mut reply = object(json!({ "hits": hits, "estimatedTotalHits": 1 }));
    reply.insert("facetsByIndex".to_owned(), facets);
    vec![reply]
}

#[test]
fn facets_are_added_over_nodes_and_merged_over_indexes_only_in_one_order() {
    let queries = json!([{ "indexUid": "a" }, { "indexUid": "b" }]);
    let plan = planned(&view(), json!({ "facetsByIndex": { "a": ["x"] } }), queries.clone()).unwrap();
    let parts = vec![
        facets(json!([]), json!({ "x": { "u": 1, "v": 2 } })),
        facets(json!([]), json!({ "x": { "v": 3 } })),
    ];
    let answer = merged(&plan, vec![parts.clone(), vec![]]);
    assert_eq!(
        answer["facetsByIndex"],
        json!({ "a": { "distribution": { "x": { "u": 1, "v": 5 } }, "stats": {} } })
    );

    let mut view = view();
    add_index(&mut view, "b", 1, json!({ "faceting": { "sortFacetValuesBy": { "x": "count" } } }));
    let federation = json!({ "facetsByIndex": { "a": ["x"], "b": ["x"] }, "mergeFacets": {} });
    let plan = planned(&view, federation, queries).unwrap();
    let mut other = facets(json!([]), json!({}));
    other[0].insert(
        "facetsByIndex".to_owned(),
        json!({ "b-2": { "distribution": { "x": { "u": 1 } }, "stats": {} } }),
    );
    let Err(Fault::Query { position, error, .. }) =
        merge_federated(&plan, in_one_batch(&plan, vec![parts, vec![other]]))
    else {
        panic!("facets of two orders were merged");
    };
    assert_eq!((position, error.code), (1, ErrorCode::InvalidMultiSearchFacetOrder));
    assert!(error.message.contains("index `a` orders alphabetically, but index `b` orders by count"));
}

proptest! {
    /// Each query has some documents on either node; many are found by several queries, and many scores are equal.
    #[test]
    fn what_comes_batch_by_batch_is_merged_as_what_comes_at_once(
        scores in prop::collection::vec(prop::collection::btree_map(0_u32..12, 0_u8..4, 0..8), 2..7),
        size in 1_usize..4,
        limit in 0_usize..9,
    ) {
        let queries: Vec<Value> = scores.iter().map(|_| json!({ "indexUid": "a", "q": "tea" })).collect();
        let plan = planned(&view(), json!({ "limit": limit }), json!(queries)).unwrap();
        let of_node = |node: u32, query: usize| {
            let mut found: Vec<_> = scores[query].iter().filter(|(id, _)| *id % 2 == node).collect();
            found.sort_by_key(|(id, score)| (Reverse(**score), **id));
            let hits = found.into_iter().map(|(id, score)| hit(*id, u32::try_from(query).unwrap(), f64::from(*score) / 4.0));
            object(json!({ "hits": hits.collect::<Vec<_>>(), "estimatedTotalHits": 0 }))
        };
        let count = || object(json!({ "hits": [], "estimatedTotalHits": 12 }));
        let (mut one, mut other) = (IndexMerge::begin(&plan, 0), IndexMerge::begin(&plan, 0));
        let all: Vec<usize> = (0..scores.len()).collect();
        let whole = Batch { groups: 0..all.len(), counts: true };
        let replies = |node, queries: &[usize]| queries.iter().map(|query| of_node(node, *query)).collect::<Vec<_>>();
        one.add(&whole, [0, 1].map(|node| [replies(node, &all), vec![count()]].concat()).to_vec());
        for queries in all.chunks(size) {
            let batch = Batch { groups: queries[0]..queries[0] + queries.len(), counts: queries.contains(&(all.len() - 1)) };
            let counted = if batch.counts { vec![count()] } else { Vec::new() };
            other.add(&batch, [0, 1].map(|node| [replies(node, queries), counted.clone()].concat()).to_vec());
        }
        let merged = |index| Value::Object(merge_federated(&plan, vec![index]).unwrap().body);
        prop_assert_eq!(merged(one), merged(other));
    }
}

#[test]
fn very_many_queries_are_asked_in_batches_unless_hits_may_go_out_later() {
    let queries = json!(vec![json!({ "indexUid": "a", "q": "tea" }); 3000]);
    let plan = planned(&view(), json!({ "limit": 20 }), queries.clone()).unwrap();
    let batches = plan.batches(0);
    assert!(batches.len() > 10);
    assert!(batches.iter().all(|batch| batch.groups.len() * 20 <= 4096));
    assert_eq!(batches.iter().map(|batch| batch.groups.len()).sum::<usize>(), 3000);
    assert_eq!(batches.iter().filter(|batch| batch.counts).count(), 1);
    let plan = planned(&view(), json!({ "limit": 20, "distinct": "brand" }), queries).unwrap();
    assert_eq!(plan.batches(0).len(), 1);
}
