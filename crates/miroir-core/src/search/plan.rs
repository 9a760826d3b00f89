//! Which nodes are asked what, and how their answers become one. A plan is a value: planning is pure, executing it is
//! somebody else's business.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use xxhash_rust::xxh64::Xxh64;

use super::request::WINDOW;
use super::{PinOrder, SearchKind, SearchRequest, Shown, Window, rewrite};
use crate::cover::{Cover, CoverPart};
use crate::document::marker;
use crate::ids::{NodeId, PhysicalUid, ShardId};
use crate::rules::RuleBook;
use crate::settings::{ClientSettings, lies_in, matches_pattern, tie_rule, values_per_facet};
use crate::view::{IndexEntry, View};

/// Meilisearch's default for `pagination.maxTotalHits`.
const DEFAULT_MAX_TOTAL_HITS: usize = 1_000;

/// So many hits of each node more than are wanted, where hits are found by vectors: of equally near ones at the end of its
/// list a node sends any, and which of them are shown is decided by the primary key.
pub(super) const EQUALLY_NEAR: usize = 20;

/// One search, decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchPlan {
    /// The index on the nodes.
    pub physical: PhysicalUid,
    /// Who is asked what; together they search every shard once, but for the missing ones.
    pub parts: Vec<PartPlan>,
    /// Shards of which no node that may be asked has a copy.
    pub missing: Vec<ShardId>,
    /// How the answers become one.
    pub merge: MergePlan,
}

/// What one node is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartPlan {
    /// The choice of node and shards.
    pub cover: CoverPart,
    /// Which of the node's routes is asked.
    pub route: Route,
    /// The body for that node.
    pub body: Map<String, Value>,
}

/// The routes of a node that find something in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Documents by words, vectors or both.
    Search,
    /// Values of a facet.
    FacetSearch,
    /// Documents near to another one.
    Similar,
}

impl Route {
    /// What follows the index in the path.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::FacetSearch => "facet-search",
            Self::Similar => "similar",
        }
    }
}

impl PartPlan {
    /// Who is asked.
    pub fn node(&self) -> &NodeId {
        &self.cover.node
    }
}

/// What the merge must know besides the answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MergePlan {
    /// One node, whose settings are the client's own, holds the whole index: its answer is the answer.
    pub whole: bool,
    /// The client's window.
    pub window: Window,
    /// Hits beyond this place are never shown, whatever the totals say (`pagination.maxTotalHits`).
    pub max_total_hits: usize,
    /// How many hits each node is asked for.
    pub hits_per_node: usize,
    /// The attribute of which only one hit per value is kept.
    pub distinct: Option<String>,
    /// The facets that nodes are asked for: the client's, and the distinct attribute to count its values.
    pub node_facets: Vec<String>,
    /// The facet that only the merge asked for; the last one of `node_facets`.
    pub hidden_facet: Option<String>,
    /// The client's cap on the values of a facet.
    pub max_values_per_facet: usize,
    /// Facets whose values are ordered by count; the others are ordered by name.
    pub facet_order: FacetOrder,
    /// The key of the tie rule in the score details, where it is Miroir's and not the client's.
    pub tie_rule: Option<String>,
    /// Whether the client asked for the score details.
    pub show_details: bool,
    /// Whether the client asked for the score.
    pub show_score: bool,
    /// How the two halves of a hybrid search become one.
    pub hybrid: Option<HybridPlan>,
    /// How pins of several nodes become one server's; `None` where no rule pins anything.
    pub pins: Option<PinOrder>,
    /// The attributes that the client sees.
    pub shown: Shown,
    /// The field that tells whether two hits are one document, and orders those that nothing else tells apart.
    pub primary_key: Option<String>,
}

/// What the merge of a hybrid search's two halves must know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HybridPlan {
    /// How much the vectors' scores weigh.
    pub ratio: f32,
}

impl HybridPlan {
    /// What the words' scores are multiplied by.
    pub fn keyword_weight(&self) -> f64 {
        f64::from(1.0 - self.ratio)
    }

    /// What the vectors' scores are multiplied by.
    pub fn semantic_weight(&self) -> f64 {
        f64::from(self.ratio)
    }
}

