//! What the model is told of the indexes that it may search: what they are for, and by which values it can filter.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use miroir_core::chat::{IndexOffer, facet_lines};
use miroir_core::cover::Shortfall;
use miroir_core::search::{MultiRequest, NotUnderstood, SearchRequest};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use crate::auth::{Authorized, ChatCompletions};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::Original;
use crate::search::{Answer, QueryMetadata, SettingsNote, read_uniformly, run_federated, run_search};

/// So many indexes are asked at once; each may ask every node.
const INDEXES_AT_ONCE: usize = 8;

/// So many values of a facet are looked through for the most frequent ones.
const VALUES_SEEN: u64 = 10_000;

/// The indexes, and what may be wrong about what is told of them.
#[derive(Debug)]
pub struct Offers {
    /// By name.
    pub indexes: Vec<IndexOffer>,
    /// What the facets lack.
    pub shortfall: Shortfall,
    /// The settings that they were counted under.
    pub note: SettingsNote,
}

/// All indexes that the caller's key and token are for.
pub async fn offer_indexes(
    cluster: &Cluster,
    caller: &Authorized<ChatCompletions>,
) -> Result<Offers, RequestError> {
    let view = cluster.view.load();
    let offers: Vec<_> = view
        .indexes
        .values()
        .filter(|entry| caller.allows(&entry.uid))
        .map(|entry| offer(cluster, &view, entry, caller))
        .collect();
    let offers: Vec<_> = stream::iter(offers).buffered(INDEXES_AT_ONCE).try_collect().await?;
    let note = SettingsNote { version: None, uniform: true };
    let mut all = Offers { indexes: Vec::new(), shortfall: Shortfall::default(), note };
    for (index, shortfall, note) in offers {
        all.indexes.push(index);
        all.shortfall = all.shortfall.and(shortfall);
        all.note.version = all.note.version.max(note.version);
        all.note.uniform &= note.uniform;
    }
    Ok(all)
}

async fn offer(
    cluster: &Cluster,
    view: &Arc<View>,
    entry: &Arc<IndexEntry>,
    caller: &Authorized<ChatCompletions>,
) -> Result<(IndexOffer, Shortfall, SettingsNote), RequestError> {
    let mut confined = Map::new();
    caller.confine(&entry.uid, &mut confined)?;
    let (uid, confined) = (&entry.uid, &confined);
    let ask = |view: Arc<View>| async move {
        let Some(entry) = view.index(uid) else {
            return Ok(Answer { body: Map::new(), shortfall: Shortfall::default() });
        };
        count(cluster, &view, entry, confined).await
    };
    let (answer, note) = read_uniformly(cluster, view, [uid.clone()], None, ask).await?;
    let description = entry.settings.get("chat").and_then(|chat| chat["description"].as_str());
    let offer = IndexOffer {
        uid: uid.to_string(),
        description: description.unwrap_or_default().to_owned(),
        facets: facet_lines(&answer.body),
    };
    Ok((offer, answer.shortfall, note))
}

/// Counts all facets over all documents that the caller may find.
async fn count(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    confined: &Map<String, Value>,
) -> Result<Answer, RequestError> {
    let filterable = entry.settings.get("filterableAttributes").and_then(Value::as_array);
    if filterable.is_none_or(Vec::is_empty) {
        return Ok(Answer { body: Map::new(), shortfall: Shortfall::default() });
    }
    let unreadable = |error: NotUnderstood| RequestError::Unreadable(error.to_string());
    if entry.placement.is_scattered() {
        let mut body = confined.clone();
        body.extend([("limit".to_owned(), json!(0)), ("facets".to_owned(), json!(["*"]))]);
        let original = Original::search(&body);
        let request = SearchRequest::parse(body).map_err(unreadable)?;
        return run_search(cluster, view, &counting_more(entry), &request, &original).await;
    }
    // A node that holds the whole index cuts the list where the client's settings say, unless facets are merged.
    let mut query = confined.clone();
    query.insert("indexUid".to_owned(), json!(entry.uid));
    let request = MultiRequest::parse(&json!({
        "queries": [query],
        "federation": {
            "limit": 0,
            "facetsByIndex": { (entry.uid.as_str()): ["*"] },
            "mergeFacets": { "maxValuesPerFacet": VALUES_SEEN },
        },
    }))
    .map_err(unreadable)?;
    match &request.federation {
        Some(federation) => {
            run_federated(cluster, view, &request, federation, QueryMetadata::new(false), None).await
        }
        None => Err(RequestError::Unreadable("a federated search without a federation".to_owned())),
    }
}

/// The index with more values of each facet than the client's settings show.
fn counting_more(entry: &IndexEntry) -> IndexEntry {
    let mut entry = entry.clone();
    let faceting = json!({ "maxValuesPerFacet": VALUES_SEEN });
    entry.settings.apply(&Map::from_iter([("faceting".to_owned(), faceting)]));
    entry
}
