//! The index of the tests about settings: sixty films, whose stop words are changed, and what the operator sees of that.
//! Nodes show stop words as they were set, so one word tells which change a node has.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::sandbox::{Cluster, Topology};

/// Where the settings of the films are.
pub const SETTINGS: &str = "/indexes/films/settings";

/// How long to wait for what has to come.
const DEADLINE: Duration = Duration::from_mins(1);

/// One film.
pub fn film(number: usize) -> Value {
    json!({"id": number, "title": format!("Film number{number}"), "year": 1950 + number % 50})
}

/// Waits for the task that `reply` announces, which has to succeed.
pub async fn succeed(client: &Client, reply: Reply) -> Result<Value> {
    let task = client.wait_reply(reply).await?;
    ensure!(task["status"] == "succeeded", "{task}");
    Ok(task)
}

/// Puts sixty films into an index.
pub async fn add_films(client: &Client, index: &str) -> Result<()> {
    let films: Vec<Value> = (0..60).map(film).collect();
    let reply = client.post(&format!("/indexes/{index}/documents"), &json!(films)).await?;
    succeed(client, reply).await.map(drop)
}

/// Three nodes with two copies behind relays, with films and a first version of their settings: the word `first`.
pub async fn relayed_films(overrides: Value) -> Result<Cluster> {
    let cluster = Cluster::start_relayed(Topology::one_group(3, 2), overrides).await?;
    add_films(cluster.client(), "films").await?;
    changed(cluster.client(), "films", "first").await?;
    Ok(cluster)
}

/// Sends a change of the stop words, which is accepted.
pub async fn change(client: &Client, index: &str, word: &str) -> Result<Reply> {
    let reply = client.put(&format!("/indexes/{index}/settings/stop-words"), &json!([word])).await?;
    ensure!(reply.status == 202, "{}", reply.text);
    Ok(reply)
}

/// Changes the stop words.
pub async fn changed(client: &Client, index: &str, word: &str) -> Result<Value> {
    let reply = change(client, index, word).await?;
    succeed(client, reply).await
}

/// What the operator sees of an index's settings.
pub async fn broadcasts(client: &Client, index: &str) -> Result<Value> {
    client.get(&format!("/_miroir/indexes/{index}/settings/broadcast")).await?.success()
}

/// Waits until what the operator sees of an index's settings is as wanted.
pub async fn wait_for(cluster: &Cluster, index: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_until(cluster, &format!("/_miroir/indexes/{index}/settings/broadcast"), wanted).await
}

/// Waits until what the operator sees of the nodes is as wanted.
pub async fn wait_for_topology(cluster: &Cluster, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_until(cluster, "/_miroir/topology", wanted).await
}

async fn wait_until(cluster: &Cluster, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = cluster.client().get(path).await?.success()?;
        if wanted(&seen) {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            bail!("still {seen}\n{}", cluster.proxy_log());
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// All three nodes at one version.
pub fn all_at(version: u64) -> Value {
    json!({"node-0": version, "node-1": version, "node-2": version})
}

/// Waits until all nodes have this version of the films' settings, which is this stop word.
pub async fn everywhere(cluster: &Cluster, word: &str, version: u64) -> Result<()> {
    wait_for(cluster, "films", |seen| seen["node_versions"] == all_at(version)).await?;
    for node in cluster.nodes() {
        let words = node.client().get(&format!("{SETTINGS}/stop-words")).await?.success()?;
        ensure!(words == json!([word]), "{words} on {}, not {word}", node.target().url);
    }
    Ok(())
}

/// How many changes to this stop word a node was ever sent.
pub async fn times_sent(cluster: &Cluster, node: usize, word: &str) -> Result<usize> {
    let node = cluster.nodes().get(node).context("there is no such node")?.client();
    let tasks = node.get("/tasks?types=settingsUpdate&limit=1000").await?.success()?;
    let results = tasks["results"].as_array().context("a page of tasks has results")?;
    Ok(results.iter().filter(|task| task["details"]["stopWords"] == json!([word])).count())
}

/// The value of a metric; none if it is not shown.
pub async fn metric(cluster: &Cluster, name: &str) -> Result<Option<u64>> {
    let page = cluster.metrics().get("/metrics").await?.text;
    Ok(page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end_matches(".0").parse().ok()))
}
