//! Which nodes are asked what for a federated search.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh64::xxh64;

use super::rules::{Canonical, Comparable};
use super::{Federation, MergeFacets, MultiRequest, SubQuery};
use crate::cover::{Cover, CoverPart, plan_cover};
use crate::document::marker;
use crate::error::{ErrorCode, ResponseError};
use crate::hash::draw;
use crate::ids::{IndexUid, NodeId, PhysicalUid, ShardCount};
use crate::search::plan::plan_merge;
use crate::search::{MergePlan, NotUnderstood, SearchKind, SearchRequest, Window, rewrite};
use crate::settings::{ranking_rules_of, tie_rule};
use crate::view::{IndexEntry, View};

/// A federated search, decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FederatedPlan {
    /// The indexes that are searched, by name.
    pub indexes: Vec<IndexPlan>,
    /// Which hits of the merged list the client gets.
    pub window: Window,
    /// The attribute of which only one hit per value is kept, over all indexes.
    pub distinct: Option<String>,
    /// Whether the facets of all indexes become one list.
    pub merge_facets: Option<MergeFacets>,
    /// Some query names a server of a network: this one's name, which hits then carry.
    pub remote: Option<String>,
}

/// The queries of one index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexPlan {
    /// The client's name of the index.
    pub uid: IndexUid,
    /// The name on the nodes.
    pub physical: PhysicalUid,
    /// How many shards there are.
    pub shards: ShardCount,
    /// What tells documents apart.
    pub primary_key: Option<String>,
    /// The queries, in the client's order.
    pub queries: Vec<QueryPlan>,
    /// Which of the queries are asked together; see [`plan_federated`].
    pub groups: Vec<Vec<usize>>,
    /// With several groups, one more request in which all queries together are only counted.
    pub counts_apart: bool,
    /// Who is asked.
    pub cover: Cover,
    /// `federation` in the requests to nodes.
    pub federation: Map<String, Value>,
    /// Whether the client asked for facets of this index.
    pub shows_facets: bool,
    /// How the index's facets and totals become one.
    pub facets: MergePlan,
}

/// So many hits of a node are asked for at once, if not a single request wants more.
const HITS_PER_BATCH: usize = 4096;

/// Requests of an [`IndexPlan`] that are made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The groups of queries that are asked for.
    pub groups: Range<usize>,
    /// Whether all queries together are counted too.
    pub counts: bool,
}

/// One query of a federated search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryPlan {
    /// Its place in the request; its name towards nodes.
    pub ordinal: usize,
    /// Its name towards the client.
    pub position: usize,
    /// What its scores are multiplied with.
    pub weight: f64,
    /// The search body for nodes, without the shard filter.
    pub body: Map<String, Value>,
    /// How the nodes' hits become one list.
    pub merge: MergePlan,
}

/// Why a federated search can't be planned.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A value is not of the form that Meilisearch accepts.
    NotUnderstood(NotUnderstood),
    /// One query is refused.
    Query {
        /// The query's place in the request.
        ordinal: usize,
        /// The place that the client gave it; the same where it gave none.
        position: usize,
        /// Its index.
        index: IndexUid,
        /// What Meilisearch says, without the query's place.
        error: ResponseError,
    },
}

impl From<NotUnderstood> for Fault {
    fn from(what: NotUnderstood) -> Self {
        Self::NotUnderstood(what)
    }
}

impl FederatedPlan {
    /// All requests for an index of the plan, a batch after the other, such that the answers to one batch have some
    /// [`HITS_PER_BATCH`] hits of each node. Where a hit that goes out may change what else there is (distinct values), no
    /// answer can be merged before all are there: then there is one batch.
    ///
    /// # Panics
    /// If there is no such index.
    pub fn batches(&self, at: usize) -> Vec<Batch> {
        let index = &self.indexes[at];
        let groups = index.groups.len();
        let keeps_all =
            self.distinct.is_some() || index.queries.iter().any(|query| query.merge.distinct.is_some());
        let size = if keeps_all { groups } else { HITS_PER_BATCH / index.hits_per_node().max(1) }.max(1);
        let mut batches: Vec<Batch> = (0..groups)
            .step_by(size)
            .map(|first| Batch { groups: first..groups.min(first + size), counts: false })
            .collect();
        if let Some(last) = batches.last_mut() {
            last.counts = index.counts_apart;
        }
        batches
    }
}

