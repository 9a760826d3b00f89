//! Finding tasks.

use miroir_core::ids::{IndexUid, TaskUid};
use miroir_core::keys::UidPattern;
use miroir_core::task::{Task, TaskFilter, TaskList, TaskPage};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use time::OffsetDateTime;

use super::rows::{self, big, nanoseconds};
use crate::StoreError;

/// Conditions that all have to hold, with what they compare to.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn one_of(&mut self, column: &str, values: Option<Vec<Value>>) {
        let Some(values) = values else { return };
        if values.is_empty() {
            self.sql.push("1 = 0".to_owned());
        } else {
            self.sql.push(format!("{column} IN ({})", vec!["?"; values.len()].join(", ")));
            self.values.extend(values);
        }
    }

    /// About one of these indexes; a swap is about all that it names, a rename about both names.
    fn about(&mut self, indexes: Option<&[IndexUid]>) {
        let Some(indexes) = indexes else { return };
        let about = self.either(indexes.iter().map(|index| {
            let (first, second) = (format!("[\"{index}\","), format!(",\"{index}\"]"));
            let renamed = format!("\"newIndexUid\":\"{index}\"");
            (
                "index_uid = ? OR (kind = 'indexSwap' AND (instr(details, ?) > 0 OR instr(details, ?) > 0))
                 OR (kind = 'indexUpdate' AND instr(details, ?) > 0)",
                vec![text(index.as_str()), first.into(), second.into(), renamed.into()],
            )
        }));
        self.sql.push(format!("({about})"));
    }

    fn compare(&mut self, column: &str, operator: &str, date: Option<OffsetDateTime>) {
        if let Some(date) = date {
            self.sql.push(format!("{column} {operator} ?"));
            self.values.push(nanoseconds(date).into());
        }
    }

    /// What was asked for by index, or by whoever may see some indexes only, shows no task about several; a task that
    /// gives an index another name is shown to whoever may see it under both.
    fn confine(&mut self, filter: &TaskFilter) {
        let patterns = filter.visible.as_deref().filter(|list| !list.iter().any(UidPattern::is_all));
        if filter.index_uids.is_some() || patterns.is_some() {
            self.sql.push("index_uid IS NOT NULL".to_owned());
        }
        let Some(patterns) = patterns else { return };
        let named = self.either(patterns.iter().map(|pattern| match pattern.as_str().strip_suffix('*') {
            Some(start) => ("substr(index_uid, 1, length(?)) = ?", vec![text(start), text(start)]),
            None => ("index_uid = ?", vec![text(pattern.as_str())]),
        }));
        let renamed = self.either(patterns.iter().map(|pattern| {
            let name = pattern.as_str().strip_suffix('*').map_or(format!("{pattern}\""), str::to_owned);
            ("instr(details, ?) > 0", vec![Value::Text(format!("\"newIndexUid\":\"{name}"))])
        }));
        let has_other_name = "kind = 'indexUpdate' AND instr(details, '\"newIndexUid\":') > 0";
        self.sql.push(format!("({named}) AND (NOT ({has_other_name}) OR {renamed})"));
    }

    /// One of these conditions; none of them holds where there is none.
    fn either(&mut self, conditions: impl Iterator<Item = (&'static str, Vec<Value>)>) -> String {
        let mut either = vec!["1 = 0"];
        for (sql, values) in conditions {
            either.push(sql);
            self.values.extend(values);
        }
        either.join(" OR ")
    }

    /// Everything that is asked for, whoever asks.
    pub(super) fn asked(filter: &TaskFilter) -> Self {
        let mut all = Self { sql: vec!["deleted = 0".to_owned()], values: Vec::new() };
        let uids = |uids: &Option<Vec<TaskUid>>| {
            uids.as_ref().map(|uids| uids.iter().map(|uid| number(uid.0)).collect::<Vec<_>>())
        };
        all.one_of("uid", uids(&filter.uids));
        all.one_of("canceled_by", uids(&filter.canceled_by));
        if let Some(batches) = &filter.batch_uids {
            all.one_of("uid", Some(batches.iter().map(|batch| number(*batch)).collect()));
            all.sql.push("started_at IS NOT NULL".to_owned());
        }
        all.one_of(
            "status",
            filter.statuses.as_ref().map(|list| list.iter().map(|it| text(it.as_str())).collect()),
        );
        all.one_of(
            "kind",
            filter.types.as_ref().map(|list| list.iter().map(|it| text(it.as_str())).collect()),
        );
        all.about(filter.index_uids.as_deref());
        all.compare("enqueued_at", "<", filter.before_enqueued_at);
        all.compare("enqueued_at", ">", filter.after_enqueued_at);
        all.compare("started_at", "<", filter.before_started_at);
        all.compare("started_at", ">", filter.after_started_at);
        all.compare("finished_at", "<", filter.before_finished_at);
        all.compare("finished_at", ">", filter.after_finished_at);
        all
    }

    /// What is asked for and the caller may see.
    pub(super) fn of(filter: &TaskFilter) -> Self {
        let mut all = Self::asked(filter);
        all.confine(filter);
        all
    }

    /// What of the things asked for is shown.
    fn shown(filter: &TaskFilter) -> Self {
        let mut shown = Self { sql: vec!["TRUE".to_owned()], values: Vec::new() };
        shown.confine(filter);
        shown
    }

    pub(super) fn sql(&self) -> String {
        self.sql.join(" AND ")
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A number from a client: one that no task has where it is out of range.
fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(-1))
}

/// As on Meilisearch, a page is cut before what the caller may not see is taken out of it, and is the last one if anything
/// was.
pub(super) fn find(db: &Connection, filter: &TaskFilter, page: TaskPage) -> Result<TaskList, StoreError> {
    let (mut asked, shown) = (Conditions::asked(filter), Conditions::shown(filter));
    let total: i64 = db
        .prepare_cached(&format!("SELECT COUNT(*) FROM tasks WHERE {}", asked.sql()))?
        .query_row(params_from_iter(&asked.values), |row| row.get(0))?;
    let (direction, beginning) = if page.reverse { ("ASC", ">=") } else { ("DESC", "<=") };
    if let Some(from) = page.from {
        asked.sql.push(format!("uid {beginning} ?"));
        asked.values.push(Value::Integer(i64::try_from(from.0).unwrap_or(i64::MAX)));
    }
    let sql = format!(
        "SELECT {} FROM (SELECT * FROM tasks WHERE {} ORDER BY uid {direction} LIMIT {}) AS page
         WHERE {} ORDER BY uid {direction}",
        rows::TASK,
        asked.sql(),
        u64::from(page.limit) + 1,
        shown.sql(),
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut results = query
        .query_and_then(params_from_iter(asked.values.iter().chain(&shown.values)), rows::task)?
        .collect::<Result<Vec<Task>, StoreError>>()?;
    let next = results.get(page.limit as usize).map(|task| task.uid);
    results.truncate(page.limit as usize);
    let from = results.first().map(|task| task.uid);
    let total = u64::try_from(total).unwrap_or(0);
    Ok(TaskList { results, total, limit: page.limit, from, next })
}

pub(super) fn get(db: &Connection, uid: TaskUid) -> Result<Option<Task>, StoreError> {
    let Ok(uid) = i64::try_from(uid.0) else { return Ok(None) };
    let mut query =
        db.prepare_cached(&format!("SELECT {} FROM tasks WHERE uid = ?1 AND deleted = 0", rows::TASK))?;
    let mut found = query.query_and_then([big(uid.unsigned_abs())], rows::task)?;
    found.next().transpose()
}
