//! Every pair of state and event. An event that a row does not name can't come there: it is the outcome of another
//! action than the one for which the state waits. If it came in spite of that, the lane would end, out of step.

use super::*;

/// A state, the action for whose outcome it waits, and where each outcome leads.
struct Row {
    state: &'static str,
    action: &'static str,
    outcomes: &'static [(&'static str, &'static str)],
}

const fn row(
    state: &'static str,
    action: &'static str,
    outcomes: &'static [(&'static str, &'static str)],
) -> Row {
    Row { state, action, outcomes }
}

const OBSERVED: &[(&str, &str)] =
    &[("Observed, and more is decided", "Fetching"), ("Observed, and nothing is decided", "Idle")];

const NEWS: &[(&str, &str)] = &[
    ("Observed, and more is decided", "Fetching"),
    ("Observed, and nothing is decided", "Idle"),
    ("Closed", "Over"),
];

#[rustfmt::skip] // one line for each state
const ROWS: [Row; 29] = [
    row("Meeting::Asking", "AskQueueEnd", &[
        ("QueueEndsAt", "Meeting::Storing"), ("QueueNotTold", "Meeting::TellingRefusal"),
        ("NotReached", "Meeting::Pausing"), ("AnswerLost", "Meeting::Pausing"),
    ]),
    row("Meeting::TellingRefusal", "TellRefusal", &[("Told", "Meeting::Pausing")]),
    // The return of the node does not end this pause.
    row("Meeting::Pausing", "Pause", &[("Paused", "Meeting::Asking")]),
    row("Meeting::Storing", "StoreMeeting", &[("Stored", "Observing")]),
    row("Meeting::TellingTaking", "TellTaking", &[("Told", "Observing")]),
    // It looks without waiting, so it does not see that nothing more comes.
    row("Observing", "Observe", OBSERVED),
    row("Idle", "Stand", NEWS),
    row("Fetching", "Fetch", &[
        ("Fetched an entry", "Beginning"), ("Fetched a change of settings", "Beginning"),
        ("Fetched nothing", "Observing"),
    ]),
    row("Beginning, and all is known", "Begin", &[("Begun", "Preparing"), ("Begun, and held", "Observing")]),
    row("Beginning, and something is set aside", "Begin", &[
        ("Begun", "Storing::Approach"), ("Begun, and held", "Observing"),
    ]),
    row("Beginning", "Begin", &[("Begun", "Preparing"), ("Begun, and held", "Idle")]),
    row("LookingAtWave", "LookAtWave", &[
        ("WaveClosed", "WaitingForWave"), ("WaveOpen", "Preparing"), ("WaveOpen, to be skipped", "Observing"),
    ]),
    row("WaitingForWave", "AwaitWave", &[("WaveOpen", "Preparing"), ("WaveOpen, to be skipped", "Observing")]),
    row("Preparing", "Prepare", &[("Prepared", "Replaying::First")]),
    row("Preparing, and all is known", "Prepare", &[("Prepared", "Sending")]),
    row("Recalling", "ListRepairs", &[("RepairsListed", "Replaying::First")]),
    row("Replaying::First", "ReadQueue", &[
        ("QueueRead without it", "Replaying::Second"), ("QueueRead with it", "Counting"),
        ("QueueRead, and it is short", "Over"), ("QueueNotTold", "TellingRefusal"),
        ("NotReached", "Pausing"), ("AnswerLost", "Pausing"),
    ]),
    row("Replaying::Second", "ReadQueue", &[
        ("QueueRead without it", "Sending"), ("QueueRead with it", "Counting"),
        ("QueueRead, and it is short", "Over"), ("QueueNotTold", "TellingRefusal"),
        ("NotReached", "Pausing"), ("AnswerLost", "Pausing"),
    ]),
    row("Sending", "Send", &[
        ("Answered with a number", "Counting"), ("Answered with a number of before", "Over"),
        ("Answered with an error", "Observing"), ("Answered that not now", "TellingRefusal"),
        ("NotReached", "Pausing"), ("AnswerLost", "Pausing"),
    ]),
    row("Counting", "Count", &[("Counted", "Observing")]),
    row("TellingTaking", "TellTaking", &[("Told", "Observing")]),
    row("TellingRefusal", "TellRefusal", &[("Told", "Pausing")]),
    row("Storing::Observe", "Store", &[("Stored", "Observing")]),
    row("Storing::Idle", "Store", &[("Stored", "Idle")]),
    row("Storing::Approach", "Store", &[("Stored", "Preparing")]),
    row("Storing::AwaitWave", "Store", &[("Stored", "WaitingForWave")]),
    row("Storing::Pause", "Store", &[("Stored", "Pausing")]),
    row("Pausing", "Pause", &[("Paused", "Recalling"), ("NodeReturned", "Recalling")]),
    // Whatever comes: it has ended.
    row("Over", "End", &[]),
];

