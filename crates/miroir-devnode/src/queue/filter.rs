//! Which tasks a listing, a cancelation or a deletion means.

use serde_json::Value;
use time::OffsetDateTime;

use super::store::to_nanoseconds;
use super::task::TaskUid;

/// A bound on one of the three times of a task; exclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeBound {
    /// The column, one of `enqueued_at`, `started_at`, `finished_at`.
    pub column: &'static str,
    pub is_after: bool,
    pub time: OffsetDateTime,
}

/// A conjunction of lists; a list that is `None` does not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskFilter {
    pub uids: Option<Vec<TaskUid>>,
    pub batch_uids: Option<Vec<u64>>,
    pub canceled_by: Option<Vec<TaskUid>>,
    pub statuses: Option<Vec<String>>,
    pub kinds: Option<Vec<String>>,
    pub index_uids: Option<Vec<String>>,
    pub times: Vec<TimeBound>,
    pub from: Option<TaskUid>,
    pub limit: Option<u64>,
    pub is_reversed: bool,
}

impl TaskFilter {
    /// The `WHERE` clause without the page, and its values.
    pub fn to_condition_sql(&self) -> (String, Vec<Value>) {
        let mut clause = Clause::default();
        clause.add_list("uid", self.uids.as_deref());
        clause.add_list("batch_uid", self.batch_uids.as_deref());
        clause.add_list("canceled_by", self.canceled_by.as_deref());
        clause.add_list("status", self.statuses.as_deref());
        clause.add_list("kind", self.kinds.as_deref());
        clause.add_list("index_uid", self.index_uids.as_deref());
        for bound in &self.times {
            let operator = if bound.is_after { ">" } else { "<" };
            clause.add(&format!("{} {operator} ?", bound.column), Value::from(to_nanoseconds(bound.time)));
        }
        clause.finish()
    }

    /// The `WHERE`, `ORDER BY` and `LIMIT` clauses, and their values.
    pub fn to_page_sql(&self) -> (String, Vec<Value>) {
        let (mut sql, mut values) = self.to_condition_sql();
        if let Some(from) = self.from {
            sql.push_str(if sql.is_empty() { "WHERE " } else { " AND " });
            sql.push_str(if self.is_reversed { "uid >= ?" } else { "uid <= ?" });
            values.push(Value::from(from));
        }
        sql.push_str(if self.is_reversed { " ORDER BY uid ASC" } else { " ORDER BY uid DESC" });
        if let Some(limit) = self.limit {
            sql.push_str(" LIMIT ?");
            values.push(Value::from(limit));
        }
        (sql, values)
    }
}

#[derive(Default)]
struct Clause {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Clause {
    fn add(&mut self, condition: &str, value: Value) {
        self.conditions.push(condition.to_owned());
        self.values.push(value);
    }

    fn add_list<T: Clone + Into<Value>>(&mut self, column: &str, list: Option<&[T]>) {
        let Some(list) = list else { return };
        let marks = vec!["?"; list.len()].join(", ");
        self.conditions.push(format!("{column} IN ({marks})"));
        self.values.extend(list.iter().cloned().map(Into::into));
    }

    fn finish(self) -> (String, Vec<Value>) {
        if self.conditions.is_empty() {
            return (String::new(), self.values);
        }
        (format!("WHERE {}", self.conditions.join(" AND ")), self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_filter_restricts_nothing() {
        assert_eq!(TaskFilter::default().to_condition_sql(), (String::new(), Vec::new()));
    }

    #[test]
    fn lists_and_page_are_joined() {
        let filter = TaskFilter {
            statuses: Some(vec!["failed".to_owned(), "canceled".to_owned()]),
            from: Some(7),
            limit: Some(2),
            ..TaskFilter::default()
        };
        let (sql, values) = filter.to_page_sql();
        assert_eq!(sql, "WHERE status IN (?, ?) AND uid <= ? ORDER BY uid DESC LIMIT ?");
        assert_eq!(values.len(), 4);
    }
}
