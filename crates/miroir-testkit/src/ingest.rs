//! What Miroir costs those who add documents: the same documents go to one node alone and through Miroir to one node.
//!
//! [`rate`] compares documents per second, from the first request until the last task has ended. Both servers run all
//! the time, are used in turns and change places from round to round, so that whatever else the machine does, and
//! whatever a server still does after its task, hits both alike. [`memory`] sends bodies as large as Miroir takes them
//! and reads how much memory Miroir's process had at most.

pub(crate) mod documents;
mod feed;
mod memory;
mod rate;

pub use memory::{MemoryOptions, MemoryReport, memory};
pub use rate::{RateOptions, RateReport, rate};
