use super::*;

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn nodes(names: &[&str]) -> BTreeSet<NodeId> {
    names.iter().copied().map(node).collect()
}

/// An index with one shard on these nodes.
fn index(name: &str, on: &[&str]) -> IndexEntry {
    fixture::index(name, &[on])
}

fn view(usable: &[&str], lacks: &[(&str, &str, Lack)]) -> View {
    let mut behind = Behind::default();
    for (index, name, lack) in lacks {
        behind.insert(&PhysicalUid::new(*index), &node(name), *lack);
    }
    View { usable: nodes(usable), behind: Arc::new(behind), asks_stale: true, ..View::default() }
}

#[test]
fn a_node_that_is_behind_in_one_index_is_read_for_others() {
    let view = view(&["a", "b"], &[("x", "b", Lack::Documents)]);
    let (x, y) = (index("x", &["a", "b"]), index("y", &["a", "b"]));
    assert_eq!(view.readable_for(&x), Pool { in_sync: nodes(&["a"]), stale: nodes(&["b"]) });
    assert_eq!(view.readable_for(&y), nodes(&["a", "b"]).into());
    assert_eq!(view.complete(), nodes(&["a"]));
}

#[test]
fn a_copy_is_not_asked_that_is_of_another_form_or_on_a_node_that_does_not_answer_or_is_damaged() {
    let view = view(&["a", "b"], &[("x", "b", Lack::Form), ("x", "c", Lack::Documents)]);
    let x = index("x", &["a", "b", "c"]);
    assert_eq!(view.readable_for(&x), nodes(&["a"]).into());
}

#[test]
fn no_copy_that_is_behind_is_asked_unless_the_operator_wants_it() {
    let view = View { asks_stale: false, ..view(&["a"], &[("x", "a", Lack::Documents)]) };
    assert_eq!(view.readable_for(&index("x", &["a"])), Pool::default());
}
