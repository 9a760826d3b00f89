//! The k-way merge.

use std::collections::VecDeque;

/// All items of lists that are each in order. The first of the heads is the one that goes before the others; where none
/// does, the one of the earlier list.
///
/// There can be as many lists as a request has queries, so the heads play a tournament: behind each item only the games of
/// its list are played again.
pub(in crate::search) fn merge_sorted<T>(
    lists: Vec<Vec<T>>,
    is_before: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = T> {
    let mut tournament = Tournament::begin(lists.into_iter().map(VecDeque::from).collect(), is_before);
    std::iter::from_fn(move || tournament.pop())
}

struct Tournament<T, F> {
    lists: Vec<VecDeque<T>>,
    is_before: F,
    /// The winner of each game, a list with a head, below the game that its winner plays next: game `n` is won by who wins
    /// game `2n` or `2n + 1`, and the lists themselves stand behind all games.
    winners: Vec<Option<usize>>,
    games: usize,
}

impl<T, F: Fn(&T, &T) -> bool> Tournament<T, F> {
    fn begin(lists: Vec<VecDeque<T>>, is_before: F) -> Self {
        let games = lists.len().next_power_of_two();
        let entrants = lists.iter().enumerate().map(|(list, items)| (!items.is_empty()).then_some(list));
        let mut winners: Vec<Option<usize>> = std::iter::repeat_n(None, games).chain(entrants).collect();
        winners.resize(2 * games, None);
        let mut tournament = Self { lists, is_before, winners, games };
        for game in (1..games).rev() {
            tournament.play(game);
        }
        tournament
    }

    fn play(&mut self, game: usize) {
        let (left, right) = (self.winners[2 * game], self.winners[2 * game + 1]);
        self.winners[game] = match (left, right) {
            (Some(earlier), Some(later)) => {
                let is_later = match (self.lists[earlier].front(), self.lists[later].front()) {
                    (Some(earlier), Some(later)) => (self.is_before)(later, earlier),
                    (earlier, _) => earlier.is_none(),
                };
                Some(if is_later { later } else { earlier })
            }
            (left, right) => left.or(right),
        };
    }

    fn pop(&mut self) -> Option<T> {
        let list = self.winners[1]?;
        let item = self.lists[list].pop_front();
        let mut game = self.games + list;
        if self.lists[list].is_empty() {
            self.winners[game] = None;
        }
        while game > 1 {
            game /= 2;
            self.play(game);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::merge_sorted;

    #[test]
    fn of_equals_those_of_the_earlier_list_come_first() {
        let lists = vec![vec![(1, 'a'), (4, 'a')], vec![], vec![(0, 'c'), (1, 'c'), (5, 'c')]];
        let merged: Vec<_> = merge_sorted(lists, |a: &(u32, char), b| a.0 < b.0).collect();
        assert_eq!(merged, [(0, 'c'), (1, 'a'), (1, 'c'), (4, 'a'), (5, 'c')]);
    }

    proptest! {
        #[test]
        fn however_many_lists_there_are_it_is_a_stable_sort(
            mut lists in prop::collection::vec(prop::collection::vec(0_u8..6, 0..6), 0..20)
        ) {
            for list in &mut lists {
                list.sort_unstable();
            }
            let lists: Vec<Vec<(u8, usize)>> = lists
                .into_iter()
                .enumerate()
                .map(|(at, list)| list.into_iter().map(|item| (item, at)).collect())
                .collect();
            let mut expected = lists.concat();
            expected.sort_by_key(|(item, _)| *item);
            let merged: Vec<_> = merge_sorted(lists, |a, b| a.0 < b.0).collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
