//! Documents of another index, for a search that is related to it: by their ids, or by a condition.

use std::collections::{BTreeSet, HashMap};

use miroir_core::cover::CoverPart;
use miroir_core::document::fields::FieldSelection;
use miroir_core::document::{find_document_id, marker};
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use miroir_core::search::confine;
use miroir_core::view::{IndexEntry, View};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Reader;
use super::ask::fetch_documents;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::NodeReply;

/// Ids in one request to the nodes.
const IDS_AT_ONCE: usize = 1_000;

/// The documents with these ids, as their index displays them; those that are not there are empty.
pub(crate) async fn documents_by_id(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    ids: &BTreeSet<String>,
) -> Result<HashMap<String, Map<String, Value>>, RequestError> {
    let mut documents: HashMap<_, _> = ids.iter().map(|id| (id.clone(), Map::new())).collect();
    let Some(primary_key) = entry.primary_key.as_deref() else { return Ok(documents) };
    let displayed: Option<Vec<String>> = entry
        .settings
        .list("displayedAttributes")
        .map(|names| names.into_iter().map(str::to_owned).collect());
    let displayed = FieldSelection::from_list(displayed.as_deref());
    let mut question = Map::new();
    if let FieldSelection::Only(names) = &displayed {
        let names = names.iter().map(String::as_str).chain([primary_key]);
        question.insert("fields".to_owned(), names.collect());
    }
    let ids: Vec<&String> = ids.iter().collect();
    for ids in ids.chunks(IDS_AT_ONCE) {
        let shards: BTreeSet<ShardId> = ids.iter().map(|id| shard_of(id, entry.shards)).collect();
        let body = |part: &CoverPart| {
            let is_held = |id: &&&String| part.shards.contains(&shard_of(id, entry.shards));
            let mut body = question.clone();
            body.insert("ids".to_owned(), ids.iter().filter(is_held).map(|id| json!(id)).collect());
            body.insert("limit".to_owned(), json!(ids.len()));
            body
        };
        for reply in fetch(cluster, view, entry, shards.into_iter().collect(), body).await? {
            for (id, mut document) in read(&reply, primary_key)?.documents {
                document.retain(|field, _| !marker::is_reserved(field));
                documents.insert(id, displayed.apply(document));
            }
        }
    }
    Ok(documents)
}

/// The ids of the documents that match, if they are not more than `most`.
pub(crate) async fn ids_by_filter(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    filter: &str,
    most: usize,
) -> Result<Option<Vec<String>>, RequestError> {
    let Some(primary_key) = entry.primary_key.as_deref() else { return Ok(Some(Vec::new())) };
    let question = Map::from_iter([
        ("filter".to_owned(), json!(filter)),
        ("fields".to_owned(), json!([primary_key])),
        ("limit".to_owned(), json!(most)),
    ]);
    let body = |part: &CoverPart| {
        let mut body = question.clone();
        if let Some(shards) = marker::selection_filter(part.shards.iter().copied(), entry.shards) {
            confine(&mut body, shards);
        }
        body
    };
    let mut ids = Vec::new();
    for reply in fetch(cluster, view, entry, entry.shards.shards().collect(), body).await? {
        let page = read(&reply, primary_key)?;
        if page.total > most {
            return Ok(None);
        }
        ids.extend(page.documents.into_iter().map(|(id, _)| id));
    }
    Ok((ids.len() <= most).then_some(ids))
}

async fn fetch(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    shards: Vec<ShardId>,
    body: impl Fn(&CoverPart) -> Map<String, Value>,
) -> Result<Vec<NodeReply>, RequestError> {
    fetch_documents(&Reader::new(cluster, view, entry), shards, body).await
}

struct Page {
    documents: Vec<(String, Map<String, Value>)>,
    total: usize,
}

fn read(reply: &NodeReply, primary_key: &str) -> Result<Page, RequestError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        results: Vec<&'a RawValue>,
        total: usize,
    }
    let unreadable = |error: serde_json::Error| RequestError::Unreadable(error.to_string());
    let raw: Raw<'_> = serde_json::from_slice(&reply.body).map_err(unreadable)?;
    let document = |text: &RawValue| {
        let id = find_document_id(text, primary_key)
            .ok_or_else(|| RequestError::Unreadable("a document has no id".to_owned()))?;
        Ok((id, serde_json::from_str(text.get()).map_err(unreadable)?))
    };
    let documents = raw.results.into_iter().map(document).collect::<Result<_, RequestError>>()?;
    Ok(Page { documents, total: raw.total })
}
