//! How often nodes are asked for a page, and for what.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Json, State};
use axum::routing::get;
use miroir_core::arrival::ArrivalChange;
use miroir_core::ids::ShardCount;

use super::*;
use crate::read::fixture::{serve, two_nodes};

/// The bodies that both nodes got; null where they were asked to count.
type Seen = Arc<Mutex<Vec<Value>>>;

/// A node that has documents with these ids, and says so as nodes do.
async fn node(ids: Vec<u64>, seen: Seen) -> String {
    let answer = |State((ids, seen)): State<(Vec<u64>, Seen)>, Json(body): Json<Value>| async move {
        let wanted = body["ids"].as_array();
        let is_wanted = |id: &u64| wanted.is_none_or(|wanted| wanted.contains(&json!(id.to_string())));
        let found: Vec<u64> = ids.into_iter().filter(is_wanted).collect();
        let limit = usize::try_from(body["limit"].as_u64().unwrap()).unwrap();
        let documents = found.iter().take(limit);
        let documents: Vec<_> = documents.map(|id| json!({ "id": id, "title": format!("t{id}") })).collect();
        seen.lock().unwrap().push(body);
        Json(json!({ "results": documents, "total": found.len() }))
    };
    let count = |State((ids, seen)): State<(Vec<u64>, Seen)>| async move {
        let shards = ShardCount::new(2).unwrap();
        let in_shard =
            |shard| ids.iter().filter(|id| shard_of(&id.to_string(), shards) == ShardId(shard)).count();
        seen.lock().unwrap().push(Value::Null);
        Json(
            json!({ "numberOfDocuments": ids.len(), "fieldDistribution": { "_miroir_shard_000": in_shard(0), "_miroir_shard_001": in_shard(1) } }),
        )
    };
    let router = Router::new().route("/indexes/books/stats", get(count)).fallback(answer);
    serve(router.with_state((ids, seen))).await
}

fn book(ids: &[&str]) -> ArrivalBook {
    let added = ArrivalChange::Add(ids.iter().copied().collect());
    ArrivalBook::after(Some(ArrivalBook::default()), &added).unwrap()
}

/// Page and total of a listing over nodes that have these documents, and what nodes were asked for.
async fn list(book: &ArrivalBook, there: Vec<u64>, body: Value) -> (Option<(Value, u64)>, Vec<Value>) {
    let seen = Seen::default();
    let addresses = [node(there.clone(), Arc::clone(&seen)).await, node(there, Arc::clone(&seen)).await];
    let (cluster, entry) = two_nodes(addresses);
    let Value::Object(body) = body else { panic!("not a listing: {body}") };
    let (request, view) = (ListingRequest::parse(body).unwrap(), cluster.view.load());
    let (cluster, entry, request) = (&cluster, &entry, &request);
    let reader = Reader::new(cluster, &view, entry);
    let arranged = Arranged { of: &reader, request, book, primary_key: "id" };
    let listed = arranged.list().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    (listed.map(|(page, total)| (json!(page), total)), seen)
}

#[tokio::test]
async fn a_page_with_room_for_all_takes_one_request() {
    let body = json!({ "limit": 3, "fields": ["title"], "retrieveVectors": true, "useNetwork": false });
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![5, 6, 7], body).await;
    assert_eq!(listed, Some((json!([{ "title": "t7" }, { "title": "t5" }, { "title": "t6" }]), 3)));
    let shards = json!([["_miroir_shard_000 EXISTS", "_miroir_shard_001 EXISTS"]]);
    let expected = json!({ "limit": 3, "fields": ["title", "id"], "retrieveVectors": true, "offset": 0,
        "filter": shards });
    assert_eq!(asked, [expected]);
}

#[tokio::test]
async fn a_page_of_everything_is_cut_from_the_book_where_nodes_have_as_many_documents() {
    let page = json!({ "offset": 1, "limit": 1, "filter": null });
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![5, 6, 7], page.clone()).await;
    assert_eq!(listed, Some((json!([{ "id": 5, "title": "t5" }]), 3)));
    assert_eq!(asked.len(), 2);
    assert!(asked.contains(&Value::Null));
    assert!(asked.contains(&json!({ "offset": 0, "limit": 1, "ids": ["5"] })));
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![6, 7, 8, 9], page.clone()).await;
    assert_eq!(listed, Some((json!([{ "id": 6, "title": "t6" }]), 4)));
    assert_eq!(asked.len(), 4);
    let doubtful = ArrivalBook::after(Some(book(&["7", "5", "6"])), &ArrivalChange::Doubt).unwrap();
    let (listed, asked) = list(&doubtful, vec![6, 7], page).await;
    assert_eq!(listed, Some((json!([{ "id": 6, "title": "t6" }]), 2)));
    assert!(!asked.contains(&Value::Null));
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![5, 6, 7], json!({ "offset": 9 })).await;
    assert_eq!((listed, asked.len()), (Some((json!([]), 3)), 1));
}

#[tokio::test]
async fn a_smaller_page_of_some_takes_two_and_only_its_own_documents_are_fetched() {
    let body = json!({ "offset": 1, "limit": 1, "sort": ["rank:asc"], "filter": "rank > 1" });
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![5, 6, 7], body).await;
    assert_eq!(listed, Some((json!([{ "id": 5, "title": "t5" }]), 3)));
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["fields"], json!(["id", "rank"]));
    assert_eq!(asked[0]["limit"], MOST_DOCUMENTS);
    assert_eq!(asked[1], json!({ "offset": 0, "limit": 1, "ids": ["5"] }));
}

#[tokio::test]
async fn documents_on_their_way_come_last_and_those_that_are_gone_are_left_out() {
    let (listed, asked) = list(&book(&["7", "5", "6"]), vec![5, 7, 8], json!({ "limit": 3 })).await;
    let (page, total) = listed.unwrap();
    assert_eq!((&page[0]["id"], &page[1]["id"], &page[2]["id"]), (&json!(7), &json!(5), &json!(8)));
    assert_eq!((total, asked.len()), (3, 1));
    let (listed, asked) = list(&book(&["7", "5"]), vec![1, 5, 7], json!({ "limit": 2 })).await;
    let (page, total) = listed.unwrap();
    assert_eq!(page, json!([{ "id": 7, "title": "t7" }, { "id": 5, "title": "t5" }]));
    assert_eq!((total, asked.len()), (3, 3));
}

#[tokio::test]
async fn an_index_that_does_not_fit_its_book_is_not_listed_by_it() {
    let many: Vec<u64> = (0..=MOST_DOCUMENTS as u64).collect();
    let (listed, asked) = list(&book(&["7", "5"]), many, json!({ "limit": 20 })).await;
    assert_eq!(listed, None);
    assert!(asked.iter().all(|body| body["limit"].as_u64().unwrap() <= MOST_DOCUMENTS as u64));
}
