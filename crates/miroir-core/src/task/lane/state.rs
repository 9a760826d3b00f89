//! What a lane is doing: each state waits for the outcome of one action.

use std::collections::VecDeque;

use super::{Backoff, LaneEnd, LaneEntry, LaneEvent, LaneRequest, Taken};
use crate::ids::TaskUid;

/// See the module of lanes for what leads where.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// The node is new.
    Meeting(Meeting),
    /// Looks how far it may go.
    Observing,
    /// All that is decided is delivered, or held.
    Idle,
    /// Gets the next entry before `end`.
    Fetching { end: TaskUid },
    /// Says that it begins the entry.
    Beginning(LaneEntry),
    /// The next request changes settings.
    LookingAtWave(Delivery),
    /// The change of settings is not the node's yet.
    WaitingForWave(Delivery),
    /// The next request is put together.
    Preparing(Delivery),
    /// The queue was read before: asks what of it may be repairs.
    Recalling(Delivery),
    /// Reads the queue.
    Replaying(Delivery, Look),
    /// The request is on its way.
    Sending(Delivery),
    /// The node has the request, under this number.
    Counting(Delivery, u64),
    /// Takes back that the node refuses writes.
    TellingTaking(Delivery, Taken),
    /// Says that the node refuses a write.
    TellingRefusal(Delivery),
    /// Makes what was received durable, and goes on with this.
    Storing(Then),
    /// Waits before it tries again.
    Pausing(Delivery),
    /// Has ended.
    Over(LaneEnd),
}

/// How far the meeting with a new node is.
#[derive(Debug, Clone, Default)]
pub(super) struct Meeting {
    pub(super) step: MeetingStep,
    /// Whether it was told that the node does not say where its queue ends.
    pub(super) is_refusal_told: bool,
    pub(super) backoff: Backoff,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum MeetingStep {
    #[default]
    Asking,
    TellingRefusal,
    Pausing,
    Storing,
    TellingTaking,
}

/// Which look into the queue, of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    First,
    Second,
}

/// What follows when something was stored.
#[derive(Debug, Clone)]
pub(super) enum Then {
    /// The next entry.
    Observe,
    /// Nothing that may be done.
    Idle,
    /// The requests of an entry that is sent ahead.
    Approach(Delivery),
    /// The wait for a wave.
    AwaitWave(Delivery),
    /// A pause.
    Pause(Delivery),
}

/// The delivery of one entry, at one of its requests.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) entry: TaskUid,
    /// The place of the request among those of the entry.
    pub(super) op: usize,
    pub(super) request: LaneRequest,
    /// Those that follow.
    rest: VecDeque<LaneRequest>,
    /// How often the node has refused the request for a reason of its own.
    pub(super) refusals: u32,
    pub(super) backoff: Backoff,
}

impl Delivery {
    /// At the first request; none if there is none.
    pub(super) fn begin(entry: LaneEntry) -> Option<Self> {
        let LaneEntry { uid, requests } = entry;
        Self::at(uid, 0, requests)
    }

    /// At the next request; none if this was the last.
    pub(super) fn proceed(self) -> Option<Self> {
        Self::at(self.entry, self.op + 1, self.rest)
    }

    fn at(entry: TaskUid, op: usize, mut rest: VecDeque<LaneRequest>) -> Option<Self> {
        let request = rest.pop_front()?;
        Some(Self { entry, op, request, rest, refusals: 0, backoff: Backoff::default() })
    }
}

impl State {
    /// The request that is being tried: looked for, sent, or counted.
    pub(super) const fn trying(&self) -> Option<&LaneRequest> {
        match self {
            Self::Recalling(delivery)
            | Self::Replaying(delivery, _)
            | Self::Sending(delivery)
            | Self::Counting(delivery, _) => Some(&delivery.request),
            Self::Meeting(_)
            | Self::Observing
            | Self::Idle
            | Self::Fetching { .. }
            | Self::Beginning(_)
            | Self::LookingAtWave(_)
            | Self::WaitingForWave(_)
            | Self::Preparing(_)
            | Self::TellingTaking(..)
            | Self::TellingRefusal(_)
            | Self::Storing(_)
            | Self::Pausing(_)
            | Self::Over(_) => None,
        }
    }

    /// Its name, for the log of a fault.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Meeting(meeting) => match meeting.step {
                MeetingStep::Asking => "Meeting::Asking",
                MeetingStep::TellingRefusal => "Meeting::TellingRefusal",
                MeetingStep::Pausing => "Meeting::Pausing",
                MeetingStep::Storing => "Meeting::Storing",
                MeetingStep::TellingTaking => "Meeting::TellingTaking",
            },
            Self::Observing => "Observing",
            Self::Idle => "Idle",
            Self::Fetching { .. } => "Fetching",
            Self::Beginning(_) => "Beginning",
            Self::LookingAtWave(_) => "LookingAtWave",
            Self::WaitingForWave(_) => "WaitingForWave",
            Self::Preparing(_) => "Preparing",
            Self::Recalling(_) => "Recalling",
            Self::Replaying(_, Look::First) => "Replaying::First",
            Self::Replaying(_, Look::Second) => "Replaying::Second",
            Self::Sending(_) => "Sending",
            Self::Counting(..) => "Counting",
            Self::TellingTaking(..) => "TellingTaking",
            Self::TellingRefusal(_) => "TellingRefusal",
            Self::Storing(Then::Observe) => "Storing::Observe",
            Self::Storing(Then::Idle) => "Storing::Idle",
            Self::Storing(Then::Approach(_)) => "Storing::Approach",
            Self::Storing(Then::AwaitWave(_)) => "Storing::AwaitWave",
            Self::Storing(Then::Pause(_)) => "Storing::Pause",
            Self::Pausing(_) => "Pausing",
            Self::Over(_) => "Over",
        }
    }
}

impl LaneEvent {
    /// Its name, for the log of a fault.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::QueueEndsAt(_) => "QueueEndsAt",
            Self::QueueNotTold(_) => "QueueNotTold",
            Self::NotReached => "NotReached",
            Self::AnswerLost => "AnswerLost",
            Self::Observed { .. } => "Observed",
            Self::Closed => "Closed",
            Self::Fetched(_) => "Fetched",
            Self::Begun { .. } => "Begun",
            Self::WaveClosed => "WaveClosed",
            Self::WaveOpen { .. } => "WaveOpen",
            Self::Prepared => "Prepared",
            Self::RepairsListed(_) => "RepairsListed",
            Self::QueueRead { .. } => "QueueRead",
            Self::Answered(_) => "Answered",
            Self::Counted => "Counted",
            Self::Told => "Told",
            Self::Stored => "Stored",
            Self::Paused => "Paused",
            Self::NodeReturned => "NodeReturned",
        }
    }
}
