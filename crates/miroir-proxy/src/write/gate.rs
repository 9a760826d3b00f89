//! Lets lanes stop at one place of the log, so that nodes stand still while others are compared with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miroir_core::ids::{NodeId, TaskUid};
use tokio::sync::watch;

/// One lane's side: how far it may go, and how far it went.
#[derive(Debug)]
pub(super) struct Gate {
    limit: watch::Receiver<Option<TaskUid>>,
    reached: watch::Sender<Reached>,
}

/// How far a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// No entry from here on was sent, not even in part.
    pub(super) end: TaskUid,
    /// It stands there, and every entry before it was received.
    pub(super) is_parked: bool,
}

impl Gate {
    /// How far the lane may go: entries before this one, or all.
    pub(super) fn limit(&mut self) -> Option<TaskUid> {
        *self.limit.borrow_and_update()
    }

    /// Waits until the limit has changed. Never ends when nobody can change it any more.
    pub(super) async fn changed(&mut self) {
        if self.limit.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The lane begins to send this entry.
    pub(super) fn begin(&self, entry: TaskUid) {
        self.reached.send_replace(Reached { end: TaskUid(entry.0 + 1), is_parked: false });
    }

    /// The lane has delivered everything before this entry, and sends nothing.
    pub(super) fn park(&self, next: TaskUid) {
        self.reached.send_if_modified(|reached| {
            let parked = Reached { end: next, is_parked: true };
            let is_news = *reached != parked;
            *reached = parked;
            is_news
        });
    }
}

/// The other side: all lanes.
#[derive(Debug)]
pub(super) struct Gates {
    limit: watch::Sender<Option<TaskUid>>,
    reached: Mutex<BTreeMap<NodeId, watch::Sender<Reached>>>,
}

impl Gates {
    pub(super) fn new() -> Self {
        Self { limit: watch::Sender::new(None), reached: Mutex::default() }
    }

    /// A node has come, whose lane begins at `cursor`.
    pub(super) fn add(&self, node: &NodeId, cursor: TaskUid) {
        let begin = watch::Sender::new(Reached { end: cursor, is_parked: false });
        self.reached().insert(node.clone(), begin);
    }

    /// A node has gone, and its lane with it.
    pub(super) fn remove(&self, node: &NodeId) {
        self.reached().remove(node);
    }

    /// The gate of this node's lane.
    pub(super) fn of(&self, node: &NodeId) -> Option<Gate> {
        let reached = self.reached().get(node)?.clone();
        Some(Gate { limit: self.limit.subscribe(), reached })
    }

    fn reached(&self) -> MutexGuard<'_, BTreeMap<NodeId, watch::Sender<Reached>>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no lane begin another entry, until what this returns is dropped.
    pub(super) fn close(self: &Arc<Self>) -> Hold {
        self.limit.send_replace(Some(TaskUid(0)));
        Hold { gates: Arc::clone(self) }
    }
}

/// Lanes are held as long as this lives.
#[derive(Debug)]
pub(super) struct Hold {
    gates: Arc<Gates>,
}

impl Hold {
    /// Lets the lanes go on to the entry that the farthest of them has reached, and no farther. Answers that entry when
    /// the lanes of `nodes` stand there. Waits as long as it takes.
    pub(super) async fn line_up(&self, nodes: &BTreeSet<NodeId>) -> TaskUid {
        // A lane says what it begins before it looks at the limit, so whatever is sent in spite of it counts here.
        let line = self.gates.reached().values().map(|reached| reached.borrow().end).max();
        let line = line.unwrap_or(TaskUid(0));
        self.gates.limit.send_replace(Some(line));
        for node in nodes {
            let Some(mut reached) = self.gates.reached().get(node).map(watch::Sender::subscribe) else {
                continue;
            };
            // A node that has gone is not waited for.
            let _ = reached.wait_for(|reached| reached.is_parked && reached.end >= line).await;
        }
        line
    }

    /// A node among these whose lane does not stand still yet.
    pub(super) fn first_moving<'a>(&self, nodes: &'a BTreeSet<NodeId>) -> Option<&'a NodeId> {
        let reached = self.gates.reached();
        let is_parked = |node: &&NodeId| reached.get(*node).is_none_or(|reached| reached.borrow().is_parked);
        nodes.iter().find(|node| !is_parked(node))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gates.limit.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn two() -> (Arc<Gates>, Gate, Gate) {
        let (a, b) = (node("a"), node("b"));
        let gates = Arc::new(Gates::new());
        gates.add(&a, TaskUid(3));
        gates.add(&b, TaskUid(5));
        let (first, second) = (gates.of(&a).unwrap(), gates.of(&b).unwrap());
        (gates, first, second)
    }

    #[tokio::test]
    async fn held_lanes_line_up_behind_the_farthest_and_go_on_when_let_go() {
        let (gates, mut a, mut b) = two();
        assert_eq!(a.limit(), None);
        // This one is in the middle of entry 7.
        b.begin(TaskUid(7));
        let hold = gates.close();
        assert_eq!((a.limit(), b.limit()), (Some(TaskUid(0)), Some(TaskUid(0))));
        let both = BTreeSet::from([node("a"), node("b")]);
        let mut line_up = Box::pin(hold.line_up(&both));
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut line_up).await.is_err(), "nobody stands there yet");
        assert_eq!(a.limit(), Some(TaskUid(8)));
        b.park(TaskUid(8));
        a.park(TaskUid(3));
        assert!(tokio::time::timeout(soon, &mut line_up).await.is_err(), "one is not there yet");
        a.park(TaskUid(8));
        assert_eq!(line_up.as_mut().await, TaskUid(8));
        drop(line_up);
        drop(hold);
        assert_eq!(a.limit(), None);
    }

    #[tokio::test]
    async fn lanes_of_nodes_that_do_not_answer_are_not_waited_for() {
        let (gates, a, b) = two();
        b.begin(TaskUid(5));
        let hold = gates.close();
        a.park(TaskUid(6));
        assert_eq!(hold.line_up(&BTreeSet::from([node("a")])).await, TaskUid(6));
    }
}
