//! Reading from whichever replicas of shards answer. A node that fails, for whatever reason of its own, is asked no more in this
//! read; another replica is. What a node says of itself is never the client's answer.

use miroir_core::cover::CoverPart;
use miroir_core::ids::{NodeId, ShardId};
use serde_json::{Map, Value, json};

use super::{Reader, unreadable};
use crate::cluster::{Gathered, Outcome};
use crate::error::RequestError;
use crate::node_api::{DocumentsPage, NodeReply, NodeRequest, Question, Unanswered, questions, scrub_reply};

/// Puts a question to one replica of a shard that may be read; to the next one when it fails.
///
/// # Errors
/// When no replica answers, and what one of them has against the question.
pub(super) async fn ask_replica<T>(
    of: &Reader<'_>,
    shard: ShardId,
    question: Question<T>,
) -> Result<T, RequestError> {
    let answered = ask_shards(of, vec![shard], |_| question.clone()).await?;
    only(answered, shard).map(|(_, answer)| answer)
}

/// Passes a client's request on to one replica of a shard that may be read; to the next one when it fails. A refusal of the
/// request is an answer.
pub(crate) async fn send_to_replica(
    of: &Reader<'_>,
    shard: ShardId,
    request: &NodeRequest,
) -> Result<(NodeId, NodeReply), RequestError> {
    let send = async |part: CoverPart| {
        let node = std::iter::once(&part.node);
        match of.cluster.ask_first(node, request, NodeReply::is_nodes_fault).await {
            Some(reply) => Outcome::Answered((part.node, reply)),
            None => Outcome::Failed,
        }
    };
    let gathered = of.cluster.read_over(of.view, of.entry).ask([shard], send).await;
    only(accept(of, gathered)?, shard)
}

fn only<T>(answers: Vec<T>, shard: ShardId) -> Result<T, RequestError> {
    answers.into_iter().next().ok_or_else(|| RequestError::ShardsUnavailable(vec![shard]))
}

/// Puts a question to nodes that hold these shards together, to each for its part, and to other replicas for the shards of
/// those that fail.
///
/// # Errors
/// When some shards are on no node that answers, and what a node has against the question.
pub(super) async fn ask_shards<T>(
    of: &Reader<'_>,
    shards: Vec<ShardId>,
    question: impl Fn(&CoverPart) -> Question<T>,
) -> Result<Vec<(CoverPart, T)>, RequestError> {
    let ask = async |part: CoverPart| match of.cluster.try_asking(&part.node, question(&part)).await {
        Outcome::Answered(answer) => Outcome::Answered((part, answer)),
        Outcome::Refused(reply) => Outcome::Refused(reply),
        Outcome::Failed => Outcome::Failed,
    };
    accept(of, of.cluster.read_over(of.view, of.entry).ask(shards, ask).await)
}

/// Documents of these shards, by a question to each node for its part; `query` makes the body.
///
/// # Errors
/// As of [`ask_shards`].
pub(super) async fn fetch_documents(
    of: &Reader<'_>,
    shards: Vec<ShardId>,
    query: impl Fn(&CoverPart) -> Map<String, Value>,
) -> Result<Vec<DocumentsPage>, RequestError> {
    let question = |part: &CoverPart| questions::documents(&of.entry.physical, &query(part));
    Ok(ask_shards(of, shards, question).await?.into_iter().map(|(_, page)| page).collect())
}

/// A document with its vectors, if there is one and the filter, if any, lets it be seen.
///
/// # Errors
/// As of [`ask_replica`].
pub(crate) async fn document_with_vectors(
    of: &Reader<'_>,
    shard: ShardId,
    id: &str,
    filter: Option<&Value>,
) -> Result<Option<Map<String, Value>>, RequestError> {
    let query = Map::from_iter([
        ("ids".to_owned(), json!([id])),
        ("retrieveVectors".to_owned(), json!(true)),
        ("filter".to_owned(), json!(filter)),
    ]);
    let page = ask_replica(of, shard, questions::documents(&of.entry.physical, &query)).await?;
    match page.read().map_err(unreadable)?.results.first() {
        Some(text) => serde_json::from_str(text.get()).map(Some).map_err(unreadable),
        None => Ok(None),
    }
}

/// Notes what was read from nodes that are behind.
fn accept<T>(of: &Reader<'_>, gathered: Gathered<T>) -> Result<Vec<T>, RequestError> {
    let Gathered { replies, shortfall, refusal } = gathered;
    of.note(&shortfall.stale);
    if let Some(refusal) = refusal {
        return Err(RequestError::Node(scrub_reply(refusal.reply, of.entry)));
    }
    if !shortfall.missing.is_empty() {
        return Err(RequestError::ShardsUnavailable(shortfall.missing));
    }
    Ok(replies)
}

/// What the client is told when a node did not answer a question about the index.
pub(super) fn as_request_error(of: &Reader<'_>, error: Unanswered) -> RequestError {
    match error {
        Unanswered::Node(error) => RequestError::NodeFailed(error),
        Unanswered::Refused(reply) => RequestError::Node(scrub_reply(reply, of.entry)),
        Unanswered::OutOfForm => RequestError::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
