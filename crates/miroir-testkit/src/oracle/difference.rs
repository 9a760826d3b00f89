//! What can differ between two answers.

use std::fmt;

use serde_json::Value;

/// The sort of difference, which decides how many of it are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Status or error body.
    Error,
    /// A top-level key too many or missing, or an echoed parameter that is not the same.
    Shape,
    /// A total, exact or estimated.
    Totals,
    /// Facet values, counts, order or statistics.
    Facets,
    /// A document twice on one page or over pages.
    Duplicate,
    /// A hit too many or too few, or one that the whole list does not have.
    Membership,
    /// Hits in another order than ties allow.
    Order,
    /// The same document with other content.
    Fields,
    /// The same document with another score.
    Scores,
    /// The same document highlighted or cropped at other words: a node knows only its own vocabulary.
    Formatting,
    /// A name reserved for Miroir in an answer.
    Leak,
    /// A write with another outcome, or other documents stored.
    Writes,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "errors differ",
            Self::Shape => "keys differ",
            Self::Totals => "totals differ",
            Self::Facets => "facets differ",
            Self::Duplicate => "a document twice",
            Self::Membership => "other documents are found",
            Self::Order => "order differs beyond ties",
            Self::Fields => "fields differ",
            Self::Scores => "scores differ",
            Self::Formatting => "highlights differ",
            Self::Leak => "a marker leaks",
            Self::Writes => "writes differ",
        })
    }
}

/// One difference between two answers, cut to what differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What sort of difference.
    pub kind: Kind,
    /// Where, in words.
    pub place: String,
    /// The expected part.
    pub expected: Value,
    /// The actual part.
    pub actual: Value,
}

impl Difference {
    /// A difference from its parts.
    pub fn new(kind: Kind, place: impl Into<String>, expected: Value, actual: Value) -> Self {
        Self { kind, place: place.into(), expected, actual }
    }

    /// A difference when the two parts are not equal.
    pub fn unless_equal(kind: Kind, place: &str, expected: &Value, actual: &Value) -> Option<Self> {
        (expected != actual).then(|| Self::new(kind, place, expected.clone(), actual.clone()))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {} at {}", self.kind, self.place)?;
        writeln!(f, "      expected {}", self.expected)?;
        write!(f, "      actual   {}", self.actual)
    }
}
