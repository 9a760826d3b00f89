//! The routes, by what they are about.

mod admin;
mod adopt;
mod batches;
mod chats;
mod client_query;
mod completions;
mod documents;
mod edit;
mod errands;
mod facet_search;
mod features;
mod fields;
mod indexes;
mod instance;
mod keys;
mod list_documents;
mod logs;
mod metrics;
mod multi_search;
mod network;
mod page;
mod remote_servers;
mod render;
mod rules;
mod search;
mod settings;
mod similar;
mod stats;
mod swap;
mod task_documents;
mod tasks;
mod webhooks;

use axum::http::StatusCode;
use axum::{Json, Router};
use miroir_core::task::TaskSummary;

use super::App;
use crate::error::RequestError;

/// The answer to a write: a task that is yet to be done.
type TaskResponse = Result<(StatusCode, Json<TaskSummary>), RequestError>;

/// All routes.
pub(super) fn all() -> Router<App> {
    Router::new()
        .merge(instance::routes())
        .merge(indexes::routes())
        .merge(keys::routes())
        .merge(settings::routes())
        .merge(stats::routes())
        .merge(documents::routes())
        .merge(search::routes())
        .merge(facet_search::routes())
        .merge(similar::routes())
        .merge(multi_search::routes())
        .merge(network::routes())
        .merge(chats::routes())
        .merge(completions::routes())
        .merge(render::routes())
        .merge(rules::routes())
        .merge(tasks::routes())
        .merge(batches::routes())
        .merge(swap::routes())
        .merge(edit::routes())
        .merge(features::routes())
        .merge(errands::routes())
        .merge(fields::routes())
        .merge(task_documents::routes())
        .merge(webhooks::routes())
        .merge(metrics::routes())
        .merge(logs::routes())
        .merge(admin::routes())
}

/// The route of the metrics' own address.
pub(super) fn own_metrics() -> Router<App> {
    admin::open_metrics()
}
