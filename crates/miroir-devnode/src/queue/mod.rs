//! The task queue: durable, first in first out, worked off by one thread.

pub mod apply;
pub mod filter;
pub mod store;
pub mod task;
pub mod worker;
