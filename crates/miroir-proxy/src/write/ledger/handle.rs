//! How those who neither decide nor commit learn what the ledger knows: they ask the committer, which answers at once,
//! whatever it waits for itself. Each question is answered by one look, so nothing happens in the middle of it.

use std::fmt;
use std::future::pending;

use tokio::sync::{mpsc, oneshot};

use super::Ledger;

/// Questions that wait for their answer before others wait to be asked.
const CHANNEL: usize = 256;

type Question = Box<dyn FnOnce(&mut Ledger) + Send>;

/// Where the committer finds what it is asked.
pub(in crate::write) type Questions = mpsc::Receiver<Question>;

/// Asks the committer. Cheap to clone. Nothing that a question does may wait: the committer waits for it.
#[derive(Clone)]
pub(in crate::write) struct LedgerHandle(mpsc::Sender<Question>);

impl fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerHandle").finish_non_exhaustive()
    }
}

impl LedgerHandle {
    pub(in crate::write) fn new() -> (Self, Questions) {
        let (questions, asked) = mpsc::channel(CHANNEL);
        (Self(questions), asked)
    }

    /// Looks at the ledger. For parts of the write path, which end together with the committer: never returns if that has
    /// ended.
    pub(in crate::write) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger) -> T + Send + 'static,
    ) -> T {
        self.order(|ledger| look(ledger)).await
    }

    /// The same for what changes the ledger.
    pub(in crate::write) async fn order<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> T {
        match self.try_order(change).await {
            Some(answer) => answer,
            None => pending().await,
        }
    }

    /// The same for everybody else: none if the committer has ended. If the future is dropped, it may be done or not.
    pub(in crate::write) async fn try_order<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let question = move |ledger: &mut Ledger| {
            // Whoever asked may have gone.
            let _ = answer.send(change(ledger));
        };
        self.0.send(Box::new(question)).await.ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use miroir_core::ids::TaskUid;
    use miroir_core::rules::RuleBook;
    use tokio::time::timeout;

    use super::*;
    use crate::write::ledger::fixture::Changes;

    #[tokio::test(start_paused = true)]
    async fn questions_are_answered_as_long_as_somebody_is_there_to_answer_them() {
        let (handle, mut questions) = LedgerHandle::new();
        let mut ledger = Ledger::new(Vec::new(), RuleBook::default(), [], Arc::new(Changes::default()));
        let answering = async {
            let question: Question = questions.recv().await.unwrap();
            question(&mut ledger);
        };
        let (end, ()) = tokio::join!(handle.ask(|ledger| ledger.head.end()), answering);
        assert_eq!(end, TaskUid(0));
        // One that is asked and not answered, and one that can't be asked.
        let asked = handle.try_order(|ledger| ledger.head.end());
        let leaving = async {
            drop(questions.recv().await.unwrap());
            drop(questions);
        };
        assert_eq!(tokio::join!(asked, leaving).0, None);
        assert_eq!(handle.try_order(|ledger| ledger.head.end()).await, None);
        assert!(timeout(Duration::from_secs(1), handle.ask(|ledger| ledger.head.end())).await.is_err());
    }
}
