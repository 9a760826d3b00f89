//! The relatives of a search by words: by vectors and both, for facet values, for similar documents.

use serde_json::{Map, Value, json};

use super::super::*;
use super::{hit, ids, index, object, plan, request};
use crate::cover::plan_cover;

fn facet_plan(settings: Value, body: Value) -> FacetSearchPlan {
    let (entry, view) = index(2, 1, settings);
    plan_facet_search(&FacetSearchRequest::parse(object(body)).unwrap(), &entry, &view)
}

fn facet_hits(plan: &FacetSearchPlan, lists: [&[(&str, u64)]; 2]) -> Value {
    let reply = |list: &[(&str, u64)]| {
        let hits = list.iter().map(|(value, count)| json!({ "value": value, "count": count }));
        object(json!({ "facetHits": hits.collect::<Vec<_>>(), "facetQuery": null, "processingTimeMs": 1 }))
    };
    let mut answer = merge_facet_search(&plan.merge, lists.map(reply).to_vec(), None);
    answer.remove("facetHits").unwrap()
}

fn values(hits: &Value) -> Vec<(&str, u64)> {
    let hits = hits.as_array().unwrap().iter();
    hits.map(|hit| (hit["value"].as_str().unwrap(), hit["count"].as_u64().unwrap())).collect()
}

#[test]
fn facet_values_are_added_before_they_are_cut() {
    let plan = facet_plan(
        json!({ "faceting": { "maxValuesPerFacet": 3 } }),
        json!({ "facetName": "brand", "q": "x" }),
    );
    assert!(plan.parts.iter().all(|part| part.route == Route::FacetSearch && part.body["q"] == "x"));
    let hits = facet_hits(
        &plan,
        [&[("Alder", 1), ("birch", 2), ("Cedar", 3)], &[("ash", 1), ("BIRCH", 5), ("oak", 9)]],
    );
    assert_eq!(values(&hits), [("Alder", 1), ("ash", 1), ("BIRCH", 7)]);
}

#[test]
fn frequent_facet_values_come_first_and_the_larger_spelling_of_equals() {
    let settings =
        json!({ "faceting": { "maxValuesPerFacet": 3, "sortFacetValuesBy": { "brand": "count" } } });
    let plan = facet_plan(settings, json!({ "facetName": "brand", "facetQuery": "b" }));
    let hits = facet_hits(&plan, [&[("bc", 4), ("bd", 2), ("ba", 1)], &[("ba", 3), ("bb", 2), ("be", 1)]]);
    assert_eq!(values(&hits), [("bc", 4), ("ba", 4), ("bd", 2)]);
}

#[test]
fn each_nodes_own_order_of_facet_values_is_kept() {
    let plan = facet_plan(json!({}), json!({ "facetName": "city", "facetQuery": "s" }));
    let hits = facet_hits(&plan, [&[("Santiago", 1), ("São Paulo", 2)], &[("São Paulo", 1), ("Seoul", 1)]]);
    assert_eq!(values(&hits), [("Santiago", 1), ("São Paulo", 3), ("Seoul", 1)]);
}

#[test]
fn a_facet_search_under_a_threshold_counts_everything() {
    let plan = facet_plan(json!({}), json!({ "facetName": "brand", "rankingScoreThreshold": 0.5 }));
    assert!(plan.parts.iter().all(|part| part.body["exhaustiveFacetCount"] == true));
}

fn hybrid(ratio: f64) -> Value {
    json!({ "q": "tea", "vector": [1.0, 0.0], "hybrid": { "embedder": "e", "semanticRatio": ratio }, "limit": 3 })
}

#[test]
fn a_search_is_of_the_kind_that_meilisearch_takes_it_for() {
    let kind = |body: Value| request(body).kind;
    let of = |ratio: f64| json!({ "embedder": "e", "semanticRatio": ratio });
    assert_eq!(kind(json!({ "q": "tea" })), SearchKind::Keyword);
    assert_eq!(kind(json!({ "q": "tea", "vector": [1], "hybrid": of(0.0) })), SearchKind::Keyword);
    assert_eq!(kind(json!({ "q": " ", "hybrid": of(0.5) })), SearchKind::Keyword);
    assert_eq!(kind(json!({ "q": "tea", "hybrid": { "embedder": "e" } })), SearchKind::Hybrid { ratio: 0.5 });
    assert_eq!(kind(json!({ "q": " ", "vector": [1], "hybrid": of(0.5) })), SearchKind::Semantic);
    assert_eq!(kind(json!({ "q": "tea", "hybrid": of(1.0) })), SearchKind::Semantic);
}

