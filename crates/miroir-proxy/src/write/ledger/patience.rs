//! How long tasks wait for nodes.
//!
//! A node that is in sync is waited for as long as it may lag, counted from when others had done the task. The first task
//! that ends without it is the last one that waited: whoever owes something is not waited for. But under steady writes such a
//! node would always be one task behind. So when it does something of what it owes, or answers again, and owes little, tasks
//! wait for it for a moment that is the same one for all of them, and do so again only after a pause that is many times as
//! long. A moment is as long as two tasks take now, and each that was too short makes the next one longer, for nodes that
//! keep up with the writes and are slow with each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use miroir_core::ids::PhysicalUid;
use miroir_core::task::{Lack, SyncEvent, SyncState};
use time::OffsetDateTime;

use super::Now;

/// A node that is behind by more tasks is not about to catch up.
const NEARLY_CAUGHT_UP: usize = 16;

/// The shortest moment in which tasks wait for a node that nearly caught up.
const MOMENT: Duration = Duration::from_millis(500);

/// How many times as long as a moment the pause after it is: all waiting together takes no more than a tenth of the time.
const PAUSE: u32 = 10;

/// What is known of a node.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, noticed at another place")]
#[derive(Debug)]
pub(super) struct NodeState {
    pub(super) sync: SyncState,
    /// What the last outcome said.
    pub(super) told: SyncState,
    /// Of each index, the ended tasks of which it still owes its share.
    owed: BTreeMap<PhysicalUid, Owed>,
    /// Indexes have come to these, or gone, since the last look.
    pub(super) is_news: bool,
    /// It has come while the cluster ran, and was not yet like the others.
    pub(super) is_joining: bool,
    /// It takes no writes, for a reason of its own.
    pub(super) refuses: bool,
    /// When it was last seen to work on something.
    pub(super) sign: Option<Instant>,
    /// When something last ended on it.
    pub(super) last_end: Option<OffsetDateTime>,
    /// It did something of what it owes, or answers again, since the last look.
    moved: bool,
    /// It did not answer at the last look.
    was_away: bool,
    moment: Option<Moment>,
}

/// Ended tasks about one index.
#[derive(Debug, Clone, Copy, Default)]
struct Owed {
    tasks: usize,
    /// Those of them without which the index has another form.
    of_form: usize,
}

impl Owed {
    fn lack(self) -> Lack {
        if self.of_form > 0 { Lack::Form } else { Lack::Documents }
    }
}

/// When tasks wait for a node that is behind.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Until then.
    until: Instant,
    /// Not again before.
    next: Instant,
    length: Duration,
}

impl NodeState {
    pub(super) fn new(sync: SyncState) -> Self {
        Self {
            sync,
            told: sync,
            owed: BTreeMap::new(),
            is_news: true,
            is_joining: false,
            refuses: false,
            sign: None,
            last_end: None,
            moved: false,
            was_away: false,
            moment: None,
        }
    }

    /// That of a node that has come, and has nothing yet.
    pub(super) fn joining() -> Self {
        Self { is_joining: true, ..Self::new(SyncState::Damaged) }
    }

    /// A task about the index ended without it.
    pub(super) fn owe(&mut self, index: &PhysicalUid, lack: Lack) {
        let before = self.lack_of(index);
        let owed = self.owed.entry(index.clone()).or_default();
        owed.tasks += 1;
        owed.of_form += usize::from(lack == Lack::Form);
        self.is_news |= before != self.lack_of(index);
    }

    /// It does not owe its share of such a task any more.
    pub(super) fn forgive(&mut self, index: &PhysicalUid, lack: Lack) {
        let before = self.lack_of(index);
        let Some(owed) = self.owed.get_mut(index) else { return };
        owed.tasks = owed.tasks.saturating_sub(1);
        owed.of_form = owed.of_form.saturating_sub(usize::from(lack == Lack::Form));
        if owed.tasks == 0 {
            self.owed.remove(index);
        }
        self.is_news |= before != self.lack_of(index);
    }

    /// It did its share of such a task.
    pub(super) fn pay(&mut self, index: &PhysicalUid, lack: Lack) {
        self.forgive(index, lack);
        self.moved = true;
    }

    /// It owes nothing, as far as is known yet.
    pub(super) fn forgive_all(&mut self) {
        self.owed.clear();
        self.is_news = true;
    }

    fn lack_of(&self, index: &PhysicalUid) -> Option<Lack> {
        self.owed.get(index).map(|owed| owed.lack())
    }

    /// What it lacks of each index of which it lacks anything.
    pub(super) fn lacks(&self) -> impl Iterator<Item = (&PhysicalUid, Lack)> {
        self.owed.iter().map(|(index, owed)| (index, owed.lack()))
    }

    fn behind(&self) -> usize {
        self.owed.values().map(|owed| owed.tasks).sum()
    }

    /// It has caught up if it owes nothing; else tasks may wait for it from now on. `pace` is how long a task takes.
    pub(super) fn look(&mut self, now: &Now<'_>, pace: Duration, is_reachable: bool) {
        self.moved |= is_reachable && self.was_away;
        self.was_away = !is_reachable;
        if self.owed.is_empty() {
            self.sync = self.sync.next(SyncEvent::CaughtUp);
        }
        let moved = std::mem::take(&mut self.moved);
        if self.sync == SyncState::InSync {
            self.moment = None;
        } else if moved && self.behind() <= NEARLY_CAUGHT_UP {
            let longer = match self.moment {
                Some(moment) if now.instant < moment.next => return,
                Some(moment) => moment.length * 2,
                None => MOMENT,
            };
            let length = longer.max(pace * 2).min(now.max_lag);
            let until = now.instant + length;
            self.moment = Some(Moment { until, next: until + length * PAUSE, length });
        }
    }

    /// Until when tasks wait for it although it is behind.
    pub(super) fn moment_until(&self) -> Option<Instant> {
        self.moment.map(|moment| moment.until)
    }

    /// Whether tasks may wait for it now.
    pub(super) fn counts(&self, now: Instant) -> bool {
        match self.sync {
            SyncState::InSync => true,
            SyncState::Behind => self.moment.is_some_and(|moment| now < moment.until),
            SyncState::Damaged => false,
        }
    }
}
