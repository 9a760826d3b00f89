//! A lane: the delivery of the log to one node, in order, as a machine that decides and does nothing itself.
//!
//! A lane is always in one state, and each state waits for the outcome of one [`LaneAction`]. Whoever drives it does the
//! action and gives the outcome back as a [`LaneEvent`]; [`Lane::next`] answers the next action.
//!
//! ```text
//!  BETWEEN ENTRIES
//!                              nothing that may be done
//!   Meeting -----> Observing --------------------------> Idle
//!   (a new node)    |  ^  ^                                |
//!                   |  |  '--- the entry is delivered --.  |
//!                   v  '-- held: set aside --.          |  |
//!                Fetching <---- news, and something to do -'
//!                   |                        |          |
//!                   v                        |          |
//!                Beginning ------------------'          |
//!                   '---------> its requests, in turn --'
//!
//!  ONE REQUEST
//!   settings: LookingAtWave ---> WaitingForWave     taken back: refused, and never sent
//!                  |                   |
//!                  v                   |
//!              Preparing <-------------'
//!                  |
//!                  v    in flight: known
//!           the try begins ------------------------------------> Sending
//!             |      |  unknown           not there, twice       ^    |
//!             |      '----------> Replaying ---------------------'    |
//!             | replayed           ^    |                             |
//!             v          not there |    | there                       |
//!           Recalling -------------'    v                             |
//!             '------- there ------> Counting <----- enqueued --------'
//!                                       |
//!                                       v
//!                      TellingTaking, if a refusal was told ---> received
//!
//!   Replaying, Sending --- not reached
//!                      --- no answer: what is in flight is unknown
//!                      --- not now: TellingRefusal, at first
//!                           ---> Pausing ---> the try begins
//!
//!  ALWAYS
//!   Storing   before Idle, WaitingForWave, Pausing; before the requests of an entry that is sent ahead; now and then
//!             before Observing
//!   Over      the node's queue has not what it had, or nothing more will ever be decided
//! ```
//!
//! It sends without waiting for the node to finish what it sent before: a node works on one index in the order of its
//! queue. What was received is stored in groups. After a crash, or when an answer was lost, requests may be in flight of
//! which it does not know: it reads the node's queue and steps through it (see [`Replay`]) before it sends again, so that
//! nothing is sent twice and nothing stands before what it has to follow. A node whose queue ends before what it once had
//! has lost its data.
//!
//! An index may be held from some entry on: then its entries are set aside, and the lane goes on with those of others. The
//! cursor stays at the first one that was set aside, and what is sent ahead of it is stored one by one: before an entry is
//! sent, that it is, and when it is delivered, that it is. When what is held changes, the lane goes back to its cursor and
//! passes what it has delivered. So after a crash at most one entry ahead of the cursor is in flight, the stored one, and
//! it comes first. A lane that does not know what is in flight sets nothing aside, and waits: what it does not know may be
//! of the entry that is held.
//!
//! What it promises, whatever happens: its cursor never goes back; nothing is sent twice without a look into the queue
//! in between, unless the node was not reached or said that it did not take it; nothing that is held is sent; entries
//! about one index are sent in the order of the log; what was received is stored together with the first cursor behind
//! it, or with what was sent ahead.

mod backoff;
mod next;
mod replay;
mod request;
mod state;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::error::ResponseError;
use crate::ids::TaskUid;

pub use backoff::Backoff;
pub use replay::{KnownRepairs, Replay};
pub use request::{Identity, LaneRequest, mark};

use state::{Meeting, State};

/// Requests received that are stored together at most.
const GROUP: usize = 32;

/// How long one that is received waits for others to be stored with. Its end is looked for only after that.
const GATHERING: Duration = Duration::from_millis(20);

/// So many refusals of one write, for a reason of the node's own, and tasks no longer wait for the node.
const REFUSALS: u32 = 2;

/// How long a node that answers again may take to get to a request that was waiting in its socket all the while: one
/// that was not found in the queue is looked for once more after that, or the node would take both.
const STRAGGLING: Duration = Duration::from_millis(200);

/// What a lane begins with: what is stored of it.
#[derive(Debug, Clone)]
pub struct LaneStart {
    /// The first entry that is not delivered.
    pub cursor: TaskUid,
    /// Entries behind the cursor that the node has: they were sent ahead, or came with its data.
    pub received: BTreeSet<TaskUid>,
    /// The entry behind the cursor that may be in flight.
    pub ahead: Option<TaskUid>,
    /// The first number of the node's queue that is not accounted for; none before the first meeting.
    pub next_node_task: Option<u64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The first entry that is not delivered.
    cursor: TaskUid,
    /// Where it looks for the next entry: behind the cursor while something is set aside.
    at: TaskUid,
    /// What was held when the first entry was set aside, since the lane was at its cursor; none if nothing is.
    aside: Option<u64>,
    /// The entry behind the cursor that is being delivered, as it is stored.
    ahead: Option<TaskUid>,
    /// Entries from the cursor on that the node has.
    received: BTreeSet<TaskUid>,
    /// Received, but not stored.
    unstored: Vec<Receipt>,
    /// When all that was received had been stored last, since the lane began.
    stored_at: Duration,
    in_flight: InFlight,
    /// The first number of the node's queue that is not accounted for.
    next_node_task: u64,
    /// From this number on it is known which of the node's tasks are repairs; none before the queue was read.
    repairs_known_from: Option<u64>,
    state: State,
}

