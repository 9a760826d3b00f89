use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::arrival::ArrivalChange;
use crate::document::{Existing, Payload, PayloadFormat, check_payload};
use crate::error::{ErrorCode, ResponseError};
use crate::hash::shard_of;
use crate::ids::{GroupId, IndexUid, NodeId, ShardCount, ShardId, TaskUid};
use crate::placement::ReplicationFactor;
use crate::view::IndexEntry;

const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05.006 UTC);

fn node(number: u32) -> NodeId {
    NodeId::new(format!("node-{number}"))
}

fn shards(count: u32) -> ShardCount {
    ShardCount::new(count).unwrap()
}

/// A cluster of one group.
struct Cluster {
    policy: NewIndexPolicy,
    readable: BTreeSet<NodeId>,
}

impl Cluster {
    fn new(nodes: u32, copies: u32, shard_count: u32) -> Self {
        let policy = NewIndexPolicy {
            shards: ShardRules { default: shards(shard_count), patterns: Vec::new() },
            factor: ReplicationFactor::new(copies).unwrap(),
            members: (0..nodes).map(|number| (node(number), GroupId(0))).collect(),
        };
        Self { policy, readable: (0..nodes).map(node).collect() }
    }

    fn index(&self, primary_key: Option<&str>) -> IndexEntry {
        self.policy.entry(&IndexUid::new("movies"), primary_key.map(str::to_owned), NOW).unwrap()
    }

    fn judge(&self, index: Option<&IndexEntry>, mutation: Mutation, payload: Option<&Payload>) -> Decision {
        self.judgement(index, mutation, payload).decision
    }

    fn judgement(
        &self,
        index: Option<&IndexEntry>,
        mutation: Mutation,
        payload: Option<&Payload>,
    ) -> Judgement {
        let entry =
            LogEntry { uid: TaskUid(7), index_uid: IndexUid::new("movies"), mutation, enqueued_at: NOW };
        let circumstances = Circumstances {
            index,
            documents: 1,
            existing: Existing::Unknown,
            readable: &self.readable,
            policy: &self.policy,
            now: NOW,
        };
        judge(&entry, payload, circumstances).unwrap()
    }

    fn add(&self, index: Option<&IndexEntry>, body: &'static str) -> Decision {
        let payload = check_payload(PayloadFormat::Json, &Bytes::from_static(body.as_bytes())).unwrap();
        self.judge(index, add(payload.len() as u64, MissingIndex::Create), Some(&payload))
    }
}

fn add(received: u64, missing_index: MissingIndex) -> Mutation {
    Mutation::AddDocuments {
        method: WriteMethod::Replace,
        primary_key: None,
        skip_creation: false,
        received,
        missing_index,
    }
}

fn delete(deletion: Deletion) -> Mutation {
    Mutation::DeleteDocuments { deletion }
}

fn settings(patch: Value, origin: SettingsOrigin) -> Mutation {
    let Value::Object(patch) = patch else { panic!("settings are an object") };
    Mutation::Settings { patch, origin, missing_index: MissingIndex::Create }
}

fn code_of(decision: &Decision) -> Option<ErrorCode> {
    match &decision.verdict {
        Verdict::Accepted => None,
        Verdict::Refused(error) => Some(error.code),
    }
}

fn step_names(decision: &Decision) -> Vec<&'static str> {
    let name = |step: &Step| match step {
        Step::CreateIndex { .. } => "create",
        Step::UpdateIndex { .. } => "update",
        Step::EditDocuments { .. } => "edit",
        Step::DeleteIndex => "delete index",
        Step::Settings { .. } => "settings",
        Step::AddDocuments { .. } => "add",
        Step::DeleteByIds { .. } => "delete ids",
        Step::DeleteByFilter { .. } => "delete by filter",
        Step::Clear => "clear",
        Step::PutRule { .. } => "put rule",
        Step::DeleteRule { .. } => "delete rule",
        Step::ClearRules => "clear rules",
    };
    decision.steps.iter().map(name).collect()
}

