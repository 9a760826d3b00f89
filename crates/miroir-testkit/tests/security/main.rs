//! What an attacker with a small key may try, kind by kind.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

mod filters;
