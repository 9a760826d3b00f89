//! One search in one index, from the request's parameters to the answer's JSON.

use std::str::FromStr;
use std::time::{Duration, Instant};

use deserr::Deserr;
use milli_core::heed::RoTxn;
use milli_core::score_details::ScoringStrategy;
use milli_core::tokenizer::Language;
use milli_core::vector::Embedder;
use milli_core::vector::error::EmbedError;
use milli_core::{AscDesc, Index, Search, SearchResult, SortError, TermsMatchingStrategy, TimeBudget};
use serde_json::{Map, Value, json};

use super::hits::{HitFormat, make_hits};
use super::locales::Locale;
use super::{embedders, facets, read};
use crate::error::{ApiError, Result};

const DEFAULT_LIMIT: usize = 20;
const DEFAULT_MAX_TOTAL_HITS: usize = 1000;
const DEFAULT_CUTOFF_MS: u64 = 1500;

/// The body of a search.
#[derive(Debug, Clone, Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the shape of Meilisearch's request")]
pub struct SearchQuery {
    #[deserr(default)]
    pub q: Option<String>,
    #[deserr(default)]
    pub offset: usize,
    #[deserr(default = DEFAULT_LIMIT)]
    pub limit: usize,
    #[deserr(default)]
    pub page: Option<usize>,
    #[deserr(default)]
    pub hits_per_page: Option<usize>,
    #[deserr(default)]
    pub attributes_to_retrieve: Option<Vec<String>>,
    #[deserr(default)]
    pub attributes_to_crop: Option<Vec<String>>,
    #[deserr(default = 10)]
    pub crop_length: usize,
    #[deserr(default = "…".to_owned())]
    pub crop_marker: String,
    #[deserr(default)]
    pub attributes_to_highlight: Option<Vec<String>>,
    #[deserr(default = "<em>".to_owned())]
    pub highlight_pre_tag: String,
    #[deserr(default = "</em>".to_owned())]
    pub highlight_post_tag: String,
    #[deserr(default)]
    pub show_matches_position: bool,
    #[deserr(default)]
    pub filter: Option<Value>,
    #[deserr(default)]
    pub sort: Option<Vec<String>>,
    #[deserr(default)]
    pub distinct: Option<String>,
    #[deserr(default)]
    pub facets: Option<Vec<String>>,
    #[deserr(default)]
    pub matching_strategy: MatchingStrategy,
    #[deserr(default)]
    pub attributes_to_search_on: Option<Vec<String>>,
    #[deserr(default)]
    pub ranking_score_threshold: Option<f64>,
    #[deserr(default)]
    pub locales: Option<Vec<Locale>>,
    #[deserr(default)]
    pub hybrid: Option<Hybrid>,
    #[deserr(default)]
    pub vector: Option<Vec<f32>>,
    #[deserr(default)]
    pub retrieve_vectors: bool,
    #[deserr(default)]
    pub media: Option<Value>,
    /// Needs a service this node has not; Meilisearch too answers unpersonalized hits when that service fails.
    #[deserr(default, rename = "personalize")]
    pub _personalize: Option<Value>,
    #[deserr(default)]
    pub use_network: Option<bool>,
    #[deserr(default)]
    pub show_ranking_score: bool,
    #[deserr(default)]
    pub show_ranking_score_details: bool,
    /// Accepted, but this engine measures nothing to show.
    #[deserr(default, rename = "showPerformanceDetails")]
    pub _show_performance_details: bool,
}

/// How vectors take part.
#[derive(Debug, Clone, Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
pub struct Hybrid {
    pub embedder: String,
    #[deserr(default = 0.5)]
    pub semantic_ratio: f32,
}

/// Which words of the query may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserr)]
#[deserr(rename_all = camelCase)]
pub enum MatchingStrategy {
    #[default]
    Last,
    All,
    Frequency,
}

impl From<MatchingStrategy> for TermsMatchingStrategy {
    fn from(strategy: MatchingStrategy) -> Self {
        match strategy {
            MatchingStrategy::Last => Self::Last,
            MatchingStrategy::All => Self::All,
            MatchingStrategy::Frequency => Self::Frequency,
        }
    }
}

/// What finds the documents.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Keyword,
    Semantic,
    Hybrid { ratio: f32 },
}

/// The part of the hits to answer, and in which words to say how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    offset: usize,
    limit: usize,
    pages: Option<(usize, usize)>,
}

impl SearchQuery {
    /// Refuses what this engine cannot do, rather than answer something else.
    fn check_supported(&self) -> Result<()> {
        let features = [
            (self.media.is_some(), "media", "multimodal"),
            (self.use_network == Some(true), "useNetwork", "network"),
        ];
        match features.iter().find(|(is_used, ..)| *is_used) {
            Some((_, name, feature)) => Err(ApiError::new(
                "feature_not_enabled",
                format!(
                    "passing `{name}` in a search query requires enabling the `{feature}` experimental feature."
                ),
            )),
            None => Ok(()),
        }
    }

