//! Many indexes, and a node that lost everything: the same documents and indexes go to one server alone and to Miroir over
//! several, each is timed, and then one node of the cluster is emptied and timed until it is healthy again. Meanwhile one
//! client writes to an index of its own and another one to the large index, document by document.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::client::Client;
use crate::ingest::documents::Source;
use crate::sandbox::{Cluster, Node, Topology};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_mins(30);

/// Between looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Documents of a request.
const BATCH: usize = 2_000;

/// How often statistics are asked for.
const QUESTIONS: usize = 5;

const INDEX: &str = "large";

/// The index of the one who has nothing to do with the large one.
const APART: &str = "apart";

/// Between looks at a task that was just begun.
const TASK_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct ScaleOptions {
    /// Decides about the documents.
    pub seed: u64,
    /// Documents, of about a kilobyte, in one index.
    pub documents: usize,
    /// Indexes besides, without documents.
    pub indexes: usize,
    /// Requests at a time.
    pub clients: usize,
    /// The shape of the cluster.
    pub topology: Topology,
}

/// How long one server, or Miroir, took.
#[derive(Debug, Clone, Copy)]
struct Times {
    documents: Duration,
    indexes: Duration,
    /// The middle one of several questions for `/stats`.
    stats: Duration,
}

/// Writes of one client, one after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Writes {
    count: u64,
    /// Until the task of one had succeeded.
    slowest: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct ScaleReport {
    options: ScaleOptions,
    alone: Times,
    through: Times,
    rebuilt: Duration,
    /// While the node was rebuilt: to an index by itself, and to the large one.
    apart: Writes,
    large: Writes,
}

impl ScaleReport {
    /// How long Miroir takes to create indexes, as a multiple of one server's time.
    pub fn creation(&self) -> f64 {
        self.through.indexes.as_secs_f64() / self.alone.indexes.as_secs_f64()
    }

    /// The slowest write to an index by itself while the node was rebuilt, in milliseconds.
    pub fn slowest_write_apart(&self) -> f64 {
        self.apart.slowest.as_secs_f64() * 1000.0
    }

    /// How long a node takes to be rebuilt, as a multiple of one server's time to take in and create what it holds.
    pub fn rebuild(&self) -> f64 {
        self.rebuilt.as_secs_f64() / (self.alone.documents + self.alone.indexes).as_secs_f64()
    }
}

impl fmt::Display for ScaleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScaleOptions { documents, indexes, clients, topology, .. } = self.options;
        writeln!(f, "{documents} documents, {indexes} indexes, {clients} requests at a time, {topology}")?;
        writeln!(f, "{:>10} {:>11} {:>11} {:>11}", "", "documents", "indexes", "/stats")?;
        for (name, times) in [("one server", self.alone), ("Miroir", self.through)] {
            let [documents, indexes, stats] =
                [times.documents, times.indexes, times.stats].map(|time| time.as_secs_f64());
            writeln!(f, "{name:>10} {documents:>9.2} s {indexes:>9.2} s {stats:>9.3} s")?;
        }
        writeln!(f, "indexes are created in {:.2} times one server's time", self.creation())?;
        let seconds = self.rebuilt.as_secs_f64();
        writeln!(f, "an emptied node is back after {seconds:.1} s, {:.2} times that", self.rebuild())?;
        for (name, writes) in [("an index by itself", self.apart), ("the large index", self.large)] {
            let Writes { count, slowest } = writes;
            writeln!(f, "meanwhile {count} writes to {name}, the slowest in {} ms", slowest.as_millis())?;
        }
        Ok(())
    }
}

/// Runs it on servers of its own.
///
/// # Errors
/// When a server can't be started, does not do what it is asked, or the emptied node does not come back as it was.
pub async fn scale(options: ScaleOptions) -> Result<ScaleReport> {
    let alone = {
        let node = Node::start("alone").await?;
        fill(node.client(), options).await?
    };
    // As it is by default, and not as tests want it.
    let health = json!({"interval_ms": 1000, "timeout_ms": 1000});
    let mut cluster = Cluster::start_with(options.topology, json!({"health": health})).await?;
    let through = fill(cluster.client(), options).await;
    let through = through.with_context(|| format!("Miroir's log:\n{}", cluster.proxy_log()))?;
    for index in [APART, INDEX] {
        write_one(cluster.client(), index).await?;
    }
    let before = held(cluster.nodes()[0].client()).await?;
    let began = Instant::now();
    cluster.restart_node_emptied(0).await?;
    let rebuilding = async {
        wait_until_rebuilt(&cluster, &before).await?;
        Ok(began.elapsed())
    };
    let (mut apart, mut large) = (Writes::default(), Writes::default());
    let rebuilt = tokio::select! {
        rebuilt = rebuilding => rebuilt,
        failed = keep_writing(cluster.client(), APART, &mut apart) => Err(failed),
        failed = keep_writing(cluster.client(), INDEX, &mut large) => Err(failed),
    };
    let rebuilt = rebuilt.with_context(|| format!("Miroir's log:\n{}", cluster.proxy_log()))?;
    Ok(ScaleReport { options, alone, through, rebuilt, apart, large })
}

