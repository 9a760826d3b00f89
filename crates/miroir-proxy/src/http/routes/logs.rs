//! `/logs`: Miroir's own log, told to a client, and how much of it goes to standard error. Nodes have logs of their own.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::post;
use futures_util::stream;
use miroir_core::error::{ErrorCode, form};
use serde_json::{Map, Value};
use tracing_subscriber::filter::Targets;

use super::features::{Feature, require_unasked};
use crate::auth::{Authorized, MetricsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::http::body::JsonBody;
use crate::observe::{Listener, LogFormat};

const STREAM: [&str; 3] = ["target", "mode", "profileMemory"];
const STDERR: [&str; 1] = ["target"];
const MODES: [&str; 3] = ["human", "json", "profile"];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/logs/stream", post(listen).delete(stop)).route("/logs/stderr", post(change_stderr))
}

async fn listen(
    _: Authorized<MetricsGet>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<Response<Body>, RequestError> {
    let LogsQuery { targets, mode } = read(&body.value, &STREAM)?;
    require_logs(&app).await?;
    let format = match mode {
        Mode::Human => LogFormat::Human,
        Mode::Json => LogFormat::Json,
        Mode::Profile => {
            let message = "Miroir has no profiles to stream. Ask for the mode `human` or `json`.";
            return Err(RequestError::new(ErrorCode::MiroirNotSupported, message));
        }
    };
    let Some(listener) = app.logs.listen(format, targets).map_err(|error| failed(&error))? else {
        let message = "The `/logs/stream` route is currently in use by someone else.";
        return Err(RequestError::new(ErrorCode::BadRequest, message));
    };
    let lines = stream::unfold(listener, async |mut listener: Listener| {
        let line = listener.next().await?;
        Some((Ok::<_, std::io::Error>(line), listener))
    });
    let mut answer = Response::new(Body::from_stream(lines));
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

async fn stop(_: Authorized<MetricsGet>, State(app): State<App>) -> Result<StatusCode, RequestError> {
    require_logs(&app).await?;
    app.logs.stop_listening().map_err(|error| failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_stderr(
    _: Authorized<MetricsGet>,
    State(app): State<App>,
    body: JsonBody,
) -> Result<StatusCode, RequestError> {
    let LogsQuery { targets, .. } = read(&body.value, &STDERR)?;
    require_logs(&app).await?;
    app.logs.print(&targets).map_err(|error| failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn require_logs(app: &App) -> Result<(), RequestError> {
    let action = "Modifying logs through the `/logs/*` routes";
    require_unasked(app, Feature::LogsRoute, action, ("logs route", 721)).await
}

fn failed(error: &tracing_subscriber::reload::Error) -> RequestError {
    RequestError::new(ErrorCode::Internal, format!("The log can't be changed: {error}."))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Human,
    Json,
    Profile,
}

#[derive(Debug)]
struct LogsQuery {
    targets: Targets,
    mode: Mode,
}

/// Reads a body field by field: the first one that is wrong is told.
fn read(body: &Value, known: &[&str]) -> Result<LogsQuery, RequestError> {
    let Value::Object(fields) = body else { return Err(wrong_type("", "an object", body)) };
    let mut asked =
        LogsQuery { targets: Targets::new().with_default(tracing::Level::INFO), mode: Mode::Human };
    for (name, value) in fields {
        match name.as_str() {
            _ if !known.contains(&name.as_str()) => return Err(bad(form::unknown_field(name, known))),
            "target" => asked.targets = read_targets(value)?,
            "mode" => asked.mode = read_mode(value)?,
            _ if !value.is_boolean() => return Err(wrong_type(".profileMemory", "a boolean", value)),
            _ => {}
        }
    }
    check_profile(fields, asked.mode)?;
    Ok(asked)
}

fn read_targets(value: &Value) -> Result<Targets, RequestError> {
    let Value::String(text) = value else { return Err(wrong_type(".target", "a string", value)) };
    let wrong = |reason: &str| bad(form::wrong_value(".target", reason));
    if text.is_empty() {
        return Err(wrong(
            "Empty string is not a valid target. If you want to get no logs use `OFF`. Usage: `info`, \
             `meilisearch=info`, or you can write multiple filters in one target: `index_scheduler=info,milli=trace`",
        ));
    }
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| wrong(&error.to_string()))
}

fn read_mode(value: &Value) -> Result<Mode, RequestError> {
    match value.as_str() {
        Some("human") => Ok(Mode::Human),
        Some("json") => Ok(Mode::Json),
        Some("profile") => Ok(Mode::Profile),
        Some(other) => Err(bad(form::unknown_value(".mode", other, &MODES))),
        None => Err(wrong_type(".mode", "a string", value)),
    }
}

/// Meilisearch 1.50 gives this error the code of another setting.
fn check_profile(fields: &Map<String, Value>, mode: Mode) -> Result<(), RequestError> {
    if fields.get("profileMemory") != Some(&Value::Bool(true)) || mode == Mode::Profile {
        return Ok(());
    }
    let reason = format!(
        "`profile_memory` can only be used while profiling code and is not compatible with the {mode:?} mode."
    );
    Err(RequestError::new(ErrorCode::InvalidSettingsTypoTolerance, form::wrong_value("", &reason)))
}

fn wrong_type(place: &str, expected: &str, found: &Value) -> RequestError {
    bad(form::wrong_type(place, expected, found))
}

fn bad(message: String) -> RequestError {
    RequestError::new(ErrorCode::BadRequest, message)
}
