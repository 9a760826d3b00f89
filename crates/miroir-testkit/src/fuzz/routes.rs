//! The routes, each with its methods and a body that is right. Left out are those that never end, leave the machine or
//! take the server down: streams of logs, exports, chats, compaction of the task queue, dumps and snapshots.

use serde_json::{Value, json};

/// A route; `{}` in the path is an index, `{id}` anything else that has a name.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) methods: &'static [&'static str],
    pub(super) body: Value,
    /// Parameters of the query.
    pub(super) query: &'static [&'static str],
}

const PAGE: &[&str] = &["offset", "limit"];
const TASKS: &[&str] =
    &["limit", "from", "uids", "types", "statuses", "indexUids", "canceledBy", "afterEnqueuedAt"];
const SEARCH: &[&str] = &[
    "q",
    "offset",
    "limit",
    "page",
    "hitsPerPage",
    "filter",
    "sort",
    "facets",
    "attributesToRetrieve",
    "distinct",
    "attributesToHighlight",
    "showRankingScore",
    "matchingStrategy",
    "rankingScoreThreshold",
    "hybridEmbedder",
];
const DOCUMENTS: &[&str] = &["offset", "limit", "fields", "ids", "filter", "sort", "retrieveVectors"];
const IMPORT: &[&str] = &["primaryKey", "csvDelimiter", "customMetadata", "skipCreation"];

pub(super) fn all() -> Vec<Route> {
    let mut routes = indexes();
    routes.extend(searches());
    routes.extend(settings());
    routes.extend(instance());
    routes
}

const fn route(
    path: &'static str,
    methods: &'static [&'static str],
    query: &'static [&'static str],
    body: Value,
) -> Route {
    Route { path, methods, body, query }
}

fn indexes() -> Vec<Route> {
    let documents = json!([{ "id": 7, "title": "seven", "genre": "drama", "price": 7.5, "_geo": { "lat": 1, "lng": 2 } },
        { "id": "a-8", "title": ["x", "y"], "genre": null, "_vectors": { "e": [0.1, 0.2] } }]);
    vec![
        route("/indexes", &["GET", "POST"], PAGE, json!({ "uid": "films", "primaryKey": "id" })),
        route("/indexes/{}", &["GET", "PATCH"], &[], json!({ "primaryKey": "id", "uid": "other" })),
        route("/indexes/{}/stats", &["GET"], &["showInternalDatabaseSizes"], Value::Null),
        route(
            "/indexes/{}/fields",
            &["POST"],
            &[],
            json!({ "offset": 0, "limit": 3, "filter": { "displayed": true } }),
        ),
        route("/indexes/{}/documents", &["GET"], DOCUMENTS, Value::Null),
        route("/indexes/{}/documents", &["POST", "PUT"], IMPORT, documents),
        route(
            "/indexes/{}/documents/fetch",
            &["POST"],
            &[],
            json!({ "offset": 0, "limit": 3, "fields": ["id"], "filter": "genre = drama", "ids": [1], "sort": ["price:asc"] }),
        ),
        route("/indexes/{}/documents/{id}", &["GET", "DELETE"], &["fields", "retrieveVectors"], Value::Null),
        route("/indexes/{}/documents/delete-batch", &["POST"], &["customMetadata"], json!([1, "2"])),
        route(
            "/indexes/{}/documents/delete",
            &["POST"],
            &[],
            json!({ "filter": ["genre = comedy", ["price > 90"]] }),
        ),
        route(
            "/indexes/{}/documents/edit",
            &["POST"],
            &[],
            json!({ "function": "doc.price = 1", "filter": "id = 1", "context": {} }),
        ),
        route("/swap-indexes", &["POST"], &[], json!([{ "indexes": ["films", "people"], "rename": false }])),
    ]
}

fn searches() -> Vec<Route> {
    let search = json!({
        "q": "seven", "offset": 0, "limit": 3, "page": 1, "hitsPerPage": 2, "filter": ["genre = drama"],
        "sort": ["price:asc"], "facets": ["genre"], "distinct": "genre", "attributesToRetrieve": ["id"],
        "attributesToHighlight": ["*"], "attributesToCrop": ["title:3"], "cropLength": 4, "showMatchesPosition": true,
        "matchingStrategy": "all", "attributesToSearchOn": ["title"], "rankingScoreThreshold": 0.1, "locales": ["eng"],
        "showRankingScore": true, "showRankingScoreDetails": true, "retrieveVectors": true, "vector": [0.1, 0.2],
        "hybrid": { "embedder": "e", "semanticRatio": 0.5 },
    });
    let federated = json!({
        "federation": { "limit": 3, "offset": 1, "facetsByIndex": { "films": ["genre"] }, "mergeFacets": { "maxValuesPerFacet": 3 },
            "distinct": "genre" },
        "queries": [{ "indexUid": "films", "q": "seven", "federationOptions": { "weight": 0.5 } },
            { "indexUid": "people", "q": "x", "filter": "name = x", "sort": ["name:asc"] }],
    });
    let several =
        json!({ "queries": [{ "indexUid": "films", "q": "seven", "limit": 1 }, { "indexUid": "people" }] });
    vec![
        route("/indexes/{}/search", &["POST"], &[], search.clone()),
        route("/indexes/{}/search", &["POST"], &[], json!({ "q": "s", "filter": "price > 3", "limit": 2 })),
        route("/indexes/{}/search", &["GET"], SEARCH, search),
        route(
            "/indexes/{}/facet-search",
            &["POST"],
            &[],
            json!({ "facetName": "genre", "facetQuery": "d", "q": "seven", "filter": "price > 3" }),
        ),
        route("/indexes/{}/similar", &["GET"], &["id", "embedder", "limit", "filter"], Value::Null),
        route(
            "/indexes/{}/similar",
            &["POST"],
            &[],
            json!({ "id": 7, "embedder": "e", "limit": 3, "filter": "price > 3" }),
        ),
        route("/multi-search", &["POST"], &[], several),
        route("/multi-search", &["POST"], &[], federated),
    ]
}