impl MergePlan {
    /// Whether the client does not see this facet, which nodes count for the merge.
    pub(super) fn hides_facet(&self, facet: &str) -> bool {
        self.hidden_facet.as_ref().is_some_and(|hidden| {
            let asked = self.node_facets.split_last().map_or(&[][..], |(_, asked)| asked);
            lies_in(facet, hidden) && !is_asked(asked, facet)
        })
    }
}

/// `faceting.sortFacetValuesBy` as the client set it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FacetOrder(Map<String, Value>);

impl FacetOrder {
    /// Whether this facet's values come by descending count rather than by name.
    pub fn is_by_count(&self, facet: &str) -> bool {
        self.0.get(facet).or_else(|| self.0.get("*")).and_then(Value::as_str) == Some("count")
    }
}

/// Decides a search against one view.
pub fn plan_search(request: &SearchRequest, entry: &IndexEntry, view: &View) -> SearchPlan {
    let moves_the_window = |name: &&String| WINDOW.contains(&name.as_str());
    let seed = cover_seed(request.body.iter().filter(|(name, _)| !moves_the_window(name)));
    let cover = crate::cover::plan_cover(&entry.placement, &view.readable_for(entry), seed);
    plan_with_cover(request, entry, &view.rules, cover)
}

/// The seed that decides between equally good covers: the same for all pages of one query, so that they agree.
pub(super) fn cover_seed<'a>(query: impl IntoIterator<Item = (&'a String, &'a Value)>) -> u64 {
    // A query can be as long as a body, so its text is not put together for this.
    let mut hasher = Xxh64::new(0);
    serde_json::Serializer::new(&mut hasher).collect_map(query).expect("JSON can be written");
    hasher.digest()
}

/// A plan over a given cover: the whole index, or the shards that another node failed to answer for.
pub fn plan_with_cover(
    request: &SearchRequest,
    entry: &IndexEntry,
    rules: &Arc<RuleBook>,
    cover: Cover,
) -> SearchPlan {
    let merge = plan_merge(request, entry, rules);
    let parts = cover.parts.into_iter().map(|part| plan_part(request, entry, &merge, part)).collect();
    SearchPlan { physical: entry.physical.clone(), parts, missing: cover.missing, merge }
}

fn plan_part(request: &SearchRequest, entry: &IndexEntry, merge: &MergePlan, part: CoverPart) -> PartPlan {
    let mut body = request.body.clone();
    // A node's network is not the client's.
    body.shift_remove("useNetwork");
    if let Some(shards) = shards_to_select(entry, &part) {
        rewrite::confine_search(&mut body, shards, merge);
    }
    if !merge.whole {
        rewrite::widen(&mut body, request, &merge.shown, merge);
    }
    PartPlan { cover: part, route: Route::Search, body }
}

/// Restricts what a node is asked to the shards that it answers for, where it may hold others.
pub(super) fn confine_to(body: &mut Map<String, Value>, entry: &IndexEntry, part: &CoverPart) {
    if let Some(shards) = shards_to_select(entry, part) {
        rewrite::confine(body, shards);
    }
}

fn shards_to_select(entry: &IndexEntry, part: &CoverPart) -> Option<Value> {
    let shards = part.shards.iter().copied();
    if part.holds_exactly { None } else { marker::selection_filter(shards, entry.shards) }
}

/// How the answers of several nodes to one query become one.
pub(super) fn plan_merge(request: &SearchRequest, entry: &IndexEntry, rules: &Arc<RuleBook>) -> MergePlan {
    let mut merge = plan_answer(request, entry, rules);
    for attribute in merge_reads(request, &merge, &entry.settings) {
        merge.shown.also_read(&attribute);
    }
    merge
}

