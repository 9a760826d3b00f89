//! Which spelling of a value is shown, when nodes show several.

use std::collections::BTreeMap;

/// The spellings of one value that nodes show, each that of one of its documents there.
#[derive(Debug, Default)]
pub(super) struct Spellings<'a>(BTreeMap<&'a str, u64>);

impl<'a> Spellings<'a> {
    /// A node shows this spelling for so many documents.
    pub(super) fn add(&mut self, spelling: &'a str, count: u64) {
        *self.0.entry(spelling).or_default() += count;
    }

    /// All documents.
    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The spelling that stands for most documents. Of equals the byte-wise largest: a plain word rather than a shouted one,
    /// letters with their marks rather than decomposed ones.
    pub(super) fn best(&self) -> &'a str {
        let best = self.0.iter().max_by_key(|(spelling, count)| (**count, **spelling));
        best.map_or("", |(spelling, _)| spelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(spellings: &[(&'static str, u64)]) -> &'static str {
        let mut all = Spellings::default();
        for (spelling, count) in spellings {
            all.add(spelling, *count);
        }
        all.best()
    }

    #[test]
    fn most_documents_decide_and_of_equals_nobody_shouts() {
        assert_eq!(best(&[("ISTANBUL", 3), ("Istanbul", 2), ("Istanbul", 2)]), "Istanbul");
        assert_eq!(best(&[("ISTANBUL", 5), ("Istanbul", 2)]), "ISTANBUL");
        assert_eq!(best(&[("Drama", 2), ("DRAMA", 2)]), "Drama");
        assert_eq!(best(&[("caf\u{e9}", 1), ("cafe\u{301}", 1)]), "caf\u{e9}");
    }
}
