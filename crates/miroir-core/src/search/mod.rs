//! The way of a search, decided: [`SearchRequest::parse`] reads what the client wants as far as sharding is concerned,
//! [`plan_search`] says which nodes are asked what, [`merge_replies`] makes one answer out of theirs.
//!
//! Everything that does not concern sharding passes through untouched, so parameters that Miroir does not know work.

mod attributes;
mod listing;
mod merge;
mod plan;
mod query;
mod request;
mod rewrite;

pub use attributes::Shown;
pub use listing::{Criterion, listed_fields, order_documents, sort_criteria};
pub use merge::{Merged, merge_replies};
pub use plan::{MergePlan, PartPlan, SearchPlan, plan_search, plan_with_cover};
pub use query::body_of_query;
pub use request::{NotUnderstood, SearchRequest, Window};
pub use rewrite::confine;

#[cfg(test)]
mod tests;