#[test]
fn the_halves_of_a_hybrid_search_know_nothing_of_each_other_unless_they_must() {
    let request = request(hybrid(0.5));
    let (entry, view) = index(2, 1, json!({}));
    let keyword = plan_search(&request.keyword_half(), &entry, &view);
    for part in &keyword.parts {
        assert_eq!((part.body.get("hybrid"), part.body.get("vector")), (None, None));
        assert_eq!((&part.body["q"], &part.body["showRankingScore"]), (&json!("tea"), &json!(true)));
    }
    let semantic = request.semantic_half(&keyword.merge);
    assert_eq!(semantic.body["hybrid"]["semanticRatio"], 1.0);
    let mut body = hybrid(0.5);
    body["attributesToHighlight"] = json!(["*"]);
    let semantic = super::request(body).semantic_half(&keyword.merge);
    assert!(semantic.body["hybrid"]["semanticRatio"].as_f64().unwrap() < 1.0);
}

fn by_words(id: u32, score: f64) -> Value {
    let mut hit = hit(
        id,
        json!({ "words": { "order": 0, "matchingWords": 1, "maxMatchingWords": 1, "score": 1.0 }, "proximity": { "order": 1, "score": score } }),
    );
    hit["_rankingScore"] = json!(score);
    hit
}

fn by_vector(id: u32, similarity: f64) -> Value {
    let mut hit = hit(id, json!({ "vectorSort": { "order": 0, "similarity": similarity } }));
    hit["_rankingScore"] = json!(similarity);
    hit
}

fn reply(hits: &[Value], total: u64) -> Map<String, Value> {
    object(json!({ "hits": hits, "estimatedTotalHits": total }))
}

#[test]
fn words_are_enough_if_they_fill_the_page_with_good_hits() {
    let plan = plan(2, 1, json!({}), hybrid(0.5));
    let good = [reply(&[by_words(1, 1.0), by_words(3, 0.92)], 2), reply(&[by_words(2, 0.95)], 1)];
    assert!(rank_keyword_hits(&plan.merge, good.to_vec()).suffice(&plan.merge));
    let answer = Value::Object(rank_keyword_hits(&plan.merge, good.to_vec()).alone(&plan.merge).body);
    assert_eq!((ids(&answer), &answer["semanticHitCount"]), (vec![1, 2, 3], &json!(0)));
    let poor = [reply(&[by_words(1, 1.0), by_words(3, 0.89)], 2), reply(&[by_words(2, 0.95)], 1)];
    assert!(!rank_keyword_hits(&plan.merge, poor.to_vec()).suffice(&plan.merge));
    let few = [reply(&[by_words(1, 1.0)], 1), reply(&[by_words(2, 0.95)], 1)];
    assert!(!rank_keyword_hits(&plan.merge, few.to_vec()).suffice(&plan.merge));
}

#[test]
fn the_halves_are_merged_by_score_times_ratio_and_a_document_stands_once() {
    let plan = plan(2, 1, json!({}), hybrid(0.6));
    let words = vec![reply(&[by_words(1, 0.9)], 1), reply(&[by_words(2, 0.6)], 1)];
    let vectors = vec![reply(&[by_vector(2, 0.7), by_vector(3, 0.5)], 9), reply(&[by_vector(4, 0.61)], 8)];
    let answer =
        Value::Object(rank_keyword_hits(&plan.merge, words).with_semantic(&plan.merge, vectors).body);
    // 0.42, 0.366 by vectors; 0.36, 0.24 by words; 0.3 by vectors.
    assert_eq!(ids(&answer), [2, 4, 1]);
    assert_eq!(answer["semanticHitCount"], 2);
    assert_eq!(answer["estimatedTotalHits"], 17);
    assert!(!answer.to_string().contains("_rankingScore"));
}

