//! What Meilisearch says about the ranking rules that it left out before it compared those of two queries.

use std::fmt::Write;

use super::rules::RulePlace;

/// One rule that was left out or put in, and why.
#[derive(Debug, Clone, Copy)]
pub(super) enum Note {
    /// `words` goes before the first text rule.
    WordsInFront(RulePlace),
    /// The settings list `words` behind the place where it was put.
    WordsAlreadyInFront(RulePlace),
    /// Every word must match, so that their number says nothing.
    WordsOfNoEffect(RulePlace),
    /// The same rule, or one on the same field, came earlier.
    Duplicate {
        /// Which stays.
        earlier: RulePlace,
        /// Which does not.
        removed: RulePlace,
    },
    /// A text rule of a query without words.
    WithoutWords(RulePlace),
    /// The vector's rule stands for this one.
    VectorStands {
        /// Where the vector's rule is.
        vector: RulePlace,
        /// Which rule goes.
        removed: RulePlace,
    },
    /// Behind the vector's rule and a sort no text rule is applied, nor anything after it.
    CutByVector {
        /// Where the vector's rule is.
        vector: RulePlace,
        /// The first rule that goes.
        from: RulePlace,
    },
    /// The query has no `sort`.
    NothingToSort(RulePlace),
}

/// The notes as numbered lines; empty for none.
pub(super) fn describe_notes(notes: &[Note], rules: &[String], sort: &[String]) -> String {
    let name = |place: RulePlace| name(place, rules, sort);
    let mut lines = String::new();
    for (at, note) in notes.iter().enumerate() {
        let number = at + 1;
        let text = match *note {
            Note::WordsInFront(first) => format!(
                "Prepended rule `words` before first relevancy rule `{}` at position {}",
                name(first),
                position(first)
            ),
            Note::WordsAlreadyInFront(removed) => format!(
                "Removed rule `words` at position {} because it was previously prepended",
                position(removed)
            ),
            Note::WordsOfNoEffect(removed) => format!(
                "Removed rule `words` at position {} because `query.matchingWords` is set to `all`",
                position(removed)
            ),
            Note::Duplicate { earlier, removed } => format!(
                "Removed duplicate rule `{}` at position {} as it already appears at position {}",
                name(earlier),
                position(removed),
                position(earlier)
            ),
            Note::WithoutWords(removed) => format!(
                "Removed relevancy rule `{}` at position {} because the query is a placeholder search (`q`: \"\")",
                name(removed),
                position(removed)
            ),
            Note::VectorStands { vector, removed } => format!(
                "Removed relevancy rule `{}` at position {} because the query is a vector search and `vector` was already inserted at position {}",
                name(removed),
                position(removed),
                position(vector)
            ),
            Note::CutByVector { vector, from } => format!(
                "Truncated relevancy rule `{}` at position {} and later rules because the query is a vector search and `vector` was inserted at position {}",
                name(from),
                position(from),
                position(vector)
            ),
            Note::NothingToSort(removed) => {
                format!("Removed rule `sort` at position {} because `query.sort` is empty", position(removed))
            }
        };
        // Meilisearch indents this one by a column less.
        let indent = if matches!(note, Note::NothingToSort(_)) { "   " } else { "    " };
        let _infallible = writeln!(lines, "{indent}{number}. {text}");
    }
    lines
}

fn name(place: RulePlace, rules: &[String], sort: &[String]) -> String {
    let found = match place {
        RulePlace::Rule(at) => rules.get(at).cloned(),
        RulePlace::Run(begin, end) => rules.get(begin..=end).map(|rules| rules.join(", ")),
        RulePlace::Sort { item, .. } => sort.get(item).map(|by| match by.rsplit_once(':') {
            Some((point, direction)) if point.starts_with("_geoPoint(") => format!("_geo(..):{direction}"),
            _ => by.clone(),
        }),
    };
    found.unwrap_or_else(|| "unknown".to_owned())
}

fn position(place: RulePlace) -> String {
    match place {
        RulePlace::Rule(at) => format!("#{at} in ranking rules"),
        RulePlace::Run(begin, end) => format!("#{begin} to #{end} in ranking rules"),
        RulePlace::Sort { rule, item } => {
            format!("#{item} in `query.sort` (as `sort` is #{rule} in ranking rules)")
        }
    }
}
