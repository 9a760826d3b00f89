//! `/tasks` and `/tasks/{uid}`.

use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use miroir_core::error::ErrorCode;
use miroir_core::ids::{IndexUid, TaskUid};
use miroir_core::keys::UidPattern;
use miroir_core::size;
use miroir_core::task::{Task, TaskFilter, TaskKind, TaskList, TaskPage, TaskStatus, TaskSummary};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};
use tokio::time::{Instant, sleep};

use super::features::{Feature, require_unasked};
use super::indexes::wrong_query;
use crate::auth::{Authorized, TasksCancel, TasksCompact, TasksDelete, TasksGet};
use crate::error::RequestError;
use crate::http::App;
use crate::write::TaskAction;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/tasks", get(list).delete(delete))
        .route("/tasks/cancel", post(cancel))
        .route("/tasks/compact", post(compact))
        .route("/tasks/{uid}", get(one))
}

async fn one(
    caller: Authorized<TasksGet>,
    Path(uid): Path<String>,
    State(app): State<App>,
) -> Result<Json<Task>, RequestError> {
    let task = app.writer.visible_task(read_uid(&uid)?, caller.visible()).await?;
    task.map(Json)
        .ok_or_else(|| RequestError::new(ErrorCode::TaskNotFound, format!("Task `{uid}` not found.")))
}

/// Unlike a Meilisearch, Miroir need not be started again after it.
async fn compact(_: Authorized<TasksCompact>, State(app): State<App>) -> Result<Json<Value>, RequestError> {
    let feature = ("task queue compaction route", 883);
    require_unasked(&app, Feature::TaskQueueCompactionRoute, "Using the /tasks/compact route", feature)
        .await?;
    let (before, after) = app.records.compact().await?;
    Ok(Json(json!({ "preSize": size::whole(before), "postSize": size::whole(after), "status": "succeeded" })))
}

/// How long the deletion of a task waits for its end, and how often it looks.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);
const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(10);

/// The number of a task in a path.
pub(super) fn read_uid(uid: &str) -> Result<TaskUid, RequestError> {
    uid.parse::<u32>().map(|number| TaskUid(number.into())).map_err(|_| {
        RequestError::new(
            ErrorCode::InvalidTaskUids,
            format!("Task uid `{uid}` is invalid. It should only contain numeric characters."),
        )
    })
}

