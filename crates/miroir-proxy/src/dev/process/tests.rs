use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use miroir_core::ids::{GroupId, NodeId};

use super::super::engine::EngineKind;
use super::*;

/// A node that is a shell script.
fn scripted(dir: &Path, script: &str) -> (NodeSpec, Engine) {
    let program = dir.join("engine");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let node = NodeSpec { id: NodeId::new("node-1"), group: GroupId(0), port: 1, dir: PathBuf::from(dir) };
    (node, Engine { kind: EngineKind::Embedded, program })
}

#[tokio::test]
async fn a_node_that_dies_at_its_start_is_reported_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (node, engine) = scripted(dir.path(), "echo the disk is full; exit 3");
    fs::write(node.log(), "words of an earlier start\n").unwrap();
    let mut process = NodeProcess::spawn(&node, &engine, "key").unwrap();
    let error = process.wait_healthy(&node, &reqwest::Client::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("node-1 died (exit status: 3) at its start"), "{error}");
    assert!(error.ends_with("node.log:\nthe disk is full"), "{error}");
}

/// A process has its command line only a moment after it was started.
async fn find_soon(node: &NodeSpec) -> NodeProcess {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = NodeProcess::find(node) {
            return found;
        }
        assert!(Instant::now() < deadline, "the process is not found");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_running_node_is_found_again_by_its_pid_file_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (node, engine) = scripted(dir.path(), "while :; do sleep 0.05; done");
    let mut started = NodeProcess::spawn(&node, &engine, "key").unwrap();
    let found = find_soon(&node).await;
    assert_eq!(found.pid(), started.pid());
    found.stop(&node).await.unwrap();
    // What has no command line any more may still be on its way out.
    let ended = loop {
        if let Some(ended) = started.ended(&node) {
            break ended;
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(ended.to_string(), "died (signal: 15 (SIGTERM))");
    assert!(!node.pid_file().exists());
    assert!(NodeProcess::find(&node).is_none());
}

#[tokio::test]
async fn a_process_that_got_the_number_of_a_dead_node_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = scripted(dir.path(), "true");
    fs::write(node.pid_file(), std::process::id().to_string()).unwrap();
    assert!(NodeProcess::find(&node).is_none());
}
