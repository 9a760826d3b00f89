//! Which values of a node's facet are numbers, and which are texts that read like one.
//!
//! A node writes both in the same way. But it lists numbers before texts, each part in an order of its own (1.50,
//! `facet_distribution.rs`), and tells the smallest and the largest number. So some values of a list are certainly numbers,
//! some are certainly texts, and those between them are what other nodes' lists say.

use std::collections::HashSet;

use super::normal::normalize;

/// One value of a node's list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    pub(super) spelling: &'a str,
    pub(super) count: u64,
}

/// A node's values of one facet.
#[derive(Debug, Clone)]
pub(super) struct NodeList<'a> {
    pub(super) values: Vec<Listed<'a>>,
    /// The smallest and the largest number; `None` where there are no numbers.
    pub(super) range: Option<(f64, f64)>,
}

/// How nodes order the values of a facet, numbers and texts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListOrder {
    /// Numbers as text or by value, texts by their normal form.
    Name,
    /// The more frequent ones first.
    Count,
    /// Either, nobody knows which.
    Unknown,
}

/// How many values at the head of each list are numbers.
pub(super) fn count_numbers(lists: &[NodeList<'_>], order: ListOrder) -> Vec<usize> {
    let bounds: Vec<Bounds> = lists.iter().map(|list| Bounds::of(list, order)).collect();
    let certain = |part: fn(&Bounds, usize) -> bool| -> HashSet<&str> {
        let lists = lists.iter().zip(&bounds);
        let values = lists.flat_map(|(list, bounds)| {
            list.values.iter().enumerate().filter(move |(at, _)| part(bounds, *at))
        });
        values.map(|(_, value)| value.spelling).collect()
    };
    let numbers = certain(|bounds, at| at < bounds.least);
    let texts = certain(|bounds, at| at >= bounds.most);
    // What no list tells is rather a number: a text would have to go on just where the numbers leave off.
    let is_number = |spelling: &str| numbers.contains(spelling) || !texts.contains(spelling);
    let count = |(list, bounds): (&NodeList<'_>, &Bounds)| {
        let open = &list.values[bounds.least..bounds.most];
        bounds.least + open.iter().take_while(|value| is_number(value.spelling)).count()
    };
    lists.iter().zip(&bounds).map(count).collect()
}

/// The number that a server would write like this. Text that reads like a number, such as `007` or `1e5`, is none.
pub(super) fn number_of(spelling: &str) -> Option<f64> {
    spelling.parse::<f64>().ok().filter(|number| number.is_finite() && number.to_string() == spelling)
}

/// So many values of a list are numbers at least, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: usize,
    most: usize,
}

impl Bounds {
    fn of(list: &NodeList<'_>, order: ListOrder) -> Self {
        let Some((smallest, largest)) = list.range else { return Self { least: 0, most: 0 } };
        let in_range = |value: &Listed<'_>| {
            number_of(value.spelling).filter(|number| (smallest..=largest).contains(number))
        };
        let head: Vec<f64> = list.values.iter().map_while(in_range).collect();
        // Both ends of the range are among the numbers, unless the list was cut before them.
        let ends = head.iter().rposition(|number| [smallest, largest].contains(number));
        let least = ends.map_or(0, |at| at + 1).max(texts_from(&list.values, order));
        let most = numbers_to(&list.values[..head.len()], &head, order);
        // A text that is spelled like a number has taken its count: then counts are in no order.
        let least = least.min(head.len());
        Self { least, most: most.max(least) }
    }
}

