//! Seeded randomness in the few forms the generators need.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

/// A random source that gives the same throws for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(StdRng);

impl Dice {
    /// Dice for a seed.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// True in `percent` of the cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_ratio(percent.min(100), 100)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// A real number from `low` up to `high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        self.0.random_range(low..high)
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        items.choose(&mut self.0).expect("generators pick from lists that are never empty")
    }

    /// One of the items, the first ones much more often, as words are in a language.
    pub fn pick_skewed<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let square = self.between(0, items.len() * items.len() - 1);
        &items[items.len() - 1 - square.isqrt()]
    }

    /// From `low` to `high` different items in random order (fewer when there are not as many).
    pub fn some<T: Clone>(&mut self, items: &[T], low: usize, high: usize) -> Vec<T> {
        let count = self.between(low.min(items.len()), high.min(items.len()));
        let mut chosen = items.to_vec();
        chosen.shuffle(&mut self.0);
        chosen.truncate(count);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_seed_gives_the_same_throws() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            (0..50).map(|_| dice.between(0, 1000)).collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
    }

    #[test]
    fn skewed_picks_prefer_the_first_items() {
        let mut dice = Dice::new(1);
        let items: Vec<usize> = (0..10).collect();
        let picks: Vec<usize> = (0..2000).map(|_| *dice.pick_skewed(&items)).collect();
        let count = |wanted| picks.iter().filter(|pick| **pick == wanted).count();
        assert!(count(0) > 3 * count(8), "{} {}", count(0), count(8));
        assert!(count(9) > 0);
    }
}
