//! The way of a search for facet values: plan, scatter, gather, merge.

use std::time::Instant;

use miroir_core::search::{FacetSearchRequest, facet_search_parts, merge_facet_search, plan_facet_search};
use miroir_core::view::{IndexEntry, View};

use super::scatter::run_scatter;
use super::{Answer, Original, Searched, Shortfall, accept, note_time};
use crate::cluster::Cluster;
use crate::http::HttpError;

/// Answers one facet search over one view. Dropping the future gives up the requests to the nodes.
pub async fn run_facet_search(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &FacetSearchRequest,
    original: &Original,
) -> Result<Answer, HttpError> {
    let began = Instant::now();
    let plan = plan_facet_search(request, entry, view);
    let again = |cover| facet_search_parts(request, entry, cover);
    let gathered = run_scatter(cluster, view, entry, (plan.parts, plan.missing), again).await?;
    let gathered = accept(&Searched { cluster, view, entry, original }, gathered).await?;
    let mut body = merge_facet_search(&plan.merge, gathered.replies);
    note_time(&mut body, began);
    Ok(Answer { body, shortfall: Shortfall { missing: gathered.missing, cut_off: false } })
}