/// Where the texts begin at the earliest: behind everything that is not in their order.
fn texts_from(values: &[Listed<'_>], order: ListOrder) -> usize {
    let forms: Vec<String> = values.iter().map(|value| normalize(value.spelling)).collect();
    let by_name = run_at_end(values.len(), |at| forms[at - 1] < forms[at]);
    let by_count = run_at_end(values.len(), |at| values[at - 1].count >= values[at].count);
    match order {
        ListOrder::Name => by_name,
        ListOrder::Count => by_count,
        ListOrder::Unknown => by_name.min(by_count),
    }
}

/// Where the numbers end at the latest: before the first one that is not in their order.
fn numbers_to(values: &[Listed<'_>], numbers: &[f64], order: ListOrder) -> usize {
    let as_text = run_at_start(values.len(), |at| values[at - 1].spelling < values[at].spelling);
    let by_value = run_at_start(values.len(), |at| numbers[at - 1] < numbers[at]);
    let by_count = run_at_start(values.len(), |at| values[at - 1].count >= values[at].count);
    match order {
        ListOrder::Name => as_text.max(by_value),
        ListOrder::Count => by_count,
        ListOrder::Unknown => as_text.max(by_value).max(by_count),
    }
}

/// How long the ordered run is that the list begins with.
fn run_at_start(len: usize, is_ordered: impl Fn(usize) -> bool) -> usize {
    (1..len).find(|at| !is_ordered(*at)).unwrap_or(len)
}

/// Where the ordered run begins that the list ends with.
fn run_at_end(len: usize, is_ordered: impl Fn(usize) -> bool) -> usize {
    (1..len).rev().find(|at| !is_ordered(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list<'a>(values: &[(&'a str, u64)], range: Option<(f64, f64)>) -> NodeList<'a> {
        let values = values.iter().map(|&(spelling, count)| Listed { spelling, count }).collect();
        NodeList { values, range }
    }

    fn named<'a>(spellings: &[&'a str], range: (f64, f64)) -> NodeList<'a> {
        list(&spellings.iter().map(|spelling| (*spelling, 1)).collect::<Vec<_>>(), Some(range))
    }

    #[test]
    fn texts_that_read_like_numbers_are_told_by_their_place_and_by_the_range() {
        let numbers = |list: NodeList<'_>, order| count_numbers(&[list], order)[0];
        assert_eq!(numbers(named(&["308", "100", "77", "c3"], (308.0, 308.0)), ListOrder::Name), 1);
        assert_eq!(numbers(named(&["10", "9", "10.5"], (9.0, 10.0)), ListOrder::Name), 2);
        assert_eq!(numbers(named(&["1", "5", "3", "4"], (1.0, 5.0)), ListOrder::Name), 2);
        assert_eq!(numbers(named(&["007", "1e5", "7"], (7.0, 7.0)), ListOrder::Name), 0);
        assert_eq!(numbers(list(&[("7", 1)], None), ListOrder::Name), 0);
        let counted = list(&[("5", 9), ("7", 2), ("6", 4), ("5.5", 3)], Some((5.0, 7.0)));
        assert_eq!(numbers(counted, ListOrder::Count), 2);
    }

    #[test]
    fn a_list_of_numbers_only_is_one_in_either_order() {
        for spellings in [&["10", "20", "9", "9.5"][..], &["9", "9.5", "10", "20"], &["-1", "-2", "10", "9"]]
        {
            let values: Vec<f64> = spellings.iter().map(|it| it.parse().unwrap()).collect();
            let range = values.iter().fold((f64::MAX, f64::MIN), |(a, b), it| (a.min(*it), b.max(*it)));
            assert_eq!(count_numbers(&[named(spellings, range)], ListOrder::Name), [spellings.len()]);
        }
    }

    #[test]
    fn what_one_list_leaves_open_another_one_says() {
        let open = named(&["10", "9", "9.5"], (9.0, 10.0));
        assert_eq!(count_numbers(std::slice::from_ref(&open), ListOrder::Name), [3]);
        let texts = list(&[("9.5", 1), ("x", 1)], None);
        assert_eq!(count_numbers(&[open.clone(), texts], ListOrder::Name), [2, 0]);
        let other_text = list(&[("8", 1)], None);
        assert_eq!(count_numbers(&[open.clone(), other_text], ListOrder::Name), [3, 0]);
        let numbers = named(&["9.5", "8.5"], (8.5, 9.5));
        assert_eq!(count_numbers(&[open, numbers], ListOrder::Name), [3, 2]);
    }

    proptest! {
        /// Whatever a node lists, what is certain is right.
        #[test]
        fn certain_numbers_are_numbers_and_certain_texts_are_texts(
            numbers in proptest::collection::btree_map(0_u32..60, 1_u64..4, 0..8),
            texts in proptest::collection::btree_map(0_u32..60, 1_u64..4, 0..8),
            by_count: bool,
            by_value: bool,
        ) {
            let part = |values: &std::collections::BTreeMap<u32, u64>| {
                let mut part: Vec<(String, u64)> = values.iter().map(|(v, c)| (v.to_string(), *c)).collect();
                if by_count {
                    part.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                } else {
                    part.sort();
                }
                part
            };
            let mut told = part(&numbers);
            if by_value && !by_count {
                told = numbers.iter().map(|(v, c)| (v.to_string(), *c)).collect();
            }
            let listed = told.len();
            // A text that is spelled like a number is listed in its place.
            told.extend(part(&texts).into_iter().filter(|(text, _)| !numbers.contains_key(&text.parse::<u32>().unwrap())));
            let range = numbers.first_key_value().zip(numbers.last_key_value())
                .map(|((least, _), (most, _))| (f64::from(*least), f64::from(*most)));
            let values: Vec<(&str, u64)> = told.iter().map(|(spelling, count)| (spelling.as_str(), *count)).collect();
            let order = if by_count { ListOrder::Count } else { ListOrder::Name };
            let bounds = Bounds::of(&list(&values, range), order);
            prop_assert!(bounds.least <= listed && listed <= bounds.most, "{values:?} {listed} {bounds:?}");
        }
    }
}
