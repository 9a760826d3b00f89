//! Changes of settings after they are decided: they roll through the nodes wave by wave, each node is read back, what
//! differs is sent again, and only then does the change count.
//!
//! ```text
//!  sequencer --begin--> broadcasts <--may I send?-- lanes
//!                         ^    |
//!   applied, refused      |    | a node to read back
//!  committer -------------/    v
//!      ^                    verifier ---- GET, PATCH settings ---> nodes
//!      \--- verified, given up ---/
//! ```
//!
//! What is decided about it is in [`miroir_core::settings`]; which node may be asked together with which is in the view.
//! [`Drift`] looks whether nodes keep what they were given.

mod board;
mod drift;
mod frozen;
mod metrics;
mod node;
mod put_off;
mod repair;
mod report;
mod rights;
mod verifier;

pub use board::{BroadcastStep, Broadcasts, Job};
pub use drift::{Drift, Seen};
pub use frozen::taken_back_error;
pub use metrics::SettingsMetrics;
pub use report::{BroadcastReport, IndexBroadcasts};
pub use rights::SendingRights;
pub use verifier::{Originals, Targets, Verdict, Verifier};
