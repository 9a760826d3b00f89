//! A generated world: settings, writes and searches that belong together.

use std::env;

use anyhow::{Context, Result};
use serde_json::Value;

use super::dice::Dice;
use super::queries::{self, SearchRequest};
use super::settings::{self, Shape};
use super::several::{self, SeveralSearches};
use super::writes::{self, Write};

/// The seed of runs that don't name one.
const DEFAULT_SEED: u64 = 20_240_229;

/// How much is generated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Documents, before deletions.
    pub documents: usize,
    /// Searches.
    pub queries: usize,
}

/// Everything one comparison needs; the same seed and size give the same world.
#[derive(Debug, Clone)]
pub struct World {
    /// The seed it was made from.
    pub seed: u64,
    /// Uid of the index; the same on both sides, because error messages name it.
    pub index: String,
    /// What the settings allow.
    pub(super) shape: Shape,
    /// Writes, in order.
    pub writes: Vec<Write>,
    /// Searches, in any order.
    pub queries: Vec<SearchRequest>,
    /// Requests of several searches.
    pub several: Vec<SeveralSearches>,
}

impl World {
    /// Makes the world of a seed.
    pub fn generate(seed: u64, size: Size) -> Self {
        let mut dice = Dice::new(seed);
        let (shape, settings) = settings::generate(&mut dice);
        let writes = writes::generate(&mut dice, &shape, settings, size.documents);
        let queries = queries::generate(&mut dice, &shape, size.queries);
        let several = several::generate(&mut dice, &shape, size.queries);
        Self { seed, index: format!("oracle_{seed}"), shape, writes, queries, several }
    }

    /// Uid of a second index with the same settings, on both sides.
    pub(super) fn second(&self) -> String {
        format!("{}_second", self.index)
    }

    /// The settings that the first write makes.
    pub(super) fn settings(&self) -> Value {
        let settings = self.writes.iter().find(|write| write.path == "/settings");
        settings.map_or(Value::Null, |write| write.body.clone())
    }

    /// Uid of the twin index on the single node.
    pub(super) fn twin(&self) -> String {
        format!("{}_twin", self.index)
    }
}

/// The seed in `MIROIR_ORACLE_SEED`, else the fixed default.
pub fn seed_from_env() -> Result<u64> {
    match env::var("MIROIR_ORACLE_SEED") {
        Ok(text) => text.parse().with_context(|| format!("MIROIR_ORACLE_SEED is not a number: {text}")),
        Err(_) => Ok(DEFAULT_SEED),
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, World};

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let size = Size { documents: 60, queries: 40 };
        let print = |seed| format!("{:?}", World::generate(seed, size));
        assert_eq!(print(3), print(3));
        assert_ne!(print(3), print(4));
    }

    #[test]
    fn worlds_differ_in_what_their_settings_restrict() {
        let size = Size { documents: 30, queries: 1 };
        let shapes: Vec<_> = (0..60).map(|seed| World::generate(seed, size).shape).collect();
        assert!(shapes.iter().any(|shape| shape.hides_primary_key));
        assert!(shapes.iter().any(|shape| shape.distinct.is_some()));
        assert!(shapes.iter().any(|shape| shape.string_ids));
        assert!(shapes.iter().any(|shape| shape.searchable.is_empty()));
        assert!(shapes.iter().any(|shape| shape.filterable.iter().any(|field| !field.comparison)));
    }
}
