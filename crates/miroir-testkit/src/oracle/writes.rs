//! Generated writes, and their application to a server.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::dice::Dice;
use super::documents;
use super::settings::{self, Shape};
use crate::client::Client;

/// Documents in one payload.
const BATCH: usize = 100;

/// The values of `prefixSearch` that make a server collect its prefixes anew. When fewer than a hundred words begin with a
/// prefix any more, it goes on to find what it found before (measured on Meilisearch 1.50); a node gets there at another
/// moment than a server with all documents.
const PREFIXES_ANEW: [&str; 2] = ["disabled", "indexingTime"];

/// One write: a request below `/indexes/{uid}` whose answer is a task.
#[derive(Debug, Clone)]
pub struct Write {
    /// HTTP method.
    pub method: Method,
    /// Path below the index.
    pub path: String,
    /// JSON body.
    pub body: Value,
}

impl Write {
    fn new(method: Method, path: &str, body: Value) -> Self {
        Self { method, path: path.to_owned(), body }
    }

    fn documents(method: Method, shape: &Shape, documents: Vec<Value>) -> Self {
        let path = format!("/documents?primaryKey={}", shape.primary_key);
        Self { method, path, body: Value::Array(documents) }
    }

    /// Sends the write; the answer is not waited for. Returns its task uid.
    pub async fn send(&self, client: &Client, index: &str) -> Result<u64> {
        let path = format!("/indexes/{index}{}", self.path);
        let reply = client.send(self.method.clone(), &path, Some(&self.body)).await?;
        let body = reply.success().with_context(|| format!("{} {path} was refused", self.method))?;
        body["taskUid"].as_u64().with_context(|| format!("no taskUid in {body}"))
    }

    /// The same write for the twin index.
    #[must_use]
    pub fn for_twin(&self) -> Self {
        let mut write = self.clone();
        if write.path == "/settings" {
            write.body = settings::of_twin(&write.body);
        }
        write
    }
}

/// The writes of a world, in order: settings and documents, then updates, replacements, deletions, additions, and one
/// payload that has to be refused as a whole. In the end every prefix is collected anew.
pub fn generate(dice: &mut Dice, shape: &Shape, settings: Value, count: usize) -> Vec<Write> {
    let settings = Write::new(Method::PATCH, "/settings", settings);
    let late = count / 10;
    let mut writes = Vec::new();
    let whole = |dice: &mut Dice, numbers: Vec<usize>| {
        let documents = numbers.into_iter().map(|number| documents::generate(dice, shape, number)).collect();
        Write::documents(Method::POST, shape, documents)
    };
    let settings_first = dice.chance(70);
    if settings_first {
        writes.push(settings.clone());
    }
    let early: Vec<usize> = (0..count - late).collect();
    for numbers in early.chunks(BATCH) {
        writes.push(whole(dice, numbers.to_vec()));
    }
    if !settings_first {
        writes.push(settings);
    }
    let changed = dice.some(&early, count / 8, count / 6);
    let updates = changed.iter().map(|number| documents::generate_update(dice, shape, *number)).collect();
    writes.push(Write::documents(Method::PUT, shape, updates));
    let replaced = dice.some(&early, count / 20, count / 10);
    writes.push(whole(dice, replaced));
    let deleted: Vec<Value> = dice
        .some(&early, count / 30, count / 20)
        .iter()
        .map(|number| documents::id(shape, *number))
        .collect();
    writes.push(Write::new(Method::POST, "/documents/delete-batch", json!(deleted)));
    writes.push(whole(dice, (count - late..count).collect()));
    let mut refused =
        vec![documents::generate(dice, shape, count + 1), documents::generate(dice, shape, count + 2)];
    refused[1][shape.primary_key] = json!("not a valid id!");
    writes.push(Write::documents(Method::POST, shape, refused));
    writes.extend(PREFIXES_ANEW.map(|mode| Write::new(Method::PUT, "/settings/prefix-search", json!(mode))));
    writes
}