/// Decides a federated search against one view.
///
/// Each query of an index is asked apart, and one more request counts them together: the nodes' ranking rules end with
/// the tie rule, by which hits of two queries would trade places, and some be cut, that are equal without it. Only where
/// all hits are asked for anyway, since they must be distinct, queries go together as far as the nodes compare them.
pub fn plan_federated(
    request: &MultiRequest,
    federation: &Federation,
    view: &View,
    this_server: Option<&str>,
) -> Result<FederatedPlan, Fault> {
    let mut comparable = Comparable::default();
    let mut indexes = Vec::new();
    for (uid, ordinals) in by_index(&request.queries) {
        let refuse = |ordinal, error| Fault::Query {
            ordinal,
            position: position(&request.queries, ordinal),
            index: uid.clone(),
            error,
        };
        let entry = view.index(uid).ok_or_else(|| {
            let message = format!("Index `{uid}` not found.");
            refuse(ordinals[0], ResponseError::new(ErrorCode::IndexNotFound, message))
        })?;
        for &ordinal in &ordinals {
            let rules = Canonical::of(&ranking_rules_of(&entry.settings), &request.queries[ordinal].body);
            let position = position(&request.queries, ordinal);
            comparable.admit(rules, position, uid.as_str()).map_err(|message| {
                refuse(ordinal, ResponseError::new(ErrorCode::InvalidMultiSearchQueryRankingRules, message))
            })?;
        }
        indexes.push(plan_index(&request.queries, &ordinals, federation, entry, view)?);
    }
    let names_remote = request
        .queries
        .iter()
        .any(|query| query.options.as_ref().is_some_and(|options| options.remote.is_some()));
    Ok(FederatedPlan {
        indexes,
        window: federation.window,
        distinct: federation.distinct.clone(),
        merge_facets: federation.merge_facets,
        remote: this_server.filter(|_| names_remote).map(str::to_owned),
    })
}

/// A node of `usable` that is in sync and holds every index of the request as a whole, with the client's own settings: it can be asked
/// what the client asked. Indexes that do not exist don't count.
pub fn whole_node(request: &MultiRequest, view: &View, usable: &BTreeSet<NodeId>) -> Option<NodeId> {
    let facets = request.federation.iter().flat_map(|federation| federation.facets.keys());
    let uids = request.queries.iter().map(|query| &query.index).chain(facets);
    let mut nodes: BTreeSet<&NodeId> = usable.iter().collect();
    for entry in uids.filter_map(|uid| view.index(uid)) {
        if entry.placement.is_scattered() {
            return None;
        }
        let shards = entry.shards.get() as usize;
        let may_be_asked = view.readable_for(entry).in_sync;
        nodes.retain(|node| may_be_asked.contains(*node) && entry.placement.shard_count_of(node) == shards);
    }
    let seed = seed(request.queries.iter());
    nodes.into_iter().max_by_key(|node| draw(seed, node.as_str().as_bytes())).cloned()
}

impl IndexPlan {
    /// How many hits one request asks of a node at most.
    pub fn hits_per_node(&self) -> usize {
        self.queries.iter().map(|query| query.merge.hits_per_node).max().unwrap_or(0)
    }

    /// The bodies of a batch's requests to one node: one for each group, then the one that counts.
    pub fn bodies(&self, part: &CoverPart, batch: &Batch) -> Vec<Value> {
        let mut bodies: Vec<Value> = self.groups[batch.groups.clone()]
            .iter()
            .map(|group| {
                let mut federation = self.federation.clone();
                if self.counts_apart {
                    federation.shift_remove("facetsByIndex");
                }
                let queries = group.iter().map(|&query| self.query_for(part, &self.queries[query]));
                json!({ "queries": queries.collect::<Vec<_>>(), "federation": federation })
            })
            .collect();
        if batch.counts {
            let queries = self.queries.iter().map(|query| self.counted_query(part, query));
            let mut federation = self.federation.clone();
            // Where a node's count depends on the hits that it looks at, it must look at them.
            if federation.contains_key("limit") {
                federation.insert("limit".to_owned(), json!(0));
            }
            bodies.push(json!({ "queries": queries.collect::<Vec<_>>(), "federation": federation }));
        }
        bodies
    }

    fn query_for(&self, part: &CoverPart, query: &QueryPlan) -> Value {
        let mut body = query.body.clone();
        if !part.holds_exactly
            && let Some(shards) = marker::selection_filter(part.shards.iter().copied(), self.shards)
        {
            rewrite::confine_search(&mut body, shards, &query.merge);
        }
        body.insert("indexUid".to_owned(), json!(self.physical));
        body.insert(
            "federationOptions".to_owned(),
            json!({ "weight": query.weight, "queryPosition": query.ordinal }),
        );
        Value::Object(body)
    }

