//! What the board knows of nodes, apart from changes on their way.

use miroir_core::ids::{GroupId, NodeId, ShardCount};
use miroir_core::placement::{ReplicationFactor, assign};
use miroir_core::settings::ClientSettings;
use miroir_core::view::View;

use super::*;

fn node(id: &str) -> NodeId {
    NodeId::new(id)
}

fn films() -> PhysicalUid {
    PhysicalUid::new("films")
}

fn entry(index: &str) -> IndexEntry {
    let (shards, physical) = (ShardCount::new(2).unwrap(), PhysicalUid::new(index));
    let members = ["a", "b"].map(|id| (node(id), GroupId(0))).into();
    let placement = assign(&physical, shards, ReplicationFactor::new(2).unwrap(), &members).unwrap();
    IndexEntry {
        uid: IndexUid::new(index),
        physical,
        primary_key: None,
        shards,
        placement,
        settings: ClientSettings::default(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

/// Two nodes that both hold these indexes.
fn board(indexes: &[&str]) -> Broadcasts {
    let indexes = indexes.iter().map(|index| (IndexUid::new(*index), Arc::new(entry(index)))).collect();
    let view = Arc::new(ViewPublisher::new(View { indexes, ..View::default() }));
    Broadcasts::new(SettingsConfig::default(), SettingsMetrics::default(), view)
}

#[test]
fn repairs_are_forgotten_when_the_numbers_of_a_node_begin_anew() {
    let (board, a, b) = (board(&[]), node("a"), node("b"));
    for node in [&a, &b] {
        board.sending.note_repairs(node, [3, 4]);
        board.sending.note_lost_repair(node);
    }
    board.doubt_all(&a);
    assert_eq!((board.sending.repairs(&a), board.sending.take_lost_repairs(&a)), (BTreeSet::new(), false));
    assert_eq!((board.sending.repairs(&b), board.sending.take_lost_repairs(&b)), ([3, 4].into(), true));
    assert!(!board.sending.take_lost_repairs(&b));
}

#[test]
fn a_node_whose_data_are_others_is_astray_in_all_its_indexes_and_what_was_read_before_says_nothing() {
    let (board, a) = (board(&["books", "films"]), node("a"));
    board.doubt(&films(), &a, SettingsUnknown::Changed);
    let generations = ["books", "films"].map(|index| board.generation(&PhysicalUid::new(index), &a));
    let doubted = |index| {
        let index = PhysicalUid::new(index);
        SettingsChange::Doubted { index, node: a.clone(), why: SettingsUnknown::Astray }
    };
    assert_eq!(board.doubt_all(&a), ["books", "films"].map(doubted));
    for (index, generation) in ["books", "films"].map(PhysicalUid::new).into_iter().zip(generations) {
        assert_eq!(board.doubt_of(&index, &a), Some(SettingsUnknown::Astray));
        assert_eq!(board.doubt_of(&index, &node("b")), None);
        assert_eq!(board.plan_trust(&index, &a, generation), None);
        let trusted = SettingsChange::Trusted { index: index.clone(), node: a.clone() };
        assert_eq!(board.plan_trust(&index, &a, board.generation(&index, &a)), Some(trusted));
    }
}

#[test]
fn nobody_doubts_a_node_in_an_index_that_is_gone() {
    let (board, a) = (board(&["films"]), node("a"));
    board.doubt(&films(), &a, SettingsUnknown::Changed);
    assert_eq!(board.divergence(), [(films(), 1)].into());
    board.end(&[SettingsChange::Forgotten(films())], vec![ViewChange::NoIndex(IndexUid::new("films"))]);
    board.doubt(&films(), &a, SettingsUnknown::Changed);
    assert!(!board.has(&films(), &a));
    assert_eq!((board.doubt_all(&a), board.divergence()), (vec![], BTreeMap::new()));
}
