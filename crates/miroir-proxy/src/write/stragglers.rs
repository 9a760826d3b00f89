//! Requests that a node may get twice.
//!
//! A lane that lost an answer looks for its request in the node's queue before it sends it again. A slow node may still
//! have the first one in its hands then, and put it into its queue later: behind the second one, which does no harm, or
//! behind what followed it, which undoes that. Nothing prevents this over the API of a node, so it is watched for:
//!
//! ```text
//!  queue of the node:   … A(again)  A(first) B …     harmless, unless doing A twice is not the same as once
//!                       … A(again)  B  A(first) …    the node's data are not those of the log: it is rebuilt
//! ```

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use miroir_core::task::lane::{Identity, LaneRequest};
use serde_json::Value;

/// How long the first request is expected to come after all.
const EXPECTED: Duration = Duration::from_mins(5);

/// Requests that are watched for at a time; of more the oldest is given up.
const MOST: usize = 64;

/// A request that was sent again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resent {
    /// The number that it got then.
    pub(super) number: u64,
    /// How it is told from others, and whether doing it twice is the same as doing it once.
    pub(super) request: LaneRequest,
    /// When it was sent again.
    pub(super) since: Instant,
}

/// What the queue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// As the log.
    Kept,
    /// Some request came once more, too late.
    Broken,
}

/// See the module. One lane notes, one watch looks.
#[derive(Debug, Default)]
pub(super) struct Stragglers(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Each with whether something about its index has followed it.
    resent: Vec<(Resent, bool)>,
    /// Numbers that the lane counted since.
    own: BTreeSet<u64>,
    /// Numbers below this one were looked at.
    next: u64,
}

impl Stragglers {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane counts this number as its own.
    pub(super) fn count(&self, number: u64) {
        let mut watched = self.watched();
        if !watched.resent.is_empty() {
            watched.own.insert(number);
        }
    }

    /// The lane has sent this again, and counts its number.
    pub(super) fn expect(&self, resent: Resent) {
        let mut watched = self.watched();
        if watched.resent.is_empty() {
            watched.own.clear();
            watched.next = resent.number + 1;
        } else if watched.resent.len() == MOST {
            watched.resent.remove(0);
        }
        watched.own.insert(resent.number);
        watched.resent.push((resent, false));
    }

    /// From which number on the node's queue is to be looked at; none if nothing is expected any more.
    pub(super) fn look_from(&self, now: Instant) -> Option<u64> {
        let mut watched = self.watched();
        watched.resent.retain(|(resent, _)| now.duration_since(resent.since) < EXPECTED);
        (!watched.resent.is_empty()).then_some(watched.next)
    }

    /// Takes in the next tasks of the node's queue. All numbers below `counted` that are the lane's are known.
    pub(super) fn look_at(&self, tasks: &[Value], counted: u64) -> Sequence {
        let mut watched = self.watched();
        for task in tasks {
            let Some(number) = task["uid"].as_u64() else { continue };
            if watched.take(number, task, number < counted) == Sequence::Broken {
                return Sequence::Broken;
            }
        }
        Sequence::Kept
    }
}

impl Watched {
    fn take(&mut self, number: u64, task: &Value, is_counted: bool) -> Sequence {
        let is_own = self.own.contains(&number);
        let mut sequence = Sequence::Kept;
        self.resent.retain_mut(|(resent, followed)| {
            if number <= resent.number || task["indexUid"] != resent.request.index.as_str() {
                return true;
            }
            if is_own {
                *followed = true;
                return true;
            }
            let is_first = match &resent.request.identity {
                Identity::Mark(mark) => task["customMetadata"] == mark.as_str(),
                // A lane counts all of its own, so what it did not count is not one of them.
                Identity::Kind(kind) => is_counted && task["type"] == *kind,
            };
            if is_first && (*followed || !resent.request.is_repeatable) {
                sequence = Sequence::Broken;
            }
            !is_first
        });
        if is_counted {
            self.next = self.next.max(number + 1);
            self.own.remove(&number);
        }
        sequence
    }
}

#[cfg(test)]
mod tests {
    use miroir_core::ids::PhysicalUid;
    use serde_json::json;

    use super::*;

    fn resent(number: u64, identity: Identity) -> Resent {
        let request = LaneRequest { index: PhysicalUid::new("films"), identity, is_repeatable: true };
        Resent { number, request, since: Instant::now() }
    }

    fn marked(number: u64, mark: &str) -> Value {
        json!({"uid": number, "indexUid": "films", "type": "documentDeletion", "customMetadata": mark})
    }

    fn expecting(identity: Identity) -> Stragglers {
        let stragglers = Stragglers::default();
        stragglers.expect(resent(7, identity));
        stragglers
    }

    #[test]
    fn a_first_request_right_behind_its_repetition_does_no_harm_and_is_not_expected_again() {
        let stragglers = expecting(Identity::Mark("a".to_owned()));
        assert_eq!(stragglers.look_from(Instant::now()), Some(8));
        stragglers.count(9);
        assert_eq!(stragglers.look_at(&[marked(8, "a"), marked(9, "b")], 10), Sequence::Kept);
        assert_eq!(stragglers.look_from(Instant::now()), None);
    }

    #[test]
    fn one_behind_something_about_the_same_index_breaks_the_order_whenever_that_is_seen() {
        let stragglers = expecting(Identity::Mark("a".to_owned()));
        stragglers.count(8);
        assert_eq!(stragglers.look_at(&[marked(8, "b")], 9), Sequence::Kept);
        assert_eq!(stragglers.look_from(Instant::now()), Some(9));
        let other_index = json!({"uid": 9, "indexUid": "books", "customMetadata": "a"});
        assert_eq!(stragglers.look_at(&[other_index], 9), Sequence::Kept);
        assert_eq!(stragglers.look_at(&[marked(10, "a")], 9), Sequence::Broken);
    }

    #[test]
    fn an_edit_by_function_must_not_happen_twice() {
        let stragglers = Stragglers::default();
        let mut edit = resent(7, Identity::Mark("a".to_owned()));
        edit.request.is_repeatable = false;
        stragglers.expect(edit);
        assert_eq!(stragglers.look_at(&[marked(8, "a")], 8), Sequence::Broken);
    }

    #[test]
    fn without_a_mark_only_what_no_lane_counted_is_taken_for_the_first_request() {
        let settings = |number| json!({"uid": number, "indexUid": "films", "type": "settingsUpdate"});
        let stragglers = expecting(Identity::Kind("settingsUpdate"));
        // The lane's own next change of settings, before and after its number is known.
        assert_eq!(stragglers.look_at(&[settings(8)], 8), Sequence::Kept);
        stragglers.count(8);
        assert_eq!(stragglers.look_at(&[settings(8)], 9), Sequence::Kept);
        assert_eq!(stragglers.look_at(&[settings(9)], 10), Sequence::Broken);
    }

    #[test]
    fn nothing_is_expected_for_ever() {
        let stragglers = expecting(Identity::Mark("a".to_owned()));
        assert_eq!(stragglers.look_from(Instant::now() + EXPECTED), None);
        for number in 0..2 * MOST as u64 {
            stragglers.expect(resent(number, Identity::Mark(number.to_string())));
        }
        assert_eq!(stragglers.watched().resent.len(), MOST);
    }
}
