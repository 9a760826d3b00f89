//! Nodes that could not be brought to a change. As long as its task is open the operator has to ask for another try; a
//! node that comes to it later is tried again by itself, ever more seldom, and is not read before it has the change.

use std::collections::BTreeSet;
use std::time::Instant;

use miroir_core::ids::{NodeId, PhysicalUid, TaskUid};
use miroir_core::settings::{Broadcast, NodeEvent, Phase, PhaseEvent, SettingsHash};

use super::{Broadcasts, Job, State};
use crate::settings::put_off::PutOff;

impl Broadcasts {
    /// A node differs from a change whatever was sent. Answers how the change stands, to be stored, if it is over.
    pub fn give_up(
        &self,
        task: TaskUid,
        node: &NodeId,
        (keys, hash): (Vec<String>, Option<SettingsHash>),
        now: Instant,
    ) -> Option<Broadcast> {
        self.note(task, node, NodeEvent::GaveUp(keys, hash));
        let mut state = self.state();
        let broadcast = state.live.get(&task)?.broadcast.clone();
        if !broadcast.phase.is_over() {
            return None;
        }
        let earlier = state.put_off.get(&(task, node.clone()));
        let put_off = PutOff::again(earlier, now);
        state.put_off.insert((task, node.clone()), put_off);
        Some(broadcast)
    }

    /// Asks for another try of what could not be brought to the settings of this index. False if there is nothing.
    pub fn ask_for_retry(&self, index: &PhysicalUid) -> bool {
        let mut state = self.state();
        let of_index = state.live.iter().filter(|(_, live)| live.broadcast.index == *index);
        let (tasks, frozen): (BTreeSet<TaskUid>, Vec<Option<TaskUid>>) = of_index
            .map(|(task, live)| (*task, (live.broadcast.phase == Phase::Frozen).then_some(*task)))
            .unzip();
        let frozen: Vec<TaskUid> = frozen.into_iter().flatten().collect();
        state.retries.extend(&frozen);
        let late = state.put_off.iter_mut().filter(|((task, _), _)| tasks.contains(task));
        let hurried = late.map(|(_, put_off)| put_off.hurry(Instant::now())).count();
        !frozen.is_empty() || hurried > 0
    }

    /// Begins the tries that were asked for: the nodes that were given up are to be read back again.
    pub fn take_retries(&self) -> Vec<Broadcast> {
        let mut state = self.state();
        let mut begun = Vec::new();
        for task in std::mem::take(&mut state.retries) {
            let Some(live) = state.live.get_mut(&task) else { continue };
            let nodes: Vec<NodeId> = live.broadcast.differing().map(|(node, _)| node.clone()).collect();
            for node in &nodes {
                live.broadcast.note(node, NodeEvent::Retry);
            }
            live.broadcast.phase = live.broadcast.phase.next(PhaseEvent::Retry);
            begun.push(live.broadcast.clone());
            state.roll(task);
        }
        if !begun.is_empty() {
            self.show(&state);
        }
        begun
    }
}

impl State {
    /// Whether a node that has applied a change is to be read back now. One that was given up waits for its time, or for
    /// the operator.
    pub(super) fn is_due(&mut self, job: &Job, now: Instant) -> bool {
        let Some(live) = self.live.get_mut(&job.task) else { return true };
        let given_up = live.broadcast.differing().any(|(node, _)| *node == job.node);
        if !given_up {
            return true;
        }
        let waits = self.put_off.get(&(job.task, job.node.clone())).is_some_and(|it| it.waits(now));
        if waits || !live.broadcast.phase.is_over() {
            return false;
        }
        live.broadcast.note(&job.node, NodeEvent::Retry)
    }
}
