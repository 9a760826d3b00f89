//! Changes to documents. Each function is one transaction of the index and harmless when it is run again.

use std::collections::HashSet;

use bumpalo::Bump;
use memmap2::{Mmap, MmapMut};
use milli_core::documents::PrimaryKey;
use milli_core::heed::RwTxn;
use milli_core::progress::Progress;
use milli_core::update::ClearDocuments;
use milli_core::update::new::indexer;
use milli_core::{Filter, Index};
use roaring::RoaringBitmap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Engine, embedders};
use crate::error::{ApiError, Result};
use crate::queue::task::ImportMethod;

/// One task's part of a batch.
pub enum DocumentChange {
    /// A stream of JSON objects.
    Import {
        method: ImportMethod,
        payload: Vec<u8>,
        skip_creation: bool,
    },
    Delete {
        ids: Vec<String>,
    },
}

/// What became of one part: how many documents it touched, or why it was left out.
pub struct Applied {
    pub count: u64,
    pub error: Option<ApiError>,
}

/// Applies the changes in order; a refused one leaves the others alone.
pub fn apply(
    engine: &Engine,
    index: &Index,
    primary_key: Option<&str>,
    changes: &[DocumentChange],
) -> Result<Vec<Applied>> {
    let mut wtxn = index.write_txn()?;
    let rtxn = index.read_txn()?;
    let payloads = map_payloads(index, &rtxn, primary_key, changes)?;
    let id_lists: Vec<Vec<&str>> = changes
        .iter()
        .map(|change| match change {
            DocumentChange::Delete { ids } => ids.iter().map(String::as_str).collect(),
            DocumentChange::Import { .. } => Vec::new(),
        })
        .collect();

    let mut operations = indexer::DocumentOperation::new();
    for ((change, payload), ids) in changes.iter().zip(&payloads).zip(&id_lists) {
        match change {
            DocumentChange::Import { method: ImportMethod::Replace, .. } => {
                operations.replace_documents(payload)?;
            }
            DocumentChange::Import { method: ImportMethod::Merge, .. } => {
                operations.update_documents(payload)?;
            }
            DocumentChange::Delete { .. } => operations.delete_documents(ids),
        }
    }

    let allocator = Bump::new();
    let old_fields = index.fields_ids_map(&rtxn)?;
    let mut new_fields = old_fields.clone();
    let (document_changes, stats, new_primary_key) = operations.into_changes(
        &allocator,
        index,
        &rtxn,
        primary_key,
        &mut new_fields,
        &never_stop,
        Progress::default(),
    )?;
    let counts = count_documents(index, &rtxn, changes)?;
    let applied: Vec<Applied> = stats
        .into_iter()
        .zip(counts)
        .map(|(stat, counted)| Applied {
            count: counted.unwrap_or(stat.document_count),
            error: stat.error.map(|error| milli_core::Error::UserError(error).into()),
        })
        .collect();
    if applied.iter().any(|part| part.error.is_none()) {
        indexer::index(
            &mut wtxn,
            index,
            engine.pool(),
            engine.config().grenad_parameters(),
            &old_fields,
            new_fields,
            new_primary_key,
            &document_changes,
            embedders::load(index, &rtxn)?,
            &never_stop,
            &Progress::default(),
        )?;
        wtxn.commit()?;
    }
    Ok(applied)
}

/// Deletes what the filter matches and says how many documents that were.
pub fn delete_by_filter(engine: &Engine, index: &Index, filter: &Value) -> Result<u64> {
    let mut wtxn = index.write_txn()?;
    let rtxn = index.read_txn()?;
    let Some(filter) = Filter::from_json(filter)? else { return Ok(0) };
    let matching = filter.evaluate(&rtxn, index)?;
    let count = matching.len();
    if count > 0 {
        delete_internal(engine, index, &mut wtxn, &rtxn, matching)?;
        wtxn.commit()?;
    }
    Ok(count)
}

/// Deletes all documents and says how many there were.
pub fn clear(index: &Index) -> Result<u64> {
    let mut wtxn = index.write_txn()?;
    let count = ClearDocuments::new(&mut wtxn, index).execute()?;
    wtxn.commit()?;
    Ok(count)
}

