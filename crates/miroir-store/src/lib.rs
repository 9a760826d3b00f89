//! Miroir's durable state: the task log with what was decided and delivered of it, the tasks that clients see, the
//! catalog of indexes, the nodes' cursors, API keys.
//!
//! [`Store`] is what the rest of Miroir knows. Each of its methods is one atomic step that is durable when it returns;
//! none assumes that the caller is the only one. [`SqliteStore`] is the engine of a single Miroir. `tests/conformance.rs`
//! says what every engine must do.

mod error;
mod model;
mod sqlite;
mod store;

pub use error::StoreError;
pub use model::{
    Accepted, Adding, Administration, CatalogChange, Collection, Commit, Deciding, Delivery, NewEntry,
    NodeRecord, NodeTask, OpSent, Rebuilt, Reception, Relabelling, SettingsChange, Settled, StoreIdentity,
    TaskAction, Work,
};
pub use sqlite::{SqliteStore, files_of};
pub use store::{KEPT_BROADCASTS, Store};
