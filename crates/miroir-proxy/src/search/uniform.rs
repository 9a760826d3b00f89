//! Reading an index from nodes with equal settings, while a change of its settings is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use miroir_core::error::ErrorCode;
use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, SettingsVersion};
use miroir_core::settings::{Reading, SeenNew, Stale, choose_reading};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::node_api::questions;

/// How often a read is begun again because a node began to change its settings meanwhile.
const MAX_TRIES: usize = 4;

/// How long a node may take to show its settings to a search that waits for that.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);

/// Which settings an answer was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsNote {
    /// The last committed version of the index, the highest one of several; none if there never was one.
    pub version: Option<SettingsVersion>,
    /// Whether all nodes that were asked had the same settings.
    pub uniform: bool,
}

/// Reads one or several indexes, as far as they exist, from nodes with equal settings of `floor` at least. `ask` gets a
/// view in which only these nodes are readable and the indexes are as those have them; it is called again when a node
/// began to change its settings meanwhile.
///
/// # Errors
/// When no nodes are as new as the floor, and whatever `ask` says.
pub async fn read_uniformly<T, F: Future<Output = Result<T, RequestError>>>(
    cluster: &Cluster,
    view: &Arc<View>,
    indexes: impl IntoIterator<Item = IndexUid>,
    floor: Option<SettingsVersion>,
    ask: impl Fn(Arc<View>) -> F,
) -> Result<(T, SettingsNote), RequestError> {
    let mut read = UniformRead::new(cluster, view, indexes, floor);
    loop {
        let answer = ask(read.begin()?).await;
        if let Some(note) = read.end().await {
            return Ok((answer?, note));
        }
    }
}

/// One read, which may take several tries.
#[derive(Debug)]
struct UniformRead<'a> {
    cluster: &'a Cluster,
    view: Arc<View>,
    indexes: BTreeSet<IndexUid>,
    floor: Option<SettingsVersion>,
    readings: Vec<Reading>,
    seen: BTreeMap<PhysicalUid, SeenNew>,
    tries: usize,
}

impl<'a> UniformRead<'a> {
    fn new(
        cluster: &'a Cluster,
        view: &Arc<View>,
        indexes: impl IntoIterator<Item = IndexUid>,
        floor: Option<SettingsVersion>,
    ) -> Self {
        let (view, indexes) = (Arc::clone(view), indexes.into_iter().collect());
        let (readings, seen) = (Vec::new(), BTreeMap::new());
        Self { cluster, view, indexes, floor, readings, seen, tries: 0 }
    }

    /// What to read with: a view in which each index is read only from nodes with equal settings, and is as those have it.
    ///
    /// # Errors
    /// When no nodes are as new as the floor.
    fn begin(&mut self) -> Result<Arc<View>, RequestError> {
        self.tries += 1;
        self.readings.clear();
        let entries: Vec<_> =
            self.indexes.iter().filter_map(|uid| self.view.index(uid)).map(Arc::clone).collect();
        let mut seen = Arc::clone(&self.view);
        for entry in entries {
            let seen_new = self.seen.entry(entry.physical.clone()).or_default();
            let reading = choose_reading(&self.view, &entry, self.floor, seen_new)
                .map_err(|stale| refuse(stale, &entry, self.floor))?;
            if reading.pool != seen.readable_for(&entry) || !Arc::ptr_eq(&reading.entry, &entry) {
                let narrowed = Arc::make_mut(&mut seen);
                narrowed.pools.insert(entry.physical.clone(), reading.pool.clone());
                narrowed.indexes.insert(entry.uid.clone(), Arc::clone(&reading.entry));
            }
            self.readings.push(reading);
        }
        Ok(seen)
    }

    /// What to say about the answer. None if a node began to change meanwhile: it may have answered with either settings,
    /// and all is to be read again. Waits for nodes that change just then, to see which settings they have.
    async fn end(&mut self) -> Option<SettingsNote> {
        let now = self.cluster.view.load();
        let moved = self.readings.iter().any(|reading| reading.has_moved(&now, reading.nodes()));
        let changed = !moved && self.look().await;
        if (moved || changed) && self.tries < MAX_TRIES {
            self.view = self.cluster.view.load();
            return None;
        }
        let uniform = !moved && self.readings.iter().all(|reading| reading.is_uniform(reading.nodes()));
        Some(SettingsNote { version: self.readings.iter().filter_map(Reading::version).max(), uniform })
    }

    /// Looks at the nodes of which nobody knew which settings they have. True if some have new ones.
    async fn look(&mut self) -> bool {
        let cluster = self.cluster;
        let mut changed = false;
        for reading in &mut self.readings {
            let physical = reading.entry.physical.clone();
            let presumed: Vec<NodeId> = reading.presumed().cloned().collect();
            let looks = join_all(presumed.iter().map(|node| look_at(cluster, node, &physical))).await;
            let found = presumed.into_iter().zip(looks).filter_map(|(node, look)| Some((node, look?)));
            let seen = reading.take_looks(&found.collect());
            changed |= !seen.is_empty();
            self.seen.entry(physical).or_default().extend(seen);
        }
        changed
    }
}

/// The settings of an index on a node; none if it does not say.
async fn look_at(cluster: &Cluster, node: &NodeId, index: &PhysicalUid) -> Option<Map<String, Value>> {
    let connection = cluster.membership.node(node)?;
    let asked = connection.ask(questions::settings(index), SETTINGS_TIMEOUT);
    tokio::select! {
        settings = asked => settings.ok(),
        () = cluster.until_unusable(node) => None,
    }
}

fn refuse(stale: Stale, entry: &IndexEntry, floor: Option<SettingsVersion>) -> RequestError {
    let floor = floor.map_or(0, |floor| floor.0);
    let message = match stale {
        Stale::NeverCommitted => format!("No settings were ever committed as version {floor}."),
        Stale::NotThereYet => format!(
            "No nodes that hold all of index `{}` have its settings of version {floor} yet.",
            entry.uid
        ),
    };
    RequestError::new(ErrorCode::MiroirSettingsVersionStale, message)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cluster::ViewChange;
    use crate::cluster::fixture::{cluster_with, films};
    use crate::node_api::fake::FakeNode;

    /// How often a read is made during whose first `changes` tries node b begins to change its settings, and what is said of
    /// the answer.
    async fn read(changes: usize) -> (usize, SettingsNote) {
        let (cluster, publisher) = cluster_with(["a", "b", "c"].map(|id| FakeNode::new(id).node()).into());
        let (uid, tries) = (films().uid, Cell::new(0));
        publisher.publish([ViewChange::Index(Arc::new(films()))]);
        let ask = async |_: Arc<View>| {
            tries.set(tries.get() + 1);
            if tries.get() <= changes {
                let mut settings = publisher.load().settings.clone();
                settings.change(&films().physical, |versions| versions.begin_turns([&NodeId::new("b")]));
                publisher.publish([ViewChange::Settings(settings)]);
            }
            Ok(())
        };
        let ((), note) = read_uniformly(&cluster, &cluster.view.load(), [uid], None, ask).await.unwrap();
        (tries.get(), note)
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_during_which_a_node_changes_its_settings_is_made_again_and_not_for_ever() {
        let uniform = SettingsNote { version: None, uniform: true };
        assert_eq!(read(0).await, (1, uniform));
        assert_eq!(read(2).await, (3, uniform));
        assert_eq!(read(MAX_TRIES).await, (MAX_TRIES, SettingsNote { uniform: false, ..uniform }));
    }
}