fn after(index: Option<IndexEntry>, decision: &Decision) -> Option<IndexEntry> {
    decision.effects.iter().fold(index, |index, effect| apply_effect(index, effect, NOW))
}

#[test]
fn a_task_reaches_a_final_status_once_and_never_leaves_it() {
    use TaskStatus::{Canceled, Enqueued, Failed, Processing, Succeeded};
    let events = [TaskEvent::Delivered, TaskEvent::Succeeded, TaskEvent::Failed, TaskEvent::Canceled];
    for status in TaskStatus::ALL.iter().copied() {
        let next = events.map(|event| status.next(event));
        let expected = match status {
            Enqueued => [Some(Processing), Some(Succeeded), Some(Failed), Some(Canceled)],
            Processing => [None, Some(Succeeded), Some(Failed), Some(Canceled)],
            Succeeded | Failed | Canceled => [None; 4],
        };
        assert_eq!(next, expected, "{status}");
        assert_eq!(status.is_finished(), next == [None; 4], "{status}");
        assert_eq!(TaskStatus::from_name(&status.as_str().to_uppercase()), Some(status));
    }
}

#[test]
fn a_node_catches_up_from_anything_but_damage_and_from_that_when_it_was_rebuilt_or_restored() {
    use SyncEvent::{CaughtUp, DataLost, FailedAlone, LeftBehind, Rebuilt, Restored};
    use SyncState::{Behind, Damaged, InSync};
    for state in SyncState::ALL.iter().copied() {
        let next = [LeftBehind, CaughtUp, FailedAlone, DataLost, Rebuilt, Restored];
        let next = next.map(|event| state.next(event));
        let expected = match state {
            InSync => [Behind, InSync, Damaged, Damaged, InSync, InSync],
            Behind => [Behind, InSync, Damaged, Damaged, Behind, Behind],
            Damaged => [Damaged, Damaged, Damaged, Damaged, Behind, Behind],
        };
        assert_eq!(next, expected, "{state}");
        assert_eq!(SyncState::from_name(state.as_str()), Some(state));
    }
}

#[test]
fn a_task_is_printed_as_meilisearch_prints_it() {
    let mut task = Task {
        uid: TaskUid(3),
        index_uid: Some(IndexUid::new("movies")),
        status: TaskStatus::Enqueued,
        kind: TaskKind::DocumentAdditionOrUpdate,
        canceled_by: None,
        details: Some(details_at_start(&add(2, MissingIndex::Create))),
        error: None,
        enqueued_at: NOW,
        started_at: None,
        finished_at: None,
        custom_metadata: None,
    };
    assert_eq!(
        serde_json::to_string(&task).unwrap(),
        "{\"uid\":3,\"batchUid\":null,\"indexUid\":\"movies\",\"status\":\"enqueued\",\
         \"type\":\"documentAdditionOrUpdate\",\"canceledBy\":null,\
         \"details\":{\"receivedDocuments\":2,\"indexedDocuments\":null},\"error\":null,\"duration\":null,\
         \"enqueuedAt\":\"2026-01-02T03:04:05.006Z\",\"startedAt\":null,\"finishedAt\":null}"
    );
    assert_eq!(
        serde_json::to_value(task.summary()).unwrap(),
        json!({
            "taskUid": 3, "indexUid": "movies", "status": "enqueued", "type": "documentAdditionOrUpdate",
            "enqueuedAt": "2026-01-02T03:04:05.006Z",
        })
    );
    task.started_at = Some(NOW);
    task.finished_at = Some(NOW + time::Duration::milliseconds(12));
    task.custom_metadata = Some("mine".to_owned());
    let printed = serde_json::to_value(&task).unwrap();
    assert_eq!(
        (&printed["duration"], &printed["batchUid"], &printed["customMetadata"]),
        (&json!("PT0.012S"), &json!(3), &json!("mine"))
    );
}

