//! What goes into the store and comes out of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use miroir_core::error::ResponseError;
use miroir_core::ids::{ClusterId, IndexUid, NodeId, PhysicalUid, SettingsVersion, TaskUid};
use miroir_core::rules::Rule;
use miroir_core::settings::{Broadcast, SettingsUnknown};
use miroir_core::task::{Decision, LogEntry, Mutation, OpResult, SyncState, TaskFilter, TaskStatus};
use miroir_core::view::IndexEntry;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

/// So many steps with a [`StepId`] are known again at least, counted back from the last one. A step is repeated within
/// moments.
pub const KEPT_STEPS: u64 = 10_000;

/// What makes one step the same when it is repeated, made by whoever takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub Uuid);

impl StepId {
    /// One that no other step has. Later ones are greater, so that an engine finds them side by side.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

/// A write to be put at the end of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// What this append is known by when it is repeated.
    pub id: StepId,
    /// The index that it is about.
    pub index_uid: IndexUid,
    /// What was asked for.
    pub mutation: Mutation,
    /// The documents, part by part, if it has any.
    pub payload: Vec<Bytes>,
    /// The client's own text.
    pub custom_metadata: Option<String>,
    /// What the task's details say from the beginning.
    pub details: Map<String, Value>,
    /// Now.
    pub enqueued_at: OffsetDateTime,
}

/// Something to be done with other tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Administration {
    /// What this step is known by when it is repeated.
    pub id: StepId,
    /// What.
    pub action: TaskAction,
    /// With which tasks.
    pub filter: TaskFilter,
    /// The filter as the client wrote it.
    pub query: String,
    /// Now.
    pub at: OffsetDateTime,
}

/// What can be done with other tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskAction {
    /// Take back those that nothing was decided about.
    Cancel,
    /// Forget those that have ended.
    Delete,
}

/// What became of an attempt to store something under a uid that a client chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adding {
    /// It is stored.
    Added,
    /// Nothing is stored: the uid is taken.
    Taken,
}

/// Small things of the whole instance, by what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// Who wants to be told of finished tasks.
    Webhooks,
    /// The settings of chat workspaces.
    ChatWorkspaces,
    /// Dynamic search rules. Changed by commits only.
    Rules,
}

impl Collection {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::ChatWorkspaces => "chatWorkspaces",
            Self::Rules => "rules",
        }
    }
}

/// A collection at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// Each change of the collection takes the next one; 0 before the first. Always 0 for [`Collection::Rules`].
    pub version: u64,
    /// What is in it, by id.
    pub by_id: BTreeMap<String, Value>,
}

/// A change of one thing in a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordChange {
    /// The collection.
    pub collection: Collection,
    /// The version of the collection that the change was made from.
    pub version: u64,
    /// Which thing.
    pub id: String,
    /// What it is from now on; none takes it out.
    pub body: Option<Value>,
}

/// What became of an attempt to store decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deciding {
    /// They are stored.
    Stored,
    /// Nothing is stored: some of the entries were canceled meanwhile, and the decisions may rest on them.
    Overtaken,
}

/// An entry that was decided and is still of use to somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The entry.
    pub entry: LogEntry,
    /// What was decided.
    pub decision: Decision,
    /// Where its task stands.
    pub status: TaskStatus,
}

/// What the store knows of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub id: NodeId,
    /// What its data are worth.
    pub sync: SyncState,
    /// The first entry of the log that its lane has not delivered.
    pub cursor: TaskUid,
    /// An entry behind the cursor that its lane was about to send before what stands between.
    pub ahead: Option<TaskUid>,
    /// Entries from the cursor on that came with its data when they were copied.
    pub covered: BTreeSet<TaskUid>,
    /// The first number of its own queue that is not accounted for: whatever the log has stored of it has a smaller one.
    /// None before the first meeting.
    pub next_node_task: Option<u64>,
}

/// How a node received a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reception {
    /// It put it into its queue, under this number.
    Enqueued(u64),
    /// It refused it at once.
    Refused(ResponseError),
}

/// One request of a decision that a node has received.
#[derive(Debug, Clone, PartialEq)]
pub struct OpSent {
    /// The entry.
    pub task: TaskUid,
    /// Which of the requests that the node gets for it.
    pub op: usize,
    /// How it was received.
    pub reception: Reception,
}

/// The progress of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The lane's node.
    pub node: NodeId,
    /// Where the cursor is, as the lane knows it.
    pub from: TaskUid,
    /// Where it goes: the first entry that is not delivered.
    pub cursor: TaskUid,
    /// What the node received since the last time, of whatever entry.
    pub sent: Vec<OpSent>,
    /// An entry behind the cursor that the lane is about to send before what stands between.
    pub ahead: Option<TaskUid>,
    /// Now: the tasks have begun.
    pub at: OffsetDateTime,
}

