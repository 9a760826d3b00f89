//! Searches by words and vectors at once.
//!
//! One Meilisearch searches by words first, and by vectors only if the words did not find enough hits that are good
//! enough; then it merges the two lists by their scores times the client's ratio (1.50, `search/hybrid.rs`). Nodes that
//! did so on their own would decide differently, and show nothing of the weights. So they are asked for the two halves
//! apart, and both steps are taken once, in the merge.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::request::present;
use super::{MergePlan, NotUnderstood, SearchRequest};

/// How a search finds documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SearchKind {
    /// By words, or all of them.
    Keyword,
    /// By a vector.
    Semantic,
    /// By both.
    Hybrid {
        /// How much a vector's score weighs; the words' weighs the rest. As Meilisearch keeps it.
        ratio: f32,
    },
}

/// So near to 1 that no hit of the words stands before one of the vectors that is like the query at all, and yet not 1.
const ALMOST_ALL: f64 = 0.999_999_9;

/// Parameters that show where the words of a query match.
const SHOWING_MATCHES: [&str; 3] = ["attributesToHighlight", "attributesToCrop", "showMatchesPosition"];

impl SearchKind {
    /// Meilisearch's decision (1.50, `search_kind`), without what it refuses.
    pub(super) fn of(body: &Map<String, Value>) -> Result<Self, NotUnderstood> {
        let Some(hybrid) = present(body, "hybrid") else { return Ok(Self::Keyword) };
        let ratio = match hybrid.as_object().ok_or(NotUnderstood("hybrid"))?.get("semanticRatio") {
            None | Some(Value::Null) => 0.5,
            Some(ratio) => ratio.as_f64().ok_or(NotUnderstood("hybrid"))?,
        };
        #[expect(clippy::cast_possible_truncation, reason = "Meilisearch keeps it like this")]
        let ratio = ratio as f32;
        let words = present(body, "q").and_then(Value::as_str).is_some_and(|q| !q.trim().is_empty());
        let vector = ["vector", "media"].iter().any(|key| present(body, key).is_some());
        Ok(if ratio <= 0.0 || !(words || vector) {
            Self::Keyword
        } else if ratio < 1.0 && words {
            Self::Hybrid { ratio }
        } else {
            Self::Semantic
        })
    }
}

impl SearchRequest {
    /// Whether a vector must be made of the query first.
    pub fn needs_embedding(&self) -> bool {
        self.kind != SearchKind::Keyword && present(&self.body, "vector").is_none()
    }

    /// Who makes the vectors.
    pub fn embedder(&self) -> Option<&str> {
        self.body.get("hybrid")?.get("embedder")?.as_str()
    }

    /// The half that searches by words.
    #[must_use]
    pub fn keyword_half(&self) -> Self {
        let mut body = self.body.clone();
        for key in ["hybrid", "vector", "media"] {
            body.shift_remove(key);
        }
        body.insert("showRankingScore".to_owned(), Value::Bool(true));
        Self { body, ..self.clone() }
    }

    /// The half that searches by a vector, which must be there; `plan` is the other half's.
    #[must_use]
    pub fn semantic_half(&self, plan: &MergePlan) -> Self {
        let ratio = if self.vectors_need_words(plan) { ALMOST_ALL } else { 1.0 };
        let mut half = self.with_ratio(ratio);
        half.body.insert("showRankingScore".to_owned(), Value::Bool(true));
        half
    }

    /// Whether the half that searches by a vector depends on the words: on those that must not be there, on their
    /// matches, on how many documents the two halves have together, or on the rules that they activate.
    fn vectors_need_words(&self, plan: &MergePlan) -> bool {
        let negative = present(&self.body, "q").and_then(Value::as_str).is_some_and(|q| q.contains('-'));
        let showing = SHOWING_MATCHES
            .iter()
            .any(|key| present(&self.body, key).is_some_and(|value| *value != Value::Bool(false)));
        negative || showing || self.has_threshold || plan.distinct.is_some() || plan.pins.is_some()
    }

    /// The search that makes a node show the query's vector, and find next to nothing. A hybrid one does not fail when
    /// there is no vector to be had.
    #[must_use]
    pub fn embedding(&self) -> Map<String, Value> {
        let ratio = if matches!(self.kind, SearchKind::Hybrid { .. }) { ALMOST_ALL } else { 1.0 };
        let mut body = Map::new();
        for key in ["q", "media", "hybrid"] {
            body.extend(self.body.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        set_ratio(&mut body, ratio);
        // Without any hit wanted the words alone would be good enough.
        body.insert("limit".to_owned(), json!(1));
        body.insert("retrieveVectors".to_owned(), Value::Bool(true));
        body.insert("attributesToRetrieve".to_owned(), json!([]));
        body
    }

    /// The same search by a vector that was made of its query.
    #[must_use]
    pub fn with_vector(&self, vector: Value) -> Self {
        let mut body = self.body.clone();
        body.shift_remove("media");
        body.insert("vector".to_owned(), vector);
        Self { body, ..self.clone() }
    }

    fn with_ratio(&self, ratio: f64) -> Self {
        let mut body = self.body.clone();
        set_ratio(&mut body, ratio);
        Self { body, ..self.clone() }
    }
}

fn set_ratio(body: &mut Map<String, Value>, ratio: f64) {
    if let Some(hybrid) = body.get_mut("hybrid").and_then(Value::as_object_mut) {
        hybrid.insert("semanticRatio".to_owned(), json!(ratio));
    }
}