#[test]
fn details_follow_the_kind_and_a_failed_task_counts_nothing() {
    let by_filter = delete(Deletion::ByFilter(json!("a = 1")));
    let start = details_at_start(&by_filter);
    assert_eq!(
        Value::Object(start.clone()),
        json!({ "providedIds": 0, "deletedDocuments": null, "originalFilter": "\"a = 1\"" })
    );
    let succeeded = details_at_end(start.clone(), &by_filter, TaskStatus::Succeeded, 4);
    let failed = details_at_end(start, &by_filter, TaskStatus::Failed, 4);
    assert_eq!((&succeeded["deletedDocuments"], &failed["deletedDocuments"]), (&json!(4), &json!(0)));
    let reset = settings(
        json!({ "displayedAttributes": null, "synonyms": null, "embedders": { "e": { "apiKey": "0123456789abc" } } }),
        SettingsOrigin::Update,
    );
    assert_eq!(
        Value::Object(details_at_start(&reset)),
        json!({
            "displayedAttributes": ["*"], "synonyms": null, "embedders": { "e": { "apiKey": "01XXXX..." } },
        })
    );
}

#[test]
fn the_first_documents_make_the_index_and_fix_its_key_before_they_are_sent() {
    let cluster = Cluster::new(3, 1, 6);
    let decision = cluster.add(None, r#"[{"id":1},{"id":2},{"id":1}]"#);
    assert_eq!(code_of(&decision), None);
    assert_eq!(step_names(&decision), ["settings", "add"]);
    assert_eq!(decision.indexed_documents, 2);
    let Step::Settings { patch } = &decision.steps[0] else { panic!("{:?}", decision.steps) };
    assert!(patch["rankingRules"].as_array().unwrap().contains(&json!("id:asc")));
    assert_eq!(after(None, &decision).unwrap().primary_key.as_deref(), Some("id"));
}

#[test]
fn a_refused_batch_makes_its_index_and_nothing_else() {
    let cluster = Cluster::new(3, 1, 6);
    let decision = cluster.add(None, r#"[{"id":1},{"id":null}]"#);
    assert_eq!(code_of(&decision), Some(ErrorCode::InvalidDocumentId));
    assert_eq!(step_names(&decision), ["settings"]);
    assert!(decision.effects.iter().all(Effect::survives_refusal));
    assert_eq!(after(None, &decision).unwrap().primary_key, None);
    let known = cluster.index(Some("id"));
    assert!(cluster.add(Some(&known), r#"[{"id":null}]"#).steps.is_empty());
}

#[test]
fn an_index_that_is_missing_is_made_only_by_writes_that_may() {
    let cluster = Cluster::new(2, 1, 2);
    let refused = [
        add(0, MissingIndex::Refuse),
        delete(Deletion::All),
        settings(json!({ "synonyms": null }), SettingsOrigin::Reset),
        Mutation::UpdateIndex { primary_key: None },
        Mutation::DeleteIndex,
    ];
    for mutation in refused {
        let decision = cluster.judge(None, mutation, None);
        assert_eq!(code_of(&decision), Some(ErrorCode::IndexNotFound));
        assert!(decision.steps.is_empty() && decision.effects.is_empty());
    }
    let made = cluster.judge(None, settings(json!({}), SettingsOrigin::Update), None);
    assert_eq!((code_of(&made), step_names(&made)), (None, vec!["create", "settings"]));
}

#[test]
fn a_primary_key_is_changed_only_while_there_are_no_documents() {
    let cluster = Cluster::new(2, 1, 2);
    let index = cluster.index(Some("id"));
    let change = |key: &str| Mutation::UpdateIndex { primary_key: Some(key.to_owned()) };
    let refused = cluster.judge(Some(&index), change("sku"), None);
    let Verdict::Refused(error) = &refused.verdict else { panic!("{refused:?}") };
    assert_eq!(error.message, "Index `movies`: Index already has a primary key: `id`.");
    let same = cluster.judge(Some(&index), change("id"), None);
    assert_eq!((code_of(&same), same.steps.len()), (None, 0));
    let unknown = cluster.index(None);
    let first = cluster.judge(Some(&unknown), change("sku"), None);
    assert_eq!(step_names(&first), ["update", "settings"]);
}

#[test]
fn a_decision_survives_being_stored() {
    let cluster = Cluster::new(3, 2, 4);
    let index = cluster.index(Some("id"));
    let decisions = [
        cluster.add(None, r#"[{"id":1}]"#),
        cluster.add(None, r#"[{"id":null}]"#),
        cluster.judge(Some(&index), delete(Deletion::ByFilter(json!(["a = 1"]))), None),
        cluster.judge(
            Some(&index),
            settings(json!({ "synonyms": { "a": ["b"] } }), SettingsOrigin::Update),
            None,
        ),
        cluster.judge(Some(&index), Mutation::DeleteIndex, None),
    ];
    for decision in decisions {
        let stored = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&stored).unwrap(), decision);
    }
}

#[test]
fn a_node_gets_only_the_shards_it_holds_and_nothing_if_it_holds_none() {
    let cluster = Cluster::new(3, 1, 6);
    let index = cluster.index(Some("id"));
    let decision = cluster.add(Some(&index), r#"[{"id":1}]"#);
    let shard = shard_of("1", index.shards);
    for number in 0..3 {
        let ops = ops_for(&decision, &node(number));
        if index.placement.holds(&node(number), shard) {
            assert!(
                matches!(&ops[..], [Op::AddDocuments { shards, .. }] if shards.iter().eq([&shard])),
                "{ops:?}"
            );
        } else {
            assert!(ops.is_empty(), "{ops:?}");
        }
    }
    assert_eq!(touched_shards(&decision), BTreeSet::from([shard]));
}

#[test]
fn a_payload_in_parts_is_judged_as_a_whole_and_sent_part_by_part_in_order() {
    let cluster = Cluster::new(1, 1, 8);
    let index = cluster.index(Some("id"));
    let judge = |parts: [&'static str; 3]| {
        let parts = parts.map(|part| Bytes::from_static(part.as_bytes()));
        let payload = Payload::restore(parts.into()).unwrap();
        cluster.judge(Some(&index), add(payload.len() as u64, MissingIndex::Create), Some(&payload))
    };
    let decision = judge([r#"{"id":1},{"id":2}"#, r#"{"id":4},{"id":3}"#, r#"{"id":5}"#]);
    assert_eq!(decision.indexed_documents, 5);
    let shard = |id| shard_of(id, index.shards);
    let expected =
        [vec!["1", "2"], vec!["4", "3"], vec!["5"]].map(|ids| ids.into_iter().map(shard).collect());
    let ops = ops_for(&decision, &node(0));
    assert_eq!(ops.len(), 3);
    for (number, (op, expected)) in ops.iter().zip(&expected).enumerate() {
        assert!(
            matches!(op, Op::AddDocuments { part, shards, .. } if *part == number && shards == expected),
            "{op:?}"
        );
    }
    assert_eq!(touched_shards(&decision), expected.into_iter().flatten().collect());
    let refused = judge([r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":null}"#]);
    assert_eq!(code_of(&refused), Some(ErrorCode::InvalidDocumentId));
    assert!(refused.steps.is_empty());
}

#[test]
fn what_a_later_part_replaces_is_sent_to_nobody_and_what_it_only_changes_is() {
    let parts = [r#"{"id":1,"n":1e999},{"id":2}"#, r#"{"id":1},{"id":1},{"id":3}"#, r#"{"id":3}"#];
    let payload = Payload::restore(parts.map(|part| Bytes::from_static(part.as_bytes())).into()).unwrap();
    let cluster = Cluster::new(1, 1, 8);
    let index = cluster.index(Some("id"));
    let replaced = |write_method: WriteMethod| {
        let mut mutation = add(6, MissingIndex::Create);
        if let Mutation::AddDocuments { method, .. } = &mut mutation {
            *method = write_method;
        }
        let decision = cluster.judge(Some(&index), mutation, Some(&payload));
        let of_step = |step: &Step| match step {
            Step::AddDocuments { replaced, .. } => Some(replaced.clone()),
            _ => None,
        };
        decision.steps.iter().filter_map(of_step).collect::<Vec<_>>()
    };
    assert_eq!(replaced(WriteMethod::Replace), [vec![0], vec![2], vec![]]);
    // An update of a value that can't be read stays one, unless a later one sets the same field.
    assert!(replaced(WriteMethod::Update).iter().all(Vec::is_empty));
}

#[test]
fn a_decision_stored_before_there_were_parts_is_about_the_first() {
    let step = json!({ "addDocuments": {
        "method": "replace", "primary_key": "id", "skip_creation": false, "shards": [3],
    } });
    let step: Step = serde_json::from_value(step).unwrap();
    assert!(matches!(step, Step::AddDocuments { part: 0, .. }), "{step:?}");
}

#[test]
fn all_replicas_of_a_shard_get_the_same_deletion_by_filter_and_any_of_them_can_count() {
    let cluster = Cluster::new(3, 2, 8);
    let index = cluster.index(Some("id"));
    let decision = cluster.judge(Some(&index), delete(Deletion::ByFilter(json!("a = 1"))), None);
    // Each shard has as many documents as its number says.
    let report = |number: u32| {
        let of_op = |op: Op<'_>| {
            let Op::DeleteByFilter { filter, counts: Counts::Once(shards) } = op else { panic!("{op:?}") };
            let selected = markers(&filter, &index.placement.shards_of(&node(number)));
            assert_eq!(selected, shards.iter().copied().collect::<Vec<_>>());
            done(shards.iter().map(|shard| u64::from(shard.0)).sum::<u64>())
        };
        (node(number), ops_for(&decision, &node(number)).into_iter().map(of_op).collect::<NodeReport>())
    };
    let all: BTreeMap<NodeId, NodeReport> = (0..3).map(report).collect();
    assert_eq!(fold(&decision, "movies", &all).count, (0..8).sum::<u64>());
    for away in 0..3 {
        let mut rest = all.clone();
        rest.remove(&node(away));
        assert_eq!(fold(&decision, "movies", &rest).count, (0..8).sum::<u64>(), "without node {away}");
    }
}

#[test]
fn by_a_decision_of_before_each_shard_is_counted_by_one_replica_that_can_be_trusted() {
    let mut cluster = Cluster::new(3, 2, 4);
    cluster.readable.remove(&node(0));
    let index = cluster.index(Some("id"));
    let mut decision = cluster.judge(Some(&index), delete(Deletion::ByFilter(json!("a = 1"))), None);
    let mut stored = json!(decision.steps);
    assert_eq!(stored[0]["deleteByFilter"]["grouping"], "byCopies");
    stored[0]["deleteByFilter"].as_object_mut().unwrap().remove("grouping");
    decision.steps = serde_json::from_value(stored).unwrap();
    let mut counted = Vec::new();
    for number in 0..3 {
        for op in ops_for(&decision, &node(number)) {
            let Op::DeleteByFilter { filter, counts } = op else { panic!("{op:?}") };
            if counts == Counts::Yes {
                assert_ne!(number, 0);
                counted.extend(markers(&filter, &index.placement.shards_of(&node(number))));
            }
        }
    }
    counted.sort_unstable();
    assert_eq!(counted, index.shards.shards().collect::<Vec<_>>());
}

/// The shards that a filter selects; all that the node holds if it selects none.
fn markers(filter: &Value, held: &BTreeSet<ShardId>) -> Vec<ShardId> {
    match filter {
        Value::Array(items) => items[0]
            .as_array()
            .unwrap()
            .iter()
            .map(|marker| ShardId(marker.as_str().unwrap()["_miroir_shard_".len()..][..3].parse().unwrap()))
            .collect(),
        _ => held.iter().copied().collect(),
    }
}

fn failed(code: ErrorCode, message: &str) -> OpResult {
    OpResult::Failed(ResponseError::new(code, message))
}

fn done(deleted: impl Into<Option<u64>>) -> OpResult {
    OpResult::Done { deleted: deleted.into() }
}

fn reports(of_nodes: impl IntoIterator<Item = (u32, OpResult)>) -> BTreeMap<NodeId, NodeReport> {
    of_nodes.into_iter().map(|(number, result)| (node(number), vec![result])).collect()
}

#[test]
fn a_node_that_fails_alone_is_no_failure_of_the_task() {
    let cluster = Cluster::new(2, 2, 2);
    let index = cluster.index(Some("id"));
    let decision =
        cluster.judge(Some(&index), settings(json!({ "stopWords": ["a"] }), SettingsOrigin::Update), None);
    let full = failed(ErrorCode::NoSpaceLeftOnDevice, "disk full");
    let folded = fold(&decision, "movies", &reports([(0, done(None)), (1, full.clone())]));
    assert_eq!(folded.status, TaskStatus::Succeeded);
    assert_eq!(folded.failed_alone, BTreeSet::from([node(1)]));
    let folded = fold(&decision, "movies", &reports([(0, full.clone()), (1, full)]));
    assert_eq!(folded.status, TaskStatus::Failed);
    assert_eq!(folded.error.unwrap().code, ErrorCode::NoSpaceLeftOnDevice);
    assert!(folded.failed_alone.is_empty());
}

#[test]
fn a_document_that_one_copy_took_and_another_refused_is_there_and_the_other_is_left_out() {
    let cluster = Cluster::new(3, 2, 6);
    let index = cluster.index(Some("id"));
    let decision = cluster.add(Some(&index), r#"[{"id":21}]"#);
    let holders: Vec<NodeId> = index.placement.all_replicas(shard_of("21", index.shards)).cloned().collect();
    let [first, second] = holders.as_slice() else { panic!("two copies") };
    let refused = vec![failed(ErrorCode::VectorEmbeddingError, "no vectors provided")];
    let folded = fold(
        &decision,
        "movies",
        &[(first.clone(), vec![done(None)]), (second.clone(), refused.clone())].into(),
    );
    assert_eq!((folded.status, folded.failed_alone), (TaskStatus::Succeeded, [second.clone()].into()));
    let both = [(first.clone(), refused.clone()), (second.clone(), refused)].into();
    let folded = fold(&decision, "movies", &both);
    assert_eq!((folded.status, folded.failed_alone.len()), (TaskStatus::Failed, 0));
}

#[test]
fn an_error_of_the_client_goes_before_one_of_a_node_and_a_skipped_part_proves_nothing() {
    let cluster = Cluster::new(2, 2, 2);
    let index = cluster.index(Some("id"));
    let decision = cluster.judge(Some(&index), delete(Deletion::All), None);
    let client = failed(ErrorCode::InvalidDocumentGeoField, "bad `_geo`");
    let internal = failed(ErrorCode::Internal, "broken");
    let folded = fold(&decision, "movies", &reports([(0, internal), (1, client.clone())]));
    assert_eq!(folded.error.unwrap().code, ErrorCode::InvalidDocumentGeoField);
    let folded = fold(&decision, "movies", &reports([(0, OpResult::Skipped), (1, client)]));
    assert_eq!((folded.status, folded.failed_alone.len()), (TaskStatus::Failed, 0));
    let folded = fold(&decision, "movies", &reports([(0, OpResult::Skipped), (1, OpResult::Skipped)]));
    assert_eq!(folded.status, TaskStatus::Succeeded);
}

#[test]
fn work_that_was_done_before_its_answer_was_lost_is_no_failure() {
    let cluster = Cluster::new(2, 1, 2);
    let index = cluster.index(Some("id"));
    let decision = cluster.judge(Some(&index), Mutation::DeleteIndex, None);
    let gone = failed(ErrorCode::IndexNotFound, "Index `movies` not found.");
    let folded = fold(&decision, "movies", &reports([(0, done(5)), (1, gone)]));
    assert_eq!((folded.status, folded.failed_alone.len()), (TaskStatus::Succeeded, 0));
}

#[test]
fn a_whole_index_is_counted_once_per_copy() {
    let cluster = Cluster::new(3, 2, 6);
    let index = cluster.index(Some("id"));
    let decision = cluster.judge(Some(&index), delete(Deletion::All), None);
    let all = reports([(0, done(20)), (1, done(22)), (2, done(18))]);
    assert_eq!(fold(&decision, "movies", &all).count, 30);
    let one_missing = reports([(0, done(20)), (1, done(20))]);
    assert_eq!(fold(&decision, "movies", &one_missing).count, 30);
}

#[test]
fn the_first_matching_pattern_says_how_many_shards_an_index_has() {
    let patterns = vec![("logs-*".to_owned(), shards(16)), ("logs-small".to_owned(), shards(1))];
    let rules = ShardRules { default: shards(4), patterns };
    let count = |uid: &str| rules.shards_for(&IndexUid::new(uid)).get();
    assert_eq!([count("logs-2026"), count("logs-small"), count("logs"), count("movies")], [16, 16, 4, 4]);
}

#[test]
fn settings_that_nodes_may_refuse_late_are_known() {
    let risky = |patch: Value| settings(patch, SettingsOrigin::Update).is_risky_settings();
    assert!(risky(json!({ "embedders": {} })));
    assert!(risky(json!({ "sortableAttributes": ["price", "_geo"] })));
    assert!(!risky(json!({ "sortableAttributes": ["price"], "synonyms": {} })));
    assert!(!Mutation::DeleteIndex.is_risky_settings());
}

#[test]
fn a_batch_without_documents_names_the_key_of_an_index_that_has_none() {
    let cluster = Cluster::new(3, 2, 4);
    let payload = check_payload(PayloadFormat::Json, &Bytes::from_static(b"[]")).unwrap();
    let naming = |key: &str| match add(0, MissingIndex::Create) {
        Mutation::AddDocuments { method, skip_creation, received, missing_index, .. } => {
            let primary_key = Some(key.to_owned());
            Mutation::AddDocuments { method, primary_key, skip_creation, received, missing_index }
        }
        _ => unreachable!(),
    };
    let decision = cluster.judge(None, naming("sku"), Some(&payload));
    assert_eq!(code_of(&decision), None);
    assert_eq!(step_names(&decision), ["create", "update", "settings"]);
    assert_eq!(after(None, &decision).unwrap().primary_key.as_deref(), Some("sku"));
    let known = cluster.index(Some("id"));
    assert!(cluster.judge(Some(&known), naming("sku"), Some(&payload)).steps.is_empty());
}

#[test]
fn a_decision_says_what_it_means_for_the_order_of_arrival() {
    use ArrivalChange::{Add, Begin, Close, Doubt, Remove};
    let cluster = Cluster::new(3, 2, 4);
    let index = cluster.index(Some("id"));
    let body = Bytes::from_static(br#"[{"id":2},{"id":"a"},{"id":2}]"#);
    let payload = check_payload(PayloadFormat::Json, &body).unwrap();
    let adding = |index: Option<&IndexEntry>, skip_creation| match add(3, MissingIndex::Create) {
        Mutation::AddDocuments { method, primary_key, received, missing_index, .. } => {
            let mutation =
                Mutation::AddDocuments { method, primary_key, skip_creation, received, missing_index };
            cluster.judgement(index, mutation, Some(&payload)).arrivals
        }
        _ => unreachable!(),
    };
    let added = || Add(["2", "a", "2"].into_iter().collect());
    assert_eq!(adding(None, false), [Begin, added()]);
    assert_eq!(adding(Some(&index), false), [added()]);
    assert_eq!(adding(Some(&index), true), []);
    let of = |mutation| cluster.judgement(Some(&index), mutation, None).arrivals;
    let ids = |count: usize| Deletion::ByIds(vec!["a".to_owned(); count]);
    assert_eq!(of(delete(ids(2))), [Remove(vec!["a".to_owned(); 2])]);
    assert_eq!(of(delete(ids(1001))), [Doubt]);
    assert_eq!(of(delete(Deletion::ByIds(vec![String::new()]))), []);
    assert_eq!(of(delete(Deletion::ByFilter(json!("a = 1")))), [Doubt]);
    assert_eq!(of(delete(Deletion::All)), [Begin]);
    assert_eq!(of(Mutation::DeleteIndex), [Close]);
    let function = "doc = ()".to_owned();
    assert_eq!(of(Mutation::EditDocuments { filter: None, context: None, function }), [Doubt]);
    assert_eq!(of(settings(json!({}), SettingsOrigin::Update)), []);
    let many: Vec<_> = (0..1001).map(|id| json!({ "id": id })).collect();
    let many = check_payload(PayloadFormat::Json, &json!(many).to_string().into()).unwrap();
    let judged = cluster.judgement(Some(&index), add(1001, MissingIndex::Create), Some(&many));
    assert_eq!(judged.arrivals, [Close]);
    let whole = Cluster::new(3, 2, 1);
    let create = Mutation::CreateIndex { primary_key: None };
    assert_eq!(whole.judgement(None, create, None).arrivals, []);
}

#[test]
fn an_empty_id_fails_a_deletion_where_documents_have_a_key() {
    let cluster = Cluster::new(3, 2, 4);
    let ids = |odd: &str| delete(Deletion::ByIds(vec!["1".to_owned(), odd.to_owned()]));
    let known = cluster.index(Some("id"));
    let decision = cluster.judge(Some(&known), ids(""), None);
    assert_eq!(code_of(&decision), Some(ErrorCode::Internal));
    assert!(decision.steps.is_empty());
    assert_eq!(code_of(&cluster.judge(Some(&cluster.index(None)), ids(""), None)), None);
    for odd in ["a b", &"x".repeat(600)] {
        assert_eq!(code_of(&cluster.judge(Some(&known), ids(odd), None)), None);
    }
}

#[test]
fn replicas_that_did_other_parts_of_a_failed_payload_are_left_out_but_for_those_with_most_of_it() {
    let cluster = Cluster::new(3, 3, 4);
    let index = cluster.index(None);
    let parts = [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#];
    let payload = Payload::restore(parts.map(|part| Bytes::from_static(part.as_bytes())).into()).unwrap();
    let decision = cluster.judge(Some(&index), add(4, MissingIndex::Create), Some(&payload));
    assert_eq!(ops_for(&decision, &node(0)).len(), 3);
    let full = || failed(ErrorCode::NoSpaceLeftOnDevice, "disk full");
    let report = |parts_done: usize| -> NodeReport {
        (0..3).map(|part| if part < parts_done { done(None) } else { full() }).collect()
    };
    let of = |done: [usize; 3]| {
        let reports = done.into_iter().zip(0..).map(|(done, number)| (node(number), report(done))).collect();
        fold(&decision, "movies", &reports)
    };
    let folded = of([1, 2, 2]);
    assert_eq!((folded.status, folded.has_part), (TaskStatus::Failed, true));
    assert_eq!(folded.failed_alone, [node(0)].into());
    assert_eq!(of([0, 1, 2]).failed_alone, [node(0), node(1)].into());
    let at_fault = |done: [usize; 3]| {
        let refuse = |mut report: NodeReport| {
            report.iter_mut().filter(|result| matches!(result, OpResult::Failed(_))).for_each(|result| {
                *result = failed(ErrorCode::InvalidVectorDimensions, "too long");
            });
            report
        };
        let reports = done.into_iter().zip(0..).map(|(done, number)| (node(number), refuse(report(done))));
        fold(&decision, "movies", &reports.collect())
    };
    assert_eq!(at_fault([0, 1, 0]).failed_alone, [node(1)].into(), "what failed must not stay");
    let alike = of([1, 1, 1]);
    assert_eq!((alike.failed_alone.len(), alike.has_part), (0, true));
    assert!(!of([0, 0, 0]).has_part);
    assert_eq!(of([3, 1, 1]).status, TaskStatus::Succeeded);
}
