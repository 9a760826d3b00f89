//! What hits and facets show of documents that are not as one would think.

use serde_json::{Map, Value, json};

use super::super::*;
use super::{hit, ids, index, merged, object, plan};

/// A node's answer as it is written: with what the node says about a hit behind fields of the same name.
fn read(hits: &str) -> Value {
    Value::Object(read_reply(format!(r#"{{"hits":[{hits}],"estimatedTotalHits":1}}"#).as_bytes()).unwrap())
}

const DETAILS: &str =
    r#""_rankingScoreDetails":{"words":{"order":0,"matchingWords":1,"maxMatchingWords":1,"score":1.0}}"#;

#[test]
fn a_clients_fields_are_shown_unless_the_client_asked_what_a_server_says_under_their_names() {
    let saved = r#""_rankingScore":"a","_rankingScoreDetails":"b","_formatted":{"x":1},"_matchesPosition":[],"_federation":{"pinnedPosition":0}"#;
    let replies = || vec![read(&format!(r#"{{"id":1,{saved},{DETAILS}}}"#)), read("")];
    let all: Value = serde_json::from_str(&format!("{{\"id\":1,{saved}}}")).unwrap();
    let shown = |body: Value| merged(&plan(2, 1, json!({}), body), replies())["hits"][0].clone();
    assert_eq!(shown(json!({ "q": "tea" })), all);
    assert_eq!(shown(json!({ "q": "tea", "distinct": "id" })), all);
    let some =
        json!({ "q": "tea", "distinct": "brand", "attributesToRetrieve": ["id", "_rankingScoreDetails"] });
    assert_eq!(shown(some), json!({ "id": 1, "_rankingScoreDetails": "b" }));
    let asked = shown(json!({ "q": "tea", "showRankingScoreDetails": true }));
    assert_eq!(asked["_rankingScoreDetails"]["words"]["order"], 0);
    assert_eq!(asked["_rankingScore"], "a");
}

#[test]
fn a_path_keeps_plain_values_and_nothing_formatted_is_left_out() {
    let body = json!({ "q": "tea", "distinct": "brand", "attributesToRetrieve": ["price.usd", "tags.k"], "attributesToHighlight": ["title"] });
    let plan = plan(2, 1, json!({}), body);
    assert_eq!(plan.parts[0].body["attributesToRetrieve"], json!(["price.usd", "tags.k", "brand"]));
    let document = r#""price":7,"tags":["a",{"k":1}],"brand":"x""#;
    let formatted = r#""_formatted":{"brand":"x","tags":[{"k":"1"}]}"#;
    let replies = vec![
        read(&format!(r"{{{document},{formatted},{DETAILS}}}")),
        read(&format!(r#"{{"price":8,"brand":"y","_formatted":{{"brand":"y"}},{DETAILS}}}"#)),
    ];
    let answer = merged(&plan, replies);
    let expected = json!([
        { "price": 7, "tags": ["a", { "k": 1 }], "_formatted": { "tags": [{ "k": "1" }] } },
        { "price": 8 },
    ]);
    assert_eq!(answer["hits"], expected);
}

#[test]
fn a_distance_is_shown_where_the_whole_place_is() {
    let place = r#"{"_geo":{"lat":1,"lng":2},"_geoDistance":5,"brand":"x","_rankingScoreDetails":{}}"#;
    let shown = |attributes: Value| {
        let body = json!({ "sort": ["_geoPoint(1,2):asc"], "distinct": "brand", "attributesToRetrieve": attributes });
        merged(&plan(2, 1, json!({}), body), vec![read(place), read("")])["hits"][0].clone()
    };
    assert_eq!(shown(json!(["_geo"]))["_geoDistance"], 5);
    assert_eq!(shown(json!(["_geo.lat", "_geo.lng"]))["_geoDistance"], 5);
    assert_eq!(shown(json!(["_geo.lat"])), json!({ "_geo": { "lat": 1 } }));
}

#[test]
fn long_values_are_one_to_facets_and_distinct() {
    let label = |end: &str| format!("{}{end}", "a".repeat(468));
    let settings = json!({ "filterableAttributes": ["label"] });
    let plan = plan(2, 1, settings, json!({ "q": "tea", "distinct": "label", "facets": ["label"] }));
    let reply = |id: u32, end: &str| {
        let mut hit = hit(id, json!({}));
        hit["label"] = json!(label(end));
        json!({ "hits": [hit], "totalHits": 1, "facetDistribution": { "label": { label(end): 1 } } })
    };
    let answer = merged(&plan, vec![reply(1, "x"), reply(2, "y")]);
    assert_eq!((ids(&answer), &answer["estimatedTotalHits"]), (vec![1], &json!(1)));
    assert_eq!(answer["facetDistribution"]["label"], json!({ label("y"): 1 }));
}

#[test]
fn texts_that_read_like_numbers_are_listed_behind_numbers() {
    let settings = json!({ "filterableAttributes": ["part"], "faceting": { "maxValuesPerFacet": 3 } });
    let plan = plan(2, 1, settings, json!({ "facets": ["part"] }));
    let reply = |values: Value, stats: Value| json!({ "hits": [], "estimatedTotalHits": 2, "facetDistribution": { "part": values }, "facetStats": stats });
    let numbers = reply(json!({ "308": 1, "77": 1 }), json!({ "part": { "min": 308.0, "max": 308.0 } }));
    let texts = reply(json!({ "100": 2, "C3": 1 }), json!({}));
    let answer = merged(&plan, vec![numbers, texts]);
    assert_eq!(answer["facetDistribution"]["part"].to_string(), r#"{"308":1,"100":2,"77":1}"#);
    assert_eq!(answer["facetStats"]["part"], json!({ "min": 308.0, "max": 308.0 }));
}

fn facet_search(body: Value) -> (FacetSearchRequest, FacetSearchPlan, Option<SearchPlan>) {
    let (entry, view) = index(2, 1, json!({ "distinctAttribute": "product" }));
    let request = FacetSearchRequest::parse(object(body)).unwrap();
    let plan = plan_facet_search(&request, &entry, &view);
    let counted = request.counted_over(&entry).map(|search| plan_search(&search, &entry, &view));
    (request, plan, counted)
}

#[test]
fn a_facet_search_under_a_distinct_attribute_counts_the_hits_that_win() {
    let body = json!({ "facetName": "color", "q": "tea", "facetQuery": "r", "exhaustiveFacetCount": true });
    let (_, plan, counted) = facet_search(body);
    let counted = counted.unwrap();
    for (part, search) in plan.parts.iter().zip(&counted.parts) {
        assert_eq!(part.body.get("exhaustiveFacetCount"), None);
        assert_eq!(search.body["attributesToRetrieve"], json!(["product", "color"]));
        assert_eq!((&search.body["q"], &search.body["hitsPerPage"]), (&json!("tea"), &json!(1000)));
        assert_eq!(search.body.get("facetQuery"), None);
    }
    let found = |values: Value| object(json!({ "facetHits": values }));
    let values = vec![
        found(json!([{ "value": "Red", "count": 2 }, { "value": "rose", "count": 1 }])),
        found(json!([{ "value": "red", "count": 2 }])),
    ];
    let winners = |hits: &[(u32, &str, Value)]| {
        let hits = hits.iter().map(|(id, product, color)| {
            let mut hit = hit(*id, json!({ "words": { "order": 0, "matchingWords": 1 } }));
            (hit["product"], hit["color"]) = (json!(product), color.clone());
            hit
        });
        object(json!({ "hits": hits.collect::<Vec<_>>(), "totalHits": 2 }))
    };
    let replies = vec![
        winners(&[(1, "p1", json!(["Red"])), (2, "p2", json!("rose"))]),
        winners(&[(3, "P2", json!("red")), (4, "p3", json!(["red", "blue"]))]),
    ];
    let answer = merge_facet_search(&plan.merge, values.clone(), Some((counted.merge.clone(), replies)));
    assert_eq!(answer["facetHits"], json!([{ "value": "red", "count": 2 }, { "value": "rose", "count": 1 }]));
    // A node that has more hits than it sent leaves nothing but the sum.
    let many = object(json!({ "hits": [], "totalHits": 1001 }));
    let answer = merge_facet_search(&plan.merge, values, Some((counted.merge, vec![many])));
    assert_eq!(answer["facetHits"][0]["count"], 4);
}

#[test]
fn a_facet_search_by_vectors_counts_every_document_as_on_one_server() {
    let hybrid = json!({ "embedder": "e", "semanticRatio": 0.5 });
    let (_, _, counted) = facet_search(json!({ "facetName": "color", "q": "tea", "hybrid": hybrid }));
    assert_eq!(counted, None);
    let (entry, _) = index(2, 1, json!({}));
    let request =
        FacetSearchRequest::parse(Map::from_iter([("facetName".to_owned(), json!("color"))])).unwrap();
    assert_eq!(request.counted_over(&entry), None);
}
