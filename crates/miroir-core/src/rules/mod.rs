//! Dynamic search rules: what clients want pinned to which places of result lists, and when.
//!
//! Every node has all rules and finds out itself which of them a search activates. Miroir keeps them too: it shows them, gives
//! them to nodes that are rebuilt, and orders pins of several nodes by them.

mod book;
mod change;

pub use book::{Pin, Rule, RuleBook};
pub use change::{RuleChange, RuleUpdate};

/// The name of the index that tasks about rules are about. It is no index of anybody's.
pub const RULES_UID: &str = ".meili_dsr";

/// The experimental feature that servers need for rules.
pub const RULES_FEATURE: &str = "dynamicSearchRules";
