//! `check --online`: looks at the store and asks the nodes, without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use miroir_core::identity::{Belonging, Mark, judge_mark, judge_traces};
use miroir_core::ids::{ClusterId, NodeId, PhysicalUid};
use miroir_store::{SqliteStore, StoreIdentity};
use nix::sys::statvfs::statvfs;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use uuid::Uuid;

use crate::cluster::{
    Keys, Unusable, ask_keys, ask_shown_mark, ask_traces, ask_version, expect_meilisearch, versions_agree,
};
use crate::config::{Config, NodeConfig, TaskStoreConfig};
use crate::node_api::{Node, Question, TaskQuery, Unanswered, questions};
use crate::outward::client_builder;

/// How long a node may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Clocks that differ by more make times in tasks look wrong.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// With less room than this the store is as good as full.
const LITTLE_ROOM: u64 = 1 << 30;

/// What was found out about the store or a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// What it is like.
    pub facts: Vec<String>,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, if self.problems.is_empty() { "ok" } else { "not ok" })?;
        for fact in &self.facts {
            write!(f, ", {fact}")?;
        }
        for problem in &self.problems {
            write!(f, "\n  problem: {problem}")?;
        }
        Ok(())
    }
}

/// What a node says.
struct Answers {
    version: Option<String>,
    /// What only this server has.
    fingerprint: BTreeSet<String>,
    finding: Finding,
}

/// Whose nodes they should be.
struct Expected {
    cluster: ClusterId,
    store: Option<StoreIdentity>,
}

/// Looks at everything that the configuration names.
pub async fn look_online(config: &Config) -> Vec<Finding> {
    let TaskStoreConfig::Sqlite { path } = &config.task_store;
    let (store, finding) = look_at_store(path);
    // A cluster that is to be made has no nodes yet.
    let cluster = store.as_ref().and_then(|store| store.cluster).unwrap_or(ClusterId(Uuid::nil()));
    let expected = Expected { cluster, store };
    let answers = config.nodes.iter().map(|node| ask(node, config, &expected));
    let mut answers: BTreeMap<NodeId, Answers> =
        config.nodes.iter().map(|node| node.id.clone()).zip(join_all(answers).await).collect();
    compare(&mut answers);
    let nodes = config.nodes.iter().filter_map(|node| answers.remove(&node.id));
    std::iter::once(finding).chain(nodes.map(|answers| answers.finding)).collect()
}

fn look_at_store(path: &Path) -> (Option<StoreIdentity>, Finding) {
    let mut finding =
        Finding { subject: format!("store {}", path.display()), facts: Vec::new(), problems: Vec::new() };
    let store = match SqliteStore::peek(path) {
        Ok(store) => store,
        Err(error) => {
            finding.problems.push(error.to_string());
            None
        }
    };
    match &store {
        Some(StoreIdentity { cluster: Some(cluster), indexes, .. }) => {
            finding.facts.push(format!("cluster {cluster}, {} index(es)", indexes.len()));
        }
        Some(_) => finding.facts.push("of a Miroir without cluster identities".to_owned()),
        None if finding.problems.is_empty() => {
            finding.facts.push("not there yet: the first start makes a new cluster".to_owned());
        }
        None => {}
    }
    if let Some(free) = free_bytes(path) {
        finding.facts.push(format!("{} MB free", free >> 20));
        if free < LITTLE_ROOM {
            let problem =
                format!("there are only {} MB free: writes are refused when the disk is full", free >> 20);
            finding.problems.push(problem);
        }
    }
    (store, finding)
}

/// What the disk has for the file, be it there or not.
fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    let disk = statvfs(there.into_iter().find(|it| it.exists())?).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

