//! Changes of settings from their proposal to the searches that meanwhile come in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::*;
use crate::cover::Pool;
use crate::error::{ErrorCode, ResponseError};
use crate::ids::{GroupId, IndexUid, NodeId, PhysicalUid, SettingsVersion, ShardCount, TaskUid};
use crate::placement::{Members, ReplicationFactor, assign};
use crate::task::{Behind, Lack};
use crate::view::{IndexEntry, View};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn client(patch: Value) -> ClientSettings {
    let mut settings = ClientSettings::default();
    settings.apply(&object(patch));
    settings
}

#[test]
fn every_phase_goes_where_the_drawing_says_and_an_end_is_an_end() {
    use PhaseEvent::{Applied, Committed, Opened, Refused, Retry, Unrepairable};
    let drawn = [
        (Phase::Propose, Applied, Phase::Verify),
        (Phase::Propose, Refused, Phase::Failed),
        (Phase::Verify, Opened, Phase::Propose),
        (Phase::Verify, Unrepairable, Phase::Frozen),
        (Phase::Verify, Committed, Phase::Committed),
        (Phase::Verify, Refused, Phase::Failed),
        (Phase::Frozen, Retry, Phase::Verify),
        (Phase::Frozen, Refused, Phase::Failed),
    ];
    for &phase in Phase::ALL {
        for event in [Applied, Opened, Unrepairable, Retry, Committed, Refused] {
            let expected = drawn.iter().find(|(from, by, _)| (*from, *by) == (phase, event));
            assert_eq!(phase.next(event), expected.map_or(phase, |(_, _, to)| *to), "{phase:?} {event:?}");
        }
    }
}

#[test]
fn every_stage_of_a_node_goes_where_the_drawing_says() {
    use NodeStage::{Applied, Differs, Proposed, Refused, Skipped, Verified, Waiting};
    let keys = || vec!["stopWords".to_owned()];
    let differs = || Differs { keys: keys(), found_hash: None };
    let stages = [Waiting, Proposed, Applied { repairs: 1 }, Verified, differs(), Refused, Skipped];
    let events = || {
        [
            NodeEvent::Opened,
            NodeEvent::Applied,
            NodeEvent::Repair,
            NodeEvent::Verified,
            NodeEvent::GaveUp(keys(), None),
            NodeEvent::Refused,
            NodeEvent::Retry,
            NodeEvent::TakenBack,
        ]
    };
    let drawn = [
        (Waiting, NodeEvent::Opened, Proposed),
        (Waiting, NodeEvent::Applied, Applied { repairs: 0 }),
        (Waiting, NodeEvent::Refused, Refused),
        (Proposed, NodeEvent::Applied, Applied { repairs: 0 }),
        (Proposed, NodeEvent::Refused, Refused),
        (Applied { repairs: 1 }, NodeEvent::Repair, Applied { repairs: 2 }),
        (Applied { repairs: 1 }, NodeEvent::Verified, Verified),
        (Applied { repairs: 1 }, NodeEvent::GaveUp(keys(), None), differs()),
        (Applied { repairs: 1 }, NodeEvent::TakenBack, Applied { repairs: 0 }),
        (differs(), NodeEvent::Retry, Applied { repairs: 0 }),
        (differs(), NodeEvent::TakenBack, Applied { repairs: 0 }),
        (Waiting, NodeEvent::TakenBack, Skipped),
        (Verified, NodeEvent::GaveUp(keys(), None), differs()),
        (Verified, NodeEvent::TakenBack, Applied { repairs: 0 }),
    ];
    for stage in stages {
        for event in events() {
            let expected = drawn.iter().find(|(from, by, _)| (from, by) == (&stage, &event));
            let expected = expected.map_or(stage.clone(), |(_, _, to)| to.clone());
            assert_eq!(stage.clone().next(event.clone()), expected, "{stage:?} {event:?}");
        }
    }
}

fn node(number: u32) -> NodeId {
    NodeId::new(format!("n{number}"))
}

fn nodes(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(node).collect()
}