    fn kind(&self) -> Result<Kind> {
        let Some(hybrid) = &self.hybrid else {
            return match self.vector {
                Some(_) => Err(ApiError::new(
                    "missing_search_hybrid",
                    "Invalid request: missing `hybrid` parameter when `vector` or `media` are present.",
                )),
                None => Ok(Kind::Keyword),
            };
        };
        Ok(match (hybrid.semantic_ratio, self.q.as_deref(), &self.vector) {
            (ratio, _, _) if ratio <= 0.0 => Kind::Keyword,
            (_, None, None) => Kind::Keyword,
            (_, None, Some(_)) => Kind::Semantic,
            (ratio, _, _) if ratio >= 1.0 => Kind::Semantic,
            (ratio, _, _) => Kind::Hybrid { ratio },
        })
    }

    /// Pages are counted exactly; offset and limit are capped by the setting, totals are not.
    fn window(&self, max_total_hits: usize) -> Window {
        let (offset, limit, pages) = if self.page.is_some() || self.hits_per_page.is_some() {
            let (page, size) = (self.page.unwrap_or(1), self.hits_per_page.unwrap_or(DEFAULT_LIMIT));
            let (offset, limit) =
                page.checked_sub(1).map_or((0, 0), |before| (size.saturating_mul(before), size));
            (offset, limit, Some((page, size)))
        } else {
            (self.offset, self.limit, None)
        };
        let offset = offset.min(max_total_hits);
        Window { offset, limit: limit.min(max_total_hits - offset), pages }
    }
}

/// Searches and answers; the uid is for messages.
pub fn run(index: &Index, uid: &str, query: &SearchQuery) -> Result<Value> {
    let started = Instant::now();
    query.check_supported()?;
    let kind = query.kind()?;
    let rtxn = index.read_txn()?;
    // Read before the index is looked at: what is wrong with the request alone does not name the index.
    let filter = query.filter.as_ref().map(read::parse_filter).transpose()?.flatten();
    let sort = parse_sort(query.sort.as_deref())?;
    let max_total_hits = index.pagination_max_total_hits(&rtxn)?;
    let max_total_hits =
        max_total_hits.map_or(DEFAULT_MAX_TOTAL_HITS, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let window = query.window(max_total_hits);
    let locales: Option<Vec<Language>> =
        query.locales.as_ref().map(|locales| locales.iter().map(Locale::language).collect());

    let mut search = index.search(&rtxn);
    search
        .offset(window.offset)
        .limit(window.limit)
        .exhaustive_number_hits(window.pages.is_some())
        .terms_matching_strategy(query.matching_strategy.into())
        .time_budget(time_budget(index, &rtxn)?)
        .scoring_strategy(scoring(query));
    if let Some(filter) = filter {
        search.filter(filter);
    }
    if let Some(sort) = sort {
        search.sort_criteria(sort);
    }
    if let Some(distinct) = &query.distinct {
        search.distinct(distinct.clone());
    }
    if let Some(attributes) = &query.attributes_to_search_on {
        search.searchable_attributes(attributes);
    }
    if let Some(threshold) = query.ranking_score_threshold {
        search.ranking_score_threshold(threshold);
    }
    if let Some(locales) = &locales {
        search.locales(locales.clone());
    }
    let query_vector = add_query(&mut search, index, &rtxn, query, kind)?;
    let (found, semantic_hits) = execute(&search, kind).map_err(|error| error.about_index(uid))?;

    let mut answer = Map::new();
    answer.insert("hits".to_owned(), Value::Null);
    answer.insert("query".to_owned(), json!(query.q.as_deref().unwrap_or_default()));
    if let Some(vector) = query_vector.filter(|_| query.retrieve_vectors) {
        answer.insert("queryVector".to_owned(), json!(vector));
    }
    add_window(&mut answer, query, window, found.candidates.len());
    if let Some(names) = query.facets.as_ref().filter(|names| !names.is_empty()) {
        let facets = facets::distribution(index, &rtxn, names, found.candidates.clone())?;
        answer.insert("facetDistribution".to_owned(), facets.distribution);
        answer.insert("facetStats".to_owned(), facets.stats);
    }
    if let Some(count) = semantic_hits {
        answer.insert("semanticHitCount".to_owned(), json!(count));
    }
    let format = HitFormat { query, locales: locales.as_deref() };
    answer.insert("hits".to_owned(), Value::Array(make_hits(index, &rtxn, &format, found)?));
    answer.insert("processingTimeMs".to_owned(), json!(elapsed_ms(started)));
    answer.insert("requestUid".to_owned(), json!(uuid::Uuid::now_v7()));
    Ok(Value::Object(answer))
}

/// Whole milliseconds since then.
pub fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The engine's form of a list of sort rules.
pub fn parse_sort(sort: Option<&[String]>) -> Result<Option<Vec<AscDesc>>> {
    let Some(sort) = sort else { return Ok(None) };
    let rules = sort.iter().map(|rule| AscDesc::from_str(rule)).collect::<Result<Vec<_>, _>>();
    Ok(Some(rules.map_err(SortError::from)?))
}

/// How long the engine may take before it answers what it has.
pub fn time_budget(index: &Index, rtxn: &RoTxn<'_>) -> Result<TimeBudget> {
    let milliseconds = index.search_cutoff(rtxn)?.unwrap_or(DEFAULT_CUTOFF_MS);
    Ok(TimeBudget::new(Duration::from_millis(milliseconds)))
}

fn scoring(query: &SearchQuery) -> ScoringStrategy {
    let is_needed = query.show_ranking_score
        || query.show_ranking_score_details
        || query.ranking_score_threshold.is_some();
    if is_needed { ScoringStrategy::Detailed } else { ScoringStrategy::Skip }
}

/// Gives the search its words and its vector; returns the vector if one was used.
fn add_query(
    search: &mut Search<'_>,
    index: &Index,
    rtxn: &RoTxn<'_>,
    query: &SearchQuery,
    kind: Kind,
) -> Result<Option<Vec<f32>>> {
    let embedder =
        query.hybrid.as_ref().map(|hybrid| embedders::find(index, rtxn, &hybrid.embedder)).transpose()?;
    if let (Some(q), Kind::Keyword | Kind::Hybrid { .. }) = (&query.q, kind) {
        search.query(q);
    }
    let (Some(ready), Kind::Semantic | Kind::Hybrid { .. }) = (embedder, kind) else { return Ok(None) };
    let vector = match (&query.vector, kind) {
        (Some(vector), _) => Some(checked_dimensions(&ready.embedder, vector)?),
        (None, Kind::Semantic) => Some(embed(&ready.embedder, query.q.as_deref().unwrap_or_default())?),
        (None, _) => None,
    };
    search.semantic(ready.name, ready.embedder, ready.is_quantized, vector.clone());
    Ok(vector)
}

fn checked_dimensions(embedder: &Embedder, vector: &[f32]) -> Result<Vec<f32>> {
    let expected = embedder.dimensions();
    if vector.len() != expected {
        let error = milli_core::UserError::InvalidVectorDimensions { expected, found: vector.len() };
        return Err(milli_core::Error::UserError(error).into());
    }
    Ok(vector.to_vec())
}

fn embed(embedder: &Embedder, text: &str) -> Result<Vec<f32>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    embedder
        .embed_search(text, Some(deadline))
        .map_err(|error: EmbedError| milli_core::Error::from(milli_core::vector::Error::from(error)).into())
}

