//! Miroir's durable state: the task log with what was decided and delivered of it, the tasks that clients see, the
//! catalog of indexes, the nodes' cursors, API keys.
//!
//! [`Store`] is what the rest of Miroir knows. Each of its methods is one atomic step that is durable when it returns.
//! Steps of the write path belong to an epoch, and each process that starts begins a new one: whoever was there before is
//! refused. A step that rests on something says what, and is refused where that has changed. A step of which nobody knows
//! whether it was kept can be repeated. What that is for each method says [`Store`].
//!
//! So two callers do no harm to each other's data. They are not told of each other's steps: what one of them holds in
//! memory (keys, the catalog, that there is something to do) it does not learn from the other one. [`SqliteStore`] is the
//! engine of a single Miroir, and lets no second one in. `tests/conformance.rs` says what every engine must do.

mod error;
mod model;
mod repeat;
mod sqlite;
mod store;

pub use error::StoreError;
pub use model::{
    Accepted, Adding, Administration, CatalogChange, CaughtUp, Collection, Commit, Deciding, Delivery,
    KEPT_STEPS, Kept, NewEntry, NodeRecord, NodeTask, OpSent, Rebuilt, Reception, RecordChange, Relabelling,
    SettingsChange, Settled, StepId, StoreIdentity, TaskAction, Work,
};
pub use repeat::until_known;
pub use sqlite::{SqliteStore, files_of};
pub use store::{Catalog, KEPT_BROADCASTS, Keys, Log, Nodes, Part, Records, Settings, Store, Tasks};