    /// The same documents in an order that compares with every other query's: nobody looks at it.
    fn counted_query(&self, part: &CoverPart, query: &QueryPlan) -> Value {
        let mut counted = self.query_for(part, query);
        if let Some(body) = counted.as_object_mut() {
            counting(body);
        }
        counted
    }
}

/// No word and no blank, so that the rules are those of a search by words, and everything is found.
const NO_WORD: &str = "\0";

fn counting(body: &mut Map<String, Value>) {
    body.shift_remove("sort");
    if body.get("q").and_then(Value::as_str).is_none_or(|q| q.trim().is_empty()) {
        body.insert("q".to_owned(), json!(NO_WORD));
    }
}

fn by_index(queries: &[SubQuery]) -> BTreeMap<&IndexUid, Vec<usize>> {
    let mut indexes: BTreeMap<&IndexUid, Vec<usize>> = BTreeMap::new();
    for (ordinal, query) in queries.iter().enumerate() {
        indexes.entry(&query.index).or_default().push(ordinal);
    }
    indexes
}

fn position(queries: &[SubQuery], ordinal: usize) -> usize {
    queries[ordinal].options.as_ref().and_then(|options| options.query_position).unwrap_or(ordinal)
}

fn seed<'a>(queries: impl Iterator<Item = &'a SubQuery>) -> u64 {
    let texts: Vec<String> = queries.map(|query| query.written(query.index.as_str()).to_string()).collect();
    xxh64(texts.concat().as_bytes(), 0)
}

fn plan_index(
    queries: &[SubQuery],
    ordinals: &[usize],
    federation: &Federation,
    entry: &IndexEntry,
    view: &View,
) -> Result<IndexPlan, NotUnderstood> {
    let whole = !entry.placement.is_scattered();
    let asked = federation.facets.get(&entry.uid).cloned().flatten();
    let mut requests = Vec::new();
    for &ordinal in ordinals {
        requests.push(read_query(&queries[ordinal], federation, asked.as_deref())?);
    }
    let own_distinct = |request: &SearchRequest| {
        federation.distinct.is_none() && plan_merge(request, entry, &view.rules).distinct.is_some()
    };
    let apart = !whole && requests.len() > 1 && requests.iter().any(own_distinct);
    if apart || federation.distinct.is_some() {
        // Only who has seen all of a query's winners can tell what is left when they are put together.
        for request in &mut requests {
            let limit = plan_merge(request, entry, &view.rules).max_total_hits;
            request.window = Window::Offset { offset: 0, limit };
        }
    }
    let groups = if whole {
        vec![(0..requests.len()).collect()]
    } else if federation.distinct.is_some() {
        comparable_groups(&requests, entry)
    } else {
        (0..requests.len()).map(|query| vec![query]).collect()
    };
    let plans: Vec<QueryPlan> = ordinals
        .iter()
        .zip(&requests)
        .map(|(&ordinal, request)| {
            let merge = plan_merge(request, entry, &view.rules);
            plan_query(queries, ordinal, request, (entry, merge), groups.len() > 1)
        })
        .collect();
    let mut facets = plans[0].merge.clone();
    if apart {
        facets.hidden_facet = None;
        facets.node_facets = asked.clone().unwrap_or_default();
    }
    Ok(IndexPlan {
        uid: entry.uid.clone(),
        physical: entry.physical.clone(),
        shards: entry.shards,
        primary_key: entry.primary_key.clone(),
        counts_apart: groups.len() > 1 && can_be_counted(&requests, entry),
        groups,
        cover: plan_cover(
            &entry.placement,
            &view.readable_for(entry),
            seed(ordinals.iter().map(|&at| &queries[at])),
        ),
        federation: node_federation(federation, entry, &requests, &plans, &facets),
        shows_facets: asked.is_some(),
        facets,
        queries: plans,
    })
}

/// What the single search would make of the query, with the federation's window, facets and distinct attribute.
fn read_query(
    query: &SubQuery,
    federation: &Federation,
    facets: Option<&[String]>,
) -> Result<SearchRequest, NotUnderstood> {
    let mut request =
        SearchRequest { paths: query.paths.clone(), ..SearchRequest::parse(query.body.clone())? };
    request.window = Window::Offset { offset: 0, limit: federation.window.range().end };
    request.facets = facets.unwrap_or_default().to_vec();
    if federation.distinct.is_some() {
        request.distinct.clone_from(&federation.distinct);
    }
    Ok(request)
}