/// One of each event, and of each kind of it that leads elsewhere.
pub(super) fn events() -> Vec<(&'static str, LaneEvent)> {
    let found = json!({ "uid": 7, "indexUid": "x", "customMetadata": "a" });
    vec![
        ("QueueEndsAt", LaneEvent::QueueEndsAt(7)),
        ("QueueNotTold", LaneEvent::QueueNotTold("no".to_owned())),
        ("NotReached", LaneEvent::NotReached),
        ("AnswerLost", LaneEvent::AnswerLost),
        ("Observed, and more is decided", observed(9, 0)),
        ("Observed, and nothing is decided", observed(0, 0)),
        ("Closed", LaneEvent::Closed),
        ("Fetched an entry", LaneEvent::Fetched(Some(entry(0, [documents("a")])))),
        ("Fetched a change of settings", LaneEvent::Fetched(Some(entry(0, [settings()])))),
        ("Fetched nothing", LaneEvent::Fetched(None)),
        ("Begun", LaneEvent::Begun { holds: 0, is_held: false }),
        ("Begun, and held", LaneEvent::Begun { holds: 0, is_held: true }),
        ("WaveClosed", LaneEvent::WaveClosed),
        ("WaveOpen", LaneEvent::WaveOpen { skipped: None }),
        ("WaveOpen, to be skipped", LaneEvent::WaveOpen { skipped: Some(error()) }),
        ("Prepared", LaneEvent::Prepared),
        ("RepairsListed", LaneEvent::RepairsListed(BTreeSet::new())),
        ("QueueRead without it", read([], 7)),
        ("QueueRead with it", read([found], 8)),
        ("QueueRead, and it is short", read([], 6)),
        ("Answered with a number", enqueued(7)),
        ("Answered with a number of before", enqueued(6)),
        ("Answered with an error", LaneEvent::Answered(NodeAnswer::Final(Taken::Refused(error())))),
        ("Answered that not now", not_now()),
        ("Counted", LaneEvent::Counted),
        ("Told", LaneEvent::Told),
        ("Stored", LaneEvent::Stored),
        ("Paused", LaneEvent::Paused),
        ("NodeReturned", LaneEvent::NodeReturned),
    ]
}

