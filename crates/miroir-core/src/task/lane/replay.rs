//! What a node's own queue says about requests whose answer was lost.
//!
//! A lane sends one request at a time, so what the node's queue holds of it beyond the last number that is accounted for
//! is what was sent since, in the same order. Requests that carry a mark are found by it; the others by what they do and
//! to which index, between their neighbours.
//!
//! Others send a node settings too, when it has to be brought to them. Which numbers these repairs have is known as long
//! as Miroir runs; what an earlier process has sent may be one. So an older change of settings is the lane's own only if
//! something of the lane's follows it. If not, it is not found: sent again, at the lane's own place, it does no harm.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::request::{LaneRequest, is_of_lane};

/// The part of a node's queue that is not accounted for, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replay {
    /// As the node's `/tasks` shows them. A lane drops what it has stepped through.
    pub tasks: VecDeque<Value>,
    /// The number that the node's next task gets.
    pub end: u64,
}

/// What is known of the repairs in a node's queue: settings that others than its lane have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRepairs {
    /// The numbers of some.
    pub numbers: BTreeSet<u64>,
    /// From this number on these are all.
    pub complete_from: u64,
}

impl Replay {
    /// The number under which the node has this request; what stands before it is dropped, since later requests come
    /// later. None if it does not have it, or if that can't be told and sending it again does no harm.
    pub fn take(&mut self, request: &LaneRequest, repairs: &KnownRepairs) -> Option<u64> {
        // Whatever the lane has sent it sent in order: what stands before this was sent too.
        let last_of_lane = self.tasks.iter().rposition(is_of_lane);
        let may_be_repair = |place: usize, task: &Value| {
            let number = task["uid"].as_u64();
            let is_one = number.is_some_and(|number| repairs.numbers.contains(&number));
            let is_sure = number.is_some_and(|number| number >= repairs.complete_from);
            is_one || (!is_sure && last_of_lane.is_none_or(|last| last < place))
        };
        let is_it = |(place, task): (usize, &Value)| {
            request.is_task(task) && !(request.is_settings() && may_be_repair(place, task))
        };
        let place = self.tasks.iter().enumerate().position(is_it)?;
        self.tasks.drain(..=place).next_back()?["uid"].as_u64()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::ids::PhysicalUid;
    use crate::task::Op;

    fn replay(tasks: Value) -> Replay {
        let Value::Array(tasks) = tasks else { panic!("tasks are a list") };
        Replay { tasks: tasks.into(), end: 0 }
    }

    fn request(op: &Op<'_>, mark: &str) -> LaneRequest {
        LaneRequest::new(op, PhysicalUid::new("x"), mark.to_owned())
    }

    fn settings(number: u64) -> Value {
        json!({ "uid": number, "indexUid": "x", "type": "settingsUpdate" })
    }

    fn known(numbers: impl IntoIterator<Item = u64>, complete_from: u64) -> KnownRepairs {
        KnownRepairs { numbers: numbers.into_iter().collect(), complete_from }
    }

    #[test]
    fn requests_are_found_in_their_order_and_none_twice() {
        let (patch, none) = (Map::new(), known([], 0));
        let mut replay = replay(json!([
            { "uid": 4, "indexUid": "y", "type": "indexDeletion", "customMetadata": null },
            { "uid": 5, "indexUid": "x", "type": "indexDeletion" },
            { "uid": 6, "indexUid": "x", "type": "indexCreation" },
            { "uid": 7, "indexUid": "x", "type": "settingsUpdate" },
            { "uid": 8, "indexUid": "x", "type": "documentDeletion", "customMetadata": "m" },
        ]));
        assert_eq!(replay.take(&request(&Op::DeleteIndex, "k"), &none), Some(5));
        assert_eq!(replay.take(&request(&Op::DeleteIndex, "k"), &none), None);
        assert_eq!(replay.take(&request(&Op::CreateIndex { primary_key: None }, "l"), &none), Some(6));
        assert_eq!(replay.take(&request(&Op::Clear, "n"), &none), None);
        assert_eq!(replay.take(&request(&Op::Clear, "m"), &none), Some(8));
        assert_eq!(replay.take(&request(&Op::Settings { patch: &patch }, "o"), &none), None);
    }

    #[test]
    fn repairs_are_not_taken_for_what_a_lane_has_sent() {
        let patch = Map::new();
        let mut replay = replay(json!([settings(3), settings(4), settings(5)]));
        let change = Op::Settings { patch: &patch };
        assert_eq!(replay.take(&request(&change, "k"), &known([3, 5], 0)), Some(4));
        assert_eq!(replay.take(&request(&change, "l"), &known([3, 5], 0)), None);
    }

    #[test]
    fn what_may_be_a_repair_of_an_earlier_process_is_a_lanes_own_only_if_something_of_the_lane_follows() {
        let patch = Map::new();
        let change = Op::Settings { patch: &patch };
        let of_others =
            json!({ "uid": 5, "indexUid": "x", "type": "documentDeletion", "customMetadata": null });
        let of_lane = json!({ "uid": 6, "indexUid": "y", "type": "documentDeletion", "customMetadata": "miroir:a:1:0" });
        let unsure = known([], 6);
        assert_eq!(replay(json!([settings(4), of_others])).take(&request(&change, "k"), &unsure), None);
        // Sent again, and its answer was lost once more.
        let again = json!([settings(4), of_others, settings(6)]);
        assert_eq!(replay(again).take(&request(&change, "k"), &unsure), Some(6));
        let mut followed = replay(json!([settings(3), settings(4), of_others, of_lane, settings(7)]));
        let unsure = known([], 8);
        assert_eq!(followed.take(&request(&change, "k"), &unsure), Some(3));
        assert_eq!(followed.take(&request(&change, "l"), &unsure), Some(4));
        assert_eq!(followed.take(&request(&change, "m"), &unsure), None);
        let dropped = json!({ "uid": 5, "indexUid": "x", "type": "indexDeletion" });
        assert_eq!(replay(json!([settings(4), dropped])).take(&request(&change, "k"), &unsure), Some(4));
    }

    #[test]
    fn only_changes_of_settings_can_be_repairs() {
        let tasks = json!([
            { "uid": 4, "indexUid": "x", "type": "indexCreation" },
            { "uid": 5, "indexUid": "x", "type": "documentDeletion", "customMetadata": "m" },
        ]);
        let mut replay = replay(tasks);
        let stale = known([4, 5], 9);
        assert_eq!(replay.take(&request(&Op::CreateIndex { primary_key: None }, "k"), &stale), Some(4));
        assert_eq!(replay.take(&request(&Op::Clear, "m"), &stale), Some(5));
    }
}
