//! The command line: `serve` runs Miroir, `check` judges a configuration, `dev` runs a development cluster.

#![expect(clippy::print_stdout, reason = "a command line tool answers on its standard output")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand, ValueEnum};
use miroir_proxy::config::{self, Config, Loaded};
use miroir_proxy::dev::{self, DevArgs};
use miroir_proxy::observe::{self, Logs};
use miroir_proxy::online::look_online;
use miroir_proxy::server;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Payloads come and go in pieces of megabytes, on many threads: this one gives their memory back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Several Meilisearch servers that look like one.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look; `MIROIR_LOG` sets their level, such as `debug` or `miroir_proxy=trace`.
    #[arg(long, value_enum, default_value_t = LogFormat::Human, global = true)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs Miroir until SIGINT or SIGTERM.
    Serve(ConfigArgs),
    /// Says whether a configuration is right, or everything that is wrong with it (exit code 1).
    Check(CheckArgs),
    /// Runs a development cluster: nodes as processes of their own, and Miroir in front of them.
    Dev(DevArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The YAML file; without one, `MIROIR_…` variables alone configure Miroir.
    #[arg(long, short, value_name = "FILE", env = "MIROIR_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also looks at the store and asks the nodes, without changing anything: whose they are, their versions, keys, indexes
    /// and clocks (exit code 3 if something is wrong with them).
    #[arg(long)]
    online: bool,
}

/// The exit code of `check --online` when the configuration is right, and what it names is not.
const NOT_OK: u8 = 3;

impl ConfigArgs {
    fn load(&self) -> anyhow::Result<Loaded> {
        // A variable that is not Unicode can't be one of ours: all our names and values are.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        config::load(self.config.as_deref(), variables).map_err(|errors| {
            anyhow!("the configuration has {} problem(s)\n{errors}", errors.problems().len())
        })
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Check(args) => match check(&args).await {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::from(NOT_OK),
            Err(error) => Err(error),
        },
        Command::Serve(args) => serve(&args, cli.log_format).await,
        Command::Dev(args) => develop(args, cli.log_format).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is as it should be that was looked at besides the configuration.
async fn check(args: &CheckArgs) -> anyhow::Result<bool> {
    let Loaded { config, warnings } = args.config.load()?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    println!("configuration ok: {}", summary(&config));
    if !args.online {
        return Ok(true);
    }
    let findings = look_online(&config).await;
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.iter().all(|finding| finding.problems.is_empty()))
}

fn summary(config: &Config) -> String {
    format!(
        "{} node(s) in {} replica group(s), {} cop{} of each shard per group, {} shard(s) per index",
        config.nodes.len(),
        config.replica_groups,
        config.replication_factor,
        if config.replication_factor == 1 { "y" } else { "ies" },
        config.shards.get(),
    )
}

async fn serve(args: &ConfigArgs, format: LogFormat) -> anyhow::Result<()> {
    let Loaded { config, warnings } = args.load()?;
    let logs = start_logging(format, "info")?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let terminated = terminated()?;
    tracing::info!("starting: {}", summary(&config));
    let server = server::start(config, logs).await?;
    terminated.await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

async fn develop(args: DevArgs, format: LogFormat) -> anyhow::Result<()> {
    // The terminal belongs to the cluster's own messages.
    let logs = start_logging(format, "warn")?;
    dev::run(args, logs, terminated()?).await
}

fn start_logging(format: LogFormat, default_level: &str) -> anyhow::Result<Logs> {
    let filter = match std::env::var("MIROIR_LOG") {
        Ok(filter) => EnvFilter::try_new(&filter).with_context(|| format!("MIROIR_LOG is `{filter}`"))?,
        Err(_) => EnvFilter::new(default_level),
    };
    let format = match format {
        LogFormat::Human => observe::LogFormat::Human,
        LogFormat::Json => observe::LogFormat::Json,
    };
    Ok(Logs::start(format, filter))
}

/// Completes at the first SIGINT or SIGTERM after the call.
fn terminated() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