async fn ask(node: &NodeConfig, config: &Config, expected: &Expected) -> Answers {
    let subject = format!("node `{}` at {}", node.id, node.address);
    let mut answers = Answers {
        version: None,
        fingerprint: BTreeSet::new(),
        finding: Finding { subject, facts: Vec::new(), problems: Vec::new() },
    };
    let key = config.node_master_key.as_ref().map(crate::config::Secret::expose);
    let asked = match Node::new(node.id.clone(), node.address.as_str(), key) {
        Ok(connection) => {
            ask_all(&connection, expected, &mut answers).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(problem) = asked {
        answers.finding.problems.push(problem);
    }
    answers
}

async fn ask_all(node: &Node, expected: &Expected, answers: &mut Answers) -> Result<(), Unusable> {
    expect_meilisearch(node, TIMEOUT).await?;
    let Finding { facts, problems, .. } = &mut answers.finding;
    if let Some(problem) = compare_clocks(node).await {
        problems.push(problem);
    }
    answers.version = ask_version(node, TIMEOUT).await?;
    facts.extend(answers.version.as_ref().map(|version| format!("version {version}")));
    answers.fingerprint = ask_fingerprint(node).await?;
    let keys = ask_keys(node, TIMEOUT).await?;
    if matches!(keys, Keys::Hidden) {
        facts.push("without a key of Miroir's own".to_owned());
    }
    let own = Mark { cluster: expected.cluster, node: node.id().clone() };
    let traces = ask_traces(node, TIMEOUT).await?;
    let known = expected.store.as_ref().map(|store| store.indexes.clone()).unwrap_or_default();
    let belonging = match ask_shown_mark(node, &keys, TIMEOUT).await? {
        Some(shown) => judge_mark(&own, &shown),
        None => {
            judge_traces(&traces, expected.store.as_ref().map_or("", |store| store.log_id.as_str()), &known)
        }
    };
    match belonging {
        Belonging::Own => {
            facts.push("this cluster's".to_owned());
            problems.extend(unknown_indexes(&traces.indexes, &known));
        }
        Belonging::Unclaimed => facts.push("not marked yet".to_owned()),
        Belonging::Foreign(stranger) => {
            return Err(Unusable::Foreign { node: own.node, stranger });
        }
    }
    Ok(())
}

fn unknown_indexes(there: &BTreeSet<PhysicalUid>, known: &BTreeSet<PhysicalUid>) -> Option<String> {
    let unknown: Vec<_> = there.difference(known).map(|index| format!("`{index}`")).collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        format!("it has indexes that Miroir does not know, or does not know yet, and does not show: {names}")
    })
}

/// What tells servers from each other: keys that each makes itself at its first start, or the last task of its queue.
async fn ask_fingerprint(node: &Node) -> Result<BTreeSet<String>, Unusable> {
    let texts = |items: Vec<Value>, fields: [&str; 2]| -> BTreeSet<String> {
        let text = |item: &Value| fields.map(|field| item[field].to_string()).concat();
        items.iter().map(text).collect()
    };
    let keys = texts(listed(node, questions::keys()).await?, ["uid", "createdAt"]);
    if !keys.is_empty() {
        return Ok(keys);
    }
    let newest = listed(node, questions::tasks(TaskQuery::newest(1))).await?;
    Ok(texts(newest, ["uid", "enqueuedAt"]))
}

/// What the node lists; nothing if it does not want to.
async fn listed(node: &Node, question: Question<Vec<Value>>) -> Result<Vec<Value>, Unusable> {
    match node.ask_as_master(question, TIMEOUT).await {
        Err(Unanswered::Node(error)) => Err(error.into()),
        answer => Ok(answer.unwrap_or_default()),
    }
}

/// Says how far the node's clock is from this one, if it is far.
async fn compare_clocks(node: &Node) -> Option<String> {
    let client = client_builder().timeout(TIMEOUT).no_proxy().build().ok()?;
    let reply = client.get(format!("{}/health", node.address())).send().await.ok()?;
    let there = reply.headers().get(reqwest::header::DATE)?.to_str().ok()?.replace("GMT", "+0000");
    let there = OffsetDateTime::parse(&there, &Rfc2822).ok()?;
    let apart = (OffsetDateTime::from(SystemTime::now()) - there).unsigned_abs();
    // The header has whole seconds.
    let is_far = apart > CLOCK_TOLERANCE + Duration::from_secs(1);
    is_far.then(|| format!("its clock is {} s from this machine's", apart.as_secs()))
}