/// Writes to an index until that fails. What is under way counts from the moment when it was sent.
async fn keep_writing(client: &Client, index: &str, writes: &mut Writes) -> anyhow::Error {
    loop {
        let began = Instant::now();
        let mut writing = std::pin::pin!(write_one(client, index));
        loop {
            let done = tokio::time::timeout(TASK_POLL_INTERVAL, &mut writing).await;
            writes.slowest = writes.slowest.max(began.elapsed());
            match done {
                Ok(Ok(())) => break,
                Ok(Err(error)) => return error,
                Err(_) => {}
            }
        }
        writes.count += 1;
    }
}

/// Writes the same document each time, so that an index holds what it held. Returns when the task has succeeded.
async fn write_one(client: &Client, index: &str) -> Result<()> {
    let path = format!("/indexes/{index}/documents?primaryKey=id");
    let sent = client.post(&path, &json!([{ "id": "written-meanwhile" }])).await?.success()?;
    let task = sent["taskUid"].as_u64().context("no task")?;
    loop {
        let task = client.get(&format!("/tasks/{task}")).await?.success()?;
        match task["status"].as_str() {
            Some("succeeded") => return Ok(()),
            Some("enqueued" | "processing") => tokio::time::sleep(TASK_POLL_INTERVAL).await,
            _ => anyhow::bail!("a write did not succeed: {task}"),
        }
    }
}

async fn fill(client: &Client, options: ScaleOptions) -> Result<Times> {
    let mut source = Source::of_kilobytes(options.seed);
    let full = options.documents / BATCH;
    let rest = options.documents % BATCH;
    let sizes = std::iter::repeat_n(BATCH, full).chain((rest > 0).then_some(rest));
    let batches: Vec<Value> =
        sizes.map(|size| Ok(serde_json::from_slice(&source.batch(size))?)).collect::<Result<_>>()?;
    let path = format!("/indexes/{INDEX}/documents?primaryKey=id");
    let documents =
        timed(client, batches.into_iter().map(|batch| (path.clone(), batch)), options.clients).await?;
    // Every other one has a primary key, as clients that create indexes often give one.
    let bodies = (0..options.indexes).map(|number| {
        let primary_key = (number % 2 == 1).then_some("id");
        json!({ "uid": format!("index-{number:05}"), "primaryKey": primary_key })
    });
    let indexes = timed(client, bodies.map(|body| ("/indexes".to_owned(), body)), options.clients).await?;
    let mut stats = Vec::new();
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        let told = client.get("/stats").await?.success()?;
        stats.push(began.elapsed());
        let told = told["indexes"].as_object().map_or(0, serde_json::Map::len);
        ensure!(told == options.indexes + 1, "{told} indexes have statistics");
    }
    stats.sort_unstable();
    Ok(Times { documents, indexes, stats: stats[QUESTIONS / 2] })
}

/// How long it takes until all of these are sent and their tasks have ended.
async fn timed(
    client: &Client,
    requests: impl Iterator<Item = (String, Value)>,
    at_a_time: usize,
) -> Result<Duration> {
    let began = Instant::now();
    let sent = stream::iter(requests).map(async |(path, body)| {
        client.post(&path, &body).await?.success()?;
        Ok::<_, anyhow::Error>(())
    });
    sent.buffer_unordered(at_a_time).try_collect::<()>().await?;
    loop {
        let open = client.get("/tasks?statuses=enqueued,processing&limit=1").await?.success()?;
        if open["results"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "tasks do not end: {open}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let took = began.elapsed();
    let failed = client.get("/tasks?statuses=failed,canceled&limit=1").await?.success()?;
    ensure!(failed["results"].as_array().is_some_and(Vec::is_empty), "{failed}");
    Ok(took)
}

/// How many documents a node has of each index, shard by shard.
async fn held(node: &Client) -> Result<Value> {
    let mut stats = node.get("/stats").await?.success()?;
    let indexes = stats["indexes"].as_object_mut().context("statistics without indexes")?;
    Ok(indexes.iter().map(|(uid, stats)| (uid.clone(), stats["fieldDistribution"].clone())).collect())
}

async fn wait_until_rebuilt(cluster: &Cluster, before: &Value) -> Result<()> {
    let began = Instant::now();
    let mut was_damaged = false;
    loop {
        let topology = cluster.client().get("/_miroir/topology").await?.success()?;
        let node = &topology["nodes"][0];
        was_damaged |= node["status"] == "damaged";
        if was_damaged && node["status"] == "healthy" {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "the node is not rebuilt: {node}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let after = held(cluster.nodes()[0].client()).await?;
    ensure!(after == *before, "the node does not hold what it held");
    Ok(())
}