fn execute(search: &Search<'_>, kind: Kind) -> Result<(SearchResult, Option<u32>)> {
    Ok(match kind {
        Kind::Keyword => (search.execute()?, None),
        Kind::Semantic => {
            let found = search.execute()?;
            let count = u32::try_from(found.documents_ids.len()).unwrap_or(u32::MAX);
            (found, Some(count))
        }
        Kind::Hybrid { ratio } => search.execute_hybrid(ratio)?,
    })
}

fn add_window(answer: &mut Map<String, Value>, query: &SearchQuery, window: Window, total: u64) {
    match window.pages {
        None => {
            answer.insert("limit".to_owned(), json!(query.limit));
            answer.insert("offset".to_owned(), json!(query.offset));
            answer.insert("estimatedTotalHits".to_owned(), json!(total));
        }
        Some((page, size)) => {
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            let pages = if size == 0 { 0 } else { total.div_ceil(size) };
            answer.insert("hitsPerPage".to_owned(), json!(size));
            answer.insert("page".to_owned(), json!(page));
            answer.insert("totalPages".to_owned(), json!(pages));
            answer.insert("totalHits".to_owned(), json!(total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refused::parse;

    fn query(body: Value) -> SearchQuery {
        parse(body).expect("a valid search")
    }

    #[test]
    fn a_window_ends_at_the_hit_limit_of_the_setting() {
        assert_eq!(
            query(json!({ "offset": 3, "limit": 20 })).window(10),
            Window { offset: 3, limit: 7, pages: None }
        );
        let second = query(json!({ "page": 2, "hitsPerPage": 4 })).window(6);
        assert_eq!(second, Window { offset: 4, limit: 2, pages: Some((2, 4)) });
        assert_eq!(query(json!({ "page": 0 })).window(10).limit, 0);
    }

    #[test]
    fn the_kind_of_a_search_follows_from_ratio_words_and_vector() {
        assert_eq!(query(json!({ "q": "a" })).kind(), Ok(Kind::Keyword));
        let hybrid = |body| query(body).kind();
        assert_eq!(hybrid(json!({ "hybrid": { "embedder": "e" }, "vector": [1] })), Ok(Kind::Semantic));
        assert_eq!(
            hybrid(json!({ "q": "a", "hybrid": { "embedder": "e" } })),
            Ok(Kind::Hybrid { ratio: 0.5 })
        );
        assert_eq!(query(json!({ "vector": [1] })).kind().unwrap_err().code, "missing_search_hybrid");
    }
}
