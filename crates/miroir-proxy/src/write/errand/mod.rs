//! Errands: what Miroir does with the nodes itself while the log stands still. Everything before is over when one begins,
//! so every node that is in sync has done the same writes, and what the nodes make then is one cut through the cluster.
//!
//! Nothing is decided until an errand is done. After a crash in the middle it is done again, which leaves a dump or a
//! snapshot more than needed, and no harm.

mod export;
mod nodes;
mod remote;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::NodeId;
use miroir_core::size;
use miroir_core::task::{Errand, Judgement, LogEntry};
use miroir_core::view::{IndexEntry, View, coverage};
use miroir_store::Store;
use serde_json::{Map, Value, json};

use self::nodes::on_nodes;
use crate::cluster::{Membership, ViewCell};
use crate::node_api::{Question, questions};

/// Who does errands.
#[derive(Debug, Clone)]
pub(super) struct Errands {
    pub(super) store: Arc<dyn Store>,
    pub(super) membership: Arc<Membership>,
    pub(super) view: Arc<ViewCell>,
    pub(super) timeout: Duration,
}

impl Errands {
    /// Does an errand; `index` is the index that it is about, if there is one. Takes as long as the nodes take.
    pub(super) async fn run(
        &self,
        entry: &LogEntry,
        errand: &Errand,
        index: Option<&IndexEntry>,
    ) -> Judgement {
        let judged = match errand {
            Errand::CompactIndex => self.compact(entry, index).await,
            Errand::Dump => self.dump().await,
            Errand::Snapshot => self.snapshot().await,
            Errand::Export(export) => self.export(entry, export).await,
        };
        judged.map_or_else(Judgement::refused, Judgement::done)
    }

    async fn compact(
        &self,
        entry: &LogEntry,
        index: Option<&IndexEntry>,
    ) -> Result<Map<String, Value>, ResponseError> {
        let Some(index) = index else {
            let message = format!("Index `{}` not found.", entry.index_uid);
            return Err(ResponseError::new(ErrorCode::IndexNotFound, message));
        };
        let readable = self.view.load().in_sync_for(&index.physical);
        let nodes = index.placement.nodes().filter(|node| readable.contains(*node)).cloned().collect();
        let done = on_nodes(self, nodes, &questions::compact_index(&index.physical)).await;
        if let Some(error) = done.values().find_map(|done| done.as_ref().err()) {
            return Err(ResponseError::new(ErrorCode::Internal, error.clone()));
        }
        let sum = |key: &str| -> u64 {
            done.values().flatten().filter_map(|details| size::parse(details.get(key)?.as_str()?)).sum()
        };
        let sizes = ["preCompactionSize", "postCompactionSize"];
        Ok(sizes.map(|key| (key.to_owned(), json!(size::exact(sum(key))))).into_iter().collect())
    }

    /// The task says which node has which dump.
    async fn dump(&self) -> Result<Map<String, Value>, ResponseError> {
        let done = self.everywhere("a dump", &questions::make_dump(), ErrorCode::DumpProcessFailed).await?;
        let places: Vec<String> = done
            .iter()
            .filter_map(|(node, details)| Some(format!("{node}:{}", details.get("dumpUid")?.as_str()?)))
            .collect();
        Ok(Map::from_iter([("dumpUid".to_owned(), json!(places.join(",")))]))
    }

    /// The task says which nodes have one; a node knows only one place for its snapshot.
    async fn snapshot(&self) -> Result<Map<String, Value>, ResponseError> {
        let done = self.everywhere("a snapshot", &questions::make_snapshot(), ErrorCode::Internal).await?;
        Ok(Map::from_iter([("nodes".to_owned(), json!(done.keys().collect::<Vec<_>>()))]))
    }

    /// Lets every node that has everything do something. Nodes that fail are no matter as long as the others hold everything.
    async fn everywhere(
        &self,
        what: &'static str,
        order: &Question<u64>,
        code: ErrorCode,
    ) -> Result<BTreeMap<NodeId, Map<String, Value>>, ResponseError> {
        let view = self.view.load();
        let done = on_nodes(self, view.complete(), order).await;
        let (good, bad): (Vec<_>, Vec<_>) = done.into_iter().partition(|(_, done)| done.is_ok());
        for (node, done) in &bad {
            let reason = done.as_ref().err().map(String::as_str).unwrap_or_default();
            tracing::warn!(%node, reason, what, "node did not do its part of a task for all nodes");
        }
        let good: BTreeMap<_, _> =
            good.into_iter().filter_map(|(node, done)| Some((node, done.ok()?))).collect();
        let cut = View { usable: good.keys().cloned().collect(), ..View::clone(&view) };
        if !good.is_empty() && coverage(&cut).is_full() {
            return Ok(good);
        }
        let reason = bad.into_iter().find_map(|(_, done)| done.err());
        let reason = reason.unwrap_or_else(|| "no node can be read that has them".to_owned());
        Err(ResponseError::new(code, format!("Some shards would be missing: {reason}.")))
    }
}
