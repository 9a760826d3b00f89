//! Finding, or building once, the programs a sandbox starts.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeBinary {
    /// A real Meilisearch server.
    Meilisearch(PathBuf),
    /// Miroir's development node.
    Development(PathBuf),
}

/// Whether nodes are real Meilisearch servers (`MIROIR_TEST_MEILISEARCH`), whose texts can be compared word by word.
pub fn nodes_are_real() -> bool {
    env::var_os("MIROIR_TEST_MEILISEARCH").is_some()
}

/// The program for nodes; builds the development node when the environment names none.
pub async fn node_binary() -> Result<NodeBinary> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    if let Some(path) = env::var_os("MIROIR_TEST_MEILISEARCH") {
        return Ok(NodeBinary::Meilisearch(existing(path.into())?));
    }
    if let Some(path) = env::var_os("MIROIR_TEST_DEVNODE") {
        return Ok(NodeBinary::Development(existing(path.into())?));
    }
    let path = BUILT.get_or_try_init(|| build("miroir-devnode", &["--release"])).await?;
    Ok(NodeBinary::Development(path.clone()))
}

/// The program for Miroir itself; builds it, in the profile of this program, when the environment names none.
pub async fn proxy_binary() -> Result<PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    if let Some(path) = env::var_os("MIROIR_TEST_PROXY") {
        return existing(path.into());
    }
    let flags: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    BUILT.get_or_try_init(|| build("miroir-proxy", flags)).await.cloned()
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "there is no program at {}", path.display());
    Ok(path)
}

/// Builds the binary that is named like its package and returns where cargo put it.
async fn build(package: &str, flags: &[&str]) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What cargo says of the package whose test this is. Build scripts take another name for a change, and much would be
    // built again.
    let about_test = env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
    });
    let mut command = Command::new(cargo);
    for name in about_test {
        command.env_remove(name);
    }
    let output = command
        .args(["build", "--package", package, "--bin", package, "--message-format=json-render-diagnostics"])
        .args(flags)
        .current_dir(workspace())
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo build of {package} failed:\n{errors}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo did not say where it put {package}"))
}

/// Where the sources are. Cargo says so to tests that it runs; what it said to the compiler may be about another
/// checkout, with which this one shares its build folder.
fn workspace() -> PathBuf {
    let compiled = || env!("CARGO_MANIFEST_DIR").into();
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(compiled, PathBuf::from);
    package.ancestors().nth(2).unwrap_or(&package).to_owned()
}
