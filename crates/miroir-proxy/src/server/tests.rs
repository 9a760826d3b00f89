//! The whole write path, and searches over it, with nodes in memory: what none of its parts can show alone.

mod bench;
mod committer;
mod members;
mod process;
mod script;
mod sequencer;
mod tripwire;
mod walk;
mod wired_store;
