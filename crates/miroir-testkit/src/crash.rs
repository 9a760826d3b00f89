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

mod faults;
mod model;
mod plan;
mod run;
mod tasks;
mod traffic;
mod verify;
mod write;

pub use plan::{Fault, FaultPlan, Hurt};
pub use run::{CrashOptions, CrashReport, crash};
