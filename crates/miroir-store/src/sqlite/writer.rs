//! The one thread that writes. Steps that arrive while it waits for the disk share the next transaction, and so the next
//! wait: a hundred clients that write at once pay for one.

use std::thread::{self, JoinHandle};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// Steps that wait for the thread; beyond that, callers wait to be let in.
const QUEUE: usize = 1024;

/// Steps that share one transaction at most.
const GROUP: usize = 256;

/// A step and the way back to its caller.
trait Step: Send {
    /// Does the step inside the shared transaction. False if it failed and has to be undone.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells the caller, once the transaction's fate is known.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Call<F, T> {
    todo: Option<F>,
    result: Result<T, StoreError>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Step for Call<F, T>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        if let Some(call) = self.todo.take() {
            self.result = call(connection);
        }
        self.result.is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // A caller that has gone away does not want to know.
        let _ = self.caller.send(committed.and(self.result));
    }
}

/// The handle of the thread. Dropping it lets the thread finish what it has and waits for it.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Step>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, steps) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("miroir-store".to_owned())
            .spawn(move || run(connection, steps))
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `call` in a transaction and returns when that is durable.
    pub(super) async fn write<T, F>(&self, call: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let step = Call { todo: Some(call), result: Err(StoreError::Closed), caller };
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(Box::new(step)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer has panicked");
        }
    }
}

fn run(mut connection: Connection, mut steps: mpsc::Receiver<Box<dyn Step>>) {
    let mut group: Vec<Box<dyn Step>> = Vec::with_capacity(GROUP);
    while steps.blocking_recv_many(&mut group, GROUP) > 0 {
        let committed = run_group(&mut connection, &mut group);
        if let Err(error) = &committed {
            tracing::error!(%error, "the store can't write");
        }
        for step in group.drain(..) {
            step.answer(committed.clone());
        }
    }
}

fn run_group(connection: &mut Connection, group: &mut [Box<dyn Step>]) -> Result<(), StoreError> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in group {
        let savepoint = transaction.savepoint()?;
        if step.run(&savepoint) {
            savepoint.commit()?;
        }
    }
    transaction.commit()?;
    Ok(())
}
