//! Routes about documents.

use axum::extract::{Path, State};
use axum::http::Uri;
use deserr::Deserr;
use serde_json::{Value, json};

use super::body::RawBody;
use super::params::Params;
use super::payload::{self, Format};
use super::{Accepted, Answer, Shared, checked_uid, run_blocking};
use crate::engine::read::{self, Listing};
use crate::error::{ApiError, Result};
use crate::queue::task::{ImportMethod, Operation};
use crate::refused::parse;

const DEFAULT_LIMIT: usize = 20;
const FORMATS: [&str; 3] = ["application/json", "application/x-ndjson", "text/csv"];

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct Fetch {
    #[deserr(default)]
    offset: usize,
    #[deserr(default = DEFAULT_LIMIT)]
    limit: usize,
    #[deserr(default)]
    fields: Option<Vec<String>>,
    #[deserr(default)]
    retrieve_vectors: bool,
    #[deserr(default)]
    ids: Option<Vec<Value>>,
    #[deserr(default)]
    filter: Option<Value>,
    #[deserr(default)]
    sort: Option<Vec<String>>,
    #[deserr(default)]
    use_network: Option<bool>,
}

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct DeletionByFilter {
    filter: Value,
}

pub async fn list(State(node): Shared, path: Path<String>, uri: Uri) -> Result<Answer> {
    let accepted = ["offset", "limit", "fields", "retrieveVectors", "ids", "filter", "sort", "useNetwork"];
    let params = Params::parse(&uri, &accepted, "invalid_document_")?;
    let listing = Listing {
        offset: params.size("offset")?.unwrap_or(0),
        limit: params.size("limit")?.unwrap_or(DEFAULT_LIMIT),
        fields: params.list("fields"),
        ids: params
            .list("ids")
            .map(|ids| check_ids(&ids.into_iter().map(Value::from).collect::<Vec<_>>()))
            .transpose()?,
        filter: params.json_or_text("filter"),
        sort: params.list("sort"),
        with_vectors: params.boolean("retrieveVectors")?.unwrap_or(false),
    };
    let uid = checked_uid(path)?;
    answer_listing(node, uid, listing).await
}

pub async fn fetch(State(node): Shared, path: Path<String>, body: RawBody) -> Result<Answer> {
    let fetch: Fetch = parse(body.json()?).map_err(|refused| refused.coded("invalid_document_"))?;
    if fetch.use_network == Some(true) {
        return Err(ApiError::new("invalid_document_use_network", "This node is in no network."));
    }
    let listing = Listing {
        offset: fetch.offset,
        limit: fetch.limit,
        fields: fetch.fields,
        ids: fetch.ids.map(|ids| check_ids(&ids)).transpose()?,
        filter: fetch.filter,
        sort: fetch.sort,
        with_vectors: fetch.retrieve_vectors,
    };
    let uid = checked_uid(path)?;
    answer_listing(node, uid, listing).await
}

pub async fn get(State(node): Shared, Path((uid, id)): Path<(String, String)>, uri: Uri) -> Result<Answer> {
    let params = Params::parse(&uri, &["fields", "retrieveVectors", "useNetwork"], "invalid_document_")?;
    let fields = params.list("fields");
    let with_vectors = params.boolean("retrieveVectors")?.unwrap_or(false);
    let uid = checked_uid(Path(uid))?;
    run_blocking(move || {
        let (_, index) = node.index(&uid)?;
        let document = read::get(&index, &id, fields.as_deref(), with_vectors)?;
        let missing = || ApiError::new("document_not_found", format!("Document `{id}` not found."));
        document.map(|fields| Answer(Value::Object(fields))).ok_or_else(missing)
    })
    .await
}

pub async fn replace(shared: Shared, path: Path<String>, uri: Uri, body: RawBody) -> Result<Accepted> {
    import(shared, path, uri, body, ImportMethod::Replace).await
}

pub async fn merge(shared: Shared, path: Path<String>, uri: Uri, body: RawBody) -> Result<Accepted> {
    import(shared, path, uri, body, ImportMethod::Merge).await
}

