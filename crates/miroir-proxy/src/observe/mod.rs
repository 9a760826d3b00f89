//! How all of it is doing, for those who run it: what is counted as it happens ([`Metrics`]), and what is looked up when
//! somebody asks ([`look`], [`scrape`]), and the log of the process ([`Logs`]). Nothing here decides anything, and but for the
//! log nothing is global: the parts that count are handed what they count with.

mod logs;
mod metrics;
mod scrape;
mod topology;

pub use logs::{Listener, LogFormat, Logs};
pub use metrics::{Metrics, RequestLabels, RequestMetrics};
pub use scrape::{CONTENT_TYPE, scrape};
pub use topology::{Layout, NodeReport, NodeStatus, Topology, look};
