//! One list of hits out of several queries: plan, ask every index's nodes, merge.

mod gather;
mod whole;

use std::borrow::Cow;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::cover::{Shortfall, UnavailableShardPolicy};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::{IndexUid, NodeId};
use miroir_core::search::{
    Fault, FederatedPlan, Federation, IndexMerge, MultiRequest, SearchRequest, Shown, check_rules,
    merge_federated, plan_federated,
};
use miroir_core::view::View;
use serde_json::json;

use self::gather::run_gather;
use super::{Answer, QueryMetadata, judge_missing};
use crate::cluster::{Cluster, Refusal};
use crate::error::RequestError;
use crate::probe::{
    check_queries_form, explain_query, explain_unused_facets, inside, with_named_facets_in_all,
};
use crate::read::met;

/// So many indexes of one request are asked at once; each may ask every node.
const INDEXES_AT_ONCE: usize = 16;

/// So many requests to nodes are made for one federated search at most.
const MAX_REQUESTS: usize = 8192;

/// So many hits of nodes are in memory for one federated search at most, where they can only be merged at once.
const MAX_HITS: usize = 200_000;

/// Searches with more requests than this, or with more hits at once, go one after the other.
const LARGE: Size = Size { requests: 256, hits: 16_384 };

/// Answers a federated search over one view. `server` is the name that clients gave this server. Dropping the future
/// gives up the requests to the nodes.
pub async fn run_federated(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    federation: &Federation,
    metadata: QueryMetadata,
    server: Option<&str>,
) -> Result<Answer, RequestError> {
    let began = Instant::now();
    let request = &*with_named_facets_in_all(request, view);
    let federation = request.federation.as_ref().unwrap_or(federation);
    let whole = match whole::node_to_ask(request, view) {
        Some(node) => whole::run_whole(cluster, view, request, node).await?,
        None => None,
    };
    let mut answer = match whole {
        Some(answer) => answer,
        None => run_scattered(cluster, view, request, federation, server).await?,
    };
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    answer.body.insert("processingTimeMs".to_owned(), json!(milliseconds));
    let names_server = answer.body.contains_key("remoteErrors");
    metadata.sign_all(&mut answer.body, view, &request.queries, server.filter(|_| names_server));
    cluster.metrics.note_answer(&answer.shortfall);
    Ok(answer)
}

async fn run_scattered(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    federation: &Federation,
    server: Option<&str>,
) -> Result<Answer, RequestError> {
    if request.queries.is_empty() {
        check_queries_form(cluster, request).await?;
    }
    let met = meet_in_all(cluster, view, request).await;
    let plan = match plan_federated(&met, federation, view, server) {
        Ok(plan) => plan,
        Err(fault) => return Err(explain_fault(cluster, view, request, fault).await),
    };
    let size = Size::of(&plan);
    check_fan_out(&size)?;
    let _turn = if size.is_larger_than(&LARGE) {
        Some(cluster.large_searches.acquire().await.expect("it is never closed"))
    } else {
        None
    };
    let searches: Vec<_> = (0..plan.indexes.len()).map(|at| gather_index(cluster, view, &plan, at)).collect();
    let gathered: Vec<Searched<'_>> = stream::iter(searches).buffered(INDEXES_AT_ONCE).try_collect().await?;
    if let Some(at) = gathered.iter().position(|index| index.refusal.is_some()) {
        return Err(explain_refusal(cluster, view, request, &plan, at, &gathered[at]).await);
    }
    check_unused_facets(cluster, view, federation, &plan).await?;
    let shortfall = accept(&gathered, cluster.unavailable_shards)?;
    let indexes = gathered.into_iter().map(|index| index.merge).collect();
    match merge_federated(&plan, indexes) {
        Ok(merged) => {
            if merged.cut_off {
                cluster.metrics.note_cutoff();
            }
            Ok(Answer { body: merged.body, shortfall: Shortfall { cut_off: merged.cut_off, ..shortfall } })
        }
        Err(fault) => Err(explain_fault(cluster, view, request, fault).await),
    }
}

/// The queries with what nodes say of the paths that they name.
async fn meet_in_all<'a>(cluster: &Cluster, view: &View, request: &'a MultiRequest) -> Cow<'a, MultiRequest> {
    let mut request = Cow::Borrowed(request);
    for at in 0..request.queries.len() {
        let query = &request.queries[at];
        let Some(entry) = view.index(&query.index) else { continue };
        let Ok(search) = SearchRequest::parse(query.body.clone()) else { continue };
        let paths = Shown::paths_of(&search, &entry.settings);
        if !paths.is_empty() {
            request.to_mut().queries[at].paths = met(cluster, view, entry, &paths).await;
        }
    }
    request
}

/// How much a federated search asks of nodes.
struct Size {
    requests: usize,
    /// Those of one index that are in memory at once, at most.
    hits: usize,
}

impl Size {
    fn of(plan: &FederatedPlan) -> Self {
        let (mut requests, mut hits) = (0, 0);
        for (at, index) in plan.indexes.iter().enumerate() {
            let nodes = index.cover.parts.len();
            requests += index.groups.len() * nodes;
            let groups = plan.batches(at).iter().map(|batch| batch.groups.len()).max().unwrap_or(0);
            hits += groups * nodes * index.hits_per_node();
        }
        Self { requests, hits }
    }

    fn is_larger_than(&self, other: &Self) -> bool {
        self.requests > other.requests || self.hits > other.hits
    }
}

