//! A search for the values of a facet: planned like a search, and its answers added before anything is cut.
//!
//! Which values a query finds, with prefixes and typos, is a node's own affair: it depends on the query and the value
//! alone. Counts are over disjoint shards, so they add up. Only the cap (`faceting.maxValuesPerFacet`) needs care: a
//! node's first values need not be the cluster's, so nodes have a larger cap (see [`crate::settings`]) and the
//! client's is applied to the sum.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::merge::{count_winners, merge_facet_hits};
use super::plan::{PartPlan, Route, confine_to, facet_order, max_total_hits};
use super::request::{present, string};
use super::{MergePlan, NotUnderstood, SearchKind, SearchRequest, cover_seed};
use crate::cover::{Cover, plan_cover};
use crate::ids::ShardId;
use crate::settings::values_per_facet;
use crate::view::{IndexEntry, View};

/// The body of `POST /indexes/{uid}/facet-search`, with what the merge needs read out.
#[derive(Debug, Clone, PartialEq)]
pub struct FacetSearchRequest {
    /// The client's whole body.
    pub body: Map<String, Value>,
    facet: String,
    query: Option<String>,
}

impl FacetSearchRequest {
    /// Reads a body. `Err` names a value that Meilisearch would refuse; nothing else is checked here, nodes do.
    pub fn parse(body: Map<String, Value>) -> Result<Self, NotUnderstood> {
        let facet = string(&body, "facetName")?.ok_or(NotUnderstood("facetName"))?;
        let query = string(&body, "facetQuery")?;
        if present(&body, "useNetwork").is_some_and(|network| !network.is_boolean()) {
            return Err(NotUnderstood("useNetwork"));
        }
        Ok(Self { body, facet, query })
    }

    /// The search over whose hits values are counted, where only one hit of each distinct value counts. A node leaves out
    /// what its own hits have in common; which hits are left of all nodes', only their lists together tell. A search by
    /// vectors counts every document, whatever is distinct (1.50), and so do its nodes.
    pub fn counted_over(&self, entry: &IndexEntry) -> Option<SearchRequest> {
        entry.settings.get("distinctAttribute").and_then(Value::as_str)?;
        if !entry.placement.is_scattered() {
            return None;
        }
        let kept = SEARCHED.iter().filter_map(|key| Some(((*key).to_owned(), self.body.get(*key)?.clone())));
        let mut body: Map<String, Value> = kept.collect();
        body.insert("attributesToRetrieve".to_owned(), json!([]));
        body.insert("page".to_owned(), json!(1));
        body.insert("hitsPerPage".to_owned(), json!(max_total_hits(&entry.settings)));
        let search = SearchRequest { counted: Some(self.facet.clone()), ..SearchRequest::parse(body).ok()? };
        (search.kind == SearchKind::Keyword).then_some(search)
    }
}

/// What decides which documents are found.
const SEARCHED: [&str; 9] = [
    "q",
    "filter",
    "matchingStrategy",
    "attributesToSearchOn",
    "rankingScoreThreshold",
    "locales",
    "vector",
    "media",
    "hybrid",
];

/// One facet search, decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FacetSearchPlan {
    /// Who is asked what.
    pub parts: Vec<PartPlan>,
    /// Shards of which no node that may be asked has a copy.
    pub missing: Vec<ShardId>,
    /// How the answers become one.
    pub merge: FacetHitsPlan,
}

/// What the merge of facet hits must know besides the answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FacetHitsPlan {
    /// One node holds the whole index: its answer is the answer.
    pub whole: bool,
    /// The client's `facetName`.
    pub facet: String,
    /// Values come by descending count, not by name.
    pub by_count: bool,
    /// The client's cap.
    pub max_values: usize,
    /// The client's `facetQuery`.
    pub query: Option<String>,
}

/// Decides a facet search against one view.
pub fn plan_facet_search(request: &FacetSearchRequest, entry: &IndexEntry, view: &View) -> FacetSearchPlan {
    let cover = plan_cover(&entry.placement, &view.readable_for(entry), cover_seed(&request.body));
    let missing = cover.missing.clone();
    let merge = FacetHitsPlan {
        whole: !entry.placement.is_scattered(),
        facet: request.facet.clone(),
        by_count: facet_order(&entry.settings).is_by_count(&request.facet),
        max_values: usize::try_from(values_per_facet(&entry.settings)).unwrap_or(usize::MAX),
        query: request.query.clone(),
    };
    FacetSearchPlan { parts: facet_search_parts(request, entry, cover), missing, merge }
}

/// What the nodes of a cover are asked.
pub fn facet_search_parts(request: &FacetSearchRequest, entry: &IndexEntry, cover: Cover) -> Vec<PartPlan> {
    let is_counted_over_hits = request.counted_over(entry).is_some();
    let part = |cover| {
        let mut body = request.body.clone();
        confine_to(&mut body, entry, &cover);
        if is_counted_over_hits {
            // Only which values there are is asked for: those of all hits that may win.
            body.shift_remove("exhaustiveFacetCount");
            return PartPlan { cover, route: Route::FacetSearch, body };
        }
        // How far a node counts would depend on how many hits it looks at; the sum of such counts means nothing.
        if entry.placement.is_scattered() && present(&body, "rankingScoreThreshold").is_some() {
            body.insert("exhaustiveFacetCount".to_owned(), Value::Bool(true));
        }
        PartPlan { cover, route: Route::FacetSearch, body }
    };
    cover.parts.into_iter().map(part).collect()
}

/// One answer out of the nodes' answers, but for the time that it took. `counted` are the nodes' answers to
/// [`FacetSearchRequest::counted_over`].
pub fn merge_facet_search(
    plan: &FacetHitsPlan,
    replies: Vec<Map<String, Value>>,
    counted: Option<(MergePlan, Vec<Map<String, Value>>)>,
) -> Map<String, Value> {
    if plan.whole {
        return replies.into_iter().next().unwrap_or_default();
    }
    let counts = counted.and_then(|(search, replies)| count_winners(&search, replies, &plan.facet));
    let hits = merge_facet_hits(plan, &replies, counts.as_ref());
    Map::from_iter([
        ("facetHits".to_owned(), Value::Array(hits)),
        ("facetQuery".to_owned(), json!(plan.query)),
    ])
}
