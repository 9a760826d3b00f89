//! What a client set, and what a node must be told because of it.
//!
//! Miroir is the authority on settings. It keeps what clients set ([`ClientSettings`]) and gives nodes a translation:
//! the same settings plus what Miroir needs (see [`translate`]). Whatever a node reports is turned back into what the
//! client would see on one Meilisearch (see [`client_view`]).

mod client;
mod fields;
mod filterable;
mod translate;
mod view;

pub use client::ClientSettings;
pub use fields::{FieldsRequest, merge_fields};
pub(crate) use filterable::{lies_in, matches_pattern};
pub(crate) use translate::ranking_rules_of;
pub use translate::{NodeContext, node_settings, tie_rule, values_per_facet};
pub use view::client_view;

#[cfg(test)]
mod tests;
