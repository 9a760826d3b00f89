//! Several searches in one request, each on its own. This node has no federated search.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deserr::Deserr;
use serde_json::{Value, json};

use super::body::RawBody;
use super::search::parse_query;
use super::{Answer, Shared, check_uid, run_blocking};
use crate::engine::search::{self, SearchQuery};
use crate::error::{ApiError, Result};
use crate::refused::parse;

#[derive(Deserr)]
#[deserr(rename_all = camelCase, deny_unknown_fields)]
struct MultiSearch {
    queries: Vec<Value>,
    #[deserr(default)]
    federation: Option<Value>,
}

pub async fn post(State(node): Shared, body: RawBody) -> Response {
    let queries = match body.json().and_then(parse_queries) {
        Ok(queries) => queries,
        Err(error) => return error.into_response(),
    };
    let searched = run_blocking(move || {
        let mut results = Vec::new();
        for (position, (uid, query)) in queries.iter().enumerate() {
            let result = node.index(uid).and_then(|(entry, index)| search::run(&index, &entry.uid, query));
            let mut result = result.map_err(|error| inside(position, error))?;
            let mut named = serde_json::Map::from_iter([("indexUid".to_owned(), json!(uid))]);
            if let Value::Object(fields) = &mut result {
                named.append(fields);
            }
            results.push(Value::Object(named));
        }
        Ok(Answer(json!({ "results": results })))
    })
    .await;
    match searched {
        Ok(answer) => answer.into_response(),
        // A missing index is the request's fault here, not the path's.
        Err(error) if error.code == "index_not_found" => {
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

fn parse_queries(body: Value) -> Result<Vec<(String, SearchQuery)>> {
    let MultiSearch { queries, federation } =
        parse(body).map_err(|refused| ApiError::new("bad_request", refused.message))?;
    if federation.is_some() {
        return Err(ApiError::new("bad_request", "The development node has no federated search."));
    }
    queries.into_iter().enumerate().map(|(position, query)| parse_one(position, query)).collect()
}

fn parse_one(position: usize, mut query: Value) -> Result<(String, SearchQuery)> {
    let place = format!(".queries[{position}]");
    let fields = query.as_object_mut().ok_or_else(|| {
        ApiError::new("bad_request", format!("Invalid value type at `{place}`: expected an object"))
    })?;
    if fields.shift_remove("federationOptions").is_some_and(|options| !options.is_null()) {
        let message = format!(
            "Inside `{place}`: Using `federationOptions` is not allowed in a non-federated search.\n - Hint: remove \
             `federationOptions` from the query or add `federation` to the request."
        );
        return Err(ApiError::new("invalid_multi_search_federation_options", message));
    }
    let uid = match fields.shift_remove("indexUid") {
        Some(Value::String(uid)) => uid,
        Some(other) => {
            let message =
                format!("Invalid value type at `{place}.indexUid`: expected a string, but found: `{other}`");
            return Err(ApiError::new("invalid_index_uid", message));
        }
        None => {
            return Err(ApiError::new(
                "missing_index_uid",
                format!("Missing field `indexUid` inside `{place}`"),
            ));
        }
    };
    check_uid(&uid).map_err(|message| {
        ApiError::new("invalid_index_uid", format!("Invalid value at `{place}.indexUid`: {message}"))
    })?;
    let query = parse_query(query).map_err(|unfit| placed(&place, unfit.0))?;
    Ok((uid, query))
}

/// The message with the place of the query in front of the place in the query.
fn placed(place: &str, mut error: ApiError) -> ApiError {
    error.message = match error.message.split_once("`: ") {
        Some((unknown, rest)) if unknown.starts_with("Unknown field") && !unknown.contains(" inside ") => {
            format!("{unknown}` inside `{place}`: {rest}")
        }
        _ => error.message.replacen(" at `.", &format!(" at `{place}."), 1).replacen(
            " inside `.",
            &format!(" inside `{place}."),
            1,
        ),
    };
    error
}

fn inside(position: usize, mut error: ApiError) -> ApiError {
    error.message = format!("Inside `.queries[{position}]`: {}", error.message);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_query() {
        let message = |query| parse_one(1, query).map_err(|error| error.message).err().unwrap_or_default();
        assert_eq!(message(json!({ "q": "a" })), "Missing field `indexUid` inside `.queries[1]`");
        assert!(
            message(json!({ "indexUid": "a", "q": 1 })).starts_with("Invalid value type at `.queries[1].q`:")
        );
        assert!(
            message(json!({ "indexUid": "a", "zz": 1 }))
                .starts_with("Unknown field `zz` inside `.queries[1]`: ")
        );
    }

    #[test]
    fn a_federated_search_is_refused() {
        let error = parse_queries(json!({ "federation": {}, "queries": [] })).map(|queries| queries.len());
        assert_eq!(error.map_err(|error| error.code), Err("bad_request".to_owned()));
    }
}
