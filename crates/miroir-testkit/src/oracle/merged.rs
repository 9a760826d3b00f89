//! The comparison of searches that came in one request.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::compare::{self, Rules, same};
use super::difference::{Difference, Kind};
use super::ranking::document_part;
use super::run::{Sides, first_position, leaks};
use super::several::SeveralSearches;
use super::writes::Write;
use crate::client::{Client, Reply};

/// Asks a server as another one would: hits then say by what they are compared.
const AS_SERVER: (&str, &str) = ("Meili-Proxy-Search", "true");
/// Keys with facets, which have rules of their own.
const FACETS: [&str; 3] = ["facetsByIndex", "facetDistribution", "facetStats"];
/// How far scores may be apart.
const TOLERANCE: f64 = 1e-6;

impl Sides<'_> {
    /// Makes the second index on both sides: the first one's settings, and half of its documents. Lets the one node
    /// say by what hits are compared.
    pub(super) async fn make_second(&self) -> Result<()> {
        let features = self.expected.patch("/experimental-features", &json!({ "network": true })).await?;
        if self.real_nodes {
            features.success().context("the feature `network`")?;
        }
        let path = format!("/indexes/{}/documents?limit={}", self.world.index, super::ranking::WHOLE_LIST);
        let stored = self.expected.get(&path).await?.success()?;
        let half: Vec<Value> =
            stored["results"].as_array().into_iter().flatten().step_by(2).cloned().collect();
        let writes = [
            Write { method: Method::PATCH, path: "/settings".to_owned(), body: self.world.settings() },
            Write {
                method: Method::POST,
                path: format!("/documents?primaryKey={}", self.world.shape.primary_key),
                body: Value::Array(half),
            },
        ];
        for client in [&self.expected, &self.actual] {
            let reply = client.delete(&format!("/indexes/{}", self.world.second())).await?;
            client.wait_reply(reply).await?;
            for write in &writes {
                let uid = write.send(client, &self.world.second()).await?;
                client.wait_task(uid).await?;
            }
        }
        Ok(())
    }

    /// Compares the answers to several searches in one request.
    pub(super) async fn compare_several(&self, searches: &SeveralSearches) -> Result<Vec<Difference>> {
        let body = searches.body(&self.world.index, &self.world.second());
        let (expected, actual) = tokio::try_join!(
            self.expected.post("/multi-search", &body),
            self.actual.post("/multi-search", &body)
        )?;
        let rules = Rules {
            distinct: searches.is_distinct(&self.world.shape),
            // The queries of a federation may find documents that stand for others, each its own.
            in_pages: searches.in_pages() && !searches.is_distinct(&self.world.shape),
            threshold: searches.has_threshold(),
            first_page: first_position(&expected.body) == 0,
            real_nodes: self.real_nodes,
        };
        if expected.status != 200 || actual.status != 200 {
            let (left, right) = ((expected.status, &expected.body), (actual.status, &actual.body));
            return Ok(compare::compare_errors(rules, left, right));
        }
        if searches.federation.is_some() {
            return self.compare_merged(searches, rules, &expected, &actual).await;
        }
        let mut differences = Vec::new();
        for (at, (_, query)) in searches.queries.iter().enumerate() {
            let result = |reply: &Reply| Reply {
                body: reply.body["results"][at].clone(),
                text: reply.body["results"][at].to_string(),
                ..reply.clone()
            };
            differences.extend(self.compare_answers(query, &result(&expected), &result(&actual)).await?);
        }
        Ok(differences)
    }

    async fn compare_merged(
        &self,
        searches: &SeveralSearches,
        rules: Rules,
        expected: &Reply,
        actual: &Reply,
    ) -> Result<Vec<Difference>> {
        let mut differences = leaks(actual);
        let (left, right) = (&expected.body, &actual.body);
        differences.extend(compare::compare_frame(rules, &without_facets(left), &without_facets(right)));
        let by_count = self.world.shape.facets_by_count;
        // Of each index only the most frequent values are added; ties decide which these are.
        if rules.counts_are_defined() && !(by_count && searches.merges_facets()) {
            let exact = !by_count;
            differences.extend(FACETS.iter().find_map(|name| {
                let (left, right) = (without_labels(&left[name]), without_labels(&right[name]));
                let (left, right) = (facets(&left, exact), facets(&right, exact));
                Difference::unless_equal(Kind::Facets, name, &left, &right)
            }));
        }
        if compare::hits_equal(&left["hits"], &right["hits"]) {
            return Ok(differences);
        }
        let hits = |answer: &Value| answer["hits"].as_array().cloned().context("an answer without hits");
        let (left, right) = (hits(left)?, hits(right)?);
        // Where a list is cut inside a tie, or one of equals stands for all, other documents may come.
        if rules.distinct || self.world.shape.capped {
            differences.extend(compare_scores(&left, &right));
            return Ok(differences);
        }
        let order =
            Order::fetch(&self.expected, self.world.shape.primary_key, &whole(self, searches)).await?;
        let offset = first_position(&expected.body);
        differences.extend(order.compare(offset, &left, &right));
        Ok(differences)
    }
}

fn whole(sides: &Sides<'_>, searches: &SeveralSearches) -> Value {
    searches.whole_body(&sides.world.index, &sides.world.second())
}

fn without_facets(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for name in FACETS {
        if let Some(facets) = answer.get_mut(name) {
            *facets = json!({});
        }
    }
    answer
}

