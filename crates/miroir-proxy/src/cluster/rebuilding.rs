//! How far the rebuild of a node is, for those who watch.

use serde::Serialize;

/// What a rebuild is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildStage {
    /// The node ends what it has in its own queue.
    Waiting,
    /// Data are copied while writes go on.
    Copying,
    /// What changed meanwhile is copied too, index by index; writes to such an index wait until that is done.
    Holding,
}

/// How far a rebuild is. What is left is what is known of by now: it grows with what clients write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rebuilding {
    /// What it is at.
    pub stage: RebuildStage,
    /// Documents that the node has, compared or copied.
    pub documents_done: u64,
    /// Documents that are to be compared or copied.
    pub documents_left: u64,
    /// How many of them are done in a second, so far.
    pub documents_per_second: u64,
    /// Indexes that the node has.
    pub indexes_done: u64,
    /// Indexes that are to be compared or copied.
    pub indexes_left: u64,
    /// Since it began.
    pub seconds: u64,
    /// Until it ends if it goes on like this; none if nothing is done yet.
    pub seconds_left: Option<u64>,
}

/// For a log, or where a fault is shown.
impl std::fmt::Display for Rebuilding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { documents_done, documents_left, documents_per_second, indexes_done, indexes_left, .. } =
            self;
        let documents = documents_done + documents_left;
        let indexes = indexes_done + indexes_left;
        match self.stage {
            RebuildStage::Waiting => {
                return f.write_str("waiting until the node has done what is in its own queue");
            }
            RebuildStage::Copying => f.write_str("copying from its peers")?,
            RebuildStage::Holding => {
                f.write_str("copying what changed meanwhile, while writes to these indexes wait")?;
            }
        }
        write!(f, ": {documents_done} of {documents} documents, {documents_per_second} a second")?;
        write!(f, ", {indexes_done} of {indexes} indexes")?;
        match self.seconds_left {
            Some(seconds) => write!(f, ", some {seconds} s left"),
            None => Ok(()),
        }
    }
}
