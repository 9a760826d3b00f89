//! The way of a search for facet values: plan, scatter, gather, merge.

use std::time::Instant;

use futures_util::future::try_join;
use miroir_core::search::{FacetSearchRequest, facet_search_parts, merge_facet_search, plan_facet_search};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::scatter::run_scatter;
use super::{Answer, SearchReplies, Searched, accept, ask, note_time};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::Original;

/// The time of the slowest node's search, in milliseconds: a server tells its own work, and not the way to it.
fn slowest(replies: &[Map<String, Value>]) -> u64 {
    replies.iter().filter_map(|reply| reply.get("processingTimeMs")?.as_u64()).max().unwrap_or(0)
}

/// Answers one facet search over one view. Dropping the future gives up the requests to the nodes.
pub async fn run_facet_search(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &FacetSearchRequest,
    original: &Original,
) -> Result<Answer, RequestError> {
    let of = Searched { cluster, view, entry, original };
    let plan = plan_facet_search(request, entry, view);
    let again = |cover| facet_search_parts(request, entry, cover);
    let values = async {
        let gathered = run_scatter(cluster, view, entry, (plan.parts, plan.missing), again).await;
        accept(&of, gathered).await
    };
    let (gathered, counted) = try_join(values, count(&of, request)).await?;
    let searched = slowest(&gathered.replies);
    let began = Instant::now();
    let mut shortfall = gathered.shortfall;
    let counted = counted.map(|counted| {
        shortfall = std::mem::take(&mut shortfall).and(counted.shortfall);
        (counted.plan, counted.replies)
    });
    let mut body = merge_facet_search(&plan.merge, gathered.replies, counted);
    note_time(&mut body, began, searched);
    Ok(Answer { body, shortfall })
}

/// The hits over which values are counted, where nodes' own counts don't add up.
async fn count(
    of: &Searched<'_>,
    request: &FacetSearchRequest,
) -> Result<Option<SearchReplies>, RequestError> {
    match request.counted_over(of.entry) {
        Some(search) => ask(of, &search).await.map(Some),
        None => Ok(None),
    }
}