/// Facets without the one that has long values, which may be spelled in several ways.
fn without_labels(facets: &Value) -> Value {
    match facets {
        Value::Object(facets) => {
            let others = facets.iter().filter(|(name, _)| *name != "label");
            others.map(|(name, facets)| (name.clone(), without_labels(facets))).collect()
        }
        other => other.clone(),
    }
}

/// Facets as text, since the order of values counts; without the values where ties decide which of them are shown.
fn facets(facets: &Value, exact: bool) -> Value {
    fn counts(value: &Value) -> Value {
        match value.as_object() {
            Some(object) if object.values().all(Value::is_u64) && !object.is_empty() => {
                json!(object.values().collect::<Vec<_>>())
            }
            Some(object) => object.iter().map(|(name, value)| (name.clone(), counts(value))).collect(),
            None => value.clone(),
        }
    }
    if exact { json!(facets.to_string()) } else { counts(facets) }
}

/// Compares nothing but the scores, place by place.
fn compare_scores(expected: &[Value], actual: &[Value]) -> Option<Difference> {
    let scores = |hits: &[Value]| -> Vec<f64> {
        hits.iter().map(|hit| hit["_federation"]["weightedRankingScore"].as_f64().unwrap_or(-1.0)).collect()
    };
    let (left, right) = (scores(expected), scores(actual));
    if left.len() != right.len() {
        return Some(Difference::new(Kind::Membership, "the number of hits", json!(left), json!(right)));
    }
    let equal = left.iter().zip(&right).all(|(a, b)| (a - b).abs() < TOLERANCE);
    (!equal).then(|| Difference::new(Kind::Order, "the scores", json!(left), json!(right)))
}

/// The whole merged list, in groups that nothing tells apart.
struct Order {
    primary_key: String,
    group_at: Vec<usize>,
    groups_of: HashMap<String, Vec<usize>>,
    shown: HashMap<String, Vec<Value>>,
}

impl Order {
    async fn fetch(expected: &Client, primary_key: &str, body: &Value) -> Result<Self> {
        let answer = expected.post_with("/multi-search", body, AS_SERVER).await?.success()?;
        let hits = answer["hits"].as_array().context("an answer without hits")?;
        let mut order = Self {
            primary_key: primary_key.to_owned(),
            group_at: Vec::new(),
            groups_of: HashMap::new(),
            shown: HashMap::new(),
        };
        let mut group = 0;
        for (at, hit) in hits.iter().enumerate() {
            if at > 0 && ranks_by(hit) != ranks_by(&hits[at - 1]) {
                group += 1;
            }
            order.group_at.push(group);
            order.groups_of.entry(order.identity(hit)).or_default().push(group);
            order.shown.entry(order.identity(hit)).or_default().push(hit.clone());
        }
        Ok(order)
    }

    /// A document's id and its index, or all that is visible of it.
    fn identity(&self, hit: &Value) -> String {
        let index = &hit["_federation"]["indexUid"];
        if let Some(id) = hit.get(&self.primary_key) {
            return format!("{index} {id}");
        }
        let mut document = hit.clone();
        if let Some(document) = document.as_object_mut() {
            document.remove("_federation");
        }
        format!("{index} {}", document_part(&document))
    }

    fn compare(&self, offset: usize, expected: &[Value], actual: &[Value]) -> Vec<Difference> {
        let list = |hits: &[Value]| json!(hits.iter().map(|hit| self.identity(hit)).collect::<Vec<_>>());
        let (left, right) = (list(expected), list(actual));
        if expected.len() != actual.len() {
            let place = format!("{} hits instead of {}", actual.len(), expected.len());
            return vec![Difference::new(Kind::Membership, place, left, right)];
        }
        let mut differences = Vec::new();
        let misplaced = actual.iter().enumerate().find(|(at, hit)| {
            let group = self.group_at.get(offset + at);
            let groups = self.groups_of.get(&self.identity(hit));
            !group.is_some_and(|group| groups.is_some_and(|groups| groups.contains(group)))
        });
        if let Some((at, hit)) = misplaced {
            let known = self.groups_of.contains_key(&self.identity(hit));
            let kind = if known { Kind::Order } else { Kind::Membership };
            differences.push(Difference::new(kind, format!("hit {at}"), left.clone(), right.clone()));
        }
        let mut seen = HashSet::new();
        let with_key = |hit: &&Value| hit.get(&self.primary_key).is_some();
        if actual.iter().filter(with_key).any(|hit| !seen.insert(self.identity(hit))) {
            differences.push(Difference::new(Kind::Duplicate, "the hits", left, right));
        }
        differences.extend(self.compare_fields(expected, actual));
        differences
    }

    /// Documents that both pages show must be shown alike.
    fn compare_fields(&self, expected: &[Value], actual: &[Value]) -> Option<Difference> {
        let by_id: HashMap<String, &Value> = expected.iter().map(|hit| (self.identity(hit), hit)).collect();
        actual.iter().find_map(|hit| {
            let other = by_id.get(&self.identity(hit))?;
            let unique = self.shown.get(&self.identity(hit)).is_some_and(|shown| shown.len() == 1);
            if same(other, hit) || !unique {
                return None;
            }
            compare::compare_versions(&format!("hit {}", self.identity(hit)), other, hit)
        })
    }
}

/// All by which a hit's place is decided.
fn ranks_by(hit: &Value) -> (&Value, &Value, &Value) {
    let federation = &hit["_federation"];
    (&federation["queriesPosition"], &federation["weightedScoreValues"], &hit["_rankingScoreDetails"])
}
