//! Documents at the places that dynamic search rules give them.
//!
//! A server does this twice (1.50, `merge_positioned_hits_into_page`): over the list that one query asks for, in the order of
//! the rules, and over the page, in the order of positions. A pin that waits for a late place keeps those behind it waiting
//! in the first step, and what has no place in the list then is not in the page either.

use std::collections::HashSet;
use std::ops::Range;

use super::distinct::DistinctFilter;
use super::hits::RankedHit;
use super::hybrid::id_of;
use crate::search::MergePlan;

/// A hit and the place that it is to have.
pub(super) type Pinned<T> = (u64, T);

/// Pins out of nodes' lists.
#[derive(Debug)]
pub(super) struct Taken {
    /// In the order in which they take their turns.
    pub(super) pins: Vec<Pinned<RankedHit>>,
    /// Those that their nodes counted because no other hit of theirs has the same distinct value.
    pub(super) counted: Vec<RankedHit>,
}

/// Takes the pins out of nodes' lists.
pub(super) fn take_pins(plan: &MergePlan, lists: &mut [Vec<RankedHit>]) -> Taken {
    let (mut pins, mut counted): (Vec<Pinned<RankedHit>>, Vec<RankedHit>) = Default::default();
    for list in lists {
        let taken = list.extract_if(.., |hit| hit.pin().is_some());
        let taken: Vec<Pinned<RankedHit>> = taken.map(|hit| (hit.pin().unwrap_or_default(), hit)).collect();
        if plan.distinct.is_some() && !taken.is_empty() {
            let mut filter = DistinctFilter::new(plan.distinct.as_deref());
            for hit in &*list {
                filter.admits(hit);
            }
            counted.extend(taken.iter().map(|(_, hit)| hit).filter(|hit| filter.admits(hit)).cloned());
        }
        pins.extend(taken);
    }
    if let Some(order) = plan.pins.as_ref().filter(|_| pins.len() > 1) {
        let id = |hit: &RankedHit| id_of(hit.object(), &order.primary_key).unwrap_or_default();
        let named: Vec<(String, u64)> = pins.iter().map(|(position, hit)| (id(hit), *position)).collect();
        let mut in_turn: Vec<_> = order.turns(&named).into_iter().zip(pins).collect();
        in_turn.sort_by_key(|(turn, (position, _))| (*turn, *position));
        pins = in_turn.into_iter().map(|(_, pin)| pin).collect();
    }
    Taken { pins, counted }
}

/// Those pins that get a place among the first `end` hits, beside so many others, when they take their turns in this order;
/// by position.
pub(super) fn placed<T>(pins: Vec<Pinned<T>>, others: usize, end: usize) -> Vec<Pinned<T>> {
    let (mut place, mut others, mut placed) = (0, others, Vec::new());
    for (position, hit) in pins {
        let wait = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(place).min(others);
        (place, others) = (place.saturating_add(wait), others - wait);
        if place >= end {
            break;
        }
        placed.push((position, hit));
        place += 1;
    }
    by_position(placed)
}

/// In the order of positions, those of equal position as they stand.
pub(super) fn by_position<T>(mut pins: Vec<Pinned<T>>) -> Vec<Pinned<T>> {
    pins.sort_by_key(|(position, _)| *position);
    pins
}

/// The window of a list that begins at its first hit, with those pins that have a place; and how many of the other hits that
/// a server looks at are found `by_vector`: without pins those in the window, else all up to its end.
pub(super) fn arrange<T>(
    pins: Vec<Pinned<T>>,
    window: &Range<usize>,
    mut others: Vec<T>,
    by_vector: impl Fn(&T) -> bool,
) -> (Vec<T>, usize) {
    others.truncate(window.end.saturating_sub(pins.len()));
    if pins.is_empty() {
        others.drain(..window.start.min(others.len()));
    }
    let count = others.iter().filter(|hit| by_vector(hit)).count();
    let hits = if pins.is_empty() { others } else { insert(pins, window, others) };
    (hits, count)
}

/// The window of the list of others, which begins at its first hit, with pins at their places. Where the others run out, pins
/// move forward.
pub(super) fn insert<T>(pins: Vec<Pinned<T>>, window: &Range<usize>, others: Vec<T>) -> Vec<T> {
    let (mut pins, mut others) = (pins.into_iter().peekable(), others.into_iter());
    let mut hits = Vec::new();
    for place in 0..window.end {
        let is_due = |pin: &Pinned<T>| pin.0 <= place as u64;
        let pin = pins.next_if(is_due).map(|(_, hit)| hit);
        let Some(hit) = pin.or_else(|| others.next()).or_else(|| Some(pins.next()?.1)) else { break };
        if place >= window.start {
            hits.push(hit);
        }
    }
    hits
}

/// The pins of two halves of a search, each document once, by position.
pub(super) fn union(
    plan: &MergePlan,
    first: Vec<Pinned<RankedHit>>,
    second: Vec<Pinned<RankedHit>>,
) -> Vec<Pinned<RankedHit>> {
    let key = plan.primary_key.as_deref().unwrap_or_default();
    let mut ids = HashSet::new();
    let both = first.into_iter().chain(second);
    by_position(both.filter(|(_, hit)| id_of(hit.object(), key).is_none_or(|id| ids.insert(id))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(pins: &[(u64, &'static str)], window: Range<usize>, others: &[&'static str]) -> String {
        let pins = placed(pins.to_vec(), others.len().min(window.end), window.end);
        insert(pins, &window, others.to_vec()).concat()
    }

    #[test]
    fn pins_stand_at_their_places_on_every_page() {
        let (pins, others) = ([(1, "A"), (3, "B")], ["a", "b", "c", "d", "e"]);
        assert_eq!(page(&pins, 0..20, &others), "aAbBcde");
        assert_eq!(page(&pins, 0..3, &others), "aAb");
        assert_eq!(page(&pins, 2..5, &others), "bBc");
        assert_eq!(page(&pins, 5..7, &others), "de");
    }

    #[test]
    fn pins_of_one_position_stand_behind_each_other_and_late_ones_move_forward() {
        assert_eq!(page(&[(0, "A"), (0, "B")], 0..3, &["a", "b"]), "ABa");
        assert_eq!(page(&[(7, "A"), (9, "B")], 0..5, &["a"]), "aAB");
        assert_eq!(page(&[(7, "A")], 0..2, &["a", "b", "c"]), "ab");
    }

    #[test]
    fn a_pin_that_waits_for_a_late_place_keeps_those_behind_it_waiting() {
        let (pins, others) = ([(5, "A"), (0, "B")], ["a", "b", "c", "d", "e", "f", "g"]);
        assert_eq!(page(&pins, 0..3, &others), "abc");
        assert_eq!(page(&pins, 0..6, &others), "abcdeA");
        assert_eq!(page(&pins, 0..7, &others), "BabcdAe");
    }
}