/// Two groups of two nodes, one copy each.
fn two_groups() -> (Arc<IndexEntry>, View) {
    let members: Members = (0..4).map(|number| (node(number), GroupId(number / 2))).collect();
    let (physical, shards) = (PhysicalUid::new("films"), ShardCount::new(6).unwrap());
    let placement = assign(&physical, shards, ReplicationFactor::new(1).unwrap(), &members).unwrap();
    let entry = IndexEntry {
        uid: IndexUid::new("films"),
        physical,
        primary_key: None,
        shards,
        placement,
        settings: ClientSettings::default(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    };
    let view = View { indexes: BTreeMap::new(), usable: nodes(0..4), ..View::default() };
    (Arc::new(entry), view)
}

fn rolling(entry: &IndexEntry, changing: BTreeSet<NodeId>, changed: BTreeSet<NodeId>) -> Rolling {
    let settings = client(json!({ "stopWords": ["the"] }));
    let next = Arc::new(IndexEntry { settings, ..entry.clone() });
    Rolling { next, changing, changed, settling: BTreeSet::new() }
}

#[test]
fn searches_keep_to_nodes_with_equal_settings_while_a_change_rolls_through_two_groups() {
    let (entry, mut view) = two_groups();
    let stages = [
        (nodes(0..2), nodes([]), nodes(2..4), false),
        (nodes(1..2), nodes(0..1), nodes(2..4), false),
        (nodes([]), nodes(0..2), nodes(0..2), true),
        (nodes(2..4), nodes(0..2), nodes(0..2), true),
        (nodes([]), nodes(0..4), nodes(0..4), true),
    ];
    for (changing, changed, expected, is_new) in stages {
        view.settings.change(&entry.physical, |versions| {
            versions.rolling = Some(rolling(&entry, changing, changed));
        });
        let reading = choose_reading(&view, &entry, None, &SeenNew::new()).unwrap();
        assert_eq!(reading.pool, expected.into());
        assert_eq!(reading.entry.settings.get("stopWords").is_some(), is_new);
        assert!(reading.is_uniform(reading.pool.nodes()));
    }
}

/// The view in which these nodes lack changes of documents of the index, and may be asked where nobody else is left.
fn with_late(view: &View, entry: &IndexEntry, late: &BTreeSet<NodeId>) -> View {
    let mut behind = Behind::default();
    for node in late {
        behind.insert(&entry.physical, node, Lack::Documents);
    }
    View { behind: Arc::new(behind), asks_stale: true, ..view.clone() }
}

#[test]
fn a_copy_that_is_behind_is_in_the_choice_only_with_the_settings_of_the_others_and_never_in_doubt() {
    let (entry, mut view) = two_groups();
    let pool = |view: &View| choose_reading(view, &entry, None, &SeenNew::new()).unwrap().pool;
    let late = with_late(&view, &entry, &nodes([1, 3]));
    assert_eq!(pool(&late), Pool { in_sync: nodes([0, 2]), stale: nodes([1, 3]) });
    // The first group has the new settings, and a node of the second is late.
    view.settings.change(&entry.physical, |versions| {
        versions.rolling = Some(rolling(&entry, nodes(2..4), nodes(0..2)));
    });
    assert_eq!(pool(&with_late(&view, &entry, &nodes([3]))), nodes(0..2).into());
    // The late node has the new settings too, so that it stands in for its shards.
    view.usable = nodes(0..2);
    let late = with_late(&view, &entry, &nodes([1]));
    assert_eq!(pool(&late), Pool { in_sync: nodes([0]), stale: nodes([1]) });
    view.settings.change(&entry.physical, |versions| {
        versions.rolling = None;
        versions.doubt(&node(1), SettingsUnknown::Astray);
    });
    assert_eq!(pool(&with_late(&view, &entry, &nodes([1]))), nodes([0]).into());
}

#[test]
fn a_floor_holds_for_copies_that_are_behind() {
    let (entry, mut view) = two_groups();
    view.usable = nodes(0..2);
    view.settings.commit(&entry.physical, SettingsVersion(1), &nodes(0..4));
    view.settings.commit(&entry.physical, SettingsVersion(2), &nodes([0]));
    let late = with_late(&view, &entry, &nodes([1]));
    let at = |floor| choose_reading(&late, &entry, Some(SettingsVersion(floor)), &SeenNew::new());
    assert_eq!(at(1).unwrap().pool, Pool { in_sync: nodes([0]), stale: nodes([1]) });
    assert_eq!(at(2), Err(Stale::NotThereYet));
}

#[test]
fn a_mixture_is_said_to_be_one_and_a_single_node_never_is() {
    let (entry, mut view) = two_groups();
    view.usable = nodes(0..2);
    view.settings.change(&entry.physical, |versions| {
        versions.rolling = Some(rolling(&entry, nodes(0..1), nodes(1..2)));
    });
    let reading = choose_reading(&view, &entry, None, &SeenNew::new()).unwrap();
    assert_eq!(reading.pool, nodes(0..2).into());
    assert!(!reading.is_uniform(&nodes(0..2)));
    assert!(reading.is_uniform(&nodes(0..1)));
}

/// What a node reads that has these settings of a scattered index.
fn shown_by(entry: &IndexEntry) -> Map<String, Value> {
    whole_node_settings(&entry.settings, NodeContext { primary_key: None, scattered: true })
}

#[test]
fn a_node_that_shows_the_old_settings_after_its_answer_has_answered_with_them() {
    let (entry, mut view) = two_groups();
    view.usable = nodes(0..2);
    let between = rolling(&entry, nodes(0..1), nodes([]));
    let next = Arc::clone(&between.next);
    view.settings.change(&entry.physical, |versions| {
        versions.rolling = Some(Rolling { settling: nodes(0..1), ..between });
    });
    let choose = |view: &View, seen: &SeenNew| choose_reading(view, &entry, None, seen).unwrap();
    let begin = choose(&view, &SeenNew::new());
    assert_eq!(begin.presumed().cloned().collect::<BTreeSet<_>>(), nodes(0..1));
    assert!(!begin.is_uniform(&nodes(0..2)), "as long as nobody has looked");

    let mut reading = begin.clone();
    assert!(reading.take_looks(&[(node(0), shown_by(&entry))].into()).is_empty());
    assert!(reading.is_uniform(&nodes(0..2)));

    let mut reading = begin.clone();
    let seen = reading.take_looks(&[(node(0), shown_by(&next))].into());
    assert_eq!(seen, SeenNew::from([(node(0), 0)]));
    assert!(!reading.is_uniform(&nodes(0..2)), "it may have answered before or after");

    let mut reading = begin;
    assert!(reading.take_looks(&[].into()).is_empty());
    assert!(!reading.is_uniform(&nodes(0..2)), "it did not say");

    // From then on it answers together with those that have the new settings.
    view.settings.change(&entry.physical, |versions| {
        versions.rolling.as_mut().unwrap().changed = nodes(1..2);
    });
    let reading = choose(&view, &seen);
    assert!(reading.is_uniform(&nodes(0..2)));
    assert_eq!(reading.entry, next);
    // What was seen in an earlier generation says nothing.
    view.settings.change(&entry.physical, |versions| versions.begin_turns(&nodes(0..1)));
    assert!(!choose(&view, &seen).is_uniform(&nodes(0..2)));
}

#[test]
fn settings_that_read_alike_before_and_after_a_change_tell_nothing() {
    let (entry, mut view) = two_groups();
    view.usable = nodes(0..2);
    // Nodes show neither which pooling an embedder has, nor an accent as it was set.
    let with = |settings: Value| Arc::new(IndexEntry { settings: client(settings), ..(*entry).clone() });
    let pooling = |pooling: &str| json!({"embedders": {"e": {"source": "huggingFace", "pooling": pooling}}});
    for (old, new) in [
        (json!({"stopWords": ["à"]}), json!({"stopWords": ["é"]})),
        (pooling("useModel"), pooling("forceCls")),
    ] {
        let (entry, next) = (with(old), with(new));
        view.settings.change(&entry.physical, |versions| {
            versions.rolling =
                Some(Rolling { next, settling: nodes(0..1), ..rolling(&entry, nodes(0..1), nodes([])) });
        });
        let mut reading = choose_reading(&view, &entry, None, &SeenNew::new()).unwrap();
        assert!(reading.take_looks(&[(node(0), shown_by(&entry))].into()).is_empty());
        assert!(!reading.is_uniform(&nodes(0..2)), "{:?}", entry.settings);
    }
}

#[test]
fn a_change_that_fails_leaves_nodes_astray_and_one_that_succeeds_only_those_that_differ() {
    let what = || (TaskUid(0), PhysicalUid::new("films"));
    let hash = Canonical::of_client(&ClientSettings::default()).hash();
    let now = OffsetDateTime::UNIX_EPOCH;
    let begin = || Broadcast::begin(what(), Strategy::TwoPhase, hash.clone(), vec![nodes(0..4)], now);
    let mut broadcast = begin();
    let events = [
        vec![NodeEvent::Applied, NodeEvent::Verified],
        vec![NodeEvent::Refused],
        vec![NodeEvent::Applied, NodeEvent::GaveUp(Vec::new(), None)],
        vec![],
    ];
    for (number, events) in (0..).zip(events) {
        for event in events {
            broadcast.note(&node(number), event);
        }
    }
    let as_if = |phase| Broadcast { phase, ..broadcast.clone() };
    assert_eq!(as_if(Phase::Failed).astray(), nodes([0, 2, 3]));
    assert_eq!(as_if(Phase::Committed).astray(), nodes([2]), "who is behind is not read");
    broadcast.take_back(ResponseError::new(ErrorCode::Internal, "no"));
    assert_eq!(Broadcast { phase: Phase::Failed, ..broadcast }.astray(), nodes([]));
}

#[test]
fn an_answer_is_in_doubt_when_one_of_its_nodes_began_to_change_meanwhile() {
    let (entry, view) = two_groups();
    let reading = choose_reading(&view, &entry, None, &SeenNew::new()).unwrap();
    let mut later = view.clone();
    later.settings.change(&entry.physical, |versions| versions.begin_turns(&nodes(0..2)));
    assert!(reading.has_moved(&later, &nodes(1..3)));
    assert!(!reading.has_moved(&later, &nodes(2..4)));
    assert!(!choose_reading(&later, &entry, None, &SeenNew::new()).unwrap().has_moved(&later, &nodes(0..4)));
}

#[test]
fn a_floor_leaves_out_nodes_that_lack_the_last_commit_of_the_index_up_to_it() {
    let (entry, mut view) = two_groups();
    let other = PhysicalUid::new("books");
    let version = SettingsVersion;
    view.settings.commit(&entry.physical, version(1), &nodes(0..4));
    view.settings.commit(&entry.physical, version(2), &nodes(0..2));
    view.settings.commit(&other, version(3), &nodes(0..4));
    let pool = |floor| {
        choose_reading(&view, &entry, Some(version(floor)), &SeenNew::new())
            .map(|reading| reading.pool.in_sync)
    };
    assert_eq!(pool(0), Ok(nodes(0..4)));
    assert_eq!(pool(1), Ok(nodes(0..4)));
    assert_eq!(pool(2), Ok(nodes(0..2)));
    // A floor that comes from another index.
    assert_eq!(pool(3), Ok(nodes(0..2)));
    assert_eq!(pool(4), Err(Stale::NeverCommitted));
    let without = |away: &NodeId| {
        let usable = view.usable.iter().filter(|node| *node != away).cloned().collect();
        choose_reading(&View { usable, ..view.clone() }, &entry, Some(version(2)), &SeenNew::new())
            .map(|it| it.pool.in_sync)
    };
    assert_eq!(without(&node(0)), Err(Stale::NotThereYet));
    assert_eq!(without(&node(3)), Ok(nodes(0..2)));
    // Nodes that are behind are not read, and their copies are stale all the same.
    let of_those = |usable| {
        let view = View { usable, ..view.clone() };
        choose_reading(&view, &entry, Some(version(2)), &SeenNew::new()).map(|reading| reading.pool.in_sync)
    };
    assert_eq!(of_those(nodes(1..2)), Err(Stale::NotThereYet));
    // Shards that are lost altogether are missing, not stale.
    view.settings.commit(&entry.physical, version(4), &nodes(0..4));
    let view = View { usable: nodes(1..2), ..view };
    let reading = choose_reading(&view, &entry, Some(version(4)), &SeenNew::new()).unwrap();
    assert_eq!(reading.pool, nodes(1..2).into());
}

#[test]
fn a_broadcast_opens_wave_after_wave_and_knows_who_may_be_sent_it() {
    let hash = Canonical::of_client(&ClientSettings::default()).hash();
    let waves = vec![nodes(0..2), nodes(2..4)];
    let what = (TaskUid(7), PhysicalUid::new("films"));
    let mut broadcast = Broadcast::begin(what, Strategy::TwoPhase, hash, waves, OffsetDateTime::UNIX_EPOCH);
    assert_eq!(broadcast.changing(), nodes(0..2));
    assert!(broadcast.is_open_for(&node(1)) && !broadcast.is_open_for(&node(2)));
    assert!(!broadcast.is_open_for_all());
    for number in 0..2 {
        assert!(broadcast.note(&node(number), NodeEvent::Applied));
        assert!(broadcast.note(&node(number), NodeEvent::Verified));
    }
    broadcast.phase = broadcast.phase.next(PhaseEvent::Applied);
    assert_eq!(broadcast.open_next(), nodes(2..4));
    assert_eq!((broadcast.phase, broadcast.verified()), (Phase::Propose, nodes(0..2)));
    broadcast.note(&node(2), NodeEvent::Applied);
    assert!(!broadcast.has_failed());
    broadcast.note(&node(2), NodeEvent::GaveUp(vec!["synonyms".to_owned()], None));
    assert!(broadcast.has_failed());
    assert_eq!(broadcast.differing().map(|(node, _)| node.clone()).collect::<BTreeSet<_>>(), nodes(2..3));
    assert!(broadcast.open_next().is_empty());
}

#[test]
fn a_change_that_is_taken_back_is_read_back_where_it_was_sent_and_skips_the_others() {
    let hash = Canonical::of_client(&ClientSettings::default()).hash();
    let waves = (0..4).map(|number| nodes([number])).collect();
    let what = (TaskUid(7), PhysicalUid::new("films"));
    let mut broadcast = Broadcast::begin(what, Strategy::Sequential, hash, waves, OffsetDateTime::UNIX_EPOCH);
    broadcast.note(&node(0), NodeEvent::Applied);
    broadcast.note(&node(0), NodeEvent::Verified);
    broadcast.open_next();
    broadcast.note(&node(1), NodeEvent::Refused);
    assert!(broadcast.has_failed() && broadcast.is_held());
    broadcast.take_back(ResponseError::new(ErrorCode::Internal, "no"));
    let stages: Vec<NodeStage> = broadcast.nodes.values().cloned().collect();
    let skipped = NodeStage::Skipped;
    assert_eq!(stages, [NodeStage::Applied { repairs: 0 }, NodeStage::Refused, skipped.clone(), skipped]);
    assert!(!broadcast.is_held());
    assert_eq!(broadcast.untouched(), nodes(1..4));
    assert!(broadcast.is_open_for(&node(3)), "its lane goes on without it");
    let stored = serde_json::to_value(&broadcast).unwrap();
    assert_eq!(serde_json::from_value::<Broadcast>(stored).unwrap(), broadcast);
}

#[test]
fn a_change_that_was_stored_before_changes_could_be_taken_back_is_read() {
    let hash = Canonical::of_client(&ClientSettings::default()).hash();
    let what = (TaskUid(7), PhysicalUid::new("films"));
    let waves = vec![nodes([0])];
    let mut broadcast = Broadcast::begin(what, Strategy::TwoPhase, hash, waves, OffsetDateTime::UNIX_EPOCH);
    broadcast.note(&node(0), NodeEvent::Applied);
    broadcast.note(&node(0), NodeEvent::GaveUp(vec!["synonyms".to_owned()], None));
    let mut stored = serde_json::to_value(&broadcast).unwrap();
    stored["nodes"]["n0"].as_object_mut().unwrap().remove("found_hash");
    assert_eq!(stored.get("taken_back"), None);
    assert_eq!(serde_json::from_value::<Broadcast>(stored).unwrap(), broadcast);
}
