//! The log of this process: on standard error, and to one client at a time who listens to it.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing_subscriber::filter::{Filtered, LevelFilter, Targets};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Lines that wait for a listener; when it does not keep up further ones are lost to it.
const WAITING: usize = 10_000;

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;
type Heard = Filtered<Option<BoxedLayer<Registry>>, Targets, Registry>;
type WithHeard = Layered<reload::Layer<Heard, Registry>, Registry>;
type Printed = Filtered<BoxedLayer<WithHeard>, EnvFilter, WithHeard>;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What can be changed about the log while it runs.
#[derive(Clone)]
pub struct Logs {
    printed: reload::Handle<Printed, WithHeard>,
    heard: reload::Handle<Heard, Registry>,
    /// The number of the last listener.
    listener: Arc<AtomicU64>,
}

impl Logs {
    /// Begins to log, to standard error, so that standard output holds nothing but what was asked for. Once a process.
    pub fn start(format: LogFormat, filter: EnvFilter) -> Self {
        let nobody: Option<BoxedLayer<Registry>> = None;
        let (heard_layer, heard) =
            reload::Layer::new(nobody.with_filter(Targets::new().with_default(LevelFilter::OFF)));
        let colored =
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let stderr = tracing_subscriber::fmt::layer().with_ansi(colored).with_writer(io::stderr);
        let stderr: BoxedLayer<WithHeard> = match format {
            LogFormat::Human => stderr.boxed(),
            LogFormat::Json => stderr.json().boxed(),
        };
        let (printed_layer, printed) = reload::Layer::new(stderr.with_filter(filter));
        tracing_subscriber::registry().with(heard_layer).with(printed_layer).init();
        Self { printed, heard, listener: Arc::default() }
    }

    /// Changes what is printed on standard error.
    ///
    /// # Errors
    /// When the process no longer logs.
    pub fn print(&self, targets: &Targets) -> Result<(), reload::Error> {
        let filter = EnvFilter::new(targets.to_string());
        self.printed.modify(|layer| *layer.filter_mut() = filter)
    }

    /// Begins to send lines to a listener; `None` while there is another one.
    ///
    /// # Errors
    /// When the process no longer logs.
    pub fn listen(&self, format: LogFormat, targets: Targets) -> Result<Option<Listener>, reload::Error> {
        let (sender, lines) = mpsc::channel(WAITING);
        let layer =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || LineWriter(sender.clone()));
        let layer: BoxedLayer<Registry> = match format {
            LogFormat::Human => layer.boxed(),
            LogFormat::Json => layer.json().boxed(),
        };
        let mut number = None;
        self.heard.modify(|heard| {
            if heard.inner().is_none() {
                *heard.filter_mut() = targets;
                *heard.inner_mut() = Some(layer);
                number = Some(self.listener.fetch_add(1, Ordering::Relaxed) + 1);
            }
        })?;
        Ok(number.map(|number| Listener { lines, logs: self.clone(), number }))
    }

    /// Lets the listener go, if there is one.
    ///
    /// # Errors
    /// When the process no longer logs.
    pub fn stop_listening(&self) -> Result<(), reload::Error> {
        self.heard.modify(|heard| {
            *heard.inner_mut() = None;
            *heard.filter_mut() = Targets::new().with_default(LevelFilter::OFF);
        })
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Who listens. Dropping it makes room for another one.
#[derive(Debug)]
pub struct Listener {
    lines: mpsc::Receiver<Bytes>,
    logs: Logs,
    number: u64,
}

impl Listener {
    /// The next lines; `None` after [`Logs::stop_listening`].
    pub async fn next(&mut self) -> Option<Bytes> {
        self.lines.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // After `stop_listening` somebody else may listen already.
        if self.logs.listener.load(Ordering::Relaxed) == self.number
            && let Err(error) = self.logs.stop_listening()
        {
            tracing::error!(%error, "can't let a listener of the log go");
        }
    }
}

struct LineWriter(mpsc::Sender<Bytes>);

impl io::Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A listener that is too slow, or gone, misses the line.
        let _ = self.0.try_send(Bytes::copy_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