/// Whether the node may have requests that the lane has sent and did not count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum InFlight {
    /// It has none.
    Known,
    /// It may have some: an answer was lost, or the lane has just begun.
    Unknown,
    /// Its queue was read: this is what it has.
    Replayed(Replay),
}

/// An entry of the log, as one node gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneEntry {
    /// Its place in the log.
    pub uid: TaskUid,
    /// What the node gets, in order; nothing if the entry does not concern it.
    pub requests: VecDeque<LaneRequest>,
}

/// How a node took a request for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It put it into its queue, under this number.
    Enqueued(u64),
    /// It will never do it; nor will it ever get it, if the change of settings is taken back.
    Refused(ResponseError),
}

/// A node's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAnswer {
    /// The node has the request, or will never take it.
    Final(Taken),
    /// The node can't take it now, for this reason, and does not have it.
    NotNow(String),
}

/// One request that is over for the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: TaskUid,
    /// Which of the requests that the node gets for it, counted from 0.
    pub op: usize,
    /// How the node took it.
    pub taken: Taken,
}

/// The outcome of a [`LaneAction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneEvent {
    /// The number that the node's next task gets.
    QueueEndsAt(u64),
    /// The node answers, but not to what it was asked of its queue, for this reason.
    QueueNotTold(String),
    /// The node can't have seen the question or the request.
    NotReached,
    /// The node may have acted on it, and its answer did not come.
    AnswerLost,
    /// How far the log goes.
    Observed {
        /// Entries before this one are decided.
        decided: TaskUid,
        /// How often it has changed which indexes are held.
        holds: u64,
    },
    /// Nothing more will ever be decided.
    Closed,
    /// The first entry from the one asked for on that may concern the node; none if there is none.
    Fetched(Option<LaneEntry>),
    /// Others see that the entry is begun. Its index may have been held just before.
    Begun {
        /// As in [`Self::Observed`].
        holds: u64,
        /// Whether the entry is held.
        is_held: bool,
    },
    /// The node must not be sent the change of settings yet.
    WaveClosed,
    /// The node may be sent the change of settings.
    WaveOpen {
        /// The end of the node's share if it is not to be sent, since the change is taken back.
        skipped: Option<ResponseError>,
    },
    /// The request can be sent.
    Prepared,
    /// The numbers of the node's queue that are known to be repairs.
    RepairsListed(BTreeSet<u64>),
    /// What the node's queue holds.
    QueueRead {
        /// From the number asked for on. Without tasks if the queue ends before it.
        replay: Replay,
        /// As in [`Self::RepairsListed`].
        repairs: BTreeSet<u64>,
        /// Whether it became unknown, since the last time that this was asked, which numbers some repairs have.
        some_lost: bool,
    },
    /// The node's answer to the request.
    Answered(NodeAnswer),
    /// Others see the number.
    Counted,
    /// Whoever ends tasks has been told.
    Told,
    /// It is durable.
    Stored,
    /// The pause is over.
    Paused,
    /// The pause is over before its time: the node answers again.
    NodeReturned,
}

