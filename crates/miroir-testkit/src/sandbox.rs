//! Clusters of real processes on one machine.
//!
//! A [`Node`] is one search server, a [`Cluster`] is one Miroir over several of them. Everything listens on loopback
//! ports and keeps its data in a temporary folder; dropping the value kills the processes (by process id) and removes
//! the data. Starting waits for `/health` under a deadline and, when that fails, shows the end of the process's log.
//!
//! Which programs run is decided by the environment:
//!
//! | variable | program | without it |
//! |---|---|---|
//! | `MIROIR_TEST_MEILISEARCH` | a real Meilisearch as node | the development node |
//! | `MIROIR_TEST_DEVNODE` | the development node | built once by cargo, in release |
//! | `MIROIR_TEST_PROXY` | `miroir-proxy` | built once by cargo, in the profile of this program |

mod alone;
mod binary;
mod cluster;
mod node;
mod ports;
mod process;
mod relay;
mod topology;

pub use alone::Alone;
pub use binary::{nodes_are_real, proxy_binary};
pub use cluster::{Cluster, MASTER_KEY};
pub use node::{NODE_KEY, Node};
pub use relay::{Meddling, Relay, Rule};
pub use topology::Topology;
