//! Paths of requests, on their way in ([`plain_path`]) and on to a node ([`NodePath`]): no text of a client becomes another
//! path than the one that was checked.

mod node;
mod plain;

pub use node::{NodePath, Unaddressable};
pub use plain::plain_path;
