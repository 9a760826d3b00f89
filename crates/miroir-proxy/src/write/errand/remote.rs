//! The Meilisearch to which an export sends: its address, its key, and patience with it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::task::{Export, refused_by_remote};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::outward::{AnswerRoom, UnreadAnswer, client};
use crate::write::retry::Backoff;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How long a server that is away or busy is asked again. The log stands still meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

/// The longest answer that is read. What an export is told is an error or a task.
const MAX_ANSWER: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Remote<'a> {
    client: reqwest::Client,
    url: &'a str,
    key: Option<&'a str>,
}

/// Whether to go on.
pub(super) trait Watch: Sync {
    /// `Err` when it is no longer wanted.
    async fn check(&self) -> Result<(), ResponseError>;
}

impl<'a> Remote<'a> {
    pub(super) fn new(export: &'a Export) -> Self {
        let url = export.url.trim_end_matches('/');
        Self { client: client(), url, key: export.api_key.as_deref() }
    }

    /// Whether it has this index.
    pub(super) async fn has_index(&self, index: &str, watch: &impl Watch) -> Result<bool, ResponseError> {
        let request = self.request(Method::GET, &format!("indexes/{index}"));
        let (status, answer) = self.send(request, watch).await?;
        match status {
            StatusCode::NOT_FOUND if answer["code"] == ErrorCode::IndexNotFound.as_str() => Ok(false),
            _ => accept(status, &answer).map(|()| true),
        }
    }

    /// Sends a change, as JSON.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        watch: &impl Watch,
    ) -> Result<(), ResponseError> {
        let (status, answer) = self.send(self.request(method, path).json(body), watch).await?;
        accept(status, &answer)
    }

    /// Sends lines of NDJSON.
    pub(super) async fn add_documents(
        &self,
        index: &str,
        lines: Vec<u8>,
        watch: &impl Watch,
    ) -> Result<(), ResponseError> {
        let compressed = tokio::task::spawn_blocking(move || compress(&lines)).await;
        let body = compressed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let request = self
            .request(Method::POST, &format!("indexes/{index}/documents"))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "gzip")
            .body(body);
        let (status, answer) = self.send(request, watch).await?;
        accept(status, &answer)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}/{path}", self.url)).timeout(TIMEOUT);
        match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Asks until there is an answer that would not be another one a moment later.
    async fn send(
        &self,
        request: RequestBuilder,
        watch: &impl Watch,
    ) -> Result<(StatusCode, Value), ResponseError> {
        let request = request.build().map_err(|error| failed(&error))?;
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            watch.check().await?;
            let again = request.try_clone().expect("bodies are bytes, which can be sent again");
            let answer = match self.client.execute(again).await {
                Ok(response) => read(response).await,
                Err(error) => Err(error.into()),
            };
            match answer {
                Ok((status, answer)) if !is_passing(status) || began.elapsed() > PATIENCE => {
                    return Ok((status, answer));
                }
                Err(error) if error.is_final() || began.elapsed() > PATIENCE => return Err(failed(&error)),
                Ok((status, _)) => {
                    tracing::warn!(url = self.url, %status, "export: the other server is busy; trying again");
                }
                Err(error) => {
                    tracing::warn!(url = self.url, %error, "export: the other server does not answer; trying again");
                }
            }
            backoff.pause().await;
        }
    }
}

async fn read(response: Response) -> Result<(StatusCode, Value), UnreadAnswer> {
    let status = response.status();
    let body = AnswerRoom::default().read(response, MAX_ANSWER).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Whether the server may answer otherwise soon.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn accept(status: StatusCode, answer: &Value) -> Result<(), ResponseError> {
    if status.is_success() {
        return Ok(());
    }
    Err(refused_by_remote(answer).unwrap_or_else(|| failed(&format!("it answered {status}"))))
}

fn compress(lines: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines)?;
    Ok(encoder.finish()?.into())
}

fn failed(reason: &impl std::fmt::Display) -> ResponseError {
    let message = format!("Failed to export documents to remote server: {reason}.");
    ResponseError::new(ErrorCode::Internal, message)
}
