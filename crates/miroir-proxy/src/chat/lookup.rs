//! The search that a model asks for: made over the whole cluster, confined to what the caller may find, and turned into the
//! text that the model reads.

use std::collections::HashMap;
use std::sync::Arc;

use miroir_core::chat::{
    DocumentTemplate, SearchArguments, as_chats_tell, displayed_only, for_the_model_alone,
};
use miroir_core::document::{canonical_id, reserved};
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::IndexUid;
use miroir_core::search::SearchRequest;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};

use super::ChatParts;
use crate::auth::{Bearer, Search};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::probe::{Original, explain};
use crate::read::{ListingRequest, Reader, existing, list_documents};
use crate::search::{Relations, read_uniformly, run_search};

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct ToolFindings {
    /// What the client may see of the documents.
    pub(super) documents: Vec<Map<String, Value>>,
    /// What the model reads.
    pub(super) text: String,
}

/// Answers one call of the search tool. What only the model can mend is an answer too.
pub(super) async fn look_up(
    parts: &ChatParts,
    caller: &Bearer,
    arguments: &SearchArguments,
) -> Result<ToolFindings, ResponseError> {
    parts.metrics.note_search();
    match search(parts, caller, arguments).await.map_err(RequestError::told) {
        Err(fault) => match for_the_model_alone(&fault, &arguments.index_uid, arguments.filter.as_deref()) {
            Some(text) => Ok(ToolFindings { documents: Vec::new(), text }),
            None => Err(as_chats_tell(fault, &arguments.index_uid)),
        },
        found => found,
    }
}

async fn search(
    parts: &ChatParts,
    caller: &Bearer,
    arguments: &SearchArguments,
) -> Result<ToolFindings, RequestError> {
    let view = parts.cluster.view.load();
    let uid = IndexUid::new(arguments.index_uid.as_str());
    let entry = existing(&view, &uid)?;
    let parameters = entry.settings.get("chat").map(|chat| &chat["searchParameters"]);
    let mut body = arguments.body(parameters);
    caller.authorize::<Search>(&parts.keys, &uid)?.confine(&uid, &mut body)?;
    let relations = Relations { cluster: &parts.cluster, records: &parts.records, view: &view };
    relations.answer_conditions(entry, &mut body).await?;
    let original = Original::search(&body);
    let Ok(request) = SearchRequest::parse(body) else {
        return Err(explain(&parts.cluster, entry, &original).await);
    };
    reserved::check_search(&request.body)?;
    let (cluster, uid, request, original) = (&parts.cluster, &uid, &request, &original);
    let ask = |view: Arc<View>| async move {
        let entry = existing(&view, uid)?;
        let documents = find(cluster, &view, entry, request, original).await?;
        present(entry, &documents)
    };
    let (found, _) = read_uniformly(cluster, &view, [uid.clone()], None, ask).await?;
    Ok(found)
}

/// The documents that are found, with all of their fields: templates may use what clients don't see.
async fn find(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    request: &SearchRequest,
    original: &Original,
) -> Result<Vec<Map<String, Value>>, RequestError> {
    let hides = entry.settings.list("displayedAttributes").is_some_and(|list| !list.contains(&"*"));
    let scattered = entry.placement.is_scattered();
    let whole = if hides && scattered {
        run_search(cluster, view, &displaying_all(entry), request, original).await.ok()
    } else {
        None
    };
    // What is wrong with a search is said of the index as clients see it.
    let answer = match whole {
        Some(answer) => answer,
        None => run_search(cluster, view, entry, request, original).await?,
    };
    let hits = answer.body.get("hits").and_then(Value::as_array).cloned().unwrap_or_default();
    let documents = hits.into_iter().filter_map(|hit| match hit {
        Value::Object(mut document) => {
            document.shift_remove("_geoDistance");
            Some(document)
        }
        _ => None,
    });
    let documents: Vec<_> = documents.collect();
    if hides && !scattered { complete(cluster, view, entry, documents).await } else { Ok(documents) }
}

/// The index as its nodes have it, which display everything where answers are merged.
fn displaying_all(entry: &IndexEntry) -> IndexEntry {
    let mut entry = entry.clone();
    entry.settings.apply(&Map::from_iter([("displayedAttributes".to_owned(), Value::Null)]));
    entry
}

fn id_of(entry: &IndexEntry, document: &Map<String, Value>) -> Option<String> {
    canonical_id(document.get(entry.primary_key.as_deref()?)?)
}

/// The same documents with the fields that a node hides from searches. Where it hides the primary key too, they stay as they
/// are.
async fn complete(
    cluster: &Cluster,
    view: &View,
    entry: &IndexEntry,
    documents: Vec<Map<String, Value>>,
) -> Result<Vec<Map<String, Value>>, RequestError> {
    let id = |document: &Map<String, Value>| id_of(entry, document);
    let ids: Vec<String> = documents.iter().filter_map(id).collect();
    let body = json!({ "ids": ids, "limit": ids.len() });
    let Some(request) = body.as_object().cloned().and_then(ListingRequest::parse) else {
        return Ok(documents);
    };
    if ids.is_empty() {
        return Ok(documents);
    }
    let listing = list_documents(&Reader::new(cluster, view, entry), &request, None).await?;
    let mut whole = HashMap::new();
    for document in listing.results {
        if let Value::Object(document) = document
            && let Some(id) = id(&document)
        {
            whole.insert(id, document);
        }
    }
    Ok(documents.into_iter().map(|seen| id(&seen).and_then(|id| whole.remove(&id)).unwrap_or(seen)).collect())
}

/// What the client sees of the documents, and what the model reads.
fn present(entry: &IndexEntry, documents: &[Map<String, Value>]) -> Result<ToolFindings, RequestError> {
    let refuse = |error: miroir_core::chat::TemplateFault| {
        RequestError::new(ErrorCode::InvalidChatSettingDocumentTemplate, error.to_string())
    };
    let template = DocumentTemplate::of(&entry.settings).map_err(refuse)?;
    let texts: Result<Vec<String>, RequestError> = documents
        .iter()
        .map(|document| {
            template.render(&id_of(entry, document).unwrap_or_default(), document).map_err(refuse)
        })
        .collect();
    let seen = documents.iter().map(|document| displayed_only(document, &entry.settings)).collect();
    Ok(ToolFindings { documents: seen, text: texts?.join("\n") })
}
