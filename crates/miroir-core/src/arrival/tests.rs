use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn ids(ids: &[&str]) -> DocumentIds {
    ids.iter().copied().collect()
}

fn add(documents: &[&str]) -> ArrivalChange {
    ArrivalChange::Add(ids(documents))
}

fn remove(documents: &[&str]) -> ArrivalChange {
    ArrivalChange::Remove(documents.iter().map(|&id| id.to_owned()).collect())
}

fn keep(documents: &[&str]) -> ArrivalChange {
    ArrivalChange::Keep(documents.iter().map(|&id| id.to_owned()).collect())
}

/// The book of a new index after these changes.
fn after(changes: &[ArrivalChange]) -> Option<ArrivalBook> {
    changes.iter().fold(Some(ArrivalBook::default()), ArrivalBook::after)
}

fn listed(changes: &[ArrivalChange]) -> Vec<String> {
    after(changes).unwrap().ids().map(str::to_owned).collect()
}

#[test]
fn a_document_keeps_its_place_until_it_is_deleted_and_a_new_one_takes_the_lowest_that_is_free() {
    let mut changes = vec![add(&["c", "a", "b", "a"])];
    assert_eq!(listed(&changes), ["c", "a", "b"]);
    changes.push(add(&["d", "a"]));
    assert_eq!(listed(&changes), ["c", "a", "b", "d"]);
    changes.push(remove(&["c", "b", "x"]));
    assert_eq!(listed(&changes), ["a", "d"]);
    changes.push(add(&["e", "c", "f"]));
    assert_eq!(listed(&changes), ["e", "a", "c", "d", "f"]);
    changes.push(ArrivalChange::Begin);
    assert!(listed(&changes).is_empty());
}

#[test]
fn documents_that_are_gone_unseen_keep_their_places_until_it_is_known_what_is_left() {
    let mut changes = vec![add(&["a", "b", "c"]), ArrivalChange::Doubt, add(&["d", "b"])];
    assert!(after(&changes).unwrap().is_in_doubt());
    assert_eq!(listed(&changes), ["a", "b", "c", "d"]);
    changes.extend([keep(&["c", "d", "x"]), add(&["b"])]);
    assert!(!after(&changes).unwrap().is_in_doubt());
    assert_eq!(listed(&changes), ["b", "c", "d"]);
}

#[test]
fn a_book_that_was_too_small_once_stays_closed_until_the_index_is_emptied() {
    let many: Vec<String> = (0..=MOST_DOCUMENTS).map(|id| id.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut changes = vec![add(&many[1..])];
    assert_eq!(after(&changes).unwrap().ids().count(), MOST_DOCUMENTS);
    changes.push(add(&many[..1]));
    assert_eq!(after(&changes), None);
    changes.extend([remove(&many), add(&["a"]), ArrivalChange::Doubt, keep(&["a"])]);
    assert_eq!(after(&changes), None);
    changes.extend([ArrivalChange::Begin, add(&["b", "a"])]);
    assert_eq!(listed(&changes), ["b", "a"]);
    changes.push(ArrivalChange::Close);
    assert_eq!(after(&changes), None);
}

#[test]
fn a_book_of_long_ids_is_closed_too() {
    let long: Vec<String> = (100..300).map(|id| format!("{}-{id}", "x".repeat(500))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    assert!(after(&[add(&long[..100])]).is_some());
    assert_eq!(after(&[add(&long)]), None);
}

#[test]
fn a_book_is_read_as_it_was_written() {
    let book = after(&[add(&["a", "b", "c"]), remove(&["b"]), ArrivalChange::Doubt]).unwrap();
    let text = serde_json::to_string(&book).unwrap();
    assert_eq!(text, r#"{"places":["a",null,"c"],"isInDoubt":true}"#);
    assert_eq!(serde_json::from_str::<ArrivalBook>(&text).unwrap(), book);
    assert_eq!(book.places(), HashMap::from([("a", 0), ("c", 2)]));
}

/// What one server does, written down in the plainest way.
#[derive(Default)]
struct Server(BTreeMap<u32, String>);

impl Server {
    fn take(&mut self, change: &ArrivalChange) {
        match change {
            ArrivalChange::Begin => self.0.clear(),
            ArrivalChange::Add(ids) => {
                let is_free = |number: &u32| !self.0.contains_key(number);
                let free: Vec<u32> = (0..).filter(is_free).take(ids.len()).collect();
                let mut free = free.into_iter();
                for id in ids.iter() {
                    if !self.0.values().any(|known| known == id) {
                        self.0.insert(free.next().unwrap(), id.to_owned());
                    }
                }
            }
            ArrivalChange::Remove(ids) => self.0.retain(|_, id| !ids.contains(id)),
            ArrivalChange::Keep(ids) => self.0.retain(|_, id| ids.contains(id)),
            ArrivalChange::Doubt | ArrivalChange::Close => {}
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<ArrivalChange>> {
    let some = || proptest::collection::vec("[a-h][0-2]?", 0..10);
    let change = prop_oneof![
        6 => some().prop_map(|ids| ArrivalChange::Add(ids.iter().map(String::as_str).collect())),
        3 => some().prop_map(ArrivalChange::Remove),
        1 => some().prop_map(|ids| ArrivalChange::Keep(ids.into_iter().collect())),
        1 => Just(ArrivalChange::Doubt),
        1 => Just(ArrivalChange::Begin),
    ];
    proptest::collection::vec(change, 0..30)
}

proptest! {
    #[test]
    fn a_book_numbers_documents_as_one_server_does(changes in changes()) {
        let (mut book, mut server) = (Some(ArrivalBook::default()), Server::default());
        for change in &changes {
            book = ArrivalBook::after(book, change);
            server.take(change);
            let numbers: HashMap<&str, usize> =
                server.0.iter().map(|(number, id)| (id.as_str(), *number as usize)).collect();
            prop_assert_eq!(book.as_ref().unwrap().places(), numbers);
        }
    }
}
