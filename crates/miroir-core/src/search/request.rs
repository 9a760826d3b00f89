//! What of a search body concerns sharding.

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::SearchKind;
use crate::document::paths::PathsMet;

/// Meilisearch's default for `limit` and `hitsPerPage`.
const DEFAULT_LIMIT: usize = 20;

/// What moves the window.
pub(super) const WINDOW: [&str; 4] = ["offset", "limit", "page", "hitsPerPage"];

/// Which stretch of the ordered hits the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Window {
    /// `offset` and `limit`: the total may be an estimate.
    Offset {
        /// Hits to skip.
        offset: usize,
        /// Hits to return.
        limit: usize,
    },
    /// `page` and `hitsPerPage`: the total is exact.
    Page {
        /// Counted from 1; page 0 has no hits.
        page: usize,
        /// Hits on a page.
        hits_per_page: usize,
    },
}

impl Window {
    /// The hits to skip and the place behind the last hit wanted.
    pub fn range(self) -> std::ops::Range<usize> {
        match self {
            Self::Offset { offset, limit } => offset..offset.saturating_add(limit),
            Self::Page { page, hits_per_page } => match page.checked_sub(1) {
                Some(before) => {
                    let start = before.saturating_mul(hits_per_page);
                    start..start.saturating_add(hits_per_page)
                }
                None => 0..0,
            },
        }
    }
}

/// A value that is not of the form that Meilisearch accepts. A node knows best how to say so: it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("`{0}` is not of the expected form")]
pub struct NotUnderstood(pub &'static str);

/// A search as the client sent it, with the parts that sharding depends on read out.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// The client's whole body.
    pub body: Map<String, Value>,
    /// Which hits.
    pub window: Window,
    /// `None` stands for all displayed attributes.
    pub attributes_to_retrieve: Option<Vec<String>>,
    /// The facets asked for; empty for none.
    pub facets: Vec<String>,
    /// The `distinct` parameter.
    pub distinct: Option<String>,
    /// The `sort` parameter.
    pub sort: Vec<String>,
    /// Whether details are for the client too, not only for the merge.
    pub show_ranking_score_details: bool,
    /// Whether scores are for the client too.
    pub show_ranking_score: bool,
    /// A threshold is set: what a node counts then depends on how many hits it is asked for.
    pub has_threshold: bool,
    /// How documents are found.
    pub kind: SearchKind,
    /// An attribute whose values are counted over the hits; see [`super::FacetSearchRequest::counted_over`].
    pub counted: Option<String>,
    /// What nodes say of the paths that the client names.
    pub paths: PathsMet,
}

impl SearchRequest {
    /// Reads a search body. `Err` names a value that Meilisearch would refuse; nothing else is checked here, nodes do.
    pub fn parse(body: Map<String, Value>) -> Result<Self, NotUnderstood> {
        let window = parse_window(&body)?;
        not_null(&body, &["showRankingScoreDetails"])?;
        if present(&body, "useNetwork").is_some_and(|network| !network.is_boolean()) {
            return Err(NotUnderstood("useNetwork"));
        }
        let attributes = strings(&body, "attributesToRetrieve")?;
        for rewritten in ["attributesToHighlight", "attributesToCrop"] {
            strings(&body, rewritten)?;
        }
        Ok(Self {
            window,
            attributes_to_retrieve: attributes.filter(|list| !list.iter().any(|name| name == "*")),
            facets: strings(&body, "facets")?.unwrap_or_default(),
            distinct: string(&body, "distinct")?,
            sort: strings(&body, "sort")?.unwrap_or_default(),
            show_ranking_score_details: flag(&body, "showRankingScoreDetails")?,
            show_ranking_score: flag(&body, "showRankingScore")?,
            has_threshold: present(&body, "rankingScoreThreshold").is_some(),
            kind: SearchKind::of(&body)?,
            counted: None,
            paths: PathsMet::default(),
            body,
        })
    }

    /// The body without what only moves the window: equal for all pages of one query.
    pub fn without_window(&self) -> Map<String, Value> {
        let mut body = self.body.clone();
        for key in WINDOW {
            body.shift_remove(key);
        }
        body
    }
}

pub(super) fn present<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}

/// Fields that have a default, but no way to ask for it.
pub(super) fn not_null(body: &Map<String, Value>, keys: &[&'static str]) -> Result<(), NotUnderstood> {
    match keys.iter().find(|key| body.get(**key).is_some_and(Value::is_null)) {
        Some(key) => Err(NotUnderstood(key)),
        None => Ok(()),
    }
}

pub(super) fn parse_window(body: &Map<String, Value>) -> Result<Window, NotUnderstood> {
    let page = count(body, "page")?;
    let hits_per_page = count(body, "hitsPerPage")?;
    not_null(body, &["offset", "limit"])?;
    let offset = count(body, "offset")?;
    let limit = count(body, "limit")?;
    if page.is_some() || hits_per_page.is_some() {
        let hits_per_page = hits_per_page.unwrap_or(DEFAULT_LIMIT);
        return Ok(Window::Page { page: page.unwrap_or(1), hits_per_page });
    }
    Ok(Window::Offset { offset: offset.unwrap_or(0), limit: limit.unwrap_or(DEFAULT_LIMIT) })
}

pub(super) fn count(body: &Map<String, Value>, key: &'static str) -> Result<Option<usize>, NotUnderstood> {
    present(body, key)
        .map(|value| value.as_u64().and_then(|count| usize::try_from(count).ok()).ok_or(NotUnderstood(key)))
        .transpose()
}

pub(super) fn string(body: &Map<String, Value>, key: &'static str) -> Result<Option<String>, NotUnderstood> {
    present(body, key).map(|value| value.as_str().map(str::to_owned).ok_or(NotUnderstood(key))).transpose()
}

pub(super) fn flag(body: &Map<String, Value>, key: &'static str) -> Result<bool, NotUnderstood> {
    present(body, key).map_or(Ok(false), |value| value.as_bool().ok_or(NotUnderstood(key)))
}

pub(super) fn strings(
    body: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<Vec<String>>, NotUnderstood> {
    let Some(list) = present(body, key) else { return Ok(None) };
    let list = list.as_array().ok_or(NotUnderstood(key))?;
    list.iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or(NotUnderstood(key)))
        .collect::<Result<_, _>>()
        .map(Some)
}
