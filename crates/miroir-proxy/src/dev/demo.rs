//! The demo data: 4,449 cities, loaded through Miroir's own API as any client would load them.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const CITIES: &[u8] = include_bytes!("../../../../examples/world-cities/cities.json");
const SETTINGS: &[u8] = include_bytes!("../../../../examples/world-cities/settings.json");
const INDEX: &str = "cities";
const PRIMARY_KEY: &str = "geonameid";
const BATCH: usize = 500;
/// How long one task may take, on a slow machine that still builds its caches.
const TASK_DEADLINE: Duration = Duration::from_mins(5);
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// Miroir, as a client sees it.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    /// A client of the Miroir at `url`, without a `/` at its end.
    pub fn new(url: String, key: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build();
        Ok(Self { http: http.context("cannot make an HTTP client")?, url, key })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        let answer = request.send().await.with_context(|| what.clone())?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| what.clone())?;
        let body = serde_json::from_slice(&body)
            .with_context(|| format!("{what} answered {status} without JSON"))?;
        Ok((status, body))
    }

    /// Sends a write and returns its task.
    async fn write(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<u64> {
        let what = format!("{method} {path}");
        let (status, answer) = self.send(method, path, Some(body)).await?;
        match answer["taskUid"].as_u64() {
            Some(task) if status == StatusCode::ACCEPTED => Ok(task),
            _ => bail!("{what} answered {status}: {answer}"),
        }
    }

    /// Waits until the task has succeeded, or has failed with the tolerated code.
    async fn wait(&self, task: u64, tolerated: Option<&str>) -> anyhow::Result<()> {
        let deadline = Instant::now() + TASK_DEADLINE;
        loop {
            let (status, answer) = self.send(Method::GET, &format!("/tasks/{task}"), None).await?;
            match answer["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("enqueued" | "processing") => {}
                Some("failed") if tolerated.is_some_and(|code| answer["error"]["code"] == code) => {
                    return Ok(());
                }
                _ => bail!("task {task} did not succeed ({status}): {answer}"),
            }
            if Instant::now() > deadline {
                bail!("task {task} is not done after {} seconds: {answer}", TASK_DEADLINE.as_secs());
            }
            sleep(POLL).await;
        }
    }
}

/// Loads the cities, unless they are all there.
pub async fn load(miroir: &Client) -> anyhow::Result<()> {
    let cities: Vec<&RawValue> = serde_json::from_slice(CITIES).context("the demo data are damaged")?;
    if loaded(miroir).await? == Some(cities.len() as u64) {
        return Ok(());
    }
    let progress = Progress::start(cities.len());
    let index = serde_json::to_vec(&json!({ "uid": INDEX, "primaryKey": PRIMARY_KEY }))
        .context("an index as JSON")?;
    let task = miroir.write(Method::POST, "/indexes", index).await?;
    miroir.wait(task, Some("index_already_exists")).await?;
    let task = miroir.write(Method::PATCH, &format!("/indexes/{INDEX}/settings"), SETTINGS.to_vec()).await?;
    miroir.wait(task, None).await?;

    let mut tasks = Vec::new();
    for batch in cities.chunks(BATCH) {
        let body = serde_json::to_vec(batch).context("a batch as JSON")?;
        tasks.push((
            miroir.write(Method::POST, &format!("/indexes/{INDEX}/documents"), body).await?,
            batch.len(),
        ));
    }
    for (task, documents) in tasks {
        miroir.wait(task, None).await?;
        progress.add(documents);
    }
    progress.finish();
    Ok(())
}

/// How many cities are there; none without the index.
async fn loaded(miroir: &Client) -> anyhow::Result<Option<u64>> {
    let (status, answer) = miroir.send(Method::GET, &format!("/indexes/{INDEX}/stats"), None).await?;
    match (status, answer["numberOfDocuments"].as_u64()) {
        (StatusCode::OK, Some(count)) => Ok(Some(count)),
        (StatusCode::NOT_FOUND, _) if answer["code"] == "index_not_found" => Ok(None),
        _ => bail!("GET /indexes/{INDEX}/stats answered {status}: {answer}"),
    }
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    is_bar: bool,
}

impl Progress {
    fn start(total: usize) -> Self {
        let style = ProgressStyle::with_template("Loading cities {wide_bar} {pos}/{len}");
        let is_bar = stderr().is_terminal();
        let bar = if is_bar { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        bar.set_length(total as u64);
        Self { bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())), is_bar }
    }

    fn add(&self, documents: usize) {
        self.bar.inc(documents as u64);
        if !self.is_bar {
            eprintln!("Loading cities: {}/{}", self.bar.position(), self.bar.length().unwrap_or_default());
        }
    }

    fn finish(&self) {
        self.bar.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_city_has_an_id_of_its_own() {
        let cities: Vec<Value> = serde_json::from_slice(CITIES).unwrap();
        let ids: HashSet<&str> = cities.iter().map(|city| city[PRIMARY_KEY].as_str().unwrap()).collect();
        assert_eq!((cities.len(), ids.len()), (4449, 4449));
    }

    #[test]
    fn the_settings_allow_what_the_example_requests_ask_for() {
        let settings: Value = serde_json::from_slice(SETTINGS).unwrap();
        let has =
            |list: &str, attribute: &str| settings[list].as_array().unwrap().contains(&attribute.into());
        assert!(has("filterableAttributes", "population") && has("filterableAttributes", "country"));
        assert!(has("sortableAttributes", "_geo"));
    }
}
