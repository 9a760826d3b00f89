//! How long writes took while a node answered and ended nothing.

use std::fmt;
use std::time::{Duration, Instant};

use super::faults::Happened;
use super::plan::Hurt;

/// How much longer than its peers a node may take, in these runs.
pub(super) const MAX_LAG: Duration = Duration::from_millis(1_500);
/// How long a write may take that nobody is waited for with.
const AT_ONCE: Duration = Duration::from_secs(1);
/// After the first write of a hang has waited, within so much none waits any more.
const LATEST: Duration = Duration::from_millis(500);

/// One write, from its request to the end of its task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) began: Instant,
    pub(super) took: Duration,
}

/// What the writes of a run were like.
#[derive(Debug, Clone, Default)]
pub struct HangReport {
    /// Times that a node hung.
    pub hangs: usize,
    /// Writes that began when the first one of a hang had waited.
    pub writes: usize,
    /// The slowest of them.
    pub slowest: Duration,
    /// The slowest write while no node hung.
    pub slowest_otherwise: Duration,
    /// Those that took too long.
    pub(super) problems: Vec<String>,
}

impl fmt::Display for HangReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hangs, writes, slowest, slowest_otherwise, .. } = self;
        write!(
            f,
            "{hangs} hangs, {writes} writes after the first wait, the slowest took {slowest:.2?}; while no node hung \
             {slowest_otherwise:.2?}"
        )
    }
}

/// Looks at the writes that began in a hang after the first wait.
pub(super) fn check_hangs(happened: &[Happened], timings: &[Timing]) -> HangReport {
    let in_a_hang = |timing: &&Timing| {
        happened.iter().any(|it| timing.began < it.ended && timing.began + timing.took > it.began)
    };
    let otherwise = timings.iter().filter(|timing| !in_a_hang(timing)).map(|timing| timing.took);
    let slowest_otherwise = otherwise.max().unwrap_or_default();
    // A machine that is busy with something else is slow without any hang.
    let limit = AT_ONCE.max(slowest_otherwise * 2);
    let mut report = HangReport { slowest_otherwise, ..HangReport::default() };
    for hang in happened.iter().filter(|it| matches!(it.hurt, Hurt::HangNode(_))) {
        report.hangs += 1;
        let first = timings.iter().filter(|timing| timing.began >= hang.began).min_by_key(|it| it.began);
        let Some(first) = first else { continue };
        let free = first.began + MAX_LAG + LATEST;
        for timing in timings.iter().filter(|it| it.began > free && it.began < hang.ended) {
            report.writes += 1;
            report.slowest = report.slowest.max(timing.took);
            if timing.took > limit {
                let after = timing.began - hang.began;
                let told = format!("{:?}: a write {after:.2?} later took {:.2?}", hang.hurt, timing.took);
                report.problems.push(told);
            }
        }
    }
    if report.writes == 0 {
        report.problems.push("no write was made while a node hung".to_owned());
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_of_a_hang_may_wait_and_later_ones_may_not() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let happened = [Happened { hurt: Hurt::HangNode(1), began: at(1_000), ended: at(9_000) }];
        let timing = |began, took| Timing { began: at(began), took: Duration::from_millis(took) };
        let good = [timing(900, 700), timing(1_100, 1_600), timing(4_000, 300), timing(9_500, 5_000)];
        let report = check_hangs(&happened, &good);
        assert_eq!((report.writes, report.slowest), (1, Duration::from_millis(300)));
        assert!(report.problems.is_empty(), "{report:?}");
        let report = check_hangs(&happened, &[timing(1_100, 1_600), timing(4_000, 1_500)]);
        assert_eq!(report.problems.len(), 1, "{report:?}");
    }
}
