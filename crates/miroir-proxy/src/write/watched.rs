//! A panic in the background must not go unseen: without one of its parts the write path would accept writes that never
//! end. What was accepted is durable, so the way out is the one of any crash: the process ends, and whoever runs it
//! starts it again.

/// Does this part's work; a panic in it ends the process.
pub(super) async fn run_watched(part: &'static str, work: impl Future<Output = ()>) {
    let _guard = Guard { part };
    work.await;
}

struct Guard {
    part: &'static str,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                part = self.part,
                "a part of the write path panicked, and Miroir ends: start it again, what was accepted is kept"
            );
            std::process::abort();
        }
    }
}