/// What a lane has to have done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneAction {
    /// Ask the node where its queue ends. Outcomes: [`LaneEvent::QueueEndsAt`], [`LaneEvent::QueueNotTold`],
    /// [`LaneEvent::NotReached`], [`LaneEvent::AnswerLost`].
    AskQueueEnd,
    /// Store where the queue of a node that is new ends. Outcome: [`LaneEvent::Stored`].
    StoreMeeting {
        /// The number that the node's next task gets.
        next_node_task: u64,
    },
    /// Look, without waiting, how far the log goes. Outcome: [`LaneEvent::Observed`].
    Observe,
    /// Wait until more is decided, or other indexes are held. Outcomes: [`LaneEvent::Observed`], [`LaneEvent::Closed`].
    Stand,
    /// Get the first entry that concerns the node. Outcome: [`LaneEvent::Fetched`].
    Fetch {
        /// From here on.
        from: TaskUid,
    },
    /// Say that this entry is begun, and look after that whether it is held. Outcome: [`LaneEvent::Begun`].
    Begin {
        /// The entry fetched last.
        entry: TaskUid,
    },
    /// Look, without waiting, whether the node may be sent a change of settings. Outcomes: [`LaneEvent::WaveClosed`],
    /// [`LaneEvent::WaveOpen`].
    LookAtWave {
        /// The change.
        entry: TaskUid,
    },
    /// Wait until the node may be sent a change of settings. Outcome: [`LaneEvent::WaveOpen`].
    AwaitWave {
        /// The change.
        entry: TaskUid,
    },
    /// Put a request of the entry fetched last together. Outcome: [`LaneEvent::Prepared`].
    Prepare {
        /// Which, counted from 0.
        op: usize,
    },
    /// List the repairs that are known now. Outcome: [`LaneEvent::RepairsListed`].
    ListRepairs,
    /// Read the node's queue. Outcomes: [`LaneEvent::QueueRead`], [`LaneEvent::QueueNotTold`],
    /// [`LaneEvent::NotReached`], [`LaneEvent::AnswerLost`].
    ReadQueue {
        /// Wait so long before that.
        after: Duration,
        /// The first number to read.
        from: u64,
        /// Whether it matters if repairs were lost: if not, that is asked another time.
        counts_lost: bool,
    },
    /// Send the request prepared last. Outcomes: [`LaneEvent::Answered`], [`LaneEvent::NotReached`],
    /// [`LaneEvent::AnswerLost`].
    Send {
        /// Which request of the entry fetched last, counted from 0.
        op: usize,
    },
    /// Show others that this number of the node's queue is the lane's. Outcome: [`LaneEvent::Counted`].
    Count {
        /// The number.
        number: u64,
        /// Watch for this request: it was sent again, and the first one may come as a straggler.
        straggler: Option<LaneRequest>,
    },
    /// Say that the node takes writes again. Outcome: [`LaneEvent::Told`].
    TellTaking,
    /// Say that the node answers but does not do what it should. Outcome: [`LaneEvent::Told`].
    TellRefusal {
        /// What it does not do.
        refusal: Refusal,
        /// Why, in the node's words.
        reason: String,
        /// Whether tasks must not wait for the node from now on; if not, only the log says it.
        is_lasting: bool,
    },
    /// Store the progress. Outcome: [`LaneEvent::Stored`].
    Store {
        /// The first entry that is not delivered.
        cursor: TaskUid,
        /// What was received since the last time, of entries before it and of one that was sent ahead.
        receipts: Vec<Receipt>,
        /// The entry behind the cursor that is about to be sent.
        ahead: Option<TaskUid>,
    },
    /// Wait. Outcomes: [`LaneEvent::Paused`]; [`LaneEvent::NodeReturned`] if the node's return ends the pause.
    Pause {
        /// So long at most.
        length: Duration,
        /// What ends it before its time.
        until: PauseEnd,
    },
    /// Nothing more: the lane has ended.
    End(LaneEnd),
}

/// What a node that answers does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Say where its queue ends, when it is new.
    QueueEnd,
    /// Take a write, or tell of its queue before it gets one again.
    Write,
}

/// What ends a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseEnd {
    /// Its length.
    Time,
    /// Its length, or that the node answers again after it did not.
    TimeOrReturn,
}

/// Why a lane has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneEnd {
    /// Nothing more will be decided.
    Closed,
    /// The node's queue has not what it had: its data are not those of the log.
    HistoryLost,
    /// It was given an event that is no outcome of its action: a fault of whoever drives it. What is stored is right, and
    /// another lane may begin there.
    OutOfStep {
        /// The state in which it was.
        state: &'static str,
        /// The event.
        event: &'static str,
    },
}

impl Lane {
    /// A lane that begins, and its first action. What an earlier one has sent is unknown.
    pub fn begin(start: LaneStart) -> (Self, LaneAction) {
        let LaneStart { cursor, received, ahead, next_node_task } = start;
        let ahead = ahead.filter(|ahead| *ahead > cursor);
        let mut lane = Self {
            cursor,
            at: ahead.unwrap_or(cursor),
            // Whatever was held then is not any more.
            aside: ahead.map(|_| u64::MAX),
            ahead,
            received,
            unstored: Vec::new(),
            stored_at: Duration::ZERO,
            in_flight: InFlight::Unknown,
            next_node_task: next_node_task.unwrap_or(0),
            repairs_known_from: None,
            state: State::Observing,
        };
        if next_node_task.is_some() {
            return (lane, LaneAction::Observe);
        }
        lane.state = State::Meeting(Meeting::default());
        (lane, LaneAction::AskQueueEnd)
    }

    /// The first entry that is not delivered, stored or not.
    pub const fn cursor(&self) -> TaskUid {
        self.cursor
    }

    /// Whether nobody else may send the node settings while the action is done. This has to hold without a gap for all
    /// actions in a row for which this is true: the lane looks into the node's queue, and sends by what it found there.
    pub fn needs_settings_right(&self) -> bool {
        self.state.trying().is_some_and(LaneRequest::is_settings)
    }
}

#[cfg(test)]
mod tests;
