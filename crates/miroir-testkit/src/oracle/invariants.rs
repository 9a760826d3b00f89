//! What is compared besides single searches: outcomes of writes, stored documents, and paging through a whole list.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::compare;
use super::difference::{Difference, Kind};
use super::queries::SearchRequest;
use super::ranking::{CAP, WHOLE_LIST, document_part, whole_list};
use super::run::Sides;
use crate::client::Client;

/// Hits on one page of a paged-through list.
const PAGE: usize = 7;
/// Lists that are paged through.
const PAGED_QUERIES: usize = 4;

/// Applies the writes to all indexes, from nothing, and compares the outcomes of their tasks.
///
/// The single node gets one write after the other; Miroir gets all at once and has to keep their order.
pub(super) async fn apply_writes(sides: &Sides<'_>) -> Result<Vec<Difference>> {
    let world = sides.world;
    let twin = async {
        remove(&sides.expected, &world.twin()).await?;
        for write in &world.writes {
            let uid = write.for_twin().send(&sides.expected, &world.twin()).await?;
            sides.expected.wait_task(uid).await?;
        }
        anyhow::Ok(())
    };
    let expected = async {
        remove(&sides.expected, &world.index).await?;
        let mut tasks = Vec::new();
        for write in &world.writes {
            let uid = write.send(&sides.expected, &world.index).await?;
            tasks.push(sides.expected.wait_task(uid).await?);
        }
        anyhow::Ok(tasks)
    };
    let actual = async {
        remove(&sides.actual, &world.index).await?;
        let mut uids = Vec::new();
        for write in &world.writes {
            uids.push(write.send(&sides.actual, &world.index).await?);
        }
        let mut tasks = Vec::new();
        for uid in uids {
            tasks.push(sides.actual.wait_task(uid).await?);
        }
        anyhow::Ok(tasks)
    };
    // The twin comes first: it may take part in no race for the node's queue while outcomes are compared.
    twin.await.context("the twin index")?;
    let (expected, actual) = tokio::try_join!(async { expected.await.context("one node") }, async {
        actual.await.context("Miroir")
    })?;
    let outcome = |task: &Value| {
        let (mut error, mut details) = (task["error"].clone(), task["details"].clone());
        if !sides.real_nodes {
            if let Some(error) = error.as_object_mut() {
                error.remove("message");
            }
            // The development node does not tell a setting that is reset from one that is not mentioned.
            if let Some(details) = details.as_object_mut() {
                details.retain(|_, value| !value.is_null());
            }
        }
        json!({"status": task["status"], "type": task["type"], "error": error, "details": details})
    };
    Ok(expected
        .iter()
        .zip(&actual)
        .zip(&world.writes)
        .filter_map(|((left, right), write)| {
            let place = format!("{} {}", write.method, write.path);
            let (left, right) = compare::differing_parts(&outcome(left), &outcome(right))?;
            Some(Difference::new(Kind::Writes, place, left, right))
        })
        .collect())
}

async fn remove(client: &Client, index: &str) -> Result<()> {
    let reply = client.delete(&format!("/indexes/{index}")).await?;
    // The task fails when there is no such index, which is as good.
    client.wait_reply(reply).await?;
    Ok(())
}

/// Compares documents, settings and statistics of the index.
pub(super) async fn compare_stored(sides: &Sides<'_>) -> Result<Vec<Difference>> {
    let index = &sides.world.index;
    let mut differences = Vec::new();
    let (left, right) =
        tokio::try_join!(documents(&sides.expected, sides.world), documents(&sides.actual, sides.world))?;
    let ids = left.keys().chain(right.keys());
    differences.extend(ids.filter(|id| left.get(*id) != right.get(*id)).take(3).map(|id| {
        Difference::new(Kind::Writes, format!("document {id}"), json!(left.get(id)), json!(right.get(id)))
    }));
    for (path, names) in [("settings", None), ("stats", Some(["numberOfDocuments", "fieldDistribution"]))] {
        let path = format!("/indexes/{index}/{path}");
        let (left, right) = tokio::try_join!(sides.expected.get(&path), sides.actual.get(&path))?;
        let (left, right) = (left.success()?, right.success()?);
        let both = [&left, &right].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
        let names: BTreeSet<&str> = match &names {
            Some(names) => names.iter().copied().collect(),
            None => both.map(String::as_str).collect(),
        };
        for name in names {
            let place = format!("{path} {name}");
            differences.extend(Difference::unless_equal(Kind::Writes, &place, &left[name], &right[name]));
        }
    }
    Ok(differences)
}

async fn documents(client: &Client, world: &super::world::World) -> Result<BTreeMap<String, Value>> {
    let path = format!("/indexes/{}/documents?limit={WHOLE_LIST}", world.index);
    let answer = client.get(&path).await?.success().context("cannot list the documents")?;
    let documents = answer["results"].as_array().context("a list of documents without results")?;
    let key = world.shape.primary_key;
    Ok(documents.iter().map(|document| (document[key].to_string(), document.clone())).collect())
}

/// Pages through some lists on Miroir and checks that every document of the single node's list comes exactly once.
pub(super) async fn compare_paging(sides: &Sides<'_>) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    if sides.world.shape.distinct.is_some() {
        return Ok(differences);
    }
    let simple = |query: &&SearchRequest| {
        let has = |name| query.body.contains_key(name);
        !query.by_get && !has("rankingScoreThreshold") && !has("distinct") && (has("sort") || has("filter"))
    };
    for query in sides.world.queries.iter().filter(simple).take(PAGED_QUERIES) {
        let mut body = query.body.clone();
        for name in ["page", "hitsPerPage", "offset", "limit", "attributesToRetrieve"] {
            body.remove(name);
        }
        differences.extend(compare_paged(sides, &body).await?);
    }
    Ok(differences)
}

async fn compare_paged(sides: &Sides<'_>, body: &Map<String, Value>) -> Result<Option<Difference>> {
    let path = format!("/indexes/{}/search", sides.world.index);
    let first = sides.expected.post(&path, &Value::Object(body.clone())).await?;
    if first.status == 400 {
        // It has no pages; the refusals were compared before.
        return Ok(None);
    }
    let expected = whole_list(&sides.expected, &sides.world.index, body).await?;
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut paged = 0;
    for offset in (0..=expected.len()).step_by(PAGE) {
        let mut body = body.clone();
        body.insert("offset".to_owned(), json!(offset));
        body.insert("limit".to_owned(), json!(PAGE));
        let answer = sides.actual.post(&path, &Value::Object(body)).await?.success()?;
        for hit in answer["hits"].as_array().into_iter().flatten() {
            *counts.entry(document_part(hit)).or_default() += 1;
            paged += 1;
        }
    }
    let place = format!("POST {path} {}", Value::Object(body.clone()));
    if paged != expected.len() {
        return Ok(Some(Difference::new(Kind::Membership, place, json!(expected.len()), json!(paged))));
    }
    for hit in &expected {
        *counts.entry(document_part(hit)).or_default() -= 1;
    }
    // A list cut by the settings may end inside a tie: then other documents of the tie may come, but none twice.
    let capped = sides.world.shape.capped || expected.len() == CAP;
    let allowed = |count: i64| count == 0 || (capped && count.abs() == 1);
    let wrong: BTreeMap<_, _> = counts.into_iter().filter(|(_, count)| !allowed(*count)).collect();
    Ok((!wrong.is_empty()).then(|| Difference::new(Kind::Duplicate, place, json!({}), json!(wrong))))
}