/// A request that a node received, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeTask {
    /// The node.
    pub node: NodeId,
    /// The entry.
    pub task: TaskUid,
    /// Which of the requests that the node gets for it.
    pub op: usize,
    /// The node's number for it; none if it was refused at once.
    pub node_task: Option<u64>,
    /// How it ended; none while it is open.
    pub result: Option<OpResult>,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The task.
    pub task: TaskUid,
    /// Succeeded or failed.
    pub status: TaskStatus,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Its final details.
    pub details: Map<String, Value>,
    /// Now. A task that no node heard of begins and ends at once.
    pub finished_at: OffsetDateTime,
}

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogChange {
    /// The index is now like this.
    Put(Box<IndexEntry>),
    /// The index is gone.
    Remove(IndexUid),
}

/// From now on earlier tasks about one of two indexes count as tasks about the other. Names change one task after the
/// other, and all that one task exchanges is in one commit: what does not come after the last one was done before, and
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabelling {
    /// Tasks below this one.
    pub before: TaskUid,
    /// The two indexes.
    pub pair: (IndexUid, IndexUid),
}

/// A node whose data were copied anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The node.
    pub node: NodeId,
    /// Everything before this entry is in its data: its lane goes on from here.
    pub cursor: TaskUid,
    /// Entries from the cursor on that are in its data too: those of some indexes were copied later than others.
    pub covered: BTreeSet<TaskUid>,
    /// The first number of its own queue that is not accounted for.
    pub next_node_task: u64,
}

/// An index of a node that is being rebuilt and has it up to a place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// Its name on the nodes.
    pub index: PhysicalUid,
    /// What the log says about it before this entry is in the node's data, and nothing from there on.
    pub line: TaskUid,
    /// No task of the node from this number on was about it then.
    pub next_node_task: u64,
}

/// A damaged node that is taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The node.
    pub node: NodeId,
    /// Its lane goes on from here.
    pub cursor: TaskUid,
    /// The first number of its own queue that is not accounted for.
    pub next_node_task: u64,
    /// Entries that it gets again, though it received them before its loss.
    pub again: BTreeSet<TaskUid>,
}

/// Something about the settings of an index.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingsChange {
    /// A change is over. If it was committed, it has the version after the last one, and so have the nodes that it
    /// verified; those that it leaves astray are doubted. Said again it changes nothing.
    Ended(Box<Broadcast>),
    /// A node was verified to have a commit, which is the last one.
    Advanced {
        /// The index.
        index: PhysicalUid,
        /// The node.
        node: NodeId,
        /// The commit.
        version: SettingsVersion,
        /// Now.
        at: OffsetDateTime,
    },
    /// Nobody knows any more which settings a node has, and so which commit.
    Doubted {
        /// The index.
        index: PhysicalUid,
        /// The node.
        node: NodeId,
        /// The reason; that it was left astray stays, whatever else is said.
        why: SettingsUnknown,
    },
    /// A node was verified to have what the catalog says.
    Trusted {
        /// The index.
        index: PhysicalUid,
        /// The node.
        node: NodeId,
    },
    /// The index is gone.
    Forgotten(PhysicalUid),
}

/// Everything that becomes true together when nodes have finished something.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Node tasks that ended: node, entry, request, end.
    pub results: Vec<(NodeId, TaskUid, usize, OpResult)>,
    /// Tasks that ended.
    pub settled: Vec<Settled>,
    /// Changes of the catalog, in order.
    pub catalog: Vec<CatalogChange>,
    /// Dynamic search rules that are new, changed or gone, by uid, in order.
    pub rules: Vec<(String, Option<Rule>)>,
    /// Tasks that are about another index now, in order.
    pub relabelled: Vec<Relabelling>,
    /// Settings that nodes have now.
    pub settings: Vec<SettingsChange>,
    /// Nodes whose data are now worth something else.
    pub nodes: Vec<(NodeId, SyncState)>,
    /// Nodes that begin anew.
    pub rebuilt: Vec<Rebuilt>,
    /// Nodes that are taken as they are.
    pub accepted: Vec<Accepted>,
    /// Entries that nobody needs any more: only their tasks remain.
    pub forgotten: Vec<TaskUid>,
}

impl Commit {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose store a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The cluster; none in a file of a Miroir that knew of no identities.
    pub cluster: Option<ClusterId>,
    /// What tells its log from every other.
    pub log_id: String,
    /// The indexes of the catalog, as nodes name them.
    pub indexes: BTreeSet<PhysicalUid>,
}
