//! A panic in the background must not go unseen: without one of its parts the write path would accept writes that never
//! end. What was accepted is durable, so the way out is the one of any crash: the process ends, and whoever runs it
//! starts it again.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::fenced::WritePathEnd;

/// Does this part's work until the write path ends because another process has taken it over: then the work stops wherever
/// it stands, as in a crash, and the process goes on without it. A panic in it ends the process.
pub(super) async fn run_watched(part: &'static str, end: WritePathEnd, work: impl Future<Output = ()>) {
    // Nothing of it is used after a panic.
    let work = AssertUnwindSafe(work).catch_unwind();
    tokio::select! {
        ended = work => if ended.is_err() {
            tracing::error!(
                part,
                "a part of the write path panicked, and Miroir ends: start it again, what was accepted is kept"
            );
            std::process::abort();
        },
        () = end.wait() => {
            tracing::warn!(part, "a part of the write path has stopped: another Miroir works with this task store");
        }
    }
}
