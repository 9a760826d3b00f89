//! Routes about tasks.

use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

use super::params::Params;
use super::{Answer, Shared, check_uid, run_blocking};
use crate::error::{ApiError, Result};
use crate::queue::filter::{TaskFilter, TimeBound};
use crate::queue::task::{KINDS, Operation, Status, TaskUid};

const DEFAULT_LIMIT: u64 = 20;
const FILTERS: [&str; 12] = [
    "batchUids",
    "uids",
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

pub async fn list(State(node): Shared, uri: Uri) -> Result<Answer> {
    let (mut filter, limit) = parse_page(&uri)?;
    run_blocking(move || {
        let total = node.store.count(&filter)?;
        // One more than asked, to know where the next page begins.
        filter.limit = Some(limit.saturating_add(1));
        let mut tasks = node.store.tasks(&filter)?;
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = tasks.get(size).map(|task| task.uid);
        tasks.truncate(size);
        let results: Vec<Value> = tasks.iter().map(crate::queue::task::Task::view).collect();
        let from = tasks.first().map(|task| task.uid);
        Ok(Answer(json!({ "results": results, "total": total, "limit": limit, "from": from, "next": next })))
    })
    .await
}

/// Batches are not kept; what is wrong with the question is said all the same.
pub async fn list_batches(uri: Uri) -> Result<Answer> {
    let (filter, limit) = parse_page(&uri)?;
    Ok(Answer(json!({ "results": [], "total": 0, "limit": limit, "from": filter.from, "next": null })))
}

fn parse_page(uri: &Uri) -> Result<(TaskFilter, u64)> {
    let accepted = [&["limit", "from", "reverse"][..], &FILTERS].concat();
    let params = Params::parse(uri, &accepted, "invalid_task_")?;
    let limit = params.integer("limit")?.unwrap_or(DEFAULT_LIMIT);
    let mut filter = parse_filter(&params)?;
    filter.from = params.integer("from")?;
    filter.is_reversed = params.boolean("reverse")?.unwrap_or(false);
    Ok((filter, limit))
}

pub async fn get(State(node): Shared, Path(uid): Path<String>) -> Result<Answer> {
    let number: TaskUid = uid.parse().map_err(|_| {
        let message = format!("Task uid `{uid}` is invalid. It should only contain numeric characters.");
        ApiError::new("invalid_task_uids", message)
    })?;
    run_blocking(move || {
        let task = node.store.task(number)?;
        let task =
            task.ok_or_else(|| ApiError::new("task_not_found", format!("Task `{number}` not found.")))?;
        Ok(Answer(task.view()))
    })
    .await
}

pub async fn cancel(state: Shared, uri: Uri) -> Result<Answer> {
    enqueue(state, uri, "cancel", |tasks, query| Operation::CancelTasks { tasks, query }).await
}

pub async fn delete(state: Shared, uri: Uri) -> Result<Answer> {
    enqueue(state, uri, "delete", |tasks, query| Operation::DeleteTasks { tasks, query }).await
}

async fn enqueue(
    State(node): Shared,
    uri: Uri,
    verb: &'static str,
    operation: impl FnOnce(Vec<TaskUid>, String) -> Operation + Send + 'static,
) -> Result<Answer> {
    let params = Params::parse(&uri, &FILTERS, "invalid_task_")?;
    if params.is_empty() {
        let message = format!(
            "Query parameters to filter the tasks to {verb} are missing. Available query parameters are: `uids`, \
             `indexUids`, `statuses`, `types`, `canceledBy`, `beforeEnqueuedAt`, `afterEnqueuedAt`, \
             `beforeStartedAt`, `afterStartedAt`, `beforeFinishedAt`, `afterFinishedAt`."
        );
        return Err(ApiError::new("missing_task_filters", message));
    }
    let filter = parse_filter(&params)?;
    let query = format!("?{}", uri.query().unwrap_or_default());
    run_blocking(move || {
        // What is meant is fixed now; the task leaves alone what has not the right status when it runs.
        let matched: Vec<TaskUid> = node.store.tasks(&filter)?.iter().map(|task| task.uid).collect();
        let task = node.enqueue(None, operation(matched, query), None, None)?;
        // These two answer 200 in Meilisearch, not 202.
        Ok(Answer(task.summary()))
    })
    .await
}

fn parse_filter(params: &Params) -> Result<TaskFilter> {
    Ok(TaskFilter {
        uids: numbers(params, "uids")?,
        batch_uids: numbers(params, "batchUids")
            .map_err(|e| e.recoded("invalid_task_batch_uids", "invalid_batch_uids"))?,
        canceled_by: numbers(params, "canceledBy")?,
        statuses: names(
            params,
            "statuses",
            "status. Available statuses are",
            &Status::ALL.map(Status::name),
        )?,
        kinds: names(params, "types", "type. Available types are", &KINDS)?,
        index_uids: index_uids(params)?,
        times: times(params)?,
        ..TaskFilter::default()
    })
}

/// The items of a comma list; none for `*`, which restricts nothing.
fn items(params: &Params, name: &str) -> Option<Vec<String>> {
    params.list(name).filter(|items| items != &["*"])
}

fn numbers(params: &Params, name: &str) -> Result<Option<Vec<u64>>> {
    let Some(items) = items(params, name) else { return Ok(None) };
    let parse = |item: &String| {
        item.parse()
            .map_err(|_| params.bad_value(name, &format!("could not parse `{item}` as a positive integer")))
    };
    items.iter().map(parse).collect::<Result<_>>().map(Some)
}

fn names(params: &Params, name: &str, what: &str, known: &[&str]) -> Result<Option<Vec<String>>> {
    let Some(items) = items(params, name) else { return Ok(None) };
    let find = |item: &String| {
        let found = known.iter().find(|name| name.eq_ignore_ascii_case(item));
        found.map(|name| (*name).to_owned()).ok_or_else(|| {
            let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            params.bad_value(name, &format!("`{item}` is not a valid task {what} {list}."))
        })
    };
    items.iter().filter(|item| !item.is_empty()).map(find).collect::<Result<_>>().map(Some)
}

fn index_uids(params: &Params) -> Result<Option<Vec<String>>> {
    let Some(items) = items(params, "indexUids") else { return Ok(None) };
    for item in &items {
        check_uid(item).map_err(|message| {
            let message = format!("Invalid value in parameter `indexUids`: {message}");
            ApiError::new("invalid_index_uid", message)
        })?;
    }
    Ok(Some(items))
}

fn times(params: &Params) -> Result<Vec<TimeBound>> {
    let mut bounds = Vec::new();
    for (event, column) in
        [("EnqueuedAt", "enqueued_at"), ("StartedAt", "started_at"), ("FinishedAt", "finished_at")]
    {
        for (side, is_after) in [("after", true), ("before", false)] {
            let name = format!("{side}{event}");
            if let Some(text) = params.text(&name).filter(|text| *text != "*") {
                let time = parse_time(text, is_after).ok_or_else(|| {
                    let reason = format!(
                        "`{text}` is an invalid date-time. It should follow the YYYY-MM-DD or RFC 3339 date-time format."
                    );
                    params.bad_value(&name, &reason)
                })?;
                bounds.push(TimeBound { column, is_after, time });
            }
        }
    }
    Ok(bounds)
}

/// A time, or a day: after a day means from the next one on, before it means before its first moment.
fn parse_time(text: &str, is_after: bool) -> Option<OffsetDateTime> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(time);
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    let start = if is_after {
        day.next_day()?.with_time(Time::MIDNIGHT).assume_utc() - time::Duration::NANOSECOND
    } else {
        day.with_time(Time::MIDNIGHT).assume_utc()
    };
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<TaskFilter> {
        let uri: Uri = format!("/tasks?{query}").parse().expect("a valid address");
        parse_filter(&Params::parse(&uri, &FILTERS, "invalid_task_")?)
    }

    #[test]
    fn a_star_restricts_nothing() {
        assert_eq!(filter("uids=*&statuses=*&indexUids=*"), Ok(TaskFilter::default()));
    }

    #[test]
    fn an_unknown_status_is_refused() {
        let error = filter("statuses=done").unwrap_err();
        assert_eq!(error.code, "invalid_task_statuses");
        assert!(
            error.message.contains("`done` is not a valid task status. Available statuses are `enqueued`")
        );
    }

    #[test]
    fn a_bare_day_ends_with_its_last_moment() {
        let filter = filter("afterEnqueuedAt=2024-02-01").expect("a day");
        assert_eq!(filter.times[0].time.to_string(), "2024-02-01 23:59:59.999999999 +00:00:00");
    }
}
