//! Asking a model: OpenAI's protocol, by a stream of server-sent events.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt};
use mime::Mime;
use miroir_core::chat::{Chunk, MistralFault, OpenAiFault, StreamFault, Workspace};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Response, StatusCode};
use thiserror::Error;

use super::fresh;
use crate::outward::client_builder;

/// How long a model's server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a model may think before it says anything, and between two pieces.
const SILENCE: Duration = Duration::from_mins(10);

/// How long an answer may take as a whole.
const LONGEST: Duration = Duration::from_mins(30);

/// The longest error that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The longest answer that is listened to.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What the last event of an answer says.
const LAST: &str = "[DONE]";

/// The way to models, of whatever workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Models(reqwest::Client);

impl Models {
    /// Fails where there is no HTTP client to be had.
    pub fn new() -> Result<Self, reqwest::Error> {
        client_builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            .timeout(LONGEST)
            .build()
            .map(Self)
    }

    /// Asks the workspace's model. The error is for the client.
    pub(super) async fn ask(&self, workspace: &Workspace, body: String) -> Result<Answer, StreamFault> {
        let endpoint = workspace.endpoint();
        let mut request = self.0.post(endpoint.url).header(ACCEPT, mime::TEXT_EVENT_STREAM.as_ref());
        if !endpoint.query.is_empty() {
            request = request.query(&endpoint.query);
        }
        for (name, value) in endpoint.headers {
            let mut value = HeaderValue::try_from(value).map_err(|error| transport(&error))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let sent = request.header(CONTENT_TYPE, mime::APPLICATION_JSON.as_ref()).body(body).send().await;
        let response = sent.map_err(|error| transport(&error.without_url()))?;
        if response.status() == StatusCode::OK && is_stream(&response) {
            return Ok(Answer::new(response));
        }
        let error = read_error(response).await.map_err(|error| failed(&error.without_url()))?;
        let told = if workspace.fails_like_mistral() {
            serde_json::from_slice::<MistralFault>(&error)
        } else {
            serde_json::from_slice::<OpenAiFault>(&error).map(MistralFault::from)
        };
        Err(match told {
            Ok(fault) => StreamFault::of_model(fresh(), fault),
            Err(_) => failed(&"error decoding response body"),
        })
    }
}

/// What a server says instead of an answer, or the beginning of it.
async fn read_error(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut error = Vec::new();
    while error.len() < MAX_ERROR_BYTES
        && let Some(part) = response.chunk().await?
    {
        error.extend_from_slice(&part);
    }
    Ok(error)
}

fn failed(error: &impl ToString) -> StreamFault {
    StreamFault::of_kind(fresh(), "reqwest_error", error.to_string())
}

fn transport(error: &impl ToString) -> StreamFault {
    StreamFault::of_kind(fresh(), "transport_error", error.to_string())
}

fn is_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .and_then(|text| text.parse::<Mime>().ok())
        .is_some_and(|mime| (mime.type_(), mime.subtype()) == (mime::TEXT, mime::EVENT_STREAM))
}

/// Why an answer breaks off.
#[derive(Debug, Error)]
enum Broken {
    #[error(transparent)]
    Transport(#[from] reqwest::Error),
    #[error("the model's answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
}

/// An answer that is being listened to.
pub(super) struct Answer {
    events: Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<Broken>>> + Send>>,
}

impl Answer {
    fn new(response: Response) -> Self {
        let mut length = 0;
        let bytes = response.bytes_stream().map(move |part| {
            let part: Bytes = part.map_err(reqwest::Error::without_url)?;
            length += part.len();
            if length > MAX_ANSWER_BYTES { Err(Broken::TooLong) } else { Ok(part) }
        });
        Self { events: Box::pin(bytes.eventsource()) }
    }

    /// The next piece; none when the model is done.
    pub(super) async fn next(&mut self) -> Option<Result<Chunk, StreamFault>> {
        let fault = |kind, message| Some(Err(StreamFault::of_kind(fresh(), kind, message)));
        match self.events.next().await {
            None => fault("stream_ended", "Stream ended".to_owned()),
            Some(Ok(event)) if event.data == LAST => None,
            Some(Ok(event)) => Some(
                serde_json::from_str(&event.data).map_err(|error| StreamFault::of_piece(fresh(), &error)),
            ),
            Some(Err(EventStreamError::Transport(error))) => fault("transport_error", error.to_string()),
            Some(Err(EventStreamError::Utf8(error))) => fault("invalid_utf8_error", error.to_string()),
            Some(Err(EventStreamError::Parser(error))) => fault("parser_error", error.to_string()),
        }
    }
}
