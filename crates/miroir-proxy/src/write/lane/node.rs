//! What a lane asks of its node, and sends it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use miroir_core::task::lane::{LaneEvent, LaneRequest, mark};

use super::LaneDriver;
use crate::node_api::NodeError;
use crate::write::recall::{ask_next_task, read_queue};
use crate::write::request::request;
use crate::write::stragglers::Resent;

impl LaneDriver {
    pub(super) async fn ask_queue_end(&self) -> LaneEvent {
        match ask_next_task(&self.node, self.timeout).await {
            Ok(Ok(next)) => LaneEvent::QueueEndsAt(next),
            Ok(Err(reason)) => LaneEvent::QueueNotTold(reason),
            Err(error) => {
                tracing::debug!(%error, "a new node has to be waited for");
                unanswered(&error)
            }
        }
    }

    pub(super) async fn prepare(&mut self, op: usize) -> LaneEvent {
        // The last one makes room first: it may be large.
        self.hands.request = None;
        let work = self.hands.work.as_ref().expect("a lane fetches an entry before it prepares its requests");
        let mark = mark(&self.log_id, work.entry.uid, op);
        self.hands.request = Some(request(&self.shelf, work, self.node.id(), op, mark).await);
        LaneEvent::Prepared
    }

    pub(super) async fn read_queue(&self, from: u64, counts_lost: bool) -> LaneEvent {
        let replay = match read_queue(&self.node, from, self.timeout).await {
            Ok(Ok(replay)) => replay,
            Ok(Err(reason)) => return LaneEvent::QueueNotTold(reason),
            Err(error) => return waits(&error),
        };
        let some_lost = counts_lost && self.broadcasts.sending.take_lost_repairs(self.node.id());
        LaneEvent::QueueRead { replay, repairs: self.broadcasts.sending.repairs(self.node.id()), some_lost }
    }

    pub(super) async fn send(&self) -> LaneEvent {
        let request = self.hands.request.as_ref().expect("a lane prepares a request before it sends it");
        match request.send(&self.node, &**self.store, self.timeout).await {
            Ok(answer) => LaneEvent::Answered(answer),
            Err(error) => waits(&error),
        }
    }

    pub(super) fn count(&mut self, number: u64, straggler: Option<LaneRequest>) -> LaneEvent {
        self.hands.request = None;
        if let Some(request) = straggler {
            self.stragglers.expect(Resent { number, request, since: Instant::now() });
        }
        self.stragglers.count(number);
        self.accounted.store(number + 1, Ordering::Release);
        LaneEvent::Counted
    }
}

fn waits(error: &NodeError) -> LaneEvent {
    tracing::debug!(%error, "a write has to wait");
    unanswered(error)
}

fn unanswered(error: &NodeError) -> LaneEvent {
    if error.may_have_been_seen() { LaneEvent::AnswerLost } else { LaneEvent::NotReached }
}