#[test]
fn hits_that_only_words_found_do_not_come_from_the_vectors_half() {
    let plan = plan(2, 1, json!({}), hybrid(0.6));
    let words = vec![reply(&[by_words(1, 0.9)], 1), reply(&[], 0)];
    let vectors = vec![reply(&[by_vector(3, 0.5), by_words(1, 0.9)], 2), reply(&[], 0)];
    let answer =
        Value::Object(rank_keyword_hits(&plan.merge, words).with_semantic(&plan.merge, vectors).body);
    assert_eq!((ids(&answer), &answer["semanticHitCount"]), (vec![1, 3], &json!(1)));
}

fn similar(body: Value) -> (SimilarRequest, SearchPlan) {
    let (entry, view) = index(2, 1, json!({ "embedders": { "e": { "source": "userProvided" } } }));
    let request = SimilarRequest::parse(object(body)).unwrap();
    let document =
        json!({ "id": 7, "_vectors": { "e": { "embeddings": [[1.0, 0.0]], "regenerate": false } } });
    let target = request.target(&entry, &object(document));
    let cover = plan_cover(&entry.placement, &view.readable_for(&entry), request.seed());
    let plan = plan_similar(&request, &target, &entry, cover).unwrap();
    (request, plan)
}

#[test]
fn the_document_s_own_node_is_asked_for_similar_ones_and_the_others_by_its_vector() {
    let (_, plan) = similar(
        json!({ "id": 7, "embedder": "e", "offset": 2, "limit": 3, "rankingScoreThreshold": 0.5, "new": 1 }),
    );
    let (own, others): (Vec<_>, Vec<_>) = plan.parts.iter().partition(|part| part.route == Route::Similar);
    assert_eq!((own.len(), others.len()), (1, 1));
    assert_eq!(
        (&own[0].body["id"], &own[0].body["limit"], &own[0].body["new"]),
        (&json!("7"), &json!(5 + 20), &json!(1))
    );
    assert_eq!((own[0].body.get("rankingScoreThreshold"), own[0].body.get("offset")), (None, None));
    assert_eq!(others[0].body["vector"], json!([1.0, 0.0]));
    assert_eq!((&others[0].body["offset"], &others[0].body["limit"]), (&json!(0), &json!(5 + 20)));
}

#[test]
fn similar_documents_come_by_similarity_and_a_threshold_ends_the_list() {
    let without = object(
        json!({ "hits": [by_vector(1, 0.9), hit(9, json!({ "vectorSort": { "order": 0, "similarity": null } }))], "estimatedTotalHits": 5 }),
    );
    let replies = vec![without, reply(&[by_vector(2, 0.95), by_vector(3, 0.4)], 4)];
    let (request, plan) = similar(json!({ "id": 7, "embedder": "e" }));
    let answer = Value::Object(merge_similar(&request, &plan, replies.clone()));
    assert_eq!(
        (ids(&answer), &answer["estimatedTotalHits"], &answer["id"]),
        (vec![2, 1, 3], &json!(9), &json!("7"))
    );
    let (request, plan) = similar(json!({ "id": 7, "embedder": "e", "rankingScoreThreshold": 0.5 }));
    let answer = Value::Object(merge_similar(&request, &plan, replies));
    assert_eq!((ids(&answer), &answer["estimatedTotalHits"]), (vec![2, 1], &json!(2)));
}

#[test]
fn equally_similar_documents_come_by_their_primary_key_from_whichever_node() {
    let (request, plan) = similar(json!({ "id": 7, "embedder": "e", "offset": 1, "limit": 3 }));
    let replies = vec![
        reply(&[by_vector(10, 0.9), by_vector(2, 0.9), by_vector(4, 0.5)], 3),
        reply(&[by_vector(9, 0.9), by_vector(1, 0.5)], 2),
    ];
    for replies in [replies.clone(), replies.into_iter().rev().collect()] {
        let answer = Value::Object(merge_similar(&request, &plan, replies));
        assert_eq!(ids(&answer), [9, 10, 1]);
    }
    let reads_key = |part: &PartPlan| part.body.get("attributesToRetrieve").is_none();
    assert!(plan.parts.iter().all(reads_key));
    let (_, plan) = similar(json!({ "id": 7, "embedder": "e", "attributesToRetrieve": ["title"] }));
    for part in &plan.parts {
        assert_eq!(part.body["attributesToRetrieve"], json!(["title", "id"]));
    }
}