/// Queries of a scattered index are asked apart.
fn check_fan_out(size: &Size) -> Result<(), RequestError> {
    if !size.is_larger_than(&Size { requests: MAX_REQUESTS, hits: MAX_HITS }) {
        return Ok(());
    }
    let Size { requests, hits } = size;
    let message = format!(
        "The provided payload reached the size limit. Its queries would be {requests} requests to nodes for {hits} hits at \
         once, of which at most {MAX_REQUESTS} and {MAX_HITS} are made for one."
    );
    Err(RequestError::new(ErrorCode::PayloadTooLarge, message))
}

/// What there is of one index.
struct Searched<'a> {
    merge: IndexMerge<'a>,
    has_replies: bool,
    shortfall: Shortfall,
    refusal: Option<Refusal>,
}

/// Asks for all of an index, and keeps only what may be shown.
async fn gather_index<'a>(
    cluster: &Cluster,
    view: &View,
    plan: &'a FederatedPlan,
    at: usize,
) -> Result<Searched<'a>, RequestError> {
    let index = &plan.indexes[at];
    let mut searched = Searched {
        merge: IndexMerge::begin(plan, at),
        has_replies: false,
        shortfall: Shortfall::default(),
        refusal: None,
    };
    for batch in plan.batches(at) {
        let gathered = run_gather(cluster, view, index, &batch).await;
        searched.shortfall = searched.shortfall.and(gathered.shortfall);
        if gathered.refusal.is_some() {
            searched.refusal = gathered.refusal;
            break;
        }
        for replies in &gathered.replies {
            check_rules(&index.facets, replies)
                .map_err(|error| RequestError::Unreadable(error.to_string()))?;
        }
        searched.has_replies |= !gathered.replies.is_empty();
        searched.merge.add(&batch, gathered.replies);
    }
    Ok(searched)
}

/// The same policy as for one search.
fn accept(gathered: &[Searched<'_>], policy: UnavailableShardPolicy) -> Result<Shortfall, RequestError> {
    let shortfalls = gathered.iter().map(|index| index.shortfall.clone());
    let shortfall = shortfalls.fold(Shortfall::default(), Shortfall::and);
    judge_missing(policy, &shortfall.missing, gathered.iter().any(|index| index.has_replies))?;
    Ok(shortfall)
}

/// Facets of an index that no query searches are in no answer, but may not be wrong either.
async fn check_unused_facets(
    cluster: &Cluster,
    view: &View,
    federation: &Federation,
    plan: &FederatedPlan,
) -> Result<(), RequestError> {
    for (uid, names) in &federation.facets {
        if plan.indexes.iter().any(|index| index.uid == *uid) {
            continue;
        }
        let Some(entry) = view.index(uid) else {
            let message = format!(
                "Inside `.federation.facetsByIndex.{uid}`: Index `{uid}` not found.\n - Note: index `{uid}` is not used in queries"
            );
            return Err(RequestError::BadRequest(ResponseError::new(ErrorCode::IndexNotFound, message)));
        };
        let pool = view.readable_for(entry);
        let node = entry.placement.nodes().find(|node| pool.contains(node));
        if let (Some(node), Some(names)) = (node, names)
            && let Some(error) = explain_unused_facets(cluster, node, entry, names).await
        {
            return Err(error);
        }
    }
    Ok(())
}

/// What Miroir found itself, unless something else comes before it.
async fn explain_fault(cluster: &Cluster, view: &View, request: &MultiRequest, fault: Fault) -> RequestError {
    if let Err(error) = check_queries_form(cluster, request).await {
        return error;
    }
    match fault {
        Fault::NotUnderstood(what) => RequestError::Unreadable(format!("{what}, and no node says so")),
        Fault::Query { ordinal, position, index, error } => {
            let upto = |at: usize, uid: &IndexUid| (uid, at) < (&index, ordinal);
            if let Some(earlier) = first_refusal(cluster, view, request, upto).await {
                return earlier;
            }
            let error = if error.code == ErrorCode::IndexNotFound {
                RequestError::BadRequest(error)
            } else {
                RequestError::Refused(error)
            };
            inside(position, error)
        }
    }
}

async fn explain_refusal(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    plan: &FederatedPlan,
    at: usize,
    gathered: &Searched<'_>,
) -> RequestError {
    if let Err(error) = check_queries_form(cluster, request).await {
        return error;
    }
    let uid = &plan.indexes[at].uid;
    if let Some(error) = first_refusal(cluster, view, request, |_, other| other == uid).await {
        return error;
    }
    if let Some(refusal) = &gathered.refusal {
        tracing::error!(index = %uid, refusal = %String::from_utf8_lossy(&refusal.reply.body), "a node refused Miroir's form of a valid search: a fault of Miroir's, worth a report");
    }
    RequestError::Unreadable("a node refused Miroir's form of a valid request".to_owned())
}

/// The first query, by index as Meilisearch goes through them, that a node refuses on its own.
async fn first_refusal(
    cluster: &Cluster,
    view: &View,
    request: &MultiRequest,
    concerns: impl Fn(usize, &IndexUid) -> bool,
) -> Option<RequestError> {
    let mut queries: Vec<_> = request.queries.iter().enumerate().collect();
    queries.sort_by_key(|(_, query)| &query.index);
    for (ordinal, query) in queries.into_iter().filter(|(at, query)| concerns(*at, &query.index)) {
        let entry = view.index(&query.index)?;
        let pool = view.readable_for(entry);
        let node: &NodeId = entry.placement.nodes().find(|node| pool.contains(node))?;
        let position = query.options.as_ref().and_then(|options| options.query_position).unwrap_or(ordinal);
        if let Some(error) = explain_query(cluster, node, entry, request, (position, query)).await {
            return Some(error);
        }
    }
    None
}
