//! Documents of another index, for a search that is related to it: by their ids, or by a condition.

use std::collections::{BTreeSet, HashMap};

use miroir_core::cover::CoverPart;
use miroir_core::document::fields::FieldSelection;
use miroir_core::document::marker;
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use miroir_core::search::{Listed, confine};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::Reader;
use super::pages::ListedPage;
use super::replica::fetch_documents;
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::DocumentsPage;

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
        for page in fetch(cluster, view, entry, shards.into_iter().collect(), body).await? {
            for Listed { id, mut document } in ListedPage::read(&page, primary_key)?.all()? {
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
    for page in fetch(cluster, view, entry, entry.shards.shards().collect(), body).await? {
        let page = ListedPage::read(&page, primary_key)?;
        if page.total > most as u64 {
            return Ok(None);
        }
        ids.extend(page.all()?.into_iter().map(|listed| listed.id));
    }
    Ok((ids.len() <= most).then_some(ids))
}

async fn fetch(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    shards: Vec<ShardId>,
    body: impl Fn(&CoverPart) -> Map<String, Value>,
) -> Result<Vec<DocumentsPage>, RequestError> {
    fetch_documents(&Reader::new(cluster, view, entry), shards, body).await
}
