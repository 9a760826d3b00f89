//! A write from the moment it is accepted to its last word: what the log keeps of it ([`Mutation`]), what is decided when
//! its turn comes ([`judge()`]), what each node gets of it ([`ops_for`]), what the nodes' answers amount to ([`fold()`]),
//! and what clients see of it all the while ([`Task`]).
//!
//! ```text
//! Mutation --judge--> Decision --ops_for(node)--> [Op] --(nodes work)--> [OpResult] --fold--> Folded --> Task
//! ```
//!
//! How the requests get to a node, in order and none twice, is decided by its [`lane`].
//!
//! One Meilisearch decides such things while it works; here many nodes work on parts of one write, so the decision comes
//! first, once, and nodes only carry it out.

mod behind;
mod decision;
mod delivery;
mod details;
mod diverged;
mod errand;
mod export;
mod filter;
mod fold;
mod judge;
mod kind;
pub mod lane;
mod mutation;
mod report;
mod rules;
mod status;
mod swap;
mod sync;

pub use behind::{Behind, Lack};
pub use decision::{
    Decision, Effect, Grouping, NewIndexPolicy, ShardRules, Step, Target, Verdict, apply_effect,
};
pub use delivery::{Counts, Op, ops_for, touched_shards};
pub use details::{details_at_end, details_at_start};
pub use errand::Errand;
pub use export::{DEFAULT_PAYLOAD_SIZE, Export, ExportedIndexes, refused_by_remote};
pub use filter::{TaskFilter, TaskList, TaskPage};
pub use fold::{Fault, Folded, NodeReport, OpResult, fault_of, fold};
pub use judge::{Circumstances, Judgement, judge};
pub use kind::TaskKind;
pub use mutation::{Deletion, LogEntry, MissingIndex, Mutation, SettingsOrigin, Swap, WriteMethod};
pub use report::{Task, TaskSummary};
pub use rules::{judge_rules, rules_naming};
pub use status::{TaskEvent, TaskStatus};
pub use swap::{judge_rename, judge_swap};
pub use sync::{SyncEvent, SyncState};

#[cfg(test)]
mod tests;
