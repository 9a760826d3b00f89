//! The oracle: one server with everything and Miroir over several must give the same answers.
//!
//! A [`World`] is generated from a seed: settings, document writes and searches. [`run`] applies the writes to both
//! sides, sends every search to both and compares whole answers. Documents that the ranking rules can't tell apart
//! may come in another order; everything else has to be equal. What counts as a tie is not guessed: the single node
//! holds a second copy of the index (the *twin*) with the same documents and ranking, but with nothing hidden, nothing
//! deduplicated and no cap, and it is asked for the whole ordered list with score details.
//!
//! Requests of several searches are compared too, over this index and a second one: apart, each like a search of its
//! own, and federated, where the one node says of each hit by what it is compared with others.
//!
//! What is left out on purpose, because one Meilisearch does not define it for its own documents either: facet counts
//! under `distinct` (they depend on which of several equal documents arrived first), `estimatedTotalHits` under
//! `distinct` (it depends on the limit), timings and request ids.

mod compare;
mod dice;
mod difference;
mod documents;
mod filters;
mod invariants;
mod merged;
mod queries;
mod ranking;
mod report;
mod run;
mod settings;
mod several;
mod vectors;
mod words;
mod world;
mod writes;

pub use dice::Dice;
pub use difference::{Difference, Kind};
pub use queries::SearchRequest;
pub use report::Report;
pub use run::{Options, run};
pub use several::SeveralSearches;
pub use world::{Size, World, seed_from_env};
pub use writes::Write;
