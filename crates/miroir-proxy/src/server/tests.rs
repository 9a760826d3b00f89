//! The whole write path, and searches over it, with nodes in memory: what none of its parts can show alone.

mod bench;
mod committer;
mod members;
mod process;
mod rebuild;
mod rollout;
mod scatter;
mod script;
mod sequencer;
mod tripwire;
mod verify;
mod walk;
mod wired_store;
