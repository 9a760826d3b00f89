//! One child process: started, watched until healthy, stopped by its process id.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Client;

/// How long a process may take from its start to a healthy answer.
const HEALTH_DEADLINE: Duration = Duration::from_mins(1);
/// Pause between two questions for health.
const HEALTH_POLL: Duration = Duration::from_millis(20);
/// Lines of the log shown when a process does not come up.
const LOG_TAIL: usize = 30;

/// How to start a process, kept so that it can be started again the same way.
#[derive(Debug, Clone)]
pub struct Program {
    /// What messages call it.
    pub name: String,
    /// The executable.
    pub binary: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where its output goes; appended to by later starts.
    pub log: PathBuf,
}

/// A running (or killed) process of a [`Program`]. Dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
}

impl Process {
    /// Starts the program; it may not answer yet.
    pub fn start(program: Program) -> Result<Self> {
        let child = spawn(&program)?;
        Ok(Self { program, child })
    }

    /// Starts it again after [`Process::kill`], with the same arguments.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.child = spawn(&self.program)?;
        Ok(())
    }

    /// SIGKILL, and waits for the end. Killing a dead process is fine.
    pub fn kill(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill().with_context(|| format!("cannot kill {}", self.program.name))?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// SIGSTOP: the process keeps its sockets but does nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT after a pause.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM, and waits for the end of its own accord.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until `GET /health` says yes, the process ends or the deadline passes; the last two are errors.
    pub async fn wait_healthy(&mut self, client: &Client) -> Result<()> {
        let deadline = Instant::now() + HEALTH_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.program.name, self.log_tail());
            }
            // No answer means not yet; the deadline decides when that is a failure.
            if let Ok(reply) = client.get("/health").await
                && reply.status == 200
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not healthy after {HEALTH_DEADLINE:?}:\n{}", self.program.name, self.log_tail());
            }
            tokio::time::sleep(HEALTH_POLL).await;
        }
    }

    /// The most memory that it ever had, in bytes: `VmHWM`, which only Linux tells.
    pub fn peak_memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kibibytes: u64 = line.context("the system does not tell the memory of a process")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// The last lines the process wrote.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.program.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// The lines of its log with this text.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.program.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id fits in 31 bits")?;
        kill(Pid::from_raw(id), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.program.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
    }
}

fn spawn(program: &Program) -> Result<Child> {
    let log = File::options().create(true).append(true).open(&program.log);
    let log = log.with_context(|| format!("cannot write {}", program.log.display()))?;
    Command::new(&program.binary)
        .args(&program.args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.binary.display()))
}
