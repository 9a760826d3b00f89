//! A node's process: started, recognised, watched and stopped.
//!
//! A process is known by its number, kept in a file, *and* by the path of the node's database on its command line, so
//! that a number which the system gave to someone else is never signalled.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::engine::Engine;
use super::state::NodeSpec;

/// How long a node may take to answer its first health check.
const START_DEADLINE: Duration = Duration::from_mins(1);
/// How long a node may take to end after SIGTERM before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long the system may take to end a killed process.
const KILL_DEADLINE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
/// How much of a log is shown when a node dies at its start.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 * 1024;

/// A node's process, ours or one that an earlier start left.
#[derive(Debug)]
pub struct NodeProcess {
    pid: Pid,
    /// Only of a process that we started: its end must be waited for, or it stays as a zombie.
    child: Option<Child>,
    /// Where in the log the words of this process begin.
    log_start: u64,
}

impl NodeProcess {
    /// Starts a node, in a process group of its own: the terminal's Ctrl-C must reach Miroir first, and nodes after it.
    pub fn spawn(node: &NodeSpec, engine: &Engine, master_key: &str) -> anyhow::Result<Self> {
        let path = node.log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot open {}", path.display()))?;
        let log_start = log.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
        let errors = log.try_clone().context("cannot share the log file")?;
        let mut command = engine.command(node, master_key);
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().with_context(|| format!("cannot run {}", engine.program.display()))?;
        let pid = pid_of(child.id())?;
        let path = node.pid_file();
        fs::write(&path, format!("{pid}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { pid, child: Some(child), log_start })
    }

    /// The node's process if it runs already, started by someone else.
    pub fn find(node: &NodeSpec) -> Option<Self> {
        let pid = fs::read_to_string(node.pid_file()).ok()?.trim().parse().ok().map(Pid::from_raw)?;
        is_node(pid, node).then_some(Self { pid, child: None, log_start: 0 })
    }

    /// The number of the process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// How the process ended; none while it runs. Of a process that is not our child only *that* it ended is known.
    pub fn ended(&mut self, node: &NodeSpec) -> Option<Ending> {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(Ending(Some(status))),
                Err(_) => Some(Ending(None)),
            },
            None => (!is_node(self.pid, node)).then_some(Ending(None)),
        }
    }

    /// Waits until the node answers. Fails with the end of its log when it dies or takes too long.
    pub async fn wait_healthy(&mut self, node: &NodeSpec, http: &reqwest::Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        let url = format!("{}/health", node.url());
        loop {
            if let Some(ending) = self.ended(node) {
                bail!("{} {ending} at its start; {}", node.id, self.log_tail(node));
            }
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let waited = START_DEADLINE.as_secs();
                bail!("{} does not answer after {waited} seconds; {}", node.id, self.log_tail(node));
            }
            sleep(POLL).await;
        }
    }

    /// Asks the process to end, and kills it when it does not.
    pub async fn stop(mut self, node: &NodeSpec) -> anyhow::Result<()> {
        for (signal, patience) in [(Signal::SIGTERM, STOP_DEADLINE), (Signal::SIGKILL, KILL_DEADLINE)] {
            let deadline = Instant::now() + patience;
            if self.ended(node).is_none() {
                // It may end between the two: that is what is wanted.
                let _ = kill(self.pid, signal);
            }
            while Instant::now() < deadline {
                if self.ended(node).is_some() {
                    return forget(node);
                }
                sleep(POLL).await;
            }
        }
        bail!("{} (pid {}) does not end", node.id, self.pid)
    }

    fn log_tail(&self, node: &NodeSpec) -> String {
        let path = node.log();
        match read_tail(&path, self.log_start) {
            Ok(tail) if tail.is_empty() => format!("its log {} says nothing", path.display()),
            Ok(tail) => format!("the end of its log {}:\n{tail}", path.display()),
            Err(error) => format!("its log {} cannot be read: {error}", path.display()),
        }
    }
}

/// How a process ended, as the verb of a sentence about it.
#[derive(Debug)]
pub struct Ending(Option<ExitStatus>);

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(status) => write!(f, "died ({status})"),
            None => f.write_str("died"),
        }
    }
}

fn forget(node: &NodeSpec) -> anyhow::Result<()> {
    let path = node.pid_file();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn pid_of(id: u32) -> anyhow::Result<Pid> {
    i32::try_from(id).map(Pid::from_raw).context("the system gave a process number that is none")
}

/// Whether this process runs and is this node.
fn is_node(pid: Pid, node: &NodeSpec) -> bool {
    command_line(pid).is_some_and(|line| line.contains(&*node.database().to_string_lossy()))
}

/// The command line of a running process; none of one that has ended, zombies included.
fn command_line(pid: Pid) -> Option<String> {
    if let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    if Path::new("/proc/self/cmdline").exists() {
        return None;
    }
    let listed =
        std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    listed
        .ok()
        .filter(|out| out.status.success())
        .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The last lines written after `start`.
fn read_tail(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests;
