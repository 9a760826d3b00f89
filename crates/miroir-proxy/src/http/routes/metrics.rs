//! `GET /metrics`: what Meilisearch tells Prometheus, told of the whole cluster. Miroir's own metrics are elsewhere.

use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use miroir_core::error::ErrorCode;
use miroir_core::task::{TaskFilter, TaskKind, TaskPage, TaskStatus};

use super::features::{Feature, require};
use crate::auth::{Authorized, MetricsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::node_api::{InternalSizes, NodeRequest};
use crate::read::instance_stats;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(
    caller: Authorized<MetricsGet>,
    State(app): State<App>,
) -> Result<([(HeaderName, &'static str); 1], String), RequestError> {
    require(&app, Feature::Metrics, NodeRequest::get("/metrics")).await?;
    if caller.visible().is_some() {
        return Err(RequestError::new(
            ErrorCode::InvalidApiKey,
            "The provided API key is invalid. The API key for the `/metrics` route must allow access to all indexes.",
        ));
    }
    let mut text = Text::default();
    let view = app.cluster.view.load();
    let entries = view.indexes.values().collect();
    let told = instance_stats(&app.cluster, &view, entries, InternalSizes::Hide).await?;
    text.gauge("db_size_bytes", "Bytes of all databases on the nodes", &[("", told.database_size)]);
    text.gauge(
        "used_db_size_bytes",
        "Bytes in use of all databases on the nodes",
        &[("", told.used_database_size)],
    );
    text.gauge("index_count", "Indexes", &[("", view.indexes.len() as u64)]);
    let (mut documents, mut indexing) = (Vec::new(), false);
    for (uid, stats) in told.indexes {
        indexing |= stats["isIndexing"] == true;
        let count = stats["numberOfDocuments"].as_u64().unwrap_or(0);
        documents.push((format!("{{index=\"{uid}\"}}"), count));
    }
    text.gauge("index_docs_count", "Documents of each index", &documents);
    text.gauge("is_indexing", "1 while a node indexes, else 0", &[("", u64::from(indexing))]);
    text.gauge("nb_tasks", "Tasks by status and by type", &count_tasks(&app).await?);
    Ok(([(CONTENT_TYPE, "text/plain")], text.0))
}

async fn count_tasks(app: &App) -> Result<Vec<(String, u64)>, RequestError> {
    let of_status = |status: &TaskStatus| {
        let filter = TaskFilter { statuses: Some(vec![*status]), ..TaskFilter::default() };
        (label("statuses", status.as_str()), filter)
    };
    let of_kind = |kind: &TaskKind| {
        let filter = TaskFilter { types: Some(vec![*kind]), ..TaskFilter::default() };
        (label("types", kind.as_str()), filter)
    };
    let mut counts = Vec::new();
    for (label, filter) in TaskStatus::ALL.iter().map(of_status).chain(TaskKind::ALL.iter().map(of_kind)) {
        let page = TaskPage { limit: 0, ..TaskPage::default() };
        counts.push((label, app.writer.tasks(filter, page).await?.total));
    }
    Ok(counts)
}

fn label(kind: &str, value: &str) -> String {
    format!("{{kind=\"{kind}\",value=\"{value}\"}}")
}

/// The text format of Prometheus.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, values: &[(impl AsRef<str>, u64)]) {
        let told = writeln!(self.0, "# HELP meilisearch_{name} {help}\n# TYPE meilisearch_{name} gauge");
        told.expect("writing to memory does not fail");
        for (labels, value) in values {
            writeln!(self.0, "meilisearch_{name}{} {value}", labels.as_ref())
                .expect("writing to memory does not fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_has_a_line_for_each_value() {
        let mut text = Text::default();
        text.gauge("nb_tasks", "Tasks", &[(label("statuses", "failed"), 2)]);
        text.gauge("index_count", "Indexes", &[("", 3)]);
        let expected = "# HELP meilisearch_nb_tasks Tasks\n# TYPE meilisearch_nb_tasks gauge\n\
                        meilisearch_nb_tasks{kind=\"statuses\",value=\"failed\"} 2\n\
                        # HELP meilisearch_index_count Indexes\n# TYPE meilisearch_index_count gauge\n\
                        meilisearch_index_count 3\n";
        assert_eq!(text.0, expected);
    }
}
