use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::queue::task::ImportMethod;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("tasks.sqlite")).expect("a new store");
    (folder, store)
}

fn import() -> Operation {
    Operation::ImportDocuments {
        method: ImportMethod::Replace,
        primary_key: None,
        received: 1,
        skip_creation: false,
    }
}

fn entry(uid: &str) -> IndexEntry {
    IndexEntry {
        uid: uid.to_owned(),
        folder: format!("folder of {uid}"),
        created_at: OffsetDateTime::UNIX_EPOCH,
        settings: json!({}),
    }
}

fn record(store: &Store, catalog: Vec<CatalogChange>) {
    store.finish(&BatchResult { catalog, ..BatchResult::default() }).expect("a recorded change");
}

#[test]
fn task_numbers_count_from_zero() {
    let (_folder, store) = store();
    let uids: Vec<TaskUid> = (0..3)
        .map(|_| store.enqueue(Some("a"), Operation::ClearDocuments, None, None).expect("a task").uid)
        .collect();
    assert_eq!(uids, [0, 1, 2]);
}

#[test]
fn what_a_crash_interrupted_waits_again_with_its_documents() {
    let (folder, store) = store();
    let task = store.enqueue(Some("a"), import(), Some("m".to_owned()), Some(b"{}")).expect("a task");
    store.begin(&[task.uid]).expect("a running task");
    drop(store);
    let store = Store::open(&folder.path().join("tasks.sqlite")).expect("the same store");
    assert_eq!(store.waiting(10), Ok(vec![task]));
    assert_eq!(store.payload(0), Ok(b"{}".to_vec()));
}

#[test]
fn an_ended_task_keeps_its_outcome_and_drops_its_documents() {
    let (_folder, store) = store();
    let task = store.enqueue(Some("a"), import(), None, Some(b"{}")).expect("a task");
    store.begin(&[task.uid]).expect("a running task");
    let error = ApiError::new("missing_document_id", "no id");
    let outcome = Outcome {
        uid: task.uid,
        status: Status::Failed,
        details: json!({ "indexedDocuments": 0 }),
        error: Some(error.clone()),
    };
    store.finish(&BatchResult { outcomes: vec![outcome], ..BatchResult::default() }).expect("a recorded end");
    let ended = store.task(task.uid).expect("a readable task").expect("the task");
    assert_eq!((ended.status, ended.error, ended.batch_uid), (Status::Failed, Some(error), Some(0)));
    assert_eq!(store.payload_size(task.uid), Ok(0));
}

#[test]
fn a_swap_exchanges_indexes_and_the_tasks_of_both() {
    let (_folder, store) = store();
    record(&store, vec![CatalogChange::Create(entry("a")), CatalogChange::Create(entry("b"))]);
    store.enqueue(Some("a"), Operation::ClearDocuments, None, None).expect("a task");
    record(&store, vec![CatalogChange::Swap { left: "a".to_owned(), right: "b".to_owned() }]);
    let folder = |uid| store.index(uid).expect("a readable list").map(|entry| entry.folder);
    assert_eq!(folder("a").as_deref(), Some("folder of b"));
    assert_eq!(folder("b").as_deref(), Some("folder of a"));
    let task = store.task(0).expect("a readable task").expect("the task");
    assert_eq!(task.index_uid.as_deref(), Some("b"));
}

#[test]
fn a_listing_is_newest_first_and_counts_what_it_leaves_out() {
    let (_folder, store) = store();
    for uid in ["a", "b", "a"] {
        store.enqueue(Some(uid), Operation::ClearDocuments, None, None).expect("a task");
    }
    let filter =
        TaskFilter { index_uids: Some(vec!["a".to_owned()]), limit: Some(1), ..TaskFilter::default() };
    let page: Vec<TaskUid> = store.tasks(&filter).expect("a page").iter().map(|task| task.uid).collect();
    assert_eq!(page, [2]);
    assert_eq!(store.count(&filter), Ok(2));
}

#[test]
fn a_canceled_task_says_by_which() {
    let (_folder, store) = store();
    store.enqueue(Some("a"), import(), None, Some(b"{}")).expect("a task");
    let canceler = Operation::CancelTasks { tasks: vec![0], query: "?uids=0".to_owned() };
    store.enqueue(None, canceler, None, None).expect("a task");
    store.finish(&BatchResult { canceled: vec![(0, 1)], ..BatchResult::default() }).expect("a recorded end");
    let task = store.task(0).expect("a readable task").expect("the task");
    assert_eq!((task.status, task.canceled_by), (Status::Canceled, Some(1)));
    assert_eq!(task.details["indexedDocuments"], json!(0));
}
