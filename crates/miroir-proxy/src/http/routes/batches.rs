//! `/batches` and `/batches/{uid}`: one batch for each task that has begun, with the task's number.

use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::ids::TaskUid;
use miroir_core::task::{Task, TaskFilter, TaskKind, TaskStatus};
use serde_json::{Map, Value, json};

use super::indexes::wrong_query;
use super::tasks::read_query;
use crate::auth::{Authorized, TasksGet};
use crate::error::RequestError;
use crate::http::App;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/batches", get(list)).route("/batches/{uid}", get(one))
}

async fn one(
    caller: Authorized<TasksGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Value>, RequestError> {
    let Ok(number) = uid.parse::<u32>() else {
        return Err(RequestError::new(
            ErrorCode::InvalidBatchUids,
            format!("Batch uid `{uid}` is invalid. It should only contain numeric characters."),
        ));
    };
    let task = app.writer.visible_task(TaskUid(number.into()), caller.visible()).await?;
    let task = task.filter(|task| task.batch_uid().is_some());
    task.map(|task| Json(shown(&task)))
        .ok_or_else(|| RequestError::new(ErrorCode::BatchNotFound, format!("Batch `{uid}` not found.")))
}

async fn list(
    caller: Authorized<TasksGet>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, RequestError> {
    let Ok((mut filter, page)) = read_query(&pairs) else {
        return Err(wrong_query(&app, "/batches", query.as_deref()).await);
    };
    let begun = [TaskStatus::Processing, TaskStatus::Succeeded, TaskStatus::Failed, TaskStatus::Canceled];
    let wanted = filter.statuses.take().unwrap_or_else(|| TaskStatus::ALL.to_vec());
    filter.statuses = Some(begun.into_iter().filter(|status| wanted.contains(status)).collect());
    if let Some(cancelations) = filter.canceled_by.take() {
        keep_cancelations(&mut filter, &cancelations);
    }
    filter.visible = caller.visible();
    let tasks = app.writer.tasks(filter, page).await?;
    let results: Vec<Value> = tasks.results.iter().map(shown).collect();
    Ok(Json(json!({
        "results": results,
        "total": tasks.total,
        "limit": tasks.limit,
        "from": tasks.from,
        "next": tasks.next,
    })))
}

/// Tasks are canceled in the batch of the task that cancels them: `canceledBy` asks for that one.
fn keep_cancelations(filter: &mut TaskFilter, cancelations: &[TaskUid]) {
    let kind = TaskKind::TaskCancelation;
    let is_wanted = filter.types.as_ref().is_none_or(|types| types.contains(&kind));
    filter.types = Some(is_wanted.then_some(kind).into_iter().collect());
    let uids = filter.uids.take().unwrap_or_else(|| cancelations.to_vec());
    filter.uids = Some(uids.into_iter().filter(|uid| cancelations.contains(uid)).collect());
}

/// The batch of one task.
fn shown(task: &Task) -> Value {
    let printed = json!(task);
    let mut indexes = Map::new();
    if let Some(index) = &task.index_uid {
        indexes.insert(index.to_string(), json!(1));
    }
    json!({
        "uid": task.uid,
        "progress": null,
        "details": task.details.clone().unwrap_or_default(),
        "stats": {
            "totalNbTasks": 1,
            "status": { task.status.as_str(): 1 },
            "types": { task.kind.as_str(): 1 },
            "indexUids": indexes,
            "progressTrace": {},
        },
        "duration": printed["duration"],
        "startedAt": printed["startedAt"],
        "finishedAt": printed["finishedAt"],
        "batchStrategy": strategy(task),
    })
}

/// Why the batch ended with its task, in Meilisearch's words where it would end there as well.
fn strategy(task: &Task) -> String {
    let uid = task.uid;
    match task.kind {
        TaskKind::IndexDeletion => format!("stopped after task with id {uid} because it deletes the index"),
        TaskKind::DocumentAdditionOrUpdate | TaskKind::DocumentDeletion | TaskKind::SettingsUpdate => {
            "batched all enqueued tasks".to_owned()
        }
        kind => format!(
            "created batch containing only task with id {uid} of type `{kind}` that cannot be batched with any other task."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miroir_core::ids::IndexUid;
    use time::OffsetDateTime;

    #[test]
    fn a_batch_is_its_one_task() {
        let task = Task {
            uid: TaskUid(7),
            index_uid: Some(IndexUid::new("films")),
            status: TaskStatus::Failed,
            kind: TaskKind::IndexDeletion,
            canceled_by: None,
            details: None,
            error: None,
            enqueued_at: OffsetDateTime::UNIX_EPOCH,
            started_at: Some(OffsetDateTime::UNIX_EPOCH),
            finished_at: Some(OffsetDateTime::UNIX_EPOCH),
            custom_metadata: None,
        };
        let batch = shown(&task);
        assert_eq!(batch["uid"], 7);
        assert_eq!(batch["details"], json!({}));
        assert_eq!(batch["stats"]["status"], json!({ "failed": 1 }));
        assert_eq!(batch["stats"]["indexUids"], json!({ "films": 1 }));
        assert_eq!(batch["duration"], "PT0S");
        assert_eq!(batch["batchStrategy"], "stopped after task with id 7 because it deletes the index");
    }
}
