//! What an engine must do with the order in which documents arrived.

use miroir_core::arrival::{ArrivalBook, ArrivalChange};
use miroir_core::ids::{Epoch, PhysicalUid, TaskUid};
use miroir_store::{Administration, Deciding, StepId, Store, TaskAction};

use super::{Engine, NOW, create, decision, entry, lead};

fn add(ids: &[&str]) -> ArrivalChange {
    ArrivalChange::Add(ids.iter().copied().collect())
}

/// A task about which is decided that it changes these books.
async fn decide((store, epoch): (&dyn Store, Epoch), changes: Vec<(&str, ArrivalChange)>) -> Deciding {
    let task = store.append(epoch, entry("a", create())).await.unwrap().uid;
    let open = store.undecided(100).await.unwrap();
    let decision = decision(open.iter().find(|it| it.uid == task).unwrap());
    let changes = changes.into_iter().map(|(index, change)| (PhysicalUid::new(index), change)).collect();
    store.decide(epoch, vec![(task, decision)], changes).await.unwrap()
}

async fn listed(store: &dyn Store, index: &str) -> Option<Vec<String>> {
    let book = store.arrival_book(PhysicalUid::new(index)).await.unwrap();
    Some(book?.ids().map(str::to_owned).collect())
}

pub async fn books_of_arrivals_change_with_decisions_each_by_itself(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    assert_eq!(listed(&*store, "a").await, None);
    let begin = vec![("a", ArrivalChange::Begin), ("b", ArrivalChange::Begin), ("c", add(&["1"]))];
    assert_eq!(decide((&*store, epoch), begin).await, Deciding::Stored);
    let remove = ArrivalChange::Remove(vec!["y".to_owned()]);
    decide((&*store, epoch), vec![("a", add(&["x", "y", "z"])), ("b", add(&["1"])), ("a", remove)]).await;
    decide((&*store, epoch), vec![("a", add(&["w"])), ("b", ArrivalChange::Doubt)]).await;
    drop(store);
    let store = engine.open();
    let epoch = lead(&*store).await;
    assert_eq!(listed(&*store, "a").await.unwrap(), ["x", "w", "z"]);
    assert_eq!(listed(&*store, "b").await.unwrap(), ["1"]);
    assert_eq!(listed(&*store, "c").await, None);
    let in_doubt = async |index| {
        store.arrival_book(PhysicalUid::new(index)).await.unwrap().as_ref().map(ArrivalBook::is_in_doubt)
    };
    assert_eq!((in_doubt("a").await, in_doubt("b").await), (Some(false), Some(true)));
    decide((&*store, epoch), vec![("a", ArrivalChange::Close), ("b", ArrivalChange::Keep([].into()))]).await;
    assert_eq!(listed(&*store, "a").await, None);
    assert_eq!((listed(&*store, "b").await.unwrap().len(), in_doubt("b").await), (0, Some(false)));
}

pub async fn a_book_of_arrivals_stays_as_it_is_when_a_decision_is_overtaken(engine: &impl Engine) {
    let store = engine.open();
    let epoch = lead(&*store).await;
    decide((&*store, epoch), vec![("a", ArrivalChange::Begin), ("a", add(&["x"]))]).await;
    let task = store.append(epoch, entry("a", create())).await.unwrap().uid;
    let decision = decision(&store.undecided(1).await.unwrap()[0]);
    let order = Administration {
        id: StepId::fresh(),
        action: TaskAction::Cancel,
        filter: miroir_core::task::TaskFilter { uids: Some(vec![task]), ..Default::default() },
        query: String::new(),
        at: NOW,
    };
    store.administer(epoch, order).await.unwrap();
    let changes = vec![(PhysicalUid::new("a"), add(&["y"]))];
    assert_eq!(task, TaskUid(1));
    assert_eq!(store.decide(epoch, vec![(task, decision)], changes).await.unwrap(), Deciding::Overtaken);
    assert_eq!(listed(&*store, "a").await.unwrap(), ["x"]);
}
