//! `/stats` and `/indexes/{index}/stats`.

use axum::extract::{Query, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use miroir_core::size;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::indexes::wrong_query;
use crate::auth::{Authorized, StatsGet};
use crate::error::RequestError;
use crate::http::App;
use crate::http::path::IndexPath;
use crate::node_api::InternalSizes;
use crate::read::{existing, index_stats, instance_stats};

/// Members of statistics that are sizes.
const SIZES: [&str; 4] = ["rawDocumentDbSize", "avgDocumentSize", "databaseSize", "usedDatabaseSize"];

pub(super) fn routes() -> Router<App> {
    Router::new().route("/stats", get(all)).route("/indexes/{index}/stats", get(one))
}

/// How a client wants statistics shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    sizes: SizeFormat,
    internal: InternalSizes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SizeFormat {
    Raw,
    Human,
}

impl Shape {
    /// `None` for what Meilisearch would refuse.
    fn parse(pairs: &[(String, String)]) -> Option<Self> {
        let mut shape = Self { sizes: SizeFormat::Raw, internal: InternalSizes::Hide };
        for (name, text) in pairs {
            match (name.as_str(), text.as_str()) {
                ("sizeFormat", "raw") => shape.sizes = SizeFormat::Raw,
                ("sizeFormat", "human") => shape.sizes = SizeFormat::Human,
                ("showInternalDatabaseSizes", "true") => shape.internal = InternalSizes::Show,
                ("showInternalDatabaseSizes", "false") => shape.internal = InternalSizes::Hide,
                _ => return None,
            }
        }
        Some(shape)
    }

    fn apply(self, stats: &mut Map<String, Value>) {
        if self.sizes == SizeFormat::Raw {
            return;
        }
        for (name, value) in stats {
            match value {
                Value::Object(sizes) if name == "internalDatabaseSizes" => {
                    sizes.values_mut().for_each(to_human);
                }
                value if SIZES.contains(&name.as_str()) => to_human(value),
                _ => {}
            }
        }
    }
}

fn to_human(value: &mut Value) {
    if let Some(bytes) = value.as_u64() {
        *value = json!(size::rounded(bytes));
    }
}

async fn one(
    _: Authorized<StatsGet>,
    IndexPath(uid): IndexPath,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Map<String, Value>>, RequestError> {
    let Some(shape) = Shape::parse(&pairs) else {
        return Err(wrong_query(&app, "/stats", query.as_deref()).await);
    };
    let view = app.cluster.view.load();
    let mut stats = index_stats(&app.cluster, &view, existing(&view, &uid)?, shape.internal).await?;
    shape.apply(&mut stats);
    Ok(Json(stats))
}

async fn all(
    caller: Authorized<StatsGet>,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Map<String, Value>>, RequestError> {
    let Some(shape) = Shape::parse(&pairs) else {
        return Err(wrong_query(&app, "/stats", query.as_deref()).await);
    };
    let view = app.cluster.view.load();
    let shown: Vec<_> = view.indexes.values().filter(|entry| caller.allows(&entry.uid)).collect();
    let last = shown.iter().map(|entry| entry.updated_at).max();
    // The size is that of the database, whoever asks.
    let told = instance_stats(&app.cluster, &view, shown, shape.internal).await?;
    let indexes = told.indexes.into_iter().map(|(uid, mut stats)| {
        shape.apply(&mut stats);
        (uid.to_string(), Value::Object(stats))
    });
    let indexes: Map<String, Value> = indexes.collect();
    let last = last.and_then(|date| date.format(&Rfc3339).ok());
    let mut stats = Map::from_iter([
        ("databaseSize".to_owned(), json!(told.database_size)),
        ("usedDatabaseSize".to_owned(), json!(told.used_database_size)),
        ("lastUpdate".to_owned(), json!(last)),
        ("indexes".to_owned(), Value::Object(indexes)),
    ]);
    shape.apply(&mut stats);
    Ok(Json(stats))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pairs: &[(&str, &str)]) -> Option<Shape> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Shape::parse(&pairs)
    }

    #[test]
    fn sizes_are_numbers_unless_a_person_asks() {
        let mut stats = Map::from_iter([
            ("rawDocumentDbSize".to_owned(), json!(2048)),
            ("numberOfDocuments".to_owned(), json!(2048)),
            ("internalDatabaseSizes".to_owned(), json!({ "main": 512 })),
        ]);
        let raw = stats.clone();
        shape(&[]).unwrap().apply(&mut stats);
        assert_eq!(stats, raw);
        shape(&[("sizeFormat", "human")]).unwrap().apply(&mut stats);
        assert_eq!(stats["rawDocumentDbSize"], "2 KiB");
        assert_eq!(stats["numberOfDocuments"], 2048);
        assert_eq!(stats["internalDatabaseSizes"]["main"], "512 B");
    }

    #[test]
    fn what_meilisearch_refuses_is_not_understood() {
        for pair in [("depth", "2"), ("sizeFormat", "Human"), ("showInternalDatabaseSizes", "yes")] {
            assert_eq!(shape(&[pair]), None, "{pair:?}");
        }
    }
}
