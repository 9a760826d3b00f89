//! What a development cluster says on the terminal.

#![expect(clippy::print_stdout, reason = "these lines are the product of the command")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;

use super::cluster::Member;
use super::process::Ending;
use super::state::NodeSpec;

/// Where Miroir is and how to be let in.
#[derive(Debug)]
pub struct Access<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// The master key.
    pub master_key: &'a str,
}

/// What the example requests search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examples {
    /// The demo's cities.
    Cities,
    /// Nothing yet: they begin with a document.
    FirstSteps,
}

/// Says that cargo is at work.
pub fn building_devnode() {
    println!(
        "Building the development node (some minutes the first time, nothing when it is up to date) ..."
    );
}

/// Says that fewer copies are kept than usual.
pub fn lowered_replication_factor(factor: u32) {
    println!("Each replica group has {factor} node(s), so {factor} copy of each shard is kept instead of 2.");
}

/// Says that an earlier start left a node behind.
pub fn stopping_orphan(node: &NodeSpec, pid: Pid) {
    println!("{} still runs from an earlier start (pid {pid}): stopping it.", node.id);
}

/// Says that the nodes are on their way.
pub fn starting_nodes(count: usize, program: &Path) {
    println!("Starting {count} node(s) of {} ...", program.display());
}

/// Says that a node is gone.
pub fn node_died(node: &NodeSpec, pid: Pid, ending: &Ending, restart: &str) {
    println!("{} (pid {pid}) {ending}. Start it again with: {restart}", node.id);
}

/// Says that someone started a node again.
pub fn node_is_back(node: &NodeSpec, pid: Pid) {
    println!("{} is back (pid {pid}).", node.id);
}

/// Says that a node was started by `--restart`.
pub fn node_restarted(node: &NodeSpec, pid: Pid) {
    println!("{} runs (pid {pid}, port {}), log {}", node.id, node.port, node.log().display());
}

/// Says that a node need not be started.
pub fn node_runs_already(node: &NodeSpec, pid: Pid) {
    println!("{} runs already (pid {pid}).", node.id);
}

/// Says that the end is near.
pub fn stopping() {
    println!("\nStopping Miroir and its nodes ...");
}

/// Says that Miroir is left behind.
pub fn server_does_not_end(waited: Duration) {
    println!("Miroir still has requests in work after {} seconds: leaving them.", waited.as_secs());
}

/// Says how to use a cluster that is up.
pub fn ready(access: &Access<'_>, members: &[Member], examples: Examples) {
    println!("\nMiroir listens on http://{}\nMaster key: {}\n", access.address, access.master_key);
    println!("{:<10} {:>8} {:>6} {:>6}  log", "node", "pid", "port", "group");
    for Member { node, process } in members {
        let pid = process.as_ref().map_or_else(|| "-".to_owned(), |process| process.pid().to_string());
        let log = node.log();
        println!("{:<10} {pid:>8} {:>6} {:>6}  {}", node.id.as_str(), node.port, node.group.0, log.display());
    }
    if let Some(process) = members.last().and_then(|member| member.process.as_ref()) {
        println!("\nKill a node and search on: kill -9 {}", process.pid());
    }
    println!("\nTry it:");
    for (what, command) in requests(access, examples) {
        println!("# {what}\n{command}");
    }
    println!("\nCtrl-C stops everything; the data stay.");
}

/// Three requests that can be pasted into a shell.
fn requests(access: &Access<'_>, examples: Examples) -> Vec<(&'static str, String)> {
    let curl = |path: &str, body: Option<&str>| {
        let url = quoted(&format!("http://{}{path}", access.address));
        let key = quoted(&format!("Authorization: Bearer {}", access.master_key));
        let json = quoted("Content-Type: application/json");
        match body {
            Some(body) => format!("curl -s {url} -H {key} -H {json} -d {}", quoted(body)),
            None => format!("curl -s {url} -H {key}"),
        }
    };
    match examples {
        Examples::Cities => {
            let search = |body| curl("/indexes/cities/search", Some(body));
            vec![
                (
                    "a typo: Amsterdam is found",
                    search(
                        r#"{"q":"amstredam","limit":3,"attributesToRetrieve":["name","country","population"]}"#,
                    ),
                ),
                (
                    "a filter, and a facet: the large cities called San something, counted by country",
                    search(
                        r#"{"q":"san","filter":"population > 500000","facets":["country"],"limit":3,"attributesToRetrieve":["name","country","population"]}"#,
                    ),
                ),
                (
                    "the cities nearest to the Eiffel Tower",
                    search(
                        r#"{"sort":["_geoPoint(48.8584,2.2945):asc"],"limit":5,"attributesToRetrieve":["name","country","_geo"]}"#,
                    ),
                ),
            ]
        }
        Examples::FirstSteps => vec![
            (
                "add two documents",
                curl(
                    "/indexes/movies/documents",
                    Some(r#"[{"id":1,"title":"Carol"},{"id":2,"title":"Mad Max"}]"#),
                ),
            ),
            ("search them, with a typo", curl("/indexes/movies/search", Some(r#"{"q":"carlo"}"#))),
            ("see the tasks", curl("/tasks", None)),
        ],
    }
}

/// One word of a POSIX shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What a shell makes of a command line, one argument each.
    fn arguments(command: &str) -> Vec<String> {
        let script = format!("curl() {{ for a in \"$@\"; do printf '%s\\n' \"$a\"; done; }}; {command}");
        let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(shell.status.success());
        String::from_utf8(shell.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_example_requests_survive_the_shell_whatever_the_key_is() {
        let access = Access { address: "127.0.0.1:7700".parse().unwrap(), master_key: "it's $HOME`x`\"\\" };
        for examples in [Examples::Cities, Examples::FirstSteps] {
            let requests = requests(&access, examples);
            assert_eq!(requests.len(), 3);
            for (_, command) in requests {
                let arguments = arguments(&command);
                assert_eq!(arguments[0], "-s");
                assert!(arguments[1].starts_with("http://127.0.0.1:7700/"), "{arguments:?}");
                assert!(arguments.contains(&format!("Authorization: Bearer {}", access.master_key)));
                if let Some(body) = arguments.iter().position(|word| word == "-d") {
                    let body: Result<serde_json::Value, _> = serde_json::from_str(&arguments[body + 1]);
                    assert!(body.is_ok(), "{arguments:?}");
                }
            }
        }
    }
}
