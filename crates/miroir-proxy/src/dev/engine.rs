//! Which program the nodes run: a real Meilisearch when one is named, else the development node, which is found beside
//! this program or built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::report;
use super::state::NodeSpec;

const DEVNODE: &str = "miroir-devnode";

/// What a node's data were written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// A Meilisearch server.
    Meilisearch,
    /// The development node.
    Embedded,
}

/// A program that can be a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// What kind of program it is.
    pub kind: EngineKind,
    /// Where it is.
    pub program: PathBuf,
}

impl Engine {
    /// Finds the program, which may mean to build it. `meilisearch` is the flag's value, `kept` what the data were made
    /// with: the two kinds can't read each other's data.
    pub async fn find(meilisearch: Option<&str>, kept: Option<&Self>) -> anyhow::Result<Self> {
        match (meilisearch, kept.map(|engine| engine.kind)) {
            (Some(_), Some(EngineKind::Embedded)) => bail!(
                "the data directory was made with the built-in node, whose data Meilisearch can't read: leave out \
                 --meilisearch, or give another --data-dir, or delete the directory to start anew"
            ),
            (Some(choice), _) => Self::meilisearch(choice),
            (None, Some(EngineKind::Meilisearch)) => {
                let program = kept.map(|engine| engine.program.to_string_lossy().into_owned());
                Self::meilisearch(&program.unwrap_or_default())
                    .context("the data directory was made with Meilisearch: give --meilisearch PATH")
            }
            (None, _) => Ok(Self { kind: EngineKind::Embedded, program: devnode().await? }),
        }
    }

    fn meilisearch(choice: &str) -> anyhow::Result<Self> {
        let program = if choice == "auto" { on_path("meilisearch") } else { Some(PathBuf::from(choice)) };
        let Some(program) = program else {
            bail!("there is no `meilisearch` on PATH: give its path with --meilisearch")
        };
        let program =
            program.canonicalize().with_context(|| format!("no such program: {}", program.display()))?;
        if !program.is_file() {
            bail!("{} is not a program", program.display());
        }
        Ok(Self { kind: EngineKind::Meilisearch, program })
    }

    /// The command that runs one node, without its standard streams.
    pub fn command(&self, node: &NodeSpec, master_key: &str) -> Command {
        let mut command = Command::new(&self.program);
        match self.kind {
            EngineKind::Meilisearch => {
                command.args(["--no-analytics", "--env", "development"]);
                command.args(["--http-addr", &format!("127.0.0.1:{}", node.port)]);
            }
            EngineKind::Embedded => {
                command.args(["--port", &node.port.to_string()]);
            }
        }
        command.arg("--db-path").arg(node.database()).args(["--master-key", master_key]);
        // Meilisearch writes dumps and snapshots into the working directory, and takes MEILI_… variables as options.
        command.current_dir(&node.dir);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEILI_"))
        {
            command.env_remove(name);
        }
        command
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Under `cargo run` the development node is always built, which takes no time when it is fresh: a stale one would
/// make its user look for bugs that are gone.
async fn devnode() -> anyhow::Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        return build_devnode(PathBuf::from(cargo)).await;
    }
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    let dir = this.parent().unwrap_or(Path::new("."));
    let places = [dir.join(DEVNODE), dir.join("../release").join(DEVNODE)];
    match places.iter().find(|program| program.is_file()) {
        Some(program) => program.canonicalize().with_context(|| format!("cannot open {}", program.display())),
        None => bail!(
            "there is no {DEVNODE} beside {}: build it with `cargo build --release -p {DEVNODE}`, or run Meilisearch \
             with --meilisearch PATH",
            this.display()
        ),
    }
}

async fn build_devnode(cargo: PathBuf) -> anyhow::Result<PathBuf> {
    report::building_devnode();
    let mut command = tokio::process::Command::new(&cargo);
    command.args(["build", "--release", "-p", DEVNODE, "--message-format=json-render-diagnostics"]);
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(package);
    }
    for name in std::env::vars_os().map(|(name, _)| name).filter(|name| is_about_a_package(name)) {
        command.env_remove(name);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let child = child.with_context(|| format!("cannot run {}", cargo.display()))?;
    let built = child.wait_with_output().await.context("cannot wait for cargo")?;
    if !built.status.success() {
        bail!("cannot build {DEVNODE} (cargo {}): its messages are above", built.status);
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    messages.lines().find_map(executable).with_context(|| format!("cargo built no {DEVNODE}"))
}

/// What `cargo run` says of the package that it runs. Build scripts take another package's name for a change, and much
/// would be built again.
fn is_about_a_package(variable: &OsStr) -> bool {
    let name = variable.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

/// The program that a line of cargo's output names, if it is ours.
fn executable(line: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let artifact: Artifact = serde_json::from_str(line).ok()?;
    artifact.executable.filter(|_| artifact.target.name == DEVNODE)
}

#[cfg(test)]
mod tests {
    use miroir_core::ids::{GroupId, NodeId};

    use super::*;

    fn arguments(kind: EngineKind) -> String {
        let node =
            NodeSpec { id: NodeId::new("node-1"), group: GroupId(0), port: 4000, dir: "/d/node-1".into() };
        let command = Engine { kind, program: "/bin/engine".into() }.command(&node, "key");
        command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_engine_gets_its_own_arguments() {
        assert_eq!(
            arguments(EngineKind::Meilisearch),
            "--no-analytics --env development --http-addr 127.0.0.1:4000 --db-path /d/node-1/data --master-key key"
        );
        assert_eq!(arguments(EngineKind::Embedded), "--port 4000 --db-path /d/node-1/data --master-key key");
    }

    #[test]
    fn the_built_program_is_read_from_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"miroir-devnode"},"executable":"/t/miroir-devnode"}"#;
        assert_eq!(executable(line), Some("/t/miroir-devnode".into()));
        assert_eq!(executable(r#"{"target":{"name":"serde"},"executable":null}"#), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[tokio::test]
    async fn data_of_the_built_in_node_are_not_given_to_meilisearch() {
        let kept = Engine { kind: EngineKind::Embedded, program: "/bin/true".into() };
        let error = Engine::find(Some("/bin/true"), Some(&kept)).await.unwrap_err();
        assert!(error.to_string().contains("leave out --meilisearch"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_named() {
        let error = Engine::find(Some("/no/such/program"), None).await.unwrap_err();
        assert_eq!(error.to_string(), "no such program: /no/such/program");
    }
}
