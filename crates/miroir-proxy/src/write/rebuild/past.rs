//! Whether a node that nobody can rebuild has again what it had: its old disk was put back.
//!
//! ```text
//!  queue of the node     … 19 20           it had 20 tasks
//!  its disk is lost      0                 ends before 20, or lacks an index
//!  its disk is put back  … 19 20 21        ends where it may, lacks nothing, and is another queue than the one of before
//! ```
//!
//! A node that never lost its queue, but did not do a write, looks the same as one that has everything: so only one that
//! was seen without what it had can be seen to have it again.

/// What a node looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// The number that its next task gets.
    pub(super) next: u64,
    /// The number that its next task has to have at least.
    pub(super) known: u64,
    /// Whether an index is not there that must be.
    pub(super) lacks_index: bool,
}

impl Sight {
    const fn is_loss(self) -> bool {
        self.next < self.known || self.lacks_index
    }
}

/// What was seen of a node since it is damaged.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The last look at which it had not what it had.
    lost: Option<Sight>,
    /// A copy was begun over what it has.
    overwritten: bool,
}

impl Past {
    /// From now on the node has not only what it had.
    pub(super) const fn note_overwritten(&mut self) {
        self.overwritten = true;
    }

    /// Takes in a look at the node. Whether it has again what it had.
    pub(super) fn note(&mut self, sight: Sight) -> bool {
        if sight.is_loss() {
            self.lost = Some(sight);
            return false;
        }
        // An index that was dropped and made anew is not an index that was put back: the queue went on.
        let is_other_queue = |lost: Sight| lost.next < lost.known || sight.next < lost.next;
        !self.overwritten && self.lost.is_some_and(is_other_queue)
    }

    /// What the operator can do when there is nothing to copy from.
    pub(super) fn advice(&self) -> &'static str {
        match self.lost {
            Some(_) if !self.overwritten => {
                "bring its other nodes back; or stop this node and put its data directory back as it was, and it is taken \
                 back by itself; or give up what only it had with POST /_miroir/nodes/{id}/accept-loss"
            }
            _ => {
                "bring its other nodes back, or take what this node has as it is with POST \
                 /_miroir/nodes/{id}/accept-loss"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sight(next: u64, lacks_index: bool) -> Sight {
        Sight { next, known: 20, lacks_index }
    }

    #[test]
    fn a_node_is_taken_back_when_its_queue_is_there_again_and_not_before() {
        let mut past = Past::default();
        assert!(!past.note(sight(22, false)), "it failed a write: it has its queue, and not the write");
        assert!(!past.advice().contains("data directory"));
        for lost in [sight(0, true), sight(0, false), sight(19, false)] {
            assert!(!past.note(lost));
        }
        assert!(past.advice().contains("data directory"));
        assert!(past.note(sight(20, false)));
        past.note_overwritten();
        assert!(!past.note(sight(20, false)), "the copy has made tasks too");
    }

    #[test]
    fn an_index_that_was_made_anew_is_not_an_index_that_was_put_back() {
        let mut past = Past::default();
        assert!(!past.note(sight(21, true)));
        assert!(!past.note(sight(22, false)));
        assert!(past.note(sight(20, false)));
    }
}
