//! Compares what Miroir lists, and what each node holds, with what must be there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::model::{Documents, Model};
use crate::client::Client;
use crate::sandbox::Cluster;

/// More documents than any index of this test has.
const EVERYTHING: usize = 100_000;
const MARKER: &str = "_miroir_shard_";

/// The documents of one index on one node: shard -> id -> content.
type ByShard = BTreeMap<String, Documents>;

/// Everything that is not as it must be.
pub(super) async fn differences(cluster: &Cluster, model: &Model) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (index, expected) in model {
        let listed = list(cluster.client(), index, &Value::Null).await?;
        let (listed, _) = split(listed);
        compare("Miroir", index, expected, &listed, &mut problems);
        let mut held = Vec::new();
        for node in cluster.nodes() {
            held.push(shards_of(node.client(), index, cluster.topology().shards, &mut problems).await?);
        }
        check_copies(cluster, index, expected, &held, &mut problems);
    }
    Ok(problems)
}

async fn list(client: &Client, index: &str, filter: &Value) -> Result<Vec<Map<String, Value>>> {
    let body = json!({"limit": EVERYTHING, "filter": filter});
    let reply = client.post(&format!("/indexes/{index}/documents/fetch"), &body).await?;
    if reply.error_code() == Some("index_not_found") {
        return Ok(Vec::new());
    }
    let page = reply.success().with_context(|| format!("cannot list the documents of `{index}`"))?;
    let results = page["results"].as_array().context("a list of documents without results")?;
    Ok(results.iter().filter_map(Value::as_object).cloned().collect())
}

/// The documents by id without their markers, and the markers of each.
fn split(list: Vec<Map<String, Value>>) -> (Documents, BTreeMap<u64, Vec<String>>) {
    let mut documents = Documents::new();
    let mut markers = BTreeMap::new();
    for mut document in list {
        let id = document.get("id").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let (marks, fields) =
            document.into_iter().partition::<Vec<_>, _>(|(name, _)| name.starts_with(MARKER));
        document = fields.into_iter().collect();
        documents.insert(id, document);
        markers.insert(id, marks.into_iter().map(|(name, _)| name).collect());
    }
    (documents, markers)
}

/// What a node holds, asked shard by shard as a search would, and compared with all that it holds.
async fn shards_of(client: &Client, index: &str, shards: u32, problems: &mut Vec<String>) -> Result<ByShard> {
    let (all, markers) = split(list(client, index, &Value::Null).await?);
    let mut by_shard = ByShard::new();
    for (id, marks) in &markers {
        match marks.as_slice() {
            [mark] => {
                by_shard.entry(mark.clone()).or_default().insert(*id, all[id].clone());
            }
            _ => problems.push(format!("{index}/{id} on {} has the markers {marks:?}", client.target().url)),
        }
    }
    if all.is_empty() {
        return Ok(by_shard);
    }
    for shard in 0..shards {
        let name = format!("{MARKER}{shard:03}");
        let (found, _) = split(list(client, index, &json!(format!("{name} EXISTS"))).await?);
        if found != by_shard.get(&name).cloned().unwrap_or_default() {
            problems.push(format!("{}: `{name} EXISTS` finds other documents", client.target().url));
        }
    }
    Ok(by_shard)
}

/// Each document must be on RF nodes of each group, the same ones for the whole shard, with the right content.
fn check_copies(
    cluster: &Cluster,
    index: &str,
    expected: &Documents,
    held: &[ByShard],
    problems: &mut Vec<String>,
) {
    let topology = cluster.topology();
    let mut holders: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut found = Documents::new();
    for (node, shards) in held.iter().enumerate() {
        for (shard, documents) in shards.iter().filter(|(_, documents)| !documents.is_empty()) {
            holders.entry(shard).or_default().insert(node);
            found.extend(documents.clone());
        }
    }
    compare("the nodes together", index, expected, &found, problems);
    let copies = (topology.replication_factor * topology.groups) as usize;
    for (shard, nodes) in holders {
        if nodes.len() != copies {
            problems.push(format!("{index}: {shard} is on the nodes {nodes:?} instead of {copies}"));
        }
        let wanted: Documents = expected
            .iter()
            .filter(|(id, _)| held.iter().any(|node| node.get(shard).is_some_and(|it| it.contains_key(id))))
            .map(|(id, document)| (*id, document.clone()))
            .collect();
        for node in nodes {
            compare(&format!("node-{node} {shard}"), index, &wanted, &held[node][shard], problems);
        }
    }
}

fn compare(who: &str, index: &str, expected: &Documents, actual: &Documents, problems: &mut Vec<String>) {
    let ids: BTreeSet<&u64> = expected.keys().chain(actual.keys()).collect();
    for id in ids {
        let (right, there) = (expected.get(id), actual.get(id));
        if right != there {
            let print = |document: Option<&Map<String, Value>>| {
                document.map_or_else(|| "nothing".to_owned(), |document| json!(document).to_string())
            };
            problems.push(format!(
                "{who}: {index}/{id} is\n    {}\n  not\n    {}",
                print(there),
                print(right)
            ));
        }
    }
}
