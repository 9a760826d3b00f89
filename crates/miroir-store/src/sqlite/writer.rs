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
trait WriteStep: Send {
    /// Does the step inside the shared transaction. False if it failed and has to be undone.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Why it failed.
    fn failure(&self) -> StoreError;

    /// Whether nobody waits for it any more: a client that was told "too late" must not find its write done later.
    fn is_abandoned(&self) -> bool;

    /// Tells the caller, once the transaction's fate is known.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Call<F, T> {
    todo: Option<F>,
    result: Result<T, StoreError>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> WriteStep for Call<F, T>
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

    fn failure(&self) -> StoreError {
        self.result.as_ref().err().cloned().unwrap_or(StoreError::Closed)
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // A caller that has gone away does not want to know.
        let _ = self.caller.send(committed.and(self.result));
    }
}

/// What the thread is asked for.
enum Command {
    /// Together with others.
    Step(Box<dyn WriteStep>),
    /// By itself, outside of any transaction.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

/// The handle of the thread. Dropping it lets the thread finish what it has and waits for it.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, commands) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("miroir-store".to_owned())
            .spawn(move || run(connection, commands))
            .map_err(StoreError::broken_off)?;
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
        self.command(Command::Step(Box::new(step))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `call` where no transaction is open. Whoever writes waits meanwhile.
    pub(super) async fn alone<T, F>(&self, call: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = move |connection: &Connection| {
            // A caller that has gone away does not want to know.
            let _ = caller.send(call(connection));
        };
        self.command(Command::Alone(Box::new(job))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn command(&self, command: Command) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(command).await.map_err(|_| StoreError::Closed)
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

fn run(mut connection: Connection, mut commands: mpsc::Receiver<Command>) {
    let mut received = Vec::with_capacity(GROUP);
    let mut group: Vec<Box<dyn WriteStep>> = Vec::with_capacity(GROUP);
    while commands.blocking_recv_many(&mut received, GROUP) > 0 {
        for command in received.drain(..) {
            match command {
                Command::Step(step) => group.push(step),
                Command::Alone(job) => job(&connection),
            }
        }
        let committed = run_group(&mut connection, &mut group);
        if let Err(error) = &committed {
            tracing::error!(%error, "the store can't write");
        }
        for step in group.drain(..) {
            step.answer(committed.clone());
        }
    }
}

fn run_group(connection: &mut Connection, group: &mut [Box<dyn WriteStep>]) -> Result<(), StoreError> {
    if group.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in group.iter_mut().filter(|step| !step.is_abandoned()) {
        let savepoint = transaction.savepoint()?;
        if step.run(&savepoint) {
            savepoint.commit()?;
            continue;
        }
        drop(savepoint);
        // A full disk ends the whole transaction, not only the step: what came after would be a transaction of its own.
        if transaction.is_autocommit() {
            return Err(step.failure());
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that stores so many bytes, and what its caller hears.
    fn store(bytes: i64) -> (Box<dyn WriteStep>, oneshot::Receiver<Result<(), StoreError>>) {
        let (caller, answer) = oneshot::channel();
        let todo = move |db: &Connection| -> Result<(), StoreError> {
            db.execute("INSERT INTO bodies (body) VALUES (zeroblob(?1))", [bytes])?;
            Ok(())
        };
        (Box::new(Call { todo: Some(todo), result: Err(StoreError::Closed), caller }), answer)
    }

    /// A database with room for some ten thousand bytes.
    fn small() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE bodies (body BLOB); PRAGMA max_page_count = 5").unwrap();
        db
    }

    fn stored(db: &Connection) -> Vec<i64> {
        let mut query = db.prepare("SELECT LENGTH(body) FROM bodies ORDER BY rowid").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_full_disk_fails_everything_that_shares_the_transaction_and_keeps_nothing_of_it() {
        let mut db = small();
        let (mut group, mut answers): (Vec<_>, Vec<_>) = [10, 100_000, 20].map(store).into_iter().unzip();
        let committed = run_group(&mut db, &mut group);
        assert!(matches!(committed, Err(StoreError::Full)), "{committed:?}");
        for step in group {
            step.answer(committed.clone());
        }
        for answer in &mut answers {
            assert!(matches!(answer.try_recv(), Ok(Err(StoreError::Full))));
        }
        assert!(stored(&db).is_empty());
        let (step, _answer) = store(30);
        run_group(&mut db, &mut [step]).unwrap();
        assert_eq!(stored(&db), [30]);
    }

    #[test]
    fn a_step_whose_caller_went_away_before_its_turn_is_not_done() {
        let mut db = small();
        let ((first, gone), (second, _here)) = (store(10), store(20));
        drop(gone);
        run_group(&mut db, &mut [first, second]).unwrap();
        assert_eq!(stored(&db), [20]);
    }
}
