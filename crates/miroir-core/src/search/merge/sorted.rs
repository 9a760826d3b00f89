//! The k-way merge.

use std::collections::VecDeque;

/// All items of lists that are each in order. The first of the heads is the one that goes before the others; where none
/// does, the one of the earlier list.
pub(in crate::search) fn merge_sorted<T>(
    lists: Vec<Vec<T>>,
    is_before: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = T> {
    let mut lists: Vec<VecDeque<T>> = lists.into_iter().map(VecDeque::from).collect();
    std::iter::from_fn(move || {
        let heads = lists.iter().enumerate().filter_map(|(list, items)| Some((list, items.front()?)));
        let (first, _) = heads.reduce(|first, head| if is_before(head.1, first.1) { head } else { first })?;
        lists[first].pop_front()
    })
}

#[cfg(test)]
mod tests {
    use super::merge_sorted;

    #[test]
    fn of_equals_those_of_the_earlier_list_come_first() {
        let lists = vec![vec![(1, 'a'), (4, 'a')], vec![], vec![(0, 'c'), (1, 'c'), (5, 'c')]];
        let merged: Vec<_> = merge_sorted(lists, |a: &(u32, char), b| a.0 < b.0).collect();
        assert_eq!(merged, [(0, 'c'), (1, 'a'), (1, 'c'), (4, 'a'), (5, 'c')]);
    }
}
