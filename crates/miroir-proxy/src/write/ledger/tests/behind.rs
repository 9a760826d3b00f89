//! What nodes lack, index by index.

use super::*;

impl Bench {
    fn empty(&mut self, uid: u64, index: &str) {
        self.write(uid, index, Mutation::DeleteDocuments { deletion: Deletion::All });
    }

    /// What `b` lacks of the indexes, if that is news.
    fn news_of_b<const N: usize>(&mut self, indexes: [&str; N]) -> Option<[Option<Lack>; N]> {
        let behind = self.settle().behind?;
        Some(indexes.map(|index| behind.of(&PhysicalUid::new(index), &b())))
    }
}

/// Two indexes, and `b` is away.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.add(0, "y");
    bench.apply_on(&a(), [0]);
    bench.apply_on(&b(), [0]);
    assert_eq!(bench.ended(), [0]);
    bench.away.borrow_mut().insert(b());
    bench
}

#[test]
fn a_node_is_behind_in_the_index_of_which_it_owes_something_and_in_no_other() {
    let mut bench = bench();
    bench.empty(1, "x");
    bench.empty(2, "x");
    bench.apply_on(&a(), [1]);
    assert_eq!(bench.news_of_b(["x", "y"]), Some([Some(Lack::Documents), None]));
    bench.apply_on(&a(), [2]);
    assert_eq!(bench.news_of_b(["x", "y"]), None, "it owes more of the same");
    bench.apply_on(&b(), [1]);
    assert_eq!(bench.news_of_b(["x", "y"]), None);
    bench.apply_on(&b(), [2]);
    assert_eq!(bench.news_of_b(["x", "y"]), Some([None, None]));
}

#[test]
fn what_lacks_settings_is_another_index_until_it_has_them() {
    let mut bench = bench();
    bench.add(1, "x");
    bench.empty(2, "x");
    bench.apply_on(&a(), [1, 2]);
    assert_eq!(bench.news_of_b(["x", "y"]), Some([Some(Lack::Form), None]));
    bench.ledger.note(&b(), TaskUid(1), 0, done());
    assert_eq!(bench.news_of_b(["x", "y"]), None, "nobody has read them back");
    bench.ledger.tasks.note_verified(TaskUid(1), &b());
    assert_eq!(bench.news_of_b(["x", "y"]), Some([Some(Lack::Documents), None]));
}

#[test]
fn a_rebuilt_node_is_behind_only_in_what_came_after_its_cursor() {
    let mut bench = bench();
    bench.empty(1, "x");
    bench.empty(2, "y");
    bench.apply_on(&a(), [1, 2]);
    let documents = Some(Lack::Documents);
    assert_eq!(bench.news_of_b(["x", "y"]), Some([documents, documents]));
    bench.ledger.nodes.lose(&b());
    bench.settle();
    bench.ledger.begin_anew(&copied(["x", "y"], 2));
    assert_eq!(bench.news_of_b(["x", "y"]), Some([None, documents]));
}