fn settings() -> Vec<Route> {
    let whole = json!({
        "displayedAttributes": ["*"], "searchableAttributes": ["title", "genre"], "filterableAttributes": ["genre", "price", "id"],
        "sortableAttributes": ["price"], "rankingRules": ["words", "sort", "price:asc"], "stopWords": ["the"],
        "synonyms": { "a": ["b"] }, "distinctAttribute": "genre",
        "typoTolerance": { "enabled": true, "minWordSizeForTypos": { "oneTypo": 3, "twoTypos": 6 }, "disableOnWords": ["x"] },
        "faceting": { "maxValuesPerFacet": 5, "sortFacetValuesBy": { "*": "count" } }, "pagination": { "maxTotalHits": 50 },
        "proximityPrecision": "byAttribute", "searchCutoffMs": 500, "localizedAttributes": [{ "attributePatterns": ["*"], "locales": ["eng"] }],
        "embedders": { "e": { "source": "userProvided", "dimensions": 2 } }, "facetSearch": true, "prefixSearch": "disabled",
    });
    vec![
        route("/indexes/{}/settings", &["GET", "DELETE"], &[], Value::Null),
        route("/indexes/{}/settings", &["PATCH"], &[], whole),
        route(
            "/indexes/{}/settings/filterable-attributes",
            &["GET", "PUT", "DELETE"],
            &[],
            json!(["genre", "price"]),
        ),
        route("/indexes/{}/settings/ranking-rules", &["GET", "PUT"], &[], json!(["words", "price:asc"])),
        route(
            "/indexes/{}/settings/typo-tolerance",
            &["GET", "PATCH"],
            &[],
            json!({ "disableOnWords": ["x"] }),
        ),
        route(
            "/indexes/{}/settings/embedders",
            &["GET", "PATCH", "DELETE"],
            &[],
            json!({ "e": { "source": "userProvided", "dimensions": 2 } }),
        ),
        route("/indexes/{}/settings/synonyms", &["GET", "PUT"], &[], json!({ "a": ["b"] })),
        route(
            "/indexes/{}/settings/faceting",
            &["GET", "PATCH"],
            &[],
            json!({ "sortFacetValuesBy": { "genre": "count" } }),
        ),
        route(
            "/indexes/{}/settings/chat",
            &["GET", "PATCH"],
            &[],
            json!({ "description": "x", "searchParameters": { "limit": 2 } }),
        ),
        route("/indexes/{}/settings/{id}", &["GET", "PUT", "PATCH", "DELETE"], &[], json!(["x"])),
    ]
}

fn instance() -> Vec<Route> {
    let key = json!({ "name": "n", "description": "d", "actions": ["search"], "indexes": ["films*"], "expiresAt": null });
    let features = json!({ "containsFilter": true, "editDocumentsByFunction": true, "chatCompletions": true, "renderRoute": true });
    vec![
        route("/health", &["GET"], &[], Value::Null),
        route("/version", &["GET"], &[], Value::Null),
        route("/stats", &["GET"], &["showInternalDatabaseSizes", "sizeFormat"], Value::Null),
        route("/tasks", &["GET"], TASKS, Value::Null),
        route("/tasks/cancel", &["POST"], TASKS, Value::Null),
        route("/tasks/{id}", &["GET"], &[], Value::Null),
        route("/batches", &["GET"], TASKS, Value::Null),
        route("/keys", &["GET"], PAGE, Value::Null),
        route("/keys", &["POST"], &[], key),
        route("/keys/{id}", &["GET", "PATCH", "DELETE"], &[], json!({ "name": "m", "description": null })),
        route("/experimental-features", &["GET", "PATCH"], &[], features),
        route(
            "/webhooks",
            &["GET", "POST"],
            &[],
            json!({ "url": "http://127.0.0.1:9/", "headers": { "x": "y" } }),
        ),
        route("/webhooks/{id}", &["GET", "PATCH", "DELETE"], &[], json!({ "url": null })),
        route(
            "/dynamic-search-rules",
            &["POST", "DELETE"],
            &["customMetadata"],
            json!({ "offset": 0, "limit": 3, "filter": { "query": "sale", "active": true } }),
        ),
        route("/dynamic-search-rules/{id}", &["GET", "PATCH", "DELETE"], &["customMetadata"], rule()),
        route("/network", &["GET"], &[], Value::Null),
        route("/chats", &["GET"], PAGE, Value::Null),
        route(
            "/chats/{id}/settings",
            &["GET", "PATCH", "DELETE"],
            &[],
            json!({ "source": "openAi", "apiKey": "k", "prompts": { "system": "s" } }),
        ),
        route("/chats/{id}", &["GET", "DELETE"], &[], Value::Null),
        route(
            "/render-template",
            &["POST"],
            &[],
            json!({ "template": { "kind": "inlineDocumentTemplate", "inline": "x {{doc.title}}" },
                "input": { "kind": "indexDocument", "indexUid": "films", "id": "7" } }),
        ),
    ]
}

fn rule() -> Value {
    json!({
        "description": "sale",
        "precedence": 3,
        "active": true,
        "conditions": {
            "query": { "isEmpty": false, "words": "sale" },
            "time": { "start": "2026-01-01T00:00:00Z", "end": null },
            "filter": { "values": { "genre": "drama" } },
        },
        "actions": [{ "selector": { "indexUid": "films", "id": "7" }, "action": { "type": "pin", "position": 0 } }],
    })
}
