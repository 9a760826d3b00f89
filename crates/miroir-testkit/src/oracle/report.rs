//! What a run found, and whether it is good enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::difference::{Difference, Kind};

/// Of the queries, this many in a thousand may differ in order or in scores: where the ranking depends on a server's
/// own vocabulary (prefix database, exactness of a last word) single documents may trade places. Rounded up: one
/// near-tie in a small world is no failure.
const TOLERATED_PER_MILLE: usize = 5;
/// Of the queries, this many in a thousand may be highlighted or cropped at other words, for the same reason.
const TOLERATED_FORMATTING_PER_MILLE: usize = 30;
/// Differing queries printed in full, of those that differ in the same kinds.
const SAMPLES_OF_A_KIND: usize = 6;
/// Characters of one printed difference.
const SAMPLE_CHARS: usize = 3_000;

/// Counts per outcome, and the first differing queries in full.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What was compared, such as a topology.
    pub name: String,
    /// The seed that makes the same world again.
    pub seed: u64,
    /// Searches compared.
    pub queries: usize,
    /// Searches with equal answers (ties aside).
    pub equal: usize,
    /// Searches, and other checks, that found a difference of this kind; one may be counted under several.
    pub counts: BTreeMap<Kind, usize>,
    /// Whether something that is not one search differed: that is never tolerated.
    failed_check: bool,
    samples: Vec<Sample>,
    more_samples: usize,
}

/// A check that found differences, ready to be printed.
#[derive(Debug, Clone)]
struct Sample {
    kinds: BTreeSet<Kind>,
    printed: String,
}

impl Report {
    /// An empty report.
    pub fn new(name: &str, seed: u64) -> Self {
        Self { name: name.to_owned(), seed, ..Self::default() }
    }

    /// Counts one compared search, printed as `request` when it differs.
    pub fn add_query(&mut self, request: &str, differences: &[Difference]) {
        self.queries += 1;
        self.equal += usize::from(differences.is_empty());
        self.count_kinds(request, differences);
    }

    /// Notes a check that is not one search. No difference in it is tolerated.
    pub fn add_check(&mut self, what: &str, differences: &[Difference]) {
        self.failed_check |= !differences.is_empty();
        self.count_kinds(what, differences);
    }

    fn count_kinds(&mut self, what: &str, differences: &[Difference]) {
        if differences.is_empty() {
            return;
        }
        let kinds: BTreeSet<Kind> = differences.iter().map(|difference| difference.kind).collect();
        for kind in &kinds {
            *self.counts.entry(*kind).or_default() += 1;
        }
        let alike = self.samples.iter().filter(|sample| sample.kinds == kinds).count();
        if alike == SAMPLES_OF_A_KIND {
            self.more_samples += 1;
            return;
        }
        let mut printed = format!("  {what}\n");
        for difference in differences {
            let text: String = difference.to_string().chars().take(SAMPLE_CHARS).collect();
            printed.push_str(&text);
            printed.push('\n');
        }
        self.samples.push(Sample { kinds, printed });
    }

    /// The counts of several runs in one report.
    #[must_use]
    pub fn sum(name: &str, reports: &[Self]) -> Self {
        let mut sum = Self::new(name, reports.first().map_or(0, |report| report.seed));
        for report in reports {
            sum.queries += report.queries;
            sum.equal += report.equal;
            sum.failed_check |= report.failed_check;
            for (kind, count) in &report.counts {
                *sum.counts.entry(*kind).or_default() += count;
            }
        }
        sum
    }

    /// Checks with a difference of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Whether the run is good enough: order and scores equal in 99.5% of the queries, highlights in 97%, everything
    /// else always, and at least one query compared.
    pub fn meets_bar(&self) -> bool {
        let tolerated = |per_mille: usize| (self.queries * per_mille).div_ceil(1000);
        self.queries > 0
            && !self.failed_check
            && self.counts.iter().all(|(kind, count)| match kind {
                Kind::Order | Kind::Scores => *count <= tolerated(TOLERATED_PER_MILLE),
                Kind::Formatting => *count <= tolerated(TOLERATED_FORMATTING_PER_MILLE),
                Kind::Error
                | Kind::Fields
                | Kind::Shape
                | Kind::Totals
                | Kind::Facets
                | Kind::Duplicate
                | Kind::Membership
                | Kind::Leak
                | Kind::Writes => *count == 0,
            })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.meets_bar() { "ok" } else { "BELOW THE BAR" };
        write!(f, "{} (seed {}): {verdict}; {} of {} equal", self.name, self.seed, self.equal, self.queries)?;
        for (kind, count) in &self.counts {
            write!(f, ", {kind}: {count}")?;
        }
        writeln!(f)?;
        for sample in &self.samples {
            f.write_str(&sample.printed)?;
        }
        if self.more_samples > 0 {
            writeln!(f, "  … and {} more", self.more_samples)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::oracle::{Difference, Kind};
    use serde_json::json;

    fn differing(kind: Kind) -> Vec<Difference> {
        vec![Difference::new(kind, "here", json!(1), json!(2))]
    }

    #[test]
    fn a_few_swapped_hits_pass_and_one_wrong_total_does_not() {
        let mut report = Report::new("test", 1);
        for _ in 0..399 {
            report.add_query("q", &[]);
        }
        report.add_query("q", &differing(Kind::Order));
        assert!(report.meets_bar(), "{report}");
        report.add_query("q", &differing(Kind::Totals));
        assert!(!report.meets_bar());
        assert!(report.to_string().contains("399 of 401 equal"), "{report}");
    }

    #[test]
    fn of_a_check_that_is_no_search_nothing_is_tolerated() {
        let mut report = Report::new("test", 1);
        for _ in 0..400 {
            report.add_query("q", &[]);
        }
        report.add_check("pages", &differing(Kind::Order));
        assert!(!report.meets_bar(), "{report}");
        assert!(!Report::sum("all", &[report]).meets_bar());
    }

    #[test]
    fn a_run_without_queries_is_no_success() {
        assert!(!Report::new("test", 1).meets_bar());
    }
}
