//! The command line as a user meets it.

use std::path::Path;
use std::process::{Command, Output};

fn miroir(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miroir-proxy"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MIROIR_")) {
        command.env_remove(name);
    }
    command.args(args).envs(variables.iter().copied()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is UTF-8")
}

fn written(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), content).expect("a temporary file");
    file
}

#[test]
fn check_sums_up_a_right_configuration() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/miroir.yaml");
    let done = miroir(&["check", "--config", example.to_str().unwrap()], &[]);
    assert_eq!(text(&done.stderr), "");
    assert_eq!(
        text(&done.stdout),
        "configuration ok: 3 node(s) in 1 replica group(s), 2 copies of each shard per group, 64 shard(s) per index\n"
    );
    assert!(done.status.success());
}

#[test]
fn check_prints_every_problem_with_its_place_and_fails() {
    let file = written("master_key: ''\nshards: 0\nnodes:\n  - id: a\n    address: nowhere\n");
    let path = file.path().to_str().unwrap();
    let done = miroir(&["check", "--config", path], &[("MIROIR_SERVER_PORT", "http")]);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(text(&done.stdout), "");
    let printed = text(&done.stderr);
    for expected in [
        format!("{path}:1: `master_key`"),
        format!("{path}:2: `shards` is `0`"),
        format!("{path}:5: `nodes[0].address` is `nowhere`"),
        "MIROIR_SERVER_PORT: `server.port` is `http`".to_owned(),
    ] {
        assert!(printed.contains(&expected), "{expected} is not in:\n{printed}");
    }
}

#[test]
fn check_names_a_file_that_does_not_exist() {
    let done = miroir(&["check", "--config", "/no/such/miroir.yaml"], &[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("/no/such/miroir.yaml: cannot be read"), "{}", text(&done.stderr));
}

#[test]
fn check_takes_a_configuration_from_variables_alone_and_warns_of_unknown_ones() {
    let variables = [
        ("MIROIR_MASTER_KEY", "a-master-key-of-some-length"),
        ("MIROIR_NODES", "[{id: a, address: 'http://127.0.0.1:1'}]"),
        ("MIROIR_SHARD", "3"),
    ];
    let done = miroir(&["check"], &variables);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("configuration ok: 1 node(s)"), "{}", text(&done.stdout));
    assert_eq!(
        text(&done.stderr),
        "warning: the environment variable MIROIR_SHARD sets no key and is ignored, did you mean `MIROIR_SHARDS`?\n"
    );
}

#[test]
fn dev_refuses_a_shape_that_cannot_be_and_says_what_can() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let data_dir = data_dir.to_str().unwrap();
    let done = miroir(&["dev", "--data-dir", data_dir, "--nodes", "5", "--replica-groups", "2"], &[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("5 can't be dealt evenly over 2 replica groups (try 6)"));
}
