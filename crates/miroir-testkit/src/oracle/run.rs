//! One comparison from beginning to end.

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::compare::{self, Rules};
use super::difference::{Difference, Kind};
use super::invariants;
use super::queries::SearchRequest;
use super::ranking::{Ranking, whole_answer};
use super::report::Report;
use super::vectors::compare_vectors;
use super::world::World;
use crate::client::{Client, Reply, Target};

/// Searches under way at the same time.
const CONCURRENCY: usize = 4;

/// The two sides of a comparison, and how strict it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the report calls this run.
    pub name: String,
    /// The one server that is right by definition.
    pub expected: Target,
    /// Miroir.
    pub actual: Target,
    /// The nodes of both sides are real Meilisearch servers: then error messages are compared word by word, and totals
    /// under a score threshold too (the development node's older engine counts those differently on every page).
    pub real_nodes: bool,
}

/// Both sides, connected, and the world they are compared in.
pub(super) struct Sides<'a> {
    pub(super) world: &'a World,
    pub(super) expected: Client,
    pub(super) actual: Client,
    pub(super) real_nodes: bool,
}

/// Applies the world to both sides and compares all answers. Errors when a side can't be worked with at all.
pub async fn run(world: &World, options: &Options) -> Result<Report> {
    let sides = Sides {
        world,
        expected: Client::new(options.expected.clone())?,
        actual: Client::new(options.actual.clone())?,
        real_nodes: options.real_nodes,
    };
    let mut report = Report::new(&options.name, world.seed);
    report.add_check("the writes", &invariants::apply_writes(&sides).await?);
    report.add_check("what is stored", &invariants::compare_stored(&sides).await?);
    let compared: Vec<(String, Vec<Difference>)> = stream::iter(&world.queries)
        .map(|query| async {
            let differences = sides.compare_search(query).await?;
            anyhow::Ok((describe(&world.index, query), differences))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await
        .with_context(|| format!("seed {}", world.seed))?;
    for (request, differences) in &compared {
        report.add_query(request, differences);
    }
    if options.real_nodes {
        for (request, differences) in &compare_vectors(&sides).await? {
            report.add_query(request, differences);
        }
    }
    sides.make_second().await.context("the second index")?;
    let several: Vec<(String, Vec<Difference>)> = stream::iter(&world.several)
        // The development node has no federated search.
        .filter(|searches| std::future::ready(options.real_nodes || searches.federation.is_none()))
        .map(|searches| async {
            let body = searches.body(&world.index, &world.second());
            anyhow::Ok((format!("POST /multi-search {body}"), sides.compare_several(searches).await?))
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await
        .with_context(|| format!("seed {}", world.seed))?;
    for (request, differences) in &several {
        report.add_query(request, differences);
    }
    report.add_check("pages of seven", &invariants::compare_paging(&sides).await?);
    Ok(report)
}

impl Sides<'_> {
    async fn compare_search(&self, query: &SearchRequest) -> Result<Vec<Difference>> {
        let (expected, actual) =
            tokio::try_join!(self.search(&self.expected, query), self.search(&self.actual, query))?;
        self.compare_answers(query, &expected, &actual).await
    }

    /// Compares two answers to one search.
    pub(super) async fn compare_answers(
        &self,
        query: &SearchRequest,
        expected: &Reply,
        actual: &Reply,
    ) -> Result<Vec<Difference>> {
        let rules = Rules {
            distinct: self.world.shape.distinct.is_some() || query.body.contains_key("distinct"),
            in_pages: query.in_pages(),
            threshold: query.body.contains_key("rankingScoreThreshold"),
            first_page: first_position(&expected.body) == 0,
            real_nodes: self.real_nodes,
        };
        let mut differences = leaks(actual);
        if expected.status != 200 || actual.status != 200 {
            let (left, right) = ((expected.status, &expected.body), (actual.status, &actual.body));
            differences.extend(compare::compare_errors(rules, left, right));
            return Ok(differences);
        }
        differences.extend(compare::compare_frame(rules, &expected.body, &actual.body));
        if rules.counts_are_defined() {
            differences.extend(self.compare_facets(query, &expected.body, &actual.body).await?);
        }
        let (left, right) = (&expected.body["hits"], &actual.body["hits"]);
        if compare::hits_equal(left, right) {
            return Ok(differences);
        }
        let ranking = Ranking::fetch(&self.expected, self.world, query).await?;
        let hits = |hits: &Value| hits.as_array().cloned().context("an answer without hits");
        differences.extend(compare::compare_hits(
            &ranking,
            first_position(&expected.body),
            &hits(left)?,
            &hits(right)?,
        ));
        Ok(differences)
    }

    async fn compare_facets(
        &self,
        query: &SearchRequest,
        left: &Value,
        right: &Value,
    ) -> Result<Option<Difference>> {
        let (left, right) = (&left["facetDistribution"], &right["facetDistribution"]);
        let by_count = self.world.shape.facets_by_count;
        let strict = compare::compare_facets(false, &Value::Null, left, right);
        if strict.is_none() || !by_count {
            return Ok(strict);
        }
        let whole = whole_answer(&self.expected, &self.world.twin(), &query.body).await?;
        Ok(compare::compare_facets(by_count, &whole["facetDistribution"], left, right))
    }

    async fn search(&self, client: &Client, query: &SearchRequest) -> Result<Reply> {
        let path = format!("/indexes/{}/search", self.world.index);
        if query.by_get {
            return client.get_query(&path, &query.parameters()).await;
        }
        client.post(&path, &Value::Object(query.body.clone())).await
    }
}

/// Names reserved for Miroir in an answer that is not an echo of the query.
pub(super) fn leaks(reply: &Reply) -> Vec<Difference> {
    const RESERVED: &str = "_miroir_";
    let echo = reply.body["query"].as_str().unwrap_or_default();
    let leaked = reply.text.matches(RESERVED).count() > echo.matches(RESERVED).count();
    let difference = || {
        let start = reply.text.rfind(RESERVED).unwrap_or(0);
        let excerpt: String = reply.text[start..].chars().take(60).collect();
        Difference::new(Kind::Leak, "the answer", Value::Null, Value::String(excerpt))
    };
    leaked.then(difference).into_iter().collect()
}

/// Position in the whole list of the first hit of a page.
pub(super) fn first_position(answer: &Value) -> usize {
    let number = |name: &str| answer[name].as_u64().and_then(|number| usize::try_from(number).ok());
    match (number("page"), number("hitsPerPage")) {
        (Some(page), Some(size)) => page.saturating_sub(1) * size,
        _ => number("offset").unwrap_or(0),
    }
}

fn describe(index: &str, query: &SearchRequest) -> String {
    let body = Value::Object(query.body.clone());
    let method = if query.by_get { "GET" } else { "POST" };
    format!("{method} /indexes/{index}/search {body}")
}
