//! A language model on this machine, that speaks OpenAI's protocol and calls the search tool with what it is told.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The tool that models search with.
pub const TOOL: &str = "_meiliSearchInIndex";

/// What a model was asked: path and query, who asked, and the body.
pub type ModelCall = (String, Value, Value);

/// A language model, and what it was asked.
#[derive(Clone, Default)]
pub struct Model {
    pub url: String,
    asked: Arc<Mutex<Vec<ModelCall>>>,
}

impl Model {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let model = Self { url, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(model.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        model
    }

    pub fn take_asked(&self) -> Vec<ModelCall> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn answer(
    State(model): State<Model>,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let known = ["authorization", "api-key", "openai-organization", "openai-project", "openai-beta"];
    let sent = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let who = known.iter().filter_map(|name| Some(((*name).to_owned(), json!(sent(name)?)))).collect();
    model.asked.lock().unwrap().push((uri.to_string(), Value::Object(who), body.clone()));
    let last = body["messages"].as_array().unwrap().last().unwrap();
    let said = last["content"].as_str().unwrap_or_default().to_owned();
    let pieces = match body["model"].as_str().unwrap() {
        "refusing" => {
            let error =
                json!({ "error": { "message": "No.", "type": "t", "param": null, "code": "no_key" } });
            return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
        }
        "broken" => vec!["{".to_owned()],
        "breaking-off" => return stream(&[piece(&json!({ "content": "a" }), None)]),
        _ if last["role"] == "user" && said.starts_with('{') => calling(&said),
        _ => [("Found", None), (" it.", Some("stop"))]
            .map(|(text, finish)| piece(&json!({ "content": text, "thoughts": "hm" }), finish))
            .into(),
    };
    stream(&[pieces, vec![usage(), "[DONE]".to_owned()]].concat())
}

fn stream(pieces: &[String]) -> Response {
    let events = pieces.iter().fold(String::new(), |events, piece| events + "data: " + piece + "\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], events).into_response()
}

fn piece(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice] })
        .to_string()
}

fn usage() -> String {
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 });
    json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage })
        .to_string()
}

/// A call of the search tool with these arguments, in pieces.
fn calling(arguments: &str) -> Vec<String> {
    let (first, rest) = arguments.split_at(arguments.len() / 2);
    let call = |call: Value| piece(&json!({ "tool_calls": [call] }), None);
    vec![
        call(
            json!({ "index": 0, "id": "call", "type": "function", "function": { "name": TOOL, "arguments": first } }),
        ),
        call(json!({ "index": 0, "function": { "arguments": rest } })),
        piece(&json!({}), Some("tool_calls")),
    ]
}
