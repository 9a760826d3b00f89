//! The command line of the development node.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use miroir_devnode::{Options, serve};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A development node: Meilisearch's engine behind the part of its API that Miroir uses. Not for production.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on.
    #[arg(long, default_value_t = 7701)]
    port: u16,
    /// The folder of all data, made if needed.
    #[arg(long)]
    db_path: PathBuf,
    /// The key that every request needs; without one all are served.
    #[arg(long, env = "MEILI_MASTER_KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// Threads that index; by default the cores, but not more than four.
    #[arg(long)]
    indexing_threads: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,miroir_devnode=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let options = Options {
        address: SocketAddr::new(arguments.host, arguments.port),
        db_path: arguments.db_path,
        master_key: arguments.master_key.filter(|key| !key.is_empty()),
        indexing_threads: arguments.indexing_threads.unwrap_or(cores.min(4)),
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    serve(options, async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
    .await?;
    Ok(())
}
