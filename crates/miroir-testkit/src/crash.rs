//! The crash test: clients write through Miroir while nodes and Miroir itself are killed, frozen and brought back.
//!
//! ```text
//!  seed --> FaultPlan --> faults ----\
//!      \--> Dice per client --> traffic --> journal --\
//!                                                      +--> model --> verify: Miroir, and each node by itself
//!                                 task list of Miroir -/
//! ```
//!
//! What must hold afterwards: every write answered with 202 is in the task list under the number that the client was
//! told, and no write answered with an error is there; a write whose answer was lost is there once or not at all (its
//! `customMetadata` tells); numbers have no gaps; every task ended; applying the tasks in the order of their numbers
//! gives exactly the documents that Miroir lists and that each replica holds.
//!
//! Two more kinds of faults ask for more. While only nodes go away, one at a time, and clients search, no answer lacks a
//! shard, and few come from copies that are behind. While a node answers and ends nothing, one write waits for it.

mod faults;
mod hang;
mod model;
mod plan;
mod run;
mod search;
mod tasks;
mod traffic;
mod verify;
mod write;

pub use hang::HangReport;
pub use plan::{Fault, FaultPlan, Faults, Hurt};
pub use run::{CrashOptions, CrashReport, crash};
pub use search::SearchReport;