fn delete_internal(
    engine: &Engine,
    index: &Index,
    wtxn: &mut RwTxn<'_>,
    rtxn: &milli_core::heed::RoTxn<'_>,
    documents: RoaringBitmap,
) -> Result<()> {
    let Some(primary_key) = index.primary_key(rtxn)? else { return Ok(()) };
    let allocator = Bump::new();
    let old_fields = index.fields_ids_map(rtxn)?;
    let mut new_fields = old_fields.clone();
    let primary_key =
        PrimaryKey::new_or_insert(primary_key, &mut new_fields).map_err(milli_core::Error::UserError)?;
    let mut deletion = indexer::DocumentDeletion::new();
    deletion.delete_documents_by_docids(documents);
    let changes = deletion.into_changes(&allocator, primary_key);
    indexer::index(
        wtxn,
        index,
        engine.pool(),
        engine.config().grenad_parameters(),
        &old_fields,
        new_fields,
        None,
        &changes,
        embedders::load(index, rtxn)?,
        &never_stop,
        &Progress::default(),
    )?;
    Ok(())
}

/// How many documents each change touches, where the engine's number is another: it counts ids that are not there as
/// deleted, and never sees documents that were skipped.
fn count_documents(
    index: &Index,
    rtxn: &milli_core::heed::RoTxn<'_>,
    changes: &[DocumentChange],
) -> Result<Vec<Option<u64>>> {
    let known = index.external_documents_ids();
    let mut deleted = HashSet::new();
    let mut counts = Vec::new();
    for change in changes {
        counts.push(match change {
            DocumentChange::Delete { ids } => {
                let mut count = 0;
                for id in ids {
                    if known.get(rtxn, id)?.is_some() && deleted.insert(id.as_str()) {
                        count += 1;
                    }
                }
                Some(count)
            }
            DocumentChange::Import { skip_creation: true, payload, .. } => match index.primary_key(rtxn)? {
                Some(key) => {
                    let mut ids = HashSet::new();
                    for_each_id(payload, key, |id, _document| {
                        ids.insert(id);
                        Ok(())
                    })?;
                    Some(ids.len() as u64)
                }
                None => None,
            },
            DocumentChange::Import { .. } => None,
        });
    }
    Ok(counts)
}

/// The engine reads documents from memory maps only; a deletion gets an empty one.
fn map_payloads(
    index: &Index,
    rtxn: &milli_core::heed::RoTxn<'_>,
    primary_key: Option<&str>,
    changes: &[DocumentChange],
) -> Result<Vec<Mmap>> {
    let key = index.primary_key(rtxn)?.or(primary_key);
    changes
        .iter()
        .map(|change| match change {
            DocumentChange::Import { payload, skip_creation: true, .. } => {
                to_map(&keep_existing(index, rtxn, key, payload)?)
            }
            DocumentChange::Import { payload, .. } => to_map(payload),
            DocumentChange::Delete { .. } => to_map(&[]),
        })
        .collect()
}

/// The documents of the payload that the index has already.
fn keep_existing(
    index: &Index,
    rtxn: &milli_core::heed::RoTxn<'_>,
    primary_key: Option<&str>,
    payload: &[u8],
) -> Result<Vec<u8>> {
    let Some(key) = primary_key else { return Ok(Vec::new()) };
    let known = index.external_documents_ids();
    let mut kept = Vec::new();
    for_each_id(payload, key, |id, document| {
        if known.get(rtxn, &id)?.is_some() {
            kept.extend_from_slice(document.as_bytes());
            kept.push(b'\n');
        }
        Ok(())
    })?;
    Ok(kept)
}

/// Calls `visit` with the id and the text of each document of the stream.
fn for_each_id(payload: &[u8], key: &str, mut visit: impl FnMut(String, &str) -> Result<()>) -> Result<()> {
    for document in serde_json::Deserializer::from_slice(payload).into_iter::<&RawValue>() {
        let text = document?.get();
        let fields: Value = serde_json::from_str(text)?;
        let id = match &fields[key] {
            Value::String(id) => id.clone(),
            other => other.to_string(),
        };
        visit(id, text)?;
    }
    Ok(())
}

fn to_map(bytes: &[u8]) -> Result<Mmap> {
    let mut map = MmapMut::map_anon(bytes.len())?;
    map.copy_from_slice(bytes);
    Ok(map.make_read_only()?)
}

fn never_stop() -> bool {
    false
}
