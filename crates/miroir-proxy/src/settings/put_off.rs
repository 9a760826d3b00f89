//! Nodes that are tried again later, ever more seldom.

use std::time::{Duration, Instant};

/// Before a node that still differs is tried again; twice as long each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// When a node is tried again, and how long it waited for that.
#[derive(Debug, Clone, Copy)]
pub(super) struct PutOff {
    until: Instant,
    pause: Duration,
}

impl PutOff {
    /// A try has failed now, after it had been put off like this.
    pub(super) fn again(earlier: Option<&Self>, now: Instant) -> Self {
        let pause = earlier.map_or(PAUSES.0, |earlier| (earlier.pause * 2).min(PAUSES.1));
        Self { until: now + pause, pause }
    }

    /// Whether it is too early for another try.
    pub(super) fn waits(&self, now: Instant) -> bool {
        now < self.until
    }

    /// The next try is wanted now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.until = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_end_when_somebody_is_in_a_hurry() {
        let now = Instant::now();
        let mut put_off = PutOff::again(None, now);
        assert!(put_off.waits(now) && !put_off.waits(now + PAUSES.0));
        put_off = PutOff::again(Some(&put_off), now);
        assert!(put_off.waits(now + PAUSES.0) && !put_off.waits(now + PAUSES.0 * 2));
        for _ in 0..100 {
            put_off = PutOff::again(Some(&put_off), now);
        }
        assert!(!put_off.waits(now + PAUSES.1));
        put_off.hurry(now);
        assert!(!put_off.waits(now));
    }
}
