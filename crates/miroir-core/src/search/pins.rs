//! In which order pins take their turns.
//!
//! A node that finds rules active takes their documents out of its list and puts them at their places. Where several nodes
//! do so, each with the documents that it has, the merge takes them out again and does it once, in the order in which one
//! server would: by the rules' precedence. Nodes don't tell which rule pinned what, but position and document do.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::ids::IndexUid;
use crate::rules::{Pin, RuleBook};
use crate::view::IndexEntry;

/// What it takes to put the pins of one index in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinOrder {
    #[serde(skip)]
    rules: Arc<RuleBook>,
    index: IndexUid,
    /// The field that tells which document a hit is.
    pub primary_key: String,
}

impl PinOrder {
    /// `None` where no rule pins anything.
    pub(super) fn new(rules: &Arc<RuleBook>, entry: &IndexEntry) -> Option<Self> {
        let has_pins = rules.pins().iter().any(|pin| pin.is_in(entry.uid.as_str()));
        let primary_key = entry.primary_key.clone().filter(|_| has_pins)?;
        Some(Self { rules: Arc::clone(rules), index: entry.uid.clone(), primary_key })
    }

    /// Whether the client's filter decides which rules are active.
    pub(super) fn reads_filters(&self) -> bool {
        self.rules.reads_filters()
    }

    /// How many hits of a node's list show every pin that may keep another one waiting: those that take their turn before one
    /// of an earlier position. What waits behind them has no place in the list although its own position may be free.
    pub(super) fn reach(&self) -> usize {
        let positions: Vec<u64> = self.pins().map(|pin| pin.position).collect();
        let (mut first, mut last) = (u64::MAX, None);
        for position in positions.iter().rev() {
            if *position > first {
                last = last.max(Some(*position));
            }
            first = first.min(*position);
        }
        last.map_or(0, |position| {
            usize::try_from(position).unwrap_or(usize::MAX).saturating_add(positions.len() + 1)
        })
    }

    /// All pins of the index, in the order of their turns.
    fn pins(&self) -> impl Iterator<Item = &Pin> {
        self.rules.pins().iter().filter(|pin| pin.is_in(self.index.as_str()))
    }

    /// The turn of each of these documents at these positions. If several rules say the same, nobody can tell which of them
    /// it was; what no rule says comes last.
    pub(super) fn turns(&self, of: &[(String, u64)]) -> Vec<usize> {
        let mut turns: HashMap<(&str, u64), usize> =
            of.iter().map(|(id, position)| ((id.as_str(), *position), usize::MAX)).collect();
        for (turn, pin) in self.pins().enumerate() {
            if let Some(found) = turns.get_mut(&(pin.id.as_str(), pin.position)) {
                *found = turn.min(*found);
            }
        }
        of.iter().map(|(id, position)| turns[&(id.as_str(), *position)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::OffsetDateTime;

    use super::*;
    use crate::rules::{RuleChange, RuleUpdate};

    fn order(rules: &[(u64, &[(&str, u64)])]) -> PinOrder {
        let mut book = RuleBook::default();
        for (precedence, pins) in rules {
            let actions: Vec<Value> = pins
                .iter()
                .map(|(id, at)| json!({ "selector": { "id": id }, "action": { "type": "pin", "position": at } }))
                .collect();
            let fields = json!({ "precedence": precedence, "actions": actions });
            let update = RuleUpdate::new(fields.as_object().unwrap());
            book.apply(&RuleChange::Put { uid: precedence.to_string(), update }, OffsetDateTime::UNIX_EPOCH);
        }
        PinOrder { rules: Arc::new(book), index: IndexUid::new("films"), primary_key: "id".to_owned() }
    }

    #[test]
    fn pins_take_turns_by_precedence_and_then_as_the_rule_names_them() {
        let order = order(&[(5, &[("a", 1)]), (2, &[("b", 1), ("c", 0)])]);
        let pins = [("a", 1), ("x", 1), ("c", 0), ("b", 1)].map(|(id, position)| (id.to_owned(), position));
        assert_eq!(order.turns(&pins), [2, usize::MAX, 1, 0]);
    }

    #[test]
    fn nodes_show_more_hits_only_where_a_late_pin_takes_an_early_turn() {
        assert_eq!(order(&[(1, &[("a", 1), ("b", 1), ("c", 30)])]).reach(), 0);
        assert_eq!(order(&[(1, &[("a", 7), ("b", 1)]), (2, &[("c", 30)])]).reach(), 7 + 3 + 1);
    }
}
