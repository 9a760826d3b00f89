//! What the rest of Miroir asks of an engine: a trait for each of the things that the store keeps, and [`Store`], which is
//! all of them.

mod catalog;
mod keys;
mod log;
mod nodes;
mod records;
mod settings;
mod tasks;

use std::fmt::Debug;

pub use catalog::Catalog;
pub use keys::Keys;
pub use log::Log;
pub use nodes::Nodes;
pub use records::Records;
pub use settings::{KEPT_BROADCASTS, Settings};
pub use tasks::Tasks;

/// The durable state of Miroir.
///
/// Every method is one atomic step. What it changes is durable when it returns; a future that is dropped may or may not
/// have changed it. What holds for callers that don't know of each other:
///
/// - Steps of the write path name the [`Epoch`](miroir_core::ids::Epoch) that they are taken in. In one that is over they
///   are refused with [`StoreError::Superseded`](crate::StoreError::Superseded), and nothing is changed.
/// - A step that rests on something names it: the entry that is the next undecided one, the place of a lane, the last
///   version. Where that is not so any more, the step is refused, with [`StoreError::Conflict`](crate::StoreError::Conflict)
///   unless the method says how.
/// - A step that is repeated, because nobody knows whether it was kept
///   ([`StoreError::Unknown`](crate::StoreError::Unknown)), leaves the store as one step would. So the same arguments mean
///   the same step; those that would otherwise look alike carry a [`StepId`](crate::StepId).
pub trait Store: Log + Catalog + Nodes + Tasks + Settings + Keys + Records {}

impl<T: Log + Catalog + Nodes + Tasks + Settings + Keys + Records> Store for T {}

/// What every part of a store is: shared between threads, for as long as the process runs.
pub trait Part: Debug + Send + Sync + 'static {}

impl<T: Debug + Send + Sync + 'static> Part for T {}
