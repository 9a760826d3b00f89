//! Patterns of index names.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest uid that Meilisearch accepts, in bytes.
const MAX_UID_BYTES: usize = 400;

/// The name of an index, or the beginning of names with a `*` behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UidPattern(String);

impl UidPattern {
    /// The pattern of all indexes.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// `None` if no index could be called that.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_name = !name.is_empty() && name.len() <= MAX_UID_BYTES && name.bytes().all(allowed);
        (text == "*" || is_name).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every index matches.
    pub fn is_all(&self) -> bool {
        self.0 == "*"
    }

    /// Whether it stands for one index only.
    pub fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }

    /// Whether this index matches.
    pub fn matches(&self, index: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => index.starts_with(beginning),
            None => self.0 == index,
        }
    }
}

impl Borrow<str> for UidPattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_may_stand_at_the_end_only() {
        for right in ["*", "films", "films-*", "A_1*"] {
            assert_eq!(UidPattern::parse(right).map(|pattern| pattern.to_string()).as_deref(), Some(right));
        }
        for wrong in ["", "**", "a*b", "*a", "a b", "é"] {
            assert_eq!(UidPattern::parse(wrong), None, "{wrong}");
        }
        assert!(UidPattern::parse(&"a".repeat(MAX_UID_BYTES)).is_some());
        assert!(UidPattern::parse(&"a".repeat(MAX_UID_BYTES + 1)).is_none());
    }

    #[test]
    fn a_beginning_matches_what_begins_so() {
        let pattern = UidPattern::parse("film*").unwrap();
        assert!(pattern.matches("film") && pattern.matches("films") && !pattern.matches("fil"));
        assert!(UidPattern::all().matches("anything"));
        let exact = UidPattern::parse("films").unwrap();
        assert!(exact.matches("films") && !exact.matches("films2") && exact.is_exact());
    }
}
