//! What an engine must do with a step that is repeated because nobody knows whether it was kept.

use std::collections::BTreeSet;

use miroir_core::ids::TaskUid;
use miroir_store::{KEPT_STEPS, NewEntry, Store, StoreError};

use super::script::{run, state};
use super::unsure::{Fate, Plan, Unsure};
use super::{Engine, create, documents, entry, lead, parts};

/// Seeds of plans for whole runs.
const SEEDS: u64 = 12;

/// Runs all steps on an engine of its own: how many there were, what was answered, and what there is at the end.
async fn outcome(engine: &impl Engine, plan: Plan) -> (usize, String) {
    let engine = engine.another();
    let store = Unsure::new(engine.open(), plan);
    let answers = run(&store).await;
    (store.steps(), format!("{answers:#?}\n{}", state(&store).await))
}

#[track_caller]
fn assert_same(undisturbed: &str, disturbed: &str, plan: Plan) {
    if let Some((was, is)) = undisturbed.lines().zip(disturbed.lines()).find(|(was, is)| was != is) {
        panic!("{plan:?}: `{is}` instead of `{was}`");
    }
    assert_eq!(undisturbed.lines().count(), disturbed.lines().count(), "{plan:?}");
}

pub async fn each_step_whose_answer_is_lost_is_kept_once_when_it_is_repeated(engine: &impl Engine) {
    let (steps, undisturbed) = outcome(engine, Plan::One(usize::MAX, Fate::Answered)).await;
    for step in 0..steps {
        for fate in [Fate::NeverTaken, Fate::KeptWithoutAnswer] {
            let plan = Plan::One(step, fate);
            let (repeated, disturbed) = outcome(engine, plan).await;
            assert_eq!(repeated, steps + 1, "{plan:?}");
            assert_same(&undisturbed, &disturbed, plan);
        }
    }
}

pub async fn whatever_answers_are_lost_the_end_is_that_of_an_undisturbed_run(engine: &impl Engine) {
    let (_, undisturbed) = outcome(engine, Plan::One(usize::MAX, Fate::Answered)).await;
    for seed in 0..SEEDS {
        let plan = Plan::Seeded(seed);
        let (_, disturbed) = outcome(engine, plan).await;
        assert_same(&undisturbed, &disturbed, plan);
    }
}

pub async fn an_append_is_known_again_by_its_id_whatever_became_of_its_task(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let write = entry("a", documents());
    let first = store.append(epoch, write.clone()).await.unwrap();
    let other = store.append(epoch, NewEntry { id: entry("a", create()).id, ..write.clone() }).await.unwrap();
    assert_eq!((first.uid, other.uid), (TaskUid(0), TaskUid(1)));
    store.begin(epoch, TaskUid(0), super::NOW).await.unwrap();
    drop(store);
    let store = engine.open();
    assert_eq!(store.append(epoch, write.clone()).await.unwrap(), first);
    assert_eq!(store.payload(TaskUid(0)).await.unwrap(), parts());
    let forgotten = vec![TaskUid(0)];
    let commit = miroir_store::Commit { forgotten, ..miroir_store::Commit::default() };
    store.commit(epoch, commit).await.unwrap();
    assert_eq!(store.append(epoch, write).await.unwrap(), first);
    assert!(store.payload(TaskUid(0)).await.unwrap().is_empty());
    assert_eq!(store.append(epoch, entry("a", create())).await.unwrap().uid, TaskUid(2));
}

pub async fn ids_of_steps_are_kept_for_the_last_ones_only(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    let (old, kept) = (entry("a", create()), entry("a", create()));
    store.append(epoch, old.clone()).await.unwrap();
    store.append(epoch, kept.clone()).await.unwrap();
    let more = (0..KEPT_STEPS - 1).map(|_| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move { store.append(epoch, entry("a", create())).await.unwrap().uid })
    });
    let mut seen = BTreeSet::new();
    for append in more.collect::<Vec<_>>() {
        seen.insert(append.await.unwrap());
    }
    assert_eq!(seen.len() as u64, KEPT_STEPS - 1);
    assert_eq!(store.append(epoch, kept).await.unwrap().uid, TaskUid(1));
    assert_eq!(store.append(epoch, old).await.unwrap().uid, TaskUid(KEPT_STEPS + 1));
}

pub async fn a_refusal_is_answered_whether_or_not_answers_get_lost(engine: &impl Engine) {
    let engine_store = engine.open();
    let old = lead(&*engine_store).await;
    let current = lead(&*engine_store).await;
    let store = Unsure::new(engine_store, Plan::One(0, Fate::KeptWithoutAnswer));
    let store: &dyn Store = &store;
    let refused = store.append(old, entry("a", create())).await;
    assert_eq!(refused, Err(StoreError::Superseded { epoch: old, current }));
}
