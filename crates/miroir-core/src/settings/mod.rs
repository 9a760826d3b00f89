//! What a client set, and what a node must be told because of it.
//!
//! Miroir is the authority on settings. It keeps what clients set ([`ClientSettings`]) and gives nodes a translation:
//! the same settings plus what Miroir needs (see [`translate`]). Whatever a node reports is turned back into what the
//! client would see on one Meilisearch (see [`client_view`]).
//!
//! A change of settings is a [`Broadcast`]: it rolls through the nodes in [waves](plan_waves) and counts as done when what
//! the nodes report is, in [canonical form](Canonical), what the client set. [`SettingsVersions`] says which node has
//! which change, and [`choose_reading`] which nodes may answer one search together.

mod broadcast;
mod canonical;
mod client;
mod defaults;
mod embedders;
mod fields;
mod filterable;
mod locales;
mod reading;
mod translate;
mod versions;
mod view;
mod waves;

pub use broadcast::{Broadcast, NodeEvent, NodeStage, Phase, PhaseEvent, Strategy};
pub use canonical::{Canonical, SettingsHash, repair_patch, whole_node_settings};
pub use client::ClientSettings;
pub(crate) use embedders::single_precision;
pub use fields::{FieldsRequest, merge_fields};
pub(crate) use filterable::{lies_in, matches_pattern};
pub use reading::{Reading, SeenNew, Stale, choose_reading};
pub(crate) use translate::ranking_rules_of;
pub use translate::{NodeContext, node_settings, tie_rule, values_per_facet};
pub use versions::{IndexVersions, REMEMBERED_COMMITS, Rolling, SettingsUnknown, SettingsVersions};
pub use view::client_view;
pub use waves::plan_waves;

#[cfg(test)]
mod broadcast_tests;
#[cfg(test)]
mod canonical_tests;
#[cfg(test)]
mod tests;
