//! `GET /tasks/{uid}/documents`: the documents of a write that is not over yet, as the log keeps them.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use miroir_core::document::Payload;
use miroir_core::error::ErrorCode;
use miroir_core::ids::TaskUid;

use super::features::{Feature, require};
use super::tasks::read_uid;
use crate::cluster::NodeRequest;
use crate::http::App;
use crate::http::auth::{Authorized, TasksGet};
use crate::http::error::HttpError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/tasks/{uid}/documents", get(documents))
}

type Found = Result<([(HeaderName, &'static str); 1], Bytes), HttpError>;

async fn documents(caller: Authorized<TasksGet>, Path(uid): Path<String>, State(app): State<App>) -> Found {
    require(&app, Feature::GetTaskDocumentsRoute, NodeRequest::get("/tasks/0/documents")).await?;
    let uid = read_uid(&uid)?;
    let task = app.writer.visible_task(uid, caller.visible()).await?;
    let task =
        task.ok_or_else(|| HttpError::new(ErrorCode::TaskNotFound, format!("Task `{uid}` not found.")))?;
    let kept = if task.status.is_finished() { None } else { app.writer.payload(uid).await? };
    let Some(kept) = kept else { return Err(without_documents(uid)) };
    let read = tokio::task::spawn_blocking(move || reprint(kept)).await;
    let body = read.map_err(|error| HttpError::Unreadable(error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body))
}

fn without_documents(uid: TaskUid) -> HttpError {
    HttpError::new(
        ErrorCode::TaskFileNotFound,
        format!(
            "Task `{uid}` does not contain any documents. Only `documentAdditionOrUpdate` tasks with the statuses \
             `enqueued` or `processing` contain documents"
        ),
    )
}

/// A stream of documents stays as it came; of an array only the documents are shown, one behind the other.
fn reprint(body: Bytes) -> Bytes {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return body;
    }
    match Payload::restore(body.clone()) {
        Ok(payload) => payload.iter().collect::<Vec<_>>().concat().into(),
        Err(_) => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_shown_as_its_documents_and_a_stream_as_it_came() {
        let shown = |text: &'static str| reprint(Bytes::from_static(text.as_bytes()));
        assert_eq!(shown(" [{\"id\":1}, {\"id\":[2]}]"), "{\"id\":1}{\"id\":[2]}");
        assert_eq!(shown("{\"id\":1}\n{\"id\":2}\n"), "{\"id\":1}\n{\"id\":2}\n");
    }
}
