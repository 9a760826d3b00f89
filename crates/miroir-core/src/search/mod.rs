//! The way of a search, decided: [`SearchRequest::parse`] reads what the client wants as far as sharding is concerned,
//! [`plan_search`] says which nodes are asked what, [`merge_replies`] makes one answer out of theirs.
//!
//! Everything that does not concern sharding passes through untouched, so parameters that Miroir does not know work.

mod answer;
mod attributes;
mod facet_search;
mod federated;
mod hybrid;
mod listing;
mod long_query;
mod merge;
mod pins;
mod plan;
mod query;
mod reply;
mod request;
mod rewrite;
mod similar;

pub use answer::is_answer;
pub use attributes::Shown;
pub use facet_search::{
    FacetHitsPlan, FacetSearchPlan, FacetSearchRequest, facet_search_parts, merge_facet_search,
    plan_facet_search,
};
pub use federated::{
    Batch, Fault, FederatedPlan, Federation, FederationOptions, IndexPlan, MergeFacets, MultiRequest,
    QueryPlan, SubQuery, plan_federated, whole_node,
};
pub use hybrid::SearchKind;
pub use listing::{Criterion, Listed, arrange_documents, order_documents, select_listed, sort_criteria};
pub use merge::{
    HiddenRule, IndexMerge, KeywordHits, Merged, check_rules, merge_federated, merge_replies, pass_on,
    rank_keyword_hits, values_by_count,
};
pub use pins::PinOrder;
use plan::cover_seed;
pub use plan::{HybridPlan, MergePlan, PartPlan, Route, SearchPlan, plan_search, plan_with_cover};
pub use query::{body_of_query, listing_of_query, similar_of_query};
pub use reply::read_reply;
pub use request::{NotUnderstood, SearchRequest, Window};
pub use rewrite::confine;
pub use similar::{
    SimilarRequest, SimilarTarget, as_rule_fault, is_found_later, merge_similar, plan_similar,
    similar_passed_through,
};

#[cfg(test)]
mod tests;