async fn list(
    caller: Authorized<TasksGet>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<TaskList>, RequestError> {
    let Ok((filter, page)) = read_query(&pairs) else {
        return Err(wrong_query(&app, "/tasks", query.as_deref()).await);
    };
    let filter = TaskFilter { visible: caller.visible(), ..filter };
    Ok(Json(app.writer.tasks(filter, page).await?))
}

async fn cancel(
    caller: Authorized<TasksCancel>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<TaskSummary>, RequestError> {
    administer(&app, TaskAction::Cancel, query, &pairs, caller.visible()).await
}

async fn delete(
    caller: Authorized<TasksDelete>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<TaskSummary>, RequestError> {
    administer(&app, TaskAction::Delete, query, &pairs, caller.visible()).await
}

/// What tasks to cancel or delete are chosen by.
const FILTERS: [&str; 12] = [
    "uids",
    "batchUids",
    "canceledBy",
    "types",
    "statuses",
    "indexUids",
    "afterEnqueuedAt",
    "beforeEnqueuedAt",
    "afterStartedAt",
    "beforeStartedAt",
    "afterFinishedAt",
    "beforeFinishedAt",
];

async fn administer(
    app: &App,
    action: TaskAction,
    query: Option<String>,
    pairs: &[(String, String)],
    visible: Option<Vec<UidPattern>>,
) -> Result<Json<TaskSummary>, RequestError> {
    let query = query.unwrap_or_default();
    let verb = match action {
        TaskAction::Cancel => "cancel",
        TaskAction::Delete => "delete",
    };
    let is_known = pairs.iter().all(|(name, _)| FILTERS.contains(&name.as_str()));
    let filter = match read_query(pairs) {
        Ok((filter, _)) if is_known => TaskFilter { visible, ..filter },
        _ => return Err(wrong_filter(app, &query, pairs).await),
    };
    if pairs.is_empty() {
        return Err(RequestError::new(
            ErrorCode::MissingTaskFilters,
            format!(
                "Query parameters to filter the tasks to {verb} are missing. Available query parameters are: `uids`, \
                 `indexUids`, `statuses`, `types`, `canceledBy`, `beforeEnqueuedAt`, `afterEnqueuedAt`, \
                 `beforeStartedAt`, `afterStartedAt`, `beforeFinishedAt`, `afterFinishedAt`."
            ),
        ));
    }
    if matches!(action, TaskAction::Delete) {
        let_end(app, &filter).await?;
    }
    Ok(Json(app.writer.administer(action, filter, format!("?{query}")).await?))
}

/// One Meilisearch deletes tasks when it has finished what it is at, and so also those of them that it was at when the
/// deletion came. This waits for these, for a while.
async fn let_end(app: &App, filter: &TaskFilter) -> Result<(), RequestError> {
    let unfinished = || Some(vec![TaskStatus::Enqueued, TaskStatus::Processing]);
    let found = async |filter: TaskFilter, page: TaskPage| -> Result<Vec<TaskUid>, RequestError> {
        Ok(app.writer.tasks(filter, page).await?.results.into_iter().map(|task| task.uid).collect())
    };
    let first = TaskPage { limit: 1, reverse: true, ..TaskPage::default() };
    let head = found(TaskFilter { statuses: unfinished(), ..TaskFilter::default() }, first).await?;
    let is_asked = |status| filter.statuses.as_ref().is_none_or(|asked| asked.contains(&status));
    if head.is_empty() || !(is_asked(TaskStatus::Enqueued) || is_asked(TaskStatus::Processing)) {
        return Ok(());
    }
    let processing = TaskFilter { statuses: Some(vec![TaskStatus::Processing]), ..filter.clone() };
    let mut awaited = found(processing, TaskPage { limit: u32::MAX, ..TaskPage::default() }).await?;
    if filter.uids.as_ref().is_none_or(|uids| uids.contains(&head[0])) {
        awaited.extend(found(TaskFilter { uids: Some(head), ..filter.clone() }, first).await?);
    }
    if awaited.is_empty() {
        return Ok(());
    }
    let at_work = TaskFilter { uids: Some(awaited), statuses: unfinished(), ..TaskFilter::default() };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !found(at_work.clone(), first).await?.is_empty() {
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// What is wrong with a filter. A node is asked by a route that only reads: it says the same of a wrong value.
async fn wrong_filter(app: &App, query: &str, pairs: &[(String, String)]) -> RequestError {
    // The first one that is wrong is told.
    let is_wrong = |pair: &(String, String)| {
        !FILTERS.contains(&pair.0.as_str()) || read_query(std::slice::from_ref(pair)).is_err()
    };
    match pairs.iter().find(|pair| is_wrong(pair)).filter(|(name, _)| !FILTERS.contains(&name.as_str())) {
        Some((name, _)) => {
            let known = FILTERS.map(|name| format!("`{name}`")).join(", ");
            RequestError::new(
                ErrorCode::BadRequest,
                format!("Unknown parameter `{name}`: expected one of {known}"),
            )
        }
        None => wrong_query(app, "/tasks", Some(query)).await,
    }
}

/// A query that Meilisearch would refuse.
#[derive(Debug)]
pub(super) struct NotUnderstood;

pub(super) fn read_query(pairs: &[(String, String)]) -> Result<(TaskFilter, TaskPage), NotUnderstood> {
    let (mut filter, mut page) = (TaskFilter::default(), TaskPage::default());
    for (name, text) in pairs {
        match name.as_str() {
            // Meilisearch asks its queue for one more, and shows one less than that.
            "limit" => page.limit = parsed::<u32>(text)?.min(u32::MAX - 1),
            "from" => page.from = Some(TaskUid(parsed::<u32>(text)?.into())),
            "reverse" => page.reverse = parsed(text)?,
            "uids" => filter.uids = items(text, number)?,
            "canceledBy" => filter.canceled_by = items(text, number)?,
            "batchUids" => filter.batch_uids = items(text, |item| item.parse().ok())?,
            "statuses" => filter.statuses = items(text, TaskStatus::from_name)?,
            "types" => filter.types = items(text, TaskKind::from_name)?,
            "indexUids" => {
                filter.index_uids = items(text, |item| crate::http::path::check_uid(item).ok())?.map(sorted);
            }
            "beforeEnqueuedAt" => filter.before_enqueued_at = instant(text, Edge::Before)?,
            "afterEnqueuedAt" => filter.after_enqueued_at = instant(text, Edge::After)?,
            "beforeStartedAt" => filter.before_started_at = instant(text, Edge::Before)?,
            "afterStartedAt" => filter.after_started_at = instant(text, Edge::After)?,
            "beforeFinishedAt" => filter.before_finished_at = instant(text, Edge::Before)?,
            "afterFinishedAt" => filter.after_finished_at = instant(text, Edge::After)?,
            _ => return Err(NotUnderstood),
        }
    }
    Ok((filter, page))
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, NotUnderstood> {
    text.parse().map_err(|_| NotUnderstood)
}

fn sorted(mut uids: Vec<IndexUid>) -> Vec<IndexUid> {
    uids.sort_unstable();
    uids.dedup();
    uids
}

fn number(item: &str) -> Option<TaskUid> {
    item.parse::<u32>().ok().map(|number| TaskUid(number.into()))
}

/// A comma list; `*` in it stands for any and sets no filter, and without an item there is no match. Nothing between two
/// commas is no item.
fn items<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<Vec<T>>, NotUnderstood> {
    let items = || text.split(',').filter(|item| !item.is_empty());
    let read: Option<Vec<T>> = items().filter(|item| *item != "*").map(read).collect();
    let read = read.ok_or(NotUnderstood)?;
    Ok(if items().any(|item| item == "*") { None } else { Some(read) })
}

#[derive(Clone, Copy)]
enum Edge {
    Before,
    After,
}

/// A full RFC 3339 time, or a date: after a date means after its last moment. `*` stands for any.
fn instant(text: &str, edge: Edge) -> Result<Option<OffsetDateTime>, NotUnderstood> {
    if text == "*" {
        return Ok(None);
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Some(time));
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| NotUnderstood)?;
    let midnight = day.with_time(Time::MIDNIGHT).assume_utc();
    Ok(Some(match edge {
        Edge::Before => midnight,
        Edge::After => midnight + Duration::DAY,
    }))
}