fn plan_query(
    queries: &[SubQuery],
    ordinal: usize,
    request: &SearchRequest,
    (entry, mut merge): (&IndexEntry, MergePlan),
    needs_key: bool,
) -> QueryPlan {
    let short = if merge.pins.is_none() { request.shortened() } else { None };
    let mut body = short.as_ref().unwrap_or(request).body.clone();
    body.shift_remove("useNetwork");
    if !merge.whole {
        if let Some(key) = entry.primary_key.as_deref().filter(|_| needs_key) {
            merge.shown.also_read(key);
        }
        body.insert("showRankingScoreDetails".to_owned(), Value::Bool(true));
        if matches!(request.kind, SearchKind::Hybrid { .. }) {
            body.insert("showRankingScore".to_owned(), Value::Bool(true));
        }
        merge.shown.write_to(&mut body, request);
    }
    let weight = queries[ordinal].weight();
    QueryPlan { ordinal, position: position(queries, ordinal), weight, body, merge }
}

/// Puts each query to the first ones that a node with the tie rule would compare it with.
fn comparable_groups(requests: &[SearchRequest], entry: &IndexEntry) -> Vec<Vec<usize>> {
    let rules = node_rules(entry);
    let mut groups: Vec<(Vec<usize>, Comparable)> = Vec::new();
    for (query, request) in requests.iter().enumerate() {
        let canonical = Canonical::of(&rules.iter().map(String::as_str).collect::<Vec<_>>(), &request.body);
        let found = groups.iter().position(|(_, group)| group.compares_with(&canonical));
        let at = found.unwrap_or_else(|| {
            groups.push((Vec::new(), Comparable::default()));
            groups.len() - 1
        });
        let (members, group) = &mut groups[at];
        members.push(query);
        let _it_compares = group.admit(canonical, query, "");
    }
    groups.into_iter().map(|(members, _)| members).collect()
}

/// Whether nodes take all queries in one request when nobody looks at the order.
fn can_be_counted(requests: &[SearchRequest], entry: &IndexEntry) -> bool {
    let counted: Vec<SearchRequest> = requests
        .iter()
        .map(|request| {
            let mut request = request.clone();
            counting(&mut request.body);
            request
        })
        .collect();
    comparable_groups(&counted, entry).len() == 1
}

fn node_rules(entry: &IndexEntry) -> Vec<String> {
    let mut rules: Vec<String> = ranking_rules_of(&entry.settings).into_iter().map(str::to_owned).collect();
    rules.extend(tie_rule(&entry.settings, entry.primary_key.as_deref()));
    rules
}

/// The parts of `federation` that are decided here.
const OURS: [&str; 8] = [
    "limit",
    "offset",
    "page",
    "hitsPerPage",
    "facetsByIndex",
    "mergeFacets",
    "distinct",
    "showPerformanceDetails",
];

/// `federation` in the requests to nodes: the first hits of the list, and all that the merge must know.
fn node_federation(
    federation: &Federation,
    entry: &IndexEntry,
    requests: &[SearchRequest],
    plans: &[QueryPlan],
    facets: &MergePlan,
) -> Map<String, Value> {
    let in_pages = matches!(federation.window, Window::Page { .. });
    let scattered = entry.placement.is_scattered();
    let counts_by_page = federation.distinct.is_some()
        || scattered
            && (plans.iter().any(|query| query.merge.distinct.is_some())
                || requests.iter().any(|request| request.has_threshold));
    let hits = if scattered || federation.distinct.is_some() {
        plans.iter().map(|query| query.merge.hits_per_node).max().unwrap_or(0)
    } else {
        federation.window.range().end
    };
    // What is not known here is a node's to judge.
    let mut node = federation.written.clone();
    for key in OURS {
        node.shift_remove(key);
    }
    if in_pages || counts_by_page {
        node.insert("page".to_owned(), json!(1));
        node.insert("hitsPerPage".to_owned(), json!(hits));
    } else {
        node.insert("offset".to_owned(), json!(0));
        node.insert("limit".to_owned(), json!(hits));
    }
    let asked = federation.facets.get(&entry.uid).is_some_and(Option::is_some);
    let names = if scattered {
        Some(&facets.node_facets).filter(|names| asked || !names.is_empty())
    } else {
        federation.facets.get(&entry.uid).and_then(Option::as_ref)
    };
    if let Some(names) = names {
        node.insert("facetsByIndex".to_owned(), json!({ entry.physical.as_str(): names }));
    }
    if let Some(distinct) = &federation.distinct {
        node.insert("distinct".to_owned(), json!(distinct));
    }
    if federation.show_performance_details {
        node.insert("showPerformanceDetails".to_owned(), Value::Bool(true));
    }
    node
}