pub async fn delete(
    State(node): Shared,
    Path((uid, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Accepted> {
    let metadata = metadata(&uri)?;
    let uid = checked_uid(Path(uid))?;
    run_blocking(move || {
        node.enqueue(Some(&uid), Operation::DeleteDocuments { ids: vec![id] }, metadata, None).map(Accepted)
    })
    .await
}

pub async fn delete_batch(
    State(node): Shared,
    path: Path<String>,
    uri: Uri,
    body: RawBody,
) -> Result<Accepted> {
    let metadata = metadata(&uri)?;
    let ids: Vec<Value> = serde_json::from_value(body.json()?).map_err(|error| {
        ApiError::new("bad_request", format!("Json deserialize error: {error} at line 1 column 0"))
    })?;
    let ids = ids.iter().map(id_text).collect();
    let uid = checked_uid(path)?;
    run_blocking(move || {
        node.enqueue(Some(&uid), Operation::DeleteDocuments { ids }, metadata, None).map(Accepted)
    })
    .await
}

pub async fn delete_by_filter(
    State(node): Shared,
    path: Path<String>,
    uri: Uri,
    body: RawBody,
) -> Result<Accepted> {
    let metadata = metadata(&uri)?;
    let DeletionByFilter { filter } = parse(body.json()?).map_err(|refused| {
        refused.coded_or_missing("invalid_document_", "filter", "missing_document_filter")
    })?;
    let is_empty = read::parse_filter(&filter).map_err(document_code)?.is_none();
    if is_empty {
        return Err(ApiError::new("invalid_document_filter", "Sending an empty filter is forbidden."));
    }
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let operation = Operation::DeleteDocumentsByFilter { filter };
        node.enqueue(Some(&uid), operation, metadata, None).map(Accepted)
    })
    .await
}

pub async fn clear(State(node): Shared, path: Path<String>, uri: Uri) -> Result<Accepted> {
    let metadata = metadata(&uri)?;
    let uid = checked_uid(path)?;
    run_blocking(move || node.enqueue(Some(&uid), Operation::ClearDocuments, metadata, None).map(Accepted))
        .await
}

async fn import(
    State(node): Shared,
    path: Path<String>,
    uri: Uri,
    body: RawBody,
    method: ImportMethod,
) -> Result<Accepted> {
    let accepted = ["primaryKey", "csvDelimiter", "customMetadata", "skipCreation"];
    let params = Params::parse(&uri, &accepted, "invalid_document_")?;
    let format = format_of(&body, params.text("csvDelimiter"))?;
    let skip_creation = skip_creation(params.text("skipCreation"))?;
    let primary_key = params.text("primaryKey").map(str::to_owned);
    let metadata = params.text("customMetadata").map(str::to_owned);
    let uid = checked_uid(path)?;
    run_blocking(move || {
        let documents = payload::read(format, &body.bytes)?;
        let received = documents.count;
        let operation = Operation::ImportDocuments { method, primary_key, received, skip_creation };
        node.enqueue(Some(&uid), operation, metadata, Some(&documents.stream)).map(Accepted)
    })
    .await
}

async fn answer_listing(
    node: std::sync::Arc<crate::node::Node>,
    uid: String,
    listing: Listing,
) -> Result<Answer> {
    run_blocking(move || {
        let (_, index) = node.index(&uid)?;
        let (total, results) = read::list(&index, &listing).map_err(document_code)?;
        let (offset, limit) = (listing.offset, listing.limit);
        Ok(Answer(json!({ "results": results, "offset": offset, "limit": limit, "total": total })))
    })
    .await
}

/// Filters and sorts of documents are refused under other codes than those of searches.
fn document_code(error: ApiError) -> ApiError {
    error
        .recoded("invalid_search_filter", "invalid_document_filter")
        .recoded("invalid_search_sort", "invalid_document_sort")
}

fn metadata(uri: &Uri) -> Result<Option<String>> {
    let params = Params::parse(uri, &["customMetadata"], "invalid_document_")?;
    Ok(params.text("customMetadata").map(str::to_owned))
}

fn format_of(body: &RawBody, delimiter: Option<&str>) -> Result<Format> {
    // A wrong parameter is found before the body is looked at.
    let csv = Format::Csv { delimiter: csv_delimiter(delimiter)? };
    let content_type = body.content_type(&FORMATS)?;
    match content_type {
        "text/csv" => Ok(csv),
        _ if delimiter.is_some() => {
            let message = format!(
                "The Content-Type `{content_type}` does not support the use of a csv delimiter. The csv delimiter \
                 can only be used with the Content-Type `text/csv`."
            );
            Err(ApiError::new("invalid_content_type", message))
        }
        "application/json" => Ok(Format::Json),
        _ => Ok(Format::NdJson),
    }
}

fn csv_delimiter(delimiter: Option<&str>) -> Result<u8> {
    let refuse = |message: String| Err(ApiError::new("invalid_document_csv_delimiter", message));
    match delimiter.unwrap_or(",").as_bytes() {
        [delimiter] if delimiter.is_ascii() => Ok(*delimiter),
        [] => refuse(
            "Invalid value in parameter `csvDelimiter`: expected a string of one character, but found an empty string"
                .to_owned(),
        ),
        _ => {
            let text = delimiter.unwrap_or_default();
            let count = text.chars().count();
            if count == 1 {
                return refuse(format!("csv delimiter must be an ascii character. Found: `{text}`"));
            }
            refuse(format!(
                "Invalid value in parameter `csvDelimiter`: expected a string of one character, but found the \
                 following string of {count} characters: `{text}`"
            ))
        }
    }
}

fn skip_creation(text: Option<&str>) -> Result<bool> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let found = text.unwrap_or_default();
            let message = format!("skipCreation must be either `true` or `false`. Found: `{found}`");
            Err(ApiError::new("invalid_skip_creation", message))
        }
    }
}

/// Any JSON value names a document by its text.
fn id_text(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check_ids(ids: &[Value]) -> Result<Vec<String>> {
    ids.iter()
        .enumerate()
        .map(|(position, id)| {
            let text = id_text(id);
            let is_valid = (id.is_string() || id.is_i64() || id.is_u64())
                && (1..=511).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if is_valid {
                return Ok(text);
            }
            let error = milli_core::UserError::InvalidDocumentId { document_id: id.clone() };
            Err(ApiError::new("invalid_document_ids", format!("In `.ids[{position}]`: {error}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_integers_or_plain_words() {
        assert_eq!(check_ids(&[json!(1), json!("a-b_2")]), Ok(vec!["1".to_owned(), "a-b_2".to_owned()]));
        let error = check_ids(&[json!(1), json!("a b")]).unwrap_err();
        assert_eq!(error.code, "invalid_document_ids");
        assert!(error.message.starts_with("In `.ids[1]`: Document identifier `\"a b\"` is invalid."));
    }

    #[test]
    fn skip_creation_is_a_boolean_in_any_case() {
        assert_eq!(skip_creation(Some("TRUE")), Ok(true));
        assert_eq!(skip_creation(Some("maybe")).unwrap_err().code, "invalid_skip_creation");
    }
}
