//! What an attacker with a small key, or a node that lies, may try, kind by kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

mod bodies;
mod connections;
mod filters;
mod lying_nodes;
mod paths;
mod raw;
mod templates;
