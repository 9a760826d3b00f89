//! The relatives of a search by words: by vectors, by both, for similar documents, for the values of a facet. They have
//! an index of their own, whose documents bring their vectors, and are compared on real servers only: the development
//! node knows none of them.
//!
//! Vectors tell most documents apart, so a tie is not looked up but seen: hits of one score may change places, and where a
//! page cuts such a tie it may show any of them. But Miroir shows similar documents of one score by their primary key.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use super::compare;
use super::dice::Dice;
use super::difference::{Difference, Kind};
use super::run::Sides;
use super::words::{BRANDS, GENRES, WORDS, misspell, prefix, text};
use crate::client::Client;

/// Documents in the index.
const DOCUMENTS: usize = 240;

/// Requests of all kinds.
const REQUESTS: usize = 160;

/// Requests under way at the same time.
const CONCURRENCY: usize = 4;

/// Vectors that several documents have.
const SHARED_VECTORS: usize = 8;

/// The length of a vector.
const DIMENSIONS: usize = 4;

/// Compares a number of such requests; the same seed makes the same ones.
pub(super) async fn compare_vectors(sides: &Sides<'_>) -> Result<Vec<(String, Vec<Difference>)>> {
    let mut dice = Dice::new(sides.world.seed);
    let index = format!("{}_vectors", sides.world.index);
    let (settings, documents) = (settings(&mut dice), documents(&mut dice));
    let requests: Vec<(&str, Value)> = (0..REQUESTS).map(|_| request(&mut dice)).collect();
    tokio::try_join!(
        load(&sides.expected, &index, &settings, &documents),
        load(&sides.actual, &index, &settings, &documents)
    )?;
    let index = &index;
    stream::iter(&requests)
        .map(|(route, body)| async move {
            let path = format!("/indexes/{index}/{route}");
            let (expected, actual) =
                tokio::try_join!(sides.expected.post(&path, body), sides.actual.post(&path, body))?;
            let (expected, actual) = (expected.success()?, actual.success()?);
            let mut differences = compare_answers(&expected, &actual);
            if *route == "similar" {
                differences.extend(check_ties(&actual));
            }
            anyhow::Ok((format!("POST {path} {body}"), differences))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await
        .context("vectors")
}

fn settings(dice: &mut Dice) -> Value {
    let mut settings = json!({
        "filterableAttributes": ["genre", "brand", "tags", "year"],
        "sortableAttributes": ["year"],
        "searchableAttributes": ["title", "overview"],
        "embedders": { "taste": { "source": "userProvided", "dimensions": DIMENSIONS } },
        "faceting": {
            "maxValuesPerFacet": dice.pick(&[3, 10, 100]),
            "sortFacetValuesBy": { "*": dice.pick(&["alpha", "count"]) },
        },
    });
    if dice.chance(30) {
        settings["rankingRules"] = json!(["sort", "words", "typo", "attribute", "exactness", "proximity"]);
    }
    if dice.chance(30) {
        settings["displayedAttributes"] = json!(["id", "title", "genre"]);
    }
    settings
}

fn documents(dice: &mut Dice) -> Value {
    let shared: Vec<Vec<f64>> = (0..SHARED_VECTORS).map(|_| vector(dice)).collect();
    let document = |id| {
        let vector = if dice.chance(30) { dice.pick(&shared).clone() } else { vector(dice) };
        let mut document = json!({
            "id": id,
            "title": text(dice, 1, 5),
            "overview": text(dice, 2, 12),
            "genre": dice.pick_skewed(GENRES),
            "brand": dice.pick_skewed(BRANDS),
            "tags": dice.some(&WORDS[..40], 0, 4),
            "year": dice.between(1990, 2020),
            "_vectors": { "taste": dice.chance(85).then_some(vector) },
        });
        // Clients save hits with all that a server said about them.
        for (name, value) in [
            ("_rankingScore", json!("saved")),
            ("_rankingScoreDetails", json!({ "words": { "order": 0, "score": "saved" } })),
            ("_formatted", json!({ "title": "saved" })),
            ("_matchesPosition", json!({ "nothing": [{ "start": 0, "length": 3 }] })),
        ] {
            if dice.chance(6) {
                document[name] = value;
            }
        }
        document
    };
    (0..DOCUMENTS).map(document).collect()
}

fn vector(dice: &mut Dice) -> Vec<f64> {
    (0..DIMENSIONS).map(|_| dice.real(-1.0, 1.0)).collect()
}

/// Sets the index up from nothing.
async fn load(client: &Client, index: &str, settings: &Value, documents: &Value) -> Result<()> {
    client.wait_reply(client.delete(&format!("/indexes/{index}")).await?).await?;
    let settled = client.patch(&format!("/indexes/{index}/settings"), settings).await?;
    let added = client.post(&format!("/indexes/{index}/documents"), documents).await?;
    for reply in [settled, added] {
        let task = client.wait_reply(reply).await?;
        ensure!(task["status"] == "succeeded", "{task}");
    }
    Ok(())
}

/// A route and what it is asked. Nothing is highlighted: what is marked as a typo depends on a node's own words.
fn request(dice: &mut Dice) -> (&'static str, Value) {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if dice.chance(30) {
        let filters = ["year > 2000", "year < 2010 AND genre = drama", "brand EXISTS"];
        set("filter", json!(dice.pick(&filters)));
    }
    let route = match dice.between(0, 9) {
        0..=2 => {
            set("facetName", json!(dice.pick(&["genre", "brand", "tags"])));
            if dice.chance(60) {
                let value = dice.pick(WORDS);
                set("facetQuery", json!(prefix(dice, value)));
            }
            if dice.chance(40) {
                set("q", json!(words(dice)));
            }
            return ("facet-search", Value::Object(body));
        }
        3 | 4 => {
            set("id", json!(dice.between(0, DOCUMENTS - 1)));
            set("embedder", json!("taste"));
            if dice.chance(30) {
                set("rankingScoreThreshold", json!(dice.pick(&[0.4, 0.6, 0.8])));
            }
            "similar"
        }
        kind => {
            let ratio = if kind == 5 { 1.0 } else { *dice.pick(&[0.1, 0.3, 0.5, 0.7, 0.9]) };
            set("q", json!(words(dice)));
            set("vector", json!(vector(dice)));
            set("hybrid", json!({ "embedder": "taste", "semanticRatio": ratio }));
            if dice.chance(25) {
                set("sort", json!(["year:desc"]));
            }
            if dice.chance(25) {
                set("facets", json!(["year"]));
            }
            "search"
        }
    };
    set("showRankingScore", json!(true));
    if dice.chance(15) {
        set("retrieveVectors", json!(true));
    }
    if dice.chance(60) {
        set("limit", json!(dice.between(0, 30)));
        set("offset", json!(dice.pick(&[0, 0, 3, 10])));
    }
    (route, Value::Object(body))
}

fn words(dice: &mut Dice) -> String {
    let mut words: Vec<String> = (0..dice.between(1, 3))
        .map(|_| {
            let word = *dice.pick_skewed(WORDS);
            if dice.chance(15) { misspell(dice, word) } else { word.to_owned() }
        })
        .collect();
    if dice.chance(10) {
        words.push(format!("-{}", dice.pick_skewed(WORDS)));
    }
    words.join(" ")
}

fn compare_answers(expected: &Value, actual: &Value) -> Vec<Difference> {
    let frame = |answer: &Value| {
        let mut frame = answer.clone();
        if let Some(frame) = frame.as_object_mut() {
            for name in ["hits", "facetHits", "facetDistribution", "processingTimeMs", "requestUid"] {
                frame.remove(name);
            }
        }
        frame
    };
    let mut differences = Vec::new();
    let parts = compare::differing_parts(&frame(expected), &frame(actual));
    differences.extend(parts.map(|(left, right)| Difference::new(Kind::Totals, "the frame", left, right)));
    let (left, right) = (&expected["facetHits"], &actual["facetHits"]);
    differences.extend(Difference::unless_equal(Kind::Facets, "facet hits", left, right));
    if let (Some(left), Some(right)) = (expected["hits"].as_array(), actual["hits"].as_array()) {
        differences.extend(compare_hits(left, right));
    }
    differences
}

fn compare_hits(expected: &[Value], actual: &[Value]) -> Option<Difference> {
    let all = |kind, place: &str| {
        let list = |hits: &[Value]| hits.iter().map(|hit| json!([hit["id"], hit["_rankingScore"]])).collect();
        Some(Difference::new(kind, place, list(expected), list(actual)))
    };
    if expected.len() != actual.len() {
        return all(Kind::Membership, "the number of hits");
    }
    let scores = |hits: &[Value]| hits.iter().map(|hit| json!({ "score": hit["_rankingScore"] })).collect();
    if !compare::hits_equal(&scores(expected), &scores(actual)) {
        return all(Kind::Order, "the scores of the hits");
    }
    let by_id: BTreeMap<String, &Value> = actual.iter().map(|hit| (hit["id"].to_string(), hit)).collect();
    if by_id.len() != actual.len() {
        return all(Kind::Duplicate, "the hits");
    }
    let last = expected.last()?["_rankingScore"].as_f64()?;
    expected.iter().find_map(|hit| match by_id.get(&hit["id"].to_string()) {
        Some(other) => compare::compare_versions(&format!("hit {}", hit["id"]), hit, other),
        None if hit["_rankingScore"].as_f64().is_some_and(|score| (score - last).abs() < 1e-6) => None,
        None => all(Kind::Order, "the hits"),
    })
}

/// Whether hits of one score come by their primary key.
fn check_ties(answer: &Value) -> Option<Difference> {
    let hits: Vec<(f64, u64)> = answer["hits"]
        .as_array()?
        .iter()
        .filter_map(|hit| Some((hit["_rankingScore"].as_f64()?, hit["id"].as_u64()?)))
        .collect();
    let is_sorted = |pair: &[(f64, u64)]| pair[0].0 > pair[1].0 || pair[0].1 < pair[1].1;
    let sorted = hits.windows(2).all(is_sorted);
    (!sorted).then(|| Difference::new(Kind::Order, "hits of one score", Value::Null, json!(hits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: u32, score: f64) -> Value {
        json!({ "id": id, "_rankingScore": score })
    }

    #[test]
    fn hits_of_one_score_may_change_places_and_be_cut_and_others_may_not() {
        let expected = [hit(1, 0.9), hit(2, 0.5), hit(3, 0.5)];
        assert_eq!(compare_hits(&expected, &[hit(1, 0.9), hit(3, 0.5), hit(2, 0.5)]), None);
        assert_eq!(compare_hits(&expected, &[hit(1, 0.9), hit(4, 0.5), hit(2, 0.5)]), None);
        let kind = |actual: &[Value]| compare_hits(&expected, actual).unwrap().kind;
        assert_eq!(kind(&[hit(4, 0.9), hit(2, 0.5), hit(3, 0.5)]), Kind::Order);
        assert_eq!(kind(&[hit(1, 0.9), hit(2, 0.5), hit(3, 0.4)]), Kind::Order);
        assert_eq!(kind(&[hit(1, 0.9), hit(2, 0.5), hit(2, 0.5)]), Kind::Duplicate);
        let mut other = hit(2, 0.5);
        other["title"] = json!("x");
        assert_eq!(kind(&[hit(1, 0.9), other, hit(3, 0.5)]), Kind::Fields);
    }
}
