//! Documents that are near to another one.
//!
//! A node can only compare with a document that it holds. So the document's vector is read first; the node that answers
//! for its shard is asked for what is similar to it, and the others are asked for what is near to that vector. Both
//! give the same similarity, which is all that orders the hits.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::merge::merge_near;
use super::plan::{
    EQUALLY_NEAR, PartPlan, Route, SearchPlan, confine_to, cover_seed, max_total_hits, plan_with_cover,
};
use super::request::{count, flag, not_null, present, string};
use super::{NotUnderstood, SearchRequest, Shown, Window};
use crate::cover::Cover;
use crate::document::canonical_id;
use crate::document::paths::PathsMet;
use crate::error::{ErrorCode, ResponseError};
use crate::hash::shard_of;
use crate::ids::{IndexUid, ShardId};
use crate::settings::ClientSettings;
use crate::view::IndexEntry;

/// Meilisearch's default for `limit`.
const DEFAULT_LIMIT: usize = 20;

/// What goes into the request to every node as the client wrote it.
const SHARED: [&str; 5] =
    ["filter", "attributesToRetrieve", "retrieveVectors", "showRankingScore", "showPerformanceDetails"];

/// The body of `POST /indexes/{uid}/similar`, with what concerns sharding read out.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarRequest {
    /// The client's whole body.
    pub body: Map<String, Value>,
    /// The document's id, in canonical form.
    pub id: String,
    /// Whose vectors are compared.
    pub embedder: String,
    /// The document itself must match this filter, or it is as if it were not there.
    pub visible: Option<Value>,
    /// What nodes say of the paths that the client names.
    pub paths: PathsMet,
    offset: usize,
    limit: usize,
    threshold: Option<f64>,
    show_details: bool,
}

/// The document that others are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarTarget {
    shard: ShardId,
    vector: Option<Value>,
}

/// What one server says of a tenant token's rule in a search for similar documents, where `error` is what a node says of the
/// same rule as a client's filter. One server looks at the rule alone, before the client's filter.
pub fn as_rule_fault(mut error: ResponseError, rule: &Value, index: &IndexUid) -> ResponseError {
    const ALWAYS_PLACED: [&str; 2] = ["Invalid syntax for the filter parameter", "Using `"];
    if is_found_later(&error) {
        error.code = ErrorCode::InvalidSearchFilter;
    } else if !rule.is_array() || ALWAYS_PLACED.iter().any(|words| error.message.starts_with(words)) {
        error.message = format!("Index `{index}`: {}", error.message);
    }
    error
}

/// Whether a filter's fault shows only when it is applied, not when it is read.
pub fn is_found_later(error: &ResponseError) -> bool {
    ["Attribute `", "Filter operator `"].iter().any(|words| error.message.starts_with(words))
}

impl SimilarRequest {
    /// The request as it is if the client itself filtered by what its token imposes, and by nothing else.
    pub fn with_rule_alone(&self) -> Option<(&Value, Value)> {
        let rule = self.visible.as_ref()?;
        Some((rule, json!({ "id": self.id, "embedder": self.embedder, "filter": rule, "limit": 0 })))
    }

    /// Reads a body. `Err` names a value that Meilisearch would refuse; nothing else is checked here, nodes do.
    pub fn parse(body: Map<String, Value>) -> Result<Self, NotUnderstood> {
        let threshold = present(&body, "rankingScoreThreshold");
        not_null(&body, &["offset", "limit", "showRankingScoreDetails"])?;
        Ok(Self {
            id: present(&body, "id").and_then(canonical_id).ok_or(NotUnderstood("id"))?,
            embedder: string(&body, "embedder")?.ok_or(NotUnderstood("embedder"))?,
            visible: None,
            paths: PathsMet::default(),
            offset: count(&body, "offset")?.unwrap_or(0),
            limit: count(&body, "limit")?.unwrap_or(DEFAULT_LIMIT),
            threshold: threshold
                .map(|it| it.as_f64().filter(|it| (0.0..=1.0).contains(it)))
                .map(|it| it.ok_or(NotUnderstood("rankingScoreThreshold")))
                .transpose()?,
            show_details: flag(&body, "showRankingScoreDetails")?,
            body,
        })
    }

    /// What decides between equally good covers.
    pub fn seed(&self) -> u64 {
        cover_seed(&self.body)
    }

    /// The shard of the document.
    pub fn shard(&self, entry: &IndexEntry) -> ShardId {
        shard_of(&self.id, entry.shards)
    }

    /// The document as `documents/fetch` shows it with its vectors.
    pub fn target(&self, entry: &IndexEntry, document: &Map<String, Value>) -> SimilarTarget {
        let vectors = document.get("_vectors").and_then(|vectors| vectors.get(&self.embedder));
        let embeddings = vectors.map(|of| of.get("embeddings").unwrap_or(of));
        let first = embeddings.and_then(Value::as_array).filter(|list| !list.is_empty());
        let vector = first.map(|list| match &list[0] {
            Value::Array(vector) => json!(vector),
            _ => json!(list),
        });
        SimilarTarget { shard: self.shard(entry), vector }
    }

