//! One document by its id: only its own shard is asked.

use axum::http::StatusCode;
use miroir_core::document::fields::FieldSelection;
use miroir_core::document::paths::{PathsMet, is_path};
use miroir_core::document::{is_valid_id, marker};
use miroir_core::error::ErrorCode;
use miroir_core::hash::shard_of;
use miroir_core::ids::ShardId;
use miroir_core::search::select_listed;
use miroir_core::view::{IndexEntry, View};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use super::replica::ask_replica;
use super::{Reader, met};
use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::questions;

/// Asked for in place of what can't be an id: whatever else is wrong with the request is found first.
const NO_ID: &str = "miroir-has-no-such-document";

/// `id` is decoded, `query` as it stood in the client's address. No node is asked for what can't be the id of a document.
pub async fn get_document(
    of: &Reader<'_>,
    id: &str,
    query: &str,
) -> Result<Map<String, Value>, RequestError> {
    let entry = of.entry;
    let (asked, shard) = if is_valid_id(id) { (id, shard_of(id, entry.shards)) } else { (NO_ID, ShardId(0)) };
    let fields = Fields::of(query).meet(of.cluster, of.view, entry).await;
    let query = fields.asked.as_deref().unwrap_or(query);
    let answer = ask_replica(of, shard, questions::document(&entry.physical, asked, query)).await;
    let is_missing = match &answer {
        Ok(_) => asked != id,
        Err(RequestError::Node(reply)) => reply.status == StatusCode::NOT_FOUND,
        Err(_) => false,
    };
    if is_missing {
        let message = format!("Document `{id}` not found.");
        return Err(RequestError::new(ErrorCode::DocumentNotFound, message));
    }
    let mut document = answer?;
    marker::strip_document(&mut document);
    Ok(select_listed(&fields.selection, document))
}

/// The fields that a query names.
struct Fields<'a> {
    query: &'a str,
    selection: FieldSelection,
    /// The query for nodes, if it is another one.
    asked: Option<String>,
}

impl<'a> Fields<'a> {
    fn of(query: &'a str) -> Self {
        let names = query.split('&').rev().find_map(|pair| pair.strip_prefix(FIELDS)).map(|text| {
            let text = text.replace('+', " ");
            let text = percent_decode_str(&text).decode_utf8_lossy();
            text.split(',').map(str::to_owned).collect::<Vec<_>>()
        });
        Self { query, selection: FieldSelection::from_list(names.as_deref()), asked: None }
    }

    /// Leaves out paths that no node has met, and asks for what the others pass where some node has not met them.
    async fn meet(mut self, cluster: &Cluster, view: &View, entry: &IndexEntry) -> Self {
        let FieldSelection::Only(names) = &mut self.selection else { return self };
        let paths: Vec<String> = names.iter().filter(|name| is_path(name)).cloned().collect();
        let met = met(cluster, view, entry, &paths).await;
        if met == PathsMet::default() {
            self.selection = FieldSelection::All;
            return self;
        }
        names.retain(|name| met.means_something(name));
        let all = [names.as_slice(), &met.beside()].concat().join(",");
        let others = self.query.split('&').filter(|pair| !pair.starts_with(FIELDS));
        let fields = format!("{FIELDS}{}", utf8_percent_encode(&all, NON_ALPHANUMERIC));
        self.asked = Some(others.chain([fields.as_str()]).collect::<Vec<_>>().join("&"));
        self
    }
}

/// How the parameter begins that names fields.
const FIELDS: &str = "fields=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_from_the_last_parameter_that_names_some() {
        let of = |query| Fields::of(query).selection;
        assert_eq!(of("retrieveVectors=true"), FieldSelection::All);
        assert_eq!(of("fields=*&x=1"), FieldSelection::All);
        let names = ["a.b", "c d", "e"].map(str::to_owned).to_vec();
        assert_eq!(of("fields=x&fields=a%2Eb,c+d%2Ce"), FieldSelection::Only(names));
    }
}
