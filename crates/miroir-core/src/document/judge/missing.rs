//! Documents that bring no vectors for an embedder that makes none, and what the client may have meant instead.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::demands::VECTORS;

/// So many mistakes of each kind are named.
const HINTS: usize = 2;

/// A name that differs in so many characters (or has two of them swapped) is taken for a mistake.
const NEAR: usize = 2;

/// Documents without vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingVectors {
    /// The embedder.
    pub embedder: String,
    /// The first document without a vector for it.
    pub document_id: String,
    /// How many follow it in the same hundred documents, which is how many Meilisearch looks at together.
    pub others: usize,
    /// Fields called nearly like `_vectors`, with the number of documents that have them.
    pub fields: Vec<(String, u64)>,
    /// Entries of `_vectors` called nearly like the embedder, with the number of documents that have them.
    pub entries: Vec<(String, u64)>,
}

impl fmt::Display for MissingVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { embedder, document_id, .. } = self;
        write!(
            f,
            "While embedding documents for embedder `{embedder}`: no vectors provided for document `{document_id}`"
        )?;
        if self.others > 0 {
            write!(f, " and at least {} other document(s)", self.others)?;
        }
        write!(
            f,
            "\n- Note: `{embedder}` has `source: userProvided`, so documents must provide embeddings as an array in \
             `_vectors.{embedder}`."
        )?;
        for (field, count) in self.fields.iter().take(HINTS) {
            write!(f, "\n- Hint: try replacing `{field}` by `_vectors` in {count} document(s).")?;
        }
        for (entry, count) in self.entries.iter().take(HINTS) {
            write!(
                f,
                "\n- Hint: try replacing `_vectors.{entry}` by `_vectors.{embedder}` in {count} document(s)."
            )?;
        }
        if self.fields.is_empty() && self.entries.is_empty() {
            write!(f, "\n- Hint: opt-out for a document with `_vectors.{embedder}: null`")?;
        }
        Ok(())
    }
}

/// Whether a field's name is nearly `_vectors`.
pub(super) fn is_nearly_vectors(field: &str) -> bool {
    // Names of very different lengths are far apart: most are told by that.
    field.len().abs_diff(VECTORS.len()) <= 3 * NEAR && !field.contains('.') && is_near(field, VECTORS)
}

fn is_near(name: &str, meant: &str) -> bool {
    name != meant && strsim::osa_distance(name, meant) <= NEAR
}

/// Names with the number of documents that have them.
#[derive(Debug, Default)]
pub(super) struct Counts<'a>(BTreeMap<Cow<'a, str>, u64>);

impl<'a> Counts<'a> {
    pub(super) fn add(&mut self, name: Cow<'a, str>) {
        self.add_many(name, 1);
    }

    pub(super) fn add_many(&mut self, name: Cow<'a, str>, count: u64) {
        *self.0.entry(name).or_default() += count;
    }

    pub(super) fn all(&self) -> Vec<(String, u64)> {
        self.0.iter().map(|(name, count)| (name.clone().into_owned(), *count)).collect()
    }

    /// Those that are nearly this name.
    pub(super) fn near(&self, meant: &str) -> Vec<(String, u64)> {
        self.all().into_iter().filter(|(name, _)| is_near(name, meant)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(others: usize) -> MissingVectors {
        MissingVectors {
            embedder: "sky".to_owned(),
            document_id: "d-1".to_owned(),
            others,
            fields: Vec::new(),
            entries: Vec::new(),
        }
    }

    #[test]
    fn without_any_near_name_the_hint_is_how_to_opt_out() {
        assert_eq!(
            missing(0).to_string(),
            "While embedding documents for embedder `sky`: no vectors provided for document `d-1`\n\
             - Note: `sky` has `source: userProvided`, so documents must provide embeddings as an array in `_vectors.sky`.\n\
             - Hint: opt-out for a document with `_vectors.sky: null`"
        );
    }

    #[test]
    fn at_most_two_near_names_of_each_kind_are_hinted_at() {
        let names = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 3)).collect();
        let message = MissingVectors {
            fields: names(&["_vector", "vectors", "_vetcors"]),
            entries: names(&["ski"]),
            ..missing(4)
        }
        .to_string();
        let lines: Vec<_> = message.lines().collect();
        assert!(lines[0].ends_with("for document `d-1` and at least 4 other document(s)"));
        assert_eq!(
            lines[2..],
            [
                "- Hint: try replacing `_vector` by `_vectors` in 3 document(s).",
                "- Hint: try replacing `vectors` by `_vectors` in 3 document(s).",
                "- Hint: try replacing `_vectors.ski` by `_vectors.sky` in 3 document(s).",
            ]
        );
    }

    #[test]
    fn near_names_differ_in_at_most_two_places() {
        for near in ["vectors", "_vector", "_vetcors", "vector", "__vectors", "_Vectors"] {
            assert!(is_nearly_vectors(near), "{near}");
        }
        for far in ["_vectors", "vec", "_vectors.sky", "title", "embedding"] {
            assert!(!is_nearly_vectors(far), "{far}");
        }
    }
}