    /// The search that a node answers which does not have the document.
    fn as_search(&self, target: &SimilarTarget) -> Result<SearchRequest, NotUnderstood> {
        let mut body = self.shared();
        body.insert("offset".to_owned(), json!(self.offset));
        // Without a vector nothing is near, but the documents that could be are counted.
        body.insert("limit".to_owned(), json!(target.vector.as_ref().map_or(0, |_| self.limit)));
        if self.show_details {
            body.insert("showRankingScoreDetails".to_owned(), Value::Bool(true));
        }
        if let Some(vector) = &target.vector {
            body.insert("vector".to_owned(), vector.clone());
            body.insert("hybrid".to_owned(), json!({ "embedder": self.embedder, "semanticRatio": 1.0 }));
        }
        Ok(SearchRequest { paths: self.paths.clone(), ..SearchRequest::parse(body)? })
    }

    /// The paths that decide what is shown of a hit, if nodes have met them.
    pub fn named_paths(&self, settings: &ClientSettings) -> Vec<String> {
        let search = SearchRequest::parse(self.shared());
        search.map(|search| Shown::paths_of(&search, settings)).unwrap_or_default()
    }

    fn shared(&self) -> Map<String, Value> {
        let kept = SHARED.iter().filter_map(|key| Some(((*key).to_owned(), self.body.get(*key)?.clone())));
        kept.collect()
    }
}

/// What the node is asked that holds a whole index.
pub fn similar_passed_through(request: &SimilarRequest, entry: &IndexEntry, cover: Cover) -> Vec<PartPlan> {
    let part = |cover| {
        let mut body = request.body.clone();
        confine_to(&mut body, entry, &cover);
        PartPlan { cover, route: Route::Similar, body }
    };
    cover.parts.into_iter().map(part).collect()
}

/// What the nodes of a cover are asked where each holds a part.
pub fn plan_similar(
    request: &SimilarRequest,
    target: &SimilarTarget,
    entry: &IndexEntry,
    cover: Cover,
) -> Result<SearchPlan, NotUnderstood> {
    let mut plan = plan_with_cover(&request.as_search(target)?, entry, &Arc::default(), cover);
    let wanted = wanted(request, entry);
    for part in &mut plan.parts {
        if part.cover.shards.contains(&target.shard) {
            // What Miroir does not know is for this node to take or to refuse.
            let mut body = request.body.clone();
            for key in ["offset", "rankingScoreThreshold"] {
                body.shift_remove(key);
            }
            for key in ["filter", "attributesToRetrieve"] {
                body.extend(part.body.get(key).map(|value| (key.to_owned(), value.clone())));
            }
            body.insert("id".to_owned(), json!(request.id));
            body.insert("embedder".to_owned(), json!(request.embedder));
            body.insert("limit".to_owned(), json!(wanted));
            body.insert("showRankingScoreDetails".to_owned(), Value::Bool(true));
            (part.route, part.body) = (Route::Similar, body);
        } else if target.vector.is_some() && !part.body.contains_key("page") {
            part.body.insert("limit".to_owned(), json!(wanted));
        }
    }
    Ok(plan)
}

/// How many hits a node must send. Where a custom rule goes before the similarity, its first hits need not be near.
fn wanted(request: &SimilarRequest, entry: &IndexEntry) -> usize {
    let rules = entry.settings.list("rankingRules").unwrap_or_default();
    let is_custom = rules.first().is_some_and(|rule| rule.ends_with(":asc") || rule.ends_with(":desc"));
    let end = request.offset.saturating_add(request.limit);
    let end = if end == 0 { 0 } else { end.saturating_add(EQUALLY_NEAR) };
    if is_custom { end.max(max_total_hits(&entry.settings)) } else { end }
}

/// One answer out of the nodes' answers, but for the time that it took.
pub fn merge_similar(
    request: &SimilarRequest,
    plan: &SearchPlan,
    replies: Vec<Map<String, Value>>,
) -> Map<String, Value> {
    let window = Window::Offset { offset: request.offset, limit: request.limit };
    let performance = replies.iter().find_map(|reply| reply.get("performanceDetails").cloned());
    let (hits, total) = merge_near(&plan.merge, window, request.threshold, replies);
    let mut answer = Map::from_iter([
        ("hits".to_owned(), Value::Array(hits)),
        ("id".to_owned(), json!(request.id)),
        ("limit".to_owned(), json!(request.limit)),
        ("offset".to_owned(), json!(request.offset)),
        ("estimatedTotalHits".to_owned(), json!(total)),
    ]);
    answer.extend(performance.map(|details| ("performanceDetails".to_owned(), details)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_rule_is_refused_by_the_name_of_the_index_unless_it_is_read_as_a_list() {
        let told = |message: &str, rule: Value| {
            let error = ResponseError::new(ErrorCode::InvalidSimilarFilter, message);
            let error = as_rule_fault(error, &rule, &IndexUid::new("films"));
            (error.code, error.message)
        };
        let read = ErrorCode::InvalidSimilarFilter;
        assert_eq!(
            told("Was expecting a value", json!("a =")),
            (read, "Index `films`: Was expecting a value".into())
        );
        assert_eq!(told("Was expecting a value", json!(["a ="])), (read, "Was expecting a value".into()));
        let wrong = "Invalid syntax for the filter parameter: `expected String, found: 1`.";
        assert_eq!(told(wrong, json!([1])), (read, format!("Index `films`: {wrong}")));
        let applied = (ErrorCode::InvalidSearchFilter, "Attribute `b` is not filterable.".into());
        assert_eq!(told("Attribute `b` is not filterable.", json!("b = 1")), applied);
    }
}