fn plan_answer(request: &SearchRequest, entry: &IndexEntry, rules: &Arc<RuleBook>) -> MergePlan {
    let settings = &entry.settings;
    let max_total_hits = max_total_hits(settings);
    let wanted = request.window.range().end.min(max_total_hits);
    let distinct = request
        .distinct
        .clone()
        .or_else(|| settings.get("distinctAttribute").and_then(Value::as_str).map(str::to_owned));
    let pins = PinOrder::new(rules, entry);
    let reach = pins.as_ref().filter(|_| wanted > 0).map_or(0, PinOrder::reach).min(max_total_hits);
    let mut node_facets = request.facets.clone();
    let hidden_facet =
        distinct.clone().filter(|field| settings.is_filterable(field) && !is_asked(&node_facets, field));
    node_facets.extend(hidden_facet.clone());
    MergePlan {
        whole: !entry.placement.is_scattered(),
        window: request.window,
        max_total_hits,
        // The same value can win on two nodes; to count it once, all candidates must be seen.
        hits_per_node: if distinct.is_some() {
            max_total_hits
        } else {
            wanted.max(reach) + equally_near(request, wanted)
        },
        distinct,
        node_facets,
        hidden_facet,
        max_values_per_facet: usize::try_from(values_per_facet(settings)).unwrap_or(usize::MAX),
        facet_order: facet_order(settings),
        tie_rule: own_tie_rule(request, entry),
        show_details: request.show_ranking_score_details,
        show_score: request.show_ranking_score,
        hybrid: match request.kind {
            SearchKind::Hybrid { ratio } => Some(HybridPlan { ratio }),
            SearchKind::Keyword | SearchKind::Semantic => None,
        },
        pins,
        shown: Shown::new(request, settings),
        primary_key: entry.primary_key.clone(),
    }
}

fn equally_near(request: &SearchRequest, wanted: usize) -> usize {
    if wanted == 0 || request.kind == SearchKind::Keyword { 0 } else { EQUALLY_NEAR }
}

/// Whether nodes count this attribute because of these facets. A facet stands for what is below it too.
pub(super) fn is_asked(facets: &[String], field: &str) -> bool {
    facets.iter().any(|facet| matches_pattern(facet, field) || lies_in(field, facet))
}

/// Miroir's rule has an effect, and so a key, only if nothing before it orders by the primary key.
fn own_tie_rule(request: &SearchRequest, entry: &IndexEntry) -> Option<String> {
    if !entry.placement.is_scattered() {
        return None;
    }
    let key = entry.primary_key.as_deref()?;
    let sorted = request.sort.iter().any(|sort| sort.rsplit_once(':').is_some_and(|(field, _)| field == key));
    tie_rule(&entry.settings, Some(key)).filter(|_| !sorted)
}

/// The attributes that the merge reads from the hits themselves.
fn merge_reads(request: &SearchRequest, merge: &MergePlan, settings: &ClientSettings) -> Vec<String> {
    let by_distance = request.sort.iter().any(|sort| sort.starts_with("_geoPoint"));
    let mut names: Vec<String> = merge.distinct.iter().cloned().collect();
    if merge.distinct.is_some() {
        let (patterns, facets): (Vec<&String>, Vec<&String>) =
            request.facets.iter().partition(|facet| facet.contains('*'));
        names.extend(facets.into_iter().cloned());
        let sources = if patterns.is_empty() { Vec::new() } else { settings.filterable_sources() };
        names.extend(sources.into_iter().map(str::to_owned));
    }
    names.extend(by_distance.then(|| "_geo".to_owned()));
    names.extend(merge.primary_key.clone().filter(|_| request.kind != SearchKind::Keyword));
    names.extend(request.counted.clone());
    names.extend(merge.pins.as_ref().map(|pins| pins.primary_key.clone()));
    names
}

pub(super) fn max_total_hits(settings: &ClientSettings) -> usize {
    settings
        .get("pagination")
        .and_then(|pagination| pagination.get("maxTotalHits"))
        .and_then(Value::as_u64)
        .and_then(|hits| usize::try_from(hits).ok())
        .unwrap_or(DEFAULT_MAX_TOTAL_HITS)
}

pub(super) fn facet_order(settings: &ClientSettings) -> FacetOrder {
    let orders = settings.get("faceting").and_then(|faceting| faceting.get("sortFacetValuesBy"));
    FacetOrder(orders.and_then(Value::as_object).cloned().unwrap_or_default())
}
