//! The way of a search for similar documents: read the document, plan, scatter, gather, merge.

use std::time::Instant;

use miroir_core::cover::{Shortfall, plan_cover};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::search::{
    SimilarRequest, SimilarTarget, as_rule_fault, is_found_later, merge_similar, pass_on, plan_similar,
    similar_passed_through,
};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use super::scatter::{Answers, run_scatter};
use super::{Answer, Searched, accept, note_time};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::{NodeRequest, scrub_reply};
use crate::probe::Original;
use crate::read::{document_with_vectors, met, send_to_replica};

/// Answers one search for similar documents over one view. Dropping the future gives up the requests to the nodes.
pub async fn run_similar(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &SimilarRequest,
    original: &Original,
) -> Result<Answer, RequestError> {
    let began = Instant::now();
    let of = Searched { cluster, view, entry, original };
    let scattered = entry.placement.is_scattered();
    let mut behind = Shortfall::default();
    let target = if scattered || request.visible.is_some() {
        let (target, read) = read_target(&of, request).await?;
        behind = read;
        Some(target)
    } else {
        None
    };
    let (mut body, gathered) = match target {
        Some(target) if scattered => near_to(&of, request, &target).await?,
        _ => pass_through(&of, request).await?,
    };
    note_time(&mut body, began, 0);
    Ok(Answer { body, shortfall: gathered.shortfall.and(behind) })
}

type MergedAnswer = (Map<String, Value>, Answers);

async fn pass_through(of: &Searched<'_>, request: &SimilarRequest) -> Result<MergedAnswer, RequestError> {
    let plan = |cover| similar_passed_through(request, of.entry, cover);
    let mut cover = plan_cover(&of.entry.placement, &of.view.readable_for(of.entry), request.seed());
    let missing = std::mem::take(&mut cover.missing);
    let gathered = run_scatter(of.cluster, of.view, of.entry, (plan(cover), missing), plan).await;
    let mut gathered = accept(of, gathered).await?;
    Ok((pass_on(gathered.replies.pop().unwrap_or_default()), gathered))
}

async fn near_to(
    of: &Searched<'_>,
    request: &SimilarRequest,
    target: &SimilarTarget,
) -> Result<MergedAnswer, RequestError> {
    let named = request.named_paths(&of.entry.settings);
    let mut request = request.clone();
    request.paths = met(of.cluster, of.view, of.entry, &named).await;
    let request = &request;
    let cover = plan_cover(&of.entry.placement, &of.view.readable_for(of.entry), request.seed());
    let Ok(mut plan) = plan_similar(request, target, of.entry, cover) else {
        return Err(explain_by_owner(of, request).await);
    };
    let parts = (std::mem::take(&mut plan.parts), std::mem::take(&mut plan.missing));
    let again =
        |cover| plan_similar(request, target, of.entry, cover).map(|plan| plan.parts).unwrap_or_default();
    let mut gathered = run_scatter(of.cluster, of.view, of.entry, parts, again).await;
    if gathered.refusal.is_some() {
        return Err(explain_by_owner(of, request).await);
    }
    gathered = accept(of, gathered).await?;
    let replies = std::mem::take(&mut gathered.replies);
    Ok((merge_similar(request, &plan, replies), gathered))
}

/// Reads the document with its vectors, and says what that read lacks. If there is none, a node says so.
async fn read_target(
    of: &Searched<'_>,
    request: &SimilarRequest,
) -> Result<(SimilarTarget, Shortfall), RequestError> {
    if !of.entry.settings.has_embedder(&request.embedder) {
        return Err(explain_by_owner(of, request).await);
    }
    let reader = of.reader();
    match document_with_vectors(&reader, request.shard(of.entry), &request.id, request.visible.as_ref()).await
    {
        Ok(Some(document)) => Ok((request.target(of.entry, &document), reader.shortfall())),
        Ok(None) if request.visible.is_some() => {
            let message = format!("Document `{}` not found.", request.id);
            Err(RequestError::new(ErrorCode::NotFoundSimilarId, message))
        }
        Ok(None) | Err(RequestError::Node(_)) => Err(explain_by_owner(of, request).await),
        Err(error) => Err(error),
    }
}

/// What is wrong with the rule of the caller's token, if anything is.
async fn explain_rule(of: &Searched<'_>, request: &SimilarRequest) -> Option<ResponseError> {
    let (rule, body) = request.with_rule_alone()?;
    let asked = NodeRequest::post(["indexes", of.entry.physical.as_str(), "similar"]).json(body.to_string());
    let (_, reply) = send_to_replica(&of.reader(), request.shard(of.entry), &asked).await.ok()?;
    let error = RequestError::Node(scrub_reply(reply, of.entry)).told();
    let is_about_rule = matches!(error.code, ErrorCode::InvalidSimilarFilter | ErrorCode::FeatureNotEnabled);
    is_about_rule.then(|| as_rule_fault(error, rule, &of.entry.uid))
}

/// What a node that holds the document, if anyone does, says of the client's own request; but the rule of the client's token
/// is read before the client's filter, and applied before it.
async fn explain_by_owner(of: &Searched<'_>, request: &SimilarRequest) -> RequestError {
    let rule_fault = explain_rule(of, request).await;
    if let Some(fault) = rule_fault.clone().filter(|fault| !is_found_later(fault)) {
        return fault.into();
    }
    let asked = of.original.to_request(of.entry);
    match send_to_replica(&of.reader(), request.shard(of.entry), &asked).await {
        Ok((_, reply)) if reply.status.is_client_error() => {
            let reply = scrub_reply(reply, of.entry);
            match rule_fault {
                Some(fault) if is_found_later(&RequestError::Node(reply.clone()).told()) => fault.into(),
                _ => RequestError::Node(reply),
            }
        }
        Ok((node, _)) => {
            RequestError::Unreadable(format!("node `{node}` refused Miroir's form of a valid request"))
        }
        Err(error) => error,
    }
}
