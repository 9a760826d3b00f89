//! Several searches in one request, and one list of hits out of all of them.
//!
//! The queries of one index go to its nodes in one request, as Meilisearch wants it: a document that several queries
//! find counts once, which only the node that holds it can tell. Nodes are asked as a Meilisearch asks its remotes,
//! so that each hit says by what it compares ([`crate::search::merge_federated`]). What nodes can't judge, since they
//! know only their part or have the tie rule among their ranking rules, is judged here.

mod notes;
mod plan;
mod request;
mod rules;

pub use plan::{Batch, Fault, FederatedPlan, IndexPlan, QueryPlan, plan_federated, whole_node};
pub use request::{Federation, FederationOptions, MergeFacets, MultiRequest, SubQuery};

#[cfg(test)]
mod tests;
