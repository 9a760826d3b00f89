//! What a lane says of its progress: to the store, and then to those who wait for it.

use miroir_core::ids::TaskUid;
use miroir_core::task::OpResult;
use miroir_core::task::lane::{LaneEvent, Receipt, Refusal, Taken};
use miroir_store::{Delivery, OpSent, Reception};
use time::OffsetDateTime;

use super::LaneDriver;
use crate::write::committer::Event;
use crate::write::retry::until_stored;
use crate::write::tracker::Watched;

impl LaneDriver {
    pub(super) async fn store_meeting(&self, next_node_task: u64) -> LaneEvent {
        let node = self.node.id();
        until_stored("meeting a node", || self.store.meet_node(node.clone(), next_node_task)).await;
        LaneEvent::Stored
    }

    pub(super) fn warn(&self, refusal: Refusal, reason: &str) {
        let node = self.node.id();
        match refusal {
            Refusal::QueueEnd => {
                tracing::warn!(%node, %reason, "node is new to Miroir and does not say where its task queue ends, so it gets no writes; asking again");
            }
            Refusal::Write => {
                tracing::warn!(%node, %reason, "node answers but does not take a write; it is tried again until it does");
            }
        }
    }

    /// The receiver ends only together with this.
    pub(super) async fn tell_taking(&self, refusal: Option<String>) -> LaneEvent {
        let _ = self.events.send(Event::Taking { node: self.node.id().clone(), refusal }).await;
        LaneEvent::Told
    }

    pub(super) async fn store_progress(
        &mut self,
        cursor: TaskUid,
        receipts: Vec<Receipt>,
        ahead: Option<TaskUid>,
    ) -> LaneEvent {
        let sent = receipts.into_iter().map(op_sent).collect();
        let (node, from, at) = (self.node.id().clone(), self.start.cursor, OffsetDateTime::now_utc());
        let delivery = Delivery { node, from, cursor, sent, ahead, at };
        until_stored("progress of a lane", || self.store.deliver(delivery.clone())).await;
        self.start.cursor = cursor;
        for sent in delivery.sent {
            self.hand_on(sent).await;
        }
        LaneEvent::Stored
    }

    /// The receivers end only together with this.
    async fn hand_on(&self, sent: OpSent) {
        let OpSent { task, op, reception } = sent;
        match reception {
            Reception::Enqueued(node_task) => {
                let _ = self.tracker.send(Watched { node_task, task, op }).await;
            }
            Reception::Refused(error) => {
                let node = self.node.id().clone();
                let result = OpResult::Failed(error);
                let _ = self.events.send(Event::Ended { node, task, op, result }).await;
            }
        }
    }
}

fn op_sent(receipt: Receipt) -> OpSent {
    let Receipt { entry: task, op, taken } = receipt;
    let reception = match taken {
        Taken::Enqueued(number) => Reception::Enqueued(number),
        Taken::Refused(error) => Reception::Refused(error),
    };
    OpSent { task, op, reception }
}