/// One lane in each state.
fn reached() -> Vec<(&'static str, Driven)> {
    let told_not = || LaneEvent::QueueNotTold("no".to_owned());
    let new = Driven::begin(None);
    let refused = new.clone().on([told_not()]);
    let met_after = [LaneEvent::Told, LaneEvent::Paused, LaneEvent::QueueEndsAt(7), LaneEvent::Stored];
    let observing = Driven::begin(Some(7));
    let idle = observing.clone().on([observed(0, 0)]);
    let fetching = observing.clone().on([observed(9, 0)]);
    let beginning = fetching.clone().on([LaneEvent::Fetched(Some(entry(0, [documents("a")])))]);
    let preparing = beginning.clone().on([LaneEvent::Begun { holds: 0, is_held: false }]);
    let first = preparing.clone().on([LaneEvent::Prepared]);
    let second = first.clone().on([read([], 7)]);
    let sending = second.clone().on([read([], 7)]);
    let pausing = sending.clone().on([LaneEvent::NotReached]);
    let recalling = pausing.clone().on([LaneEvent::Paused]);
    let counting = sending.clone().on([enqueued(7)]);
    let refusing = sending.clone().on([not_now()]);
    let again = || {
        let listed = LaneEvent::RepairsListed(BTreeSet::new());
        [LaneEvent::Told, LaneEvent::Paused, listed, read([], 7), read([], 7)]
    };
    let taking =
        refusing.clone().on(again()).on([not_now()]).on(again()).on([enqueued(7), LaneEvent::Counted]);
    let looking = observing.clone().with_entry(entry(0, [settings()]));
    let one = received_one();
    let known = one.clone().on([observed(9, 0), LaneEvent::Fetched(Some(entry(1, [documents("b")])))]);
    let aside = [LaneEvent::Begun { holds: 0, is_held: true }, observed(9, 0)];
    let ahead = known.clone().on(aside).on([LaneEvent::Fetched(Some(entry(2, [documents("b")])))]);
    let next = one.clone().with_entry(entry(1, [documents("b")]));
    vec![
        ("Meeting::Asking", new.clone()),
        ("Meeting::TellingRefusal", refused.clone()),
        ("Meeting::Pausing", new.clone().on([LaneEvent::NotReached])),
        ("Meeting::Storing", new.on([LaneEvent::QueueEndsAt(7)])),
        ("Meeting::TellingTaking", refused.on(met_after)),
        ("Idle", idle.clone()),
        ("Observing", observing),
        ("Fetching", fetching),
        ("Beginning", beginning),
        ("LookingAtWave", looking.clone()),
        ("WaitingForWave", looking.on([LaneEvent::WaveClosed])),
        ("Preparing", preparing),
        ("Preparing, and all is known", next.clone()),
        ("Recalling", recalling),
        ("Replaying::First", first),
        ("Replaying::Second", second),
        ("Sending", sending),
        ("TellingTaking", taking),
        ("TellingRefusal", refusing),
        ("Storing::Observe", counting.clone().at(20, LaneEvent::Counted)),
        ("Counting", counting),
        ("Storing::Idle", one.clone().on([observed(1, 0)])),
        ("Storing::Approach", ahead.clone().on([LaneEvent::Begun { holds: 0, is_held: false }])),
        ("Beginning, and something is set aside", ahead),
        ("Beginning, and all is known", known),
        ("Storing::AwaitWave", one.with_entry(entry(1, [settings()])).on([LaneEvent::WaveClosed])),
        ("Storing::Pause", next.on([LaneEvent::Prepared, LaneEvent::NotReached])),
        ("Pausing", pausing),
        ("Over", idle.on([LaneEvent::Closed])),
    ]
}

/// The first word of what an action or an event prints.
fn word(printed: &str) -> &str {
    printed.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default()
}

/// Whether the table has a row for a state of this name.
pub(super) fn is_state(name: &str) -> bool {
    ROWS.iter().any(|row| row.state == name)
}

#[test]
fn every_pair_of_state_and_event_leads_where_the_table_says_or_out_of_step() {
    let reached = reached();
    assert_eq!(reached.len(), ROWS.len());
    for row in &ROWS {
        let (_, driven) = reached.iter().find(|(name, _)| *name == row.state).expect("a lane in each state");
        assert_eq!(driven.state(), row.state.split(',').next().unwrap());
        assert_eq!(word(&format!("{:?}", driven.action)), row.action, "{}", row.state);
        for (name, event) in events() {
            let after = driven.clone().on([event.clone()]);
            let pair = format!("{} and {name}: {after:?}", row.state);
            let (state, event) = (driven.state(), event.name());
            let out_of_step = LaneAction::End(LaneEnd::OutOfStep { state, event });
            if row.state == "Over" {
                assert_eq!((after.state(), &after.action), ("Over", &driven.action), "{pair}");
            } else if let Some((_, next)) = row.outcomes.iter().find(|(outcome, _)| *outcome == name) {
                assert_eq!(after.state(), *next, "{pair}");
                assert_ne!(after.action, out_of_step, "{pair}");
            } else {
                assert_eq!(after.action, out_of_step, "{pair}");
            }
        }
    }
}

#[test]
fn every_outcome_in_the_table_is_an_event_of_the_walk() {
    let events: BTreeSet<_> = events().into_iter().map(|(name, _)| name).collect();
    for (outcome, _) in ROWS.iter().flat_map(|row| row.outcomes) {
        assert!(events.contains(outcome), "{outcome}");
    }
    for event in &events {
        let is_outcome = ROWS.iter().flat_map(|row| row.outcomes).any(|(outcome, _)| outcome == event);
        assert!(is_outcome, "nothing waits for {event}");
    }
}
