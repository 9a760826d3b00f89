//! Makes one index of a node what its sources have: compares document by document and moves what differs.
//!
//! Over an index that is not there that is a copy; over one that missed a write it is a few documents. What the node has to
//! do waits in its own queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use miroir_core::document::marker::field_name;
use miroir_core::settings::node_settings;
use serde_json::{Map, json};

use super::documents::{Part, There};
use super::progress::Ticket;
use super::survey::Survey;
use super::target::{Target, Work, ask};
use super::{Transfer, TransferError};
use crate::node_api::{Question, Unanswered, questions};

/// Copies an index. What was `left` by a pass before has no documents of shards that the node does not hold.
pub(super) async fn copy_index(
    target: &Target,
    transfer: &Transfer,
    survey: &Survey,
    (there, is_left): (There, bool),
) -> Result<(), TransferError> {
    let ticket = target.progress().ticket();
    let index = &transfer.index;
    match there {
        There::Nothing => make_index(target, transfer, &ticket).await?,
        There::Something => copy_settings(target, transfer).await?,
    }
    let Some(primary_key) = &index.primary_key else { return Ok(()) };
    if !is_left && there == There::Something {
        drop_other_shards(target, transfer, &ticket).await?;
    }
    let parts = survey.parts(transfer).into_iter().map(|(peer, shards)| {
        let ticket = Arc::clone(&ticket);
        Part { index, primary_key, peer, shards, ticket }
    });
    let mut by_source: BTreeMap<_, Vec<Part<'_>>> = BTreeMap::new();
    for part in parts {
        by_source.entry(part.peer.id()).or_default().push(part);
    }
    let copied = by_source.into_values().map(async |parts| {
        for part in parts {
            part.copy(target, there).await?;
        }
        Ok::<_, TransferError>(())
    });
    try_join_all(copied).await.map(|_| ())
}

fn work(ticket: &Arc<Ticket>) -> Work {
    Work { documents: 0, ticket: Some(Arc::clone(ticket)) }
}

/// Puts an index and its settings into the queue. Settings make an index too, so one task is enough for one without a
/// primary key.
async fn make_index(target: &Target, transfer: &Transfer, ticket: &Arc<Ticket>) -> Result<(), TransferError> {
    let index = &transfer.index;
    if let Some(primary_key) = &index.primary_key {
        target.put(questions::create_index(&index.physical, primary_key), work(ticket)).await?;
    }
    target.put(write_settings(transfer), work(ticket)).await
}

/// Sources have the same settings, so what one of them says is what the target has to say. Without one the catalog says it.
/// They are there when this returns: questions about documents depend on them.
async fn copy_settings(target: &Target, transfer: &Transfer) -> Result<(), TransferError> {
    let question = questions::settings(transfer.key());
    if let Some(source) = transfer.sources.values().next() {
        let right = ask(source, question.clone(), target.timeout()).await?;
        if target.ask(question).await? == right {
            return Ok(());
        }
        target.run(questions::reset_settings(transfer.key())).await?;
    }
    target.run(write_settings(transfer)).await
}

fn write_settings(transfer: &Transfer) -> Question<u64> {
    let index = &transfer.index;
    let settings = node_settings(&index.settings, index.settings.as_patch(), index.node_context());
    questions::change_settings(&index.physical, settings)
}

/// Deletes documents that belong to shards of other nodes, or to none, if there are any.
async fn drop_other_shards(
    target: &Target,
    transfer: &Transfer,
    ticket: &Arc<Ticket>,
) -> Result<(), TransferError> {
    let index = &transfer.index;
    let others: Vec<String> = transfer
        .all_shards()
        .map(|shard| format!("{} NOT EXISTS", field_name(*shard, index.shards)))
        .collect();
    let query = Map::from_iter([("filter".to_owned(), json!(others)), ("limit".to_owned(), json!(0))]);
    let question = questions::documents(&index.physical, &query);
    let name = question.name();
    let page = target.ask(question).await?;
    let out_of_form = |error: Unanswered| TransferError::unanswered(target.node(), &name, error);
    if page.read().map_err(out_of_form)?.total == 0 {
        return Ok(());
    }
    target.put(questions::delete_documents_by_filter(&index.physical, &others), work(ticket)).await
}
