//! Reading documents and numbers out of an index, without searching.

use std::str::FromStr;

use milli_core::heed::RoTxn;
use milli_core::vector::parsed_vectors::{ExplicitVectors, VectorOrArrayOfVectors};
use milli_core::{AscDesc, DocumentId, Filter, Index, Object, SortError, all_obkv_to_json};
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use super::json_paths;
use crate::error::{ApiError, Result};

/// Which documents to list, and what of them.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub offset: usize,
    pub limit: usize,
    /// `None` and a list with `*` mean all fields.
    pub fields: Option<Vec<String>>,
    pub ids: Option<Vec<String>>,
    pub filter: Option<Value>,
    pub sort: Option<Vec<String>>,
    pub with_vectors: bool,
}

/// A page of documents and how many match in all.
pub fn list(index: &Index, listing: &Listing) -> Result<(u64, Vec<Object>)> {
    let rtxn = index.read_txn()?;
    let filter = match &listing.filter {
        Some(filter) => parse_filter(filter)?,
        None => None,
    };
    let (total, page) = match &listing.sort {
        Some(sort) if !sort.is_empty() => sorted_page(index, &rtxn, filter.as_ref(), sort, listing)?,
        _ => {
            let matching = matching_documents(index, &rtxn, filter.as_ref(), listing.ids.as_deref())?;
            let page = matching.iter().skip(listing.offset).take(listing.limit).collect::<Vec<_>>();
            (matching.len(), page)
        }
    };
    let documents = page
        .into_iter()
        .map(|id| document(index, &rtxn, id, listing.fields.as_deref(), listing.with_vectors))
        .collect::<Result<_>>()?;
    Ok((total, documents))
}

/// One document by its id; `None` if the index has no such id.
pub fn get(index: &Index, id: &str, fields: Option<&[String]>, with_vectors: bool) -> Result<Option<Object>> {
    let rtxn = index.read_txn()?;
    let Some(internal) = index.external_documents_ids().get(&rtxn, id)? else { return Ok(None) };
    document(index, &rtxn, internal, fields, with_vectors).map(Some)
}

/// The engine's filter of a JSON filter; `None` when it restricts nothing.
pub fn parse_filter(filter: &Value) -> Result<Option<Filter<'_>>> {
    match filter {
        Value::String(_) | Value::Array(_) => Ok(Filter::from_json(filter)?),
        other => Err(ApiError::new(
            "invalid_search_filter",
            format!("Invalid syntax for the filter parameter: `expected String, Array, found: {other}`."),
        )),
    }
}

/// The answer of `/indexes/{uid}/stats`.
pub fn stats(index: &Index, is_indexing: bool) -> Result<Value> {
    let rtxn = index.read_txn()?;
    let sizes = index.documents_stats(&rtxn)?.unwrap_or_default();
    let vectors = index.arroy_stats(&rtxn)?;
    Ok(json!({
        "numberOfDocuments": index.number_of_documents(&rtxn)?,
        "rawDocumentDbSize": sizes.total_size(),
        "avgDocumentSize": sizes.average_value_size(),
        "isIndexing": is_indexing,
        "numberOfEmbeddings": vectors.number_of_embeddings,
        "numberOfEmbeddedDocuments": vectors.documents.len(),
        "fieldDistribution": index.field_distribution(&rtxn)?,
    }))
}

/// The vectors of a document, one entry an embedder, as they are shown.
pub fn vectors(index: &Index, rtxn: &RoTxn<'_>, id: DocumentId, stored: Option<Value>) -> Result<Value> {
    let mut shown = match stored {
        Some(Value::Object(vectors)) => vectors,
        _ => Object::new(),
    };
    let configured = index.embedding_configs(rtxn)?;
    for (name, embeddings) in index.embeddings(rtxn, id)? {
        let is_user_provided = configured
            .iter()
            .find(|config| config.name == name)
            .is_some_and(|config| config.user_provided.contains(id));
        let vectors = ExplicitVectors {
            embeddings: Some(VectorOrArrayOfVectors::from_array_of_vectors(embeddings)),
            regenerate: !is_user_provided,
        };
        shown.insert(name, serde_json::to_value(vectors)?);
    }
    Ok(Value::Object(shown))
}

fn document(
    index: &Index,
    rtxn: &RoTxn<'_>,
    id: DocumentId,
    fields: Option<&[String]>,
    with_vectors: bool,
) -> Result<Object> {
    let stored = index.document(rtxn, id)?;
    let mut document = all_obkv_to_json(stored, &index.fields_ids_map(rtxn)?)?;
    let stored_vectors = document.shift_remove("_vectors");
    if let Some(fields) = fields.filter(|fields| !fields.iter().any(|field| field == "*")) {
        document = json_paths::select(&document, fields.iter().map(String::as_str));
    }
    if with_vectors {
        document.insert("_vectors".to_owned(), vectors(index, rtxn, id, stored_vectors)?);
    }
    Ok(document)
}

fn matching_documents(
    index: &Index,
    rtxn: &RoTxn<'_>,
    filter: Option<&Filter<'_>>,
    ids: Option<&[String]>,
) -> Result<RoaringBitmap> {
    let mut matching = match filter {
        Some(filter) => filter.evaluate(rtxn, index)?,
        None => index.documents_ids(rtxn)?,
    };
    if let Some(ids) = ids {
        let known = index.external_documents_ids();
        let mut wanted = RoaringBitmap::new();
        for id in ids {
            if let Some(internal) = known.get(rtxn, id)? {
                wanted.insert(internal);
            }
        }
        matching &= wanted;
    }
    Ok(matching)
}

/// The engine sorts only inside a search; its other ranking rules do nothing without a query.
fn sorted_page(
    index: &Index,
    rtxn: &RoTxn<'_>,
    filter: Option<&Filter<'_>>,
    sort: &[String],
    listing: &Listing,
) -> Result<(u64, Vec<DocumentId>)> {
    let criteria = sort.iter().map(|rule| AscDesc::from_str(rule)).collect::<Result<Vec<_>, _>>();
    let matching = matching_documents(index, rtxn, filter, listing.ids.as_deref())?;
    let mut search = index.search(rtxn);
    search.sort_criteria(criteria.map_err(SortError::from)?);
    search.limit(usize::MAX / 2);
    let sorted = search.execute()?.documents_ids;
    let page = sorted
        .into_iter()
        .filter(|id| matching.contains(*id))
        .skip(listing.offset)
        .take(listing.limit)
        .collect();
    Ok((matching.len(), page))
}
