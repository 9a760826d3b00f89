//! `GET /tasks/{uid}/documents`: the documents of a write that is not over yet, as the log keeps them.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use miroir_core::document::{Payload, PayloadError};
use miroir_core::error::ErrorCode;
use miroir_core::ids::TaskUid;
use miroir_core::task::TaskKind;

use super::features::{Feature, require};
use super::tasks::read_uid;
use crate::auth::{Authorized, TasksGet};
use crate::error::RequestError;
use crate::http::App;
use crate::node_api::NodeRequest;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/tasks/{uid}/documents", get(documents))
}

type DocumentsResponse = Result<([(HeaderName, &'static str); 1], Bytes), RequestError>;

async fn documents(
    caller: Authorized<TasksGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> DocumentsResponse {
    require(&app, Feature::GetTaskDocumentsRoute, NodeRequest::get("/tasks/0/documents")).await?;
    let uid = read_uid(&uid)?;
    let task = app.writer.visible_task(uid, caller.visible()).await?;
    let task =
        task.ok_or_else(|| RequestError::new(ErrorCode::TaskNotFound, format!("Task `{uid}` not found.")))?;
    if task.status.is_finished() || task.kind != TaskKind::DocumentAdditionOrUpdate {
        return Err(without_documents(uid));
    }
    let kept = app.records.payload(uid).await?;
    if kept.is_empty() {
        // It ended since its status was read.
        return Err(without_documents(uid));
    }
    let broken = |error: String| {
        RequestError::new(
            ErrorCode::Internal,
            format!("The documents of task `{uid}` can't be read: {error}."),
        )
    };
    let read = tokio::task::spawn_blocking(move || reprint(kept)).await;
    let body = read.map_err(|error| broken(error.to_string()))?.map_err(|error| broken(error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body))
}

fn without_documents(uid: TaskUid) -> RequestError {
    RequestError::new(
        ErrorCode::TaskFileNotFound,
        format!(
            "Task `{uid}` does not contain any documents. Only `documentAdditionOrUpdate` tasks with the statuses \
             `enqueued` or `processing` contain documents"
        ),
    )
}

/// Documents one behind the other: those of an array without its commas, those of a stream with what stood between them.
fn reprint(parts: Vec<Bytes>) -> Result<Bytes, PayloadError> {
    let payload = Payload::restore(parts)?;
    let mut body = Vec::with_capacity(payload.bytes());
    for part in &payload.parts {
        let mut end = 0;
        for place in &part.documents {
            let gap = &part.bytes[end..place.start];
            if gap.iter().all(u8::is_ascii_whitespace) {
                body.extend_from_slice(gap);
            }
            body.extend_from_slice(&part.bytes[place.clone()]);
            end = place.end;
        }
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_shown_as_its_documents_and_a_stream_as_it_came() {
        let shown = |text: &'static str| reprint(vec![Bytes::from_static(text.as_bytes())]).unwrap();
        assert_eq!(shown(" [{\"id\":1}, {\"id\":[2]}]"), "{\"id\":1}{\"id\":[2]}");
        assert_eq!(shown("{\"id\":1}\n{\"id\":2}"), "{\"id\":1}\n{\"id\":2}");
    }
}