/// What is wrong with nodes together.
fn compare(answers: &mut BTreeMap<NodeId, Answers>) {
    let versions: BTreeSet<String> = answers.values().filter_map(|it| it.version.clone()).collect();
    if !versions_agree(versions.iter().map(String::as_str)) {
        for answers in answers.values_mut() {
            let problem = "the nodes run different versions of Meilisearch; answers may differ".to_owned();
            answers.finding.problems.push(problem);
        }
    }
    let mut first: BTreeMap<BTreeSet<String>, NodeId> = BTreeMap::new();
    for (id, answers) in answers {
        if answers.fingerprint.is_empty() {
            continue;
        }
        match first.get(&answers.fingerprint) {
            Some(other) => answers.finding.problems.push(format!(
                "the server at its address is that of node `{other}`, or has a copy of its data: correct `nodes`"
            )),
            None => {
                first.insert(answers.fingerprint.clone(), id.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(version: &str, fingerprint: &[&str]) -> Answers {
        Answers {
            version: Some(version.to_owned()),
            fingerprint: fingerprint.iter().map(|it| (*it).to_owned()).collect(),
            finding: Finding { subject: "node".to_owned(), facts: Vec::new(), problems: Vec::new() },
        }
    }

    fn problems(nodes: Vec<Answers>) -> Vec<Vec<String>> {
        let ids = (0..).map(|number| NodeId::new(format!("node-{number}")));
        let mut answers: BTreeMap<NodeId, Answers> = ids.zip(nodes).collect();
        compare(&mut answers);
        answers.into_values().map(|answers| answers.finding.problems).collect()
    }

    #[test]
    fn servers_are_told_from_each_other_by_what_only_they_have() {
        let nodes = vec![answers("1.50.0", &["a"]), answers("1.50.1", &["b"]), answers("1.50.0", &["a"])];
        let found = problems(nodes);
        assert_eq!((found[0].len(), found[1].len(), found[2].len()), (0, 0, 1));
        assert!(found[2][0].contains("node `node-0`"), "{found:?}");
        // Two new servers without keys say nothing of themselves.
        assert_eq!(problems(vec![answers("1.50.0", &[]), answers("1.50.0", &[])]).concat().len(), 0);
    }

    #[test]
    fn versions_that_differ_are_told_of_every_node() {
        let found = problems(vec![answers("1.49.0", &["a"]), answers("1.50.0", &["b"])]);
        assert!(found.iter().all(|problems| problems.len() == 1), "{found:?}");
    }

    #[test]
    fn a_finding_is_one_line_and_one_for_each_problem() {
        let mut finding = answers("", &[]).finding;
        finding.facts = vec!["version 1.50.0".to_owned(), "this cluster's".to_owned()];
        assert_eq!(finding.to_string(), "node: ok, version 1.50.0, this cluster's");
        finding.problems = vec!["it burns".to_owned()];
        assert_eq!(finding.to_string(), "node: not ok, version 1.50.0, this cluster's\n  problem: it burns");
    }

    #[test]
    fn the_store_is_looked_at_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/miroir.sqlite");
        let (store, finding) = look_at_store(&path);
        assert_eq!((store, path.exists()), (None, false));
        assert!(
            finding.facts[0].contains("not there yet") && finding.facts[1].contains("MB free"),
            "{finding}"
        );
        let path = folder.path().join("miroir.sqlite");
        drop(SqliteStore::open(&path).unwrap());
        let (store, finding) = look_at_store(&path);
        assert!(store.is_some_and(|store| store.cluster.is_some()), "{finding}");
        assert!(finding.problems.is_empty(), "{finding}");
    }
}
