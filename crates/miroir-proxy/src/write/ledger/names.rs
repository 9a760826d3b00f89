//! What indexes are called: by clients, and on the nodes.

use std::collections::BTreeMap;

use miroir_core::ids::{IndexUid, PhysicalUid, TaskUid};
use miroir_core::task::{Effect, LogEntry, Swap};
use miroir_core::view::IndexEntry;
use miroir_store::{CatalogChange, Commit, Relabelling};
use time::OffsetDateTime;

use super::Head;
use crate::write::prepared::{Decided, Prepared};

/// The longest beginning of a client's name in a name on the nodes, so that the whole stays within 400 bytes.
const LONGEST_BEGINNING: usize = 360;

/// What a rule is about on the nodes that names an index which does not exist, while nodes call another one so: Miroir gives
/// this name to none.
const NO_INDEX: &str = "_miroir_no_index";

/// The name that nodes have for the index called `uid`, if there is one.
pub(in crate::write) fn name_on_nodes(
    catalog: &BTreeMap<IndexUid, IndexEntry>,
    uid: &str,
    index: Option<&IndexEntry>,
) -> String {
    match index {
        Some(index) => index.physical.to_string(),
        None if catalog.values().any(|index| index.physical.as_str() == uid) => NO_INDEX.to_owned(),
        None => uid.to_owned(),
    }
}

impl Head {
    /// The name that nodes have for an index after everything decided so far and then `more`. One that does not exist has
    /// its own name, unless another index has that one.
    pub(in crate::write) fn name_on_nodes<'a>(
        &'a self,
        uid: &str,
        more: impl Iterator<Item = &'a Decided>,
        now: OffsetDateTime,
    ) -> String {
        name_on_nodes(&self.catalog, uid, self.index(&IndexUid::new(uid), more, now).as_ref())
    }

    /// Whether a change of names is decided and not over. Then it is the only decided task that is not, but for those of
    /// frozen indexes.
    pub(in crate::write) fn is_changing_names(&self) -> bool {
        let mut first = self.unsettled.values().filter_map(BTreeMap::first_key_value);
        first.any(|(_, work)| work.entry.mutation.changes_names())
    }

    /// A name on the nodes for the index that an entry creates: its own, unless another index has that one since a swap.
    pub(in crate::write) fn free_physical(&self, entry: &LogEntry, group: &[Prepared]) -> PhysicalUid {
        let uid = entry.index_uid.as_str();
        let own = PhysicalUid::new(uid);
        if !self.is_taken(&own, &entry.index_uid, group) {
            return own;
        }
        let beginning = &uid[..uid.len().min(LONGEST_BEGINNING)];
        (0..=u64::MAX)
            .map(|attempt| PhysicalUid::new(format!("{beginning}-{}-{attempt}", entry.uid)))
            .find(|name| !self.is_taken(name, &entry.index_uid, group))
            .expect("there are more numbers than indexes")
    }

    fn is_taken(&self, name: &PhysicalUid, by_other_than: &IndexUid, group: &[Prepared]) -> bool {
        let settled = self.catalog.values().any(|it| it.physical == *name && it.uid != *by_other_than);
        let decided = |work: &Decided| {
            let target = work.decision.target.as_ref();
            work.entry.index_uid != *by_other_than && target.is_some_and(|target| target.physical == *name)
        };
        settled || self.works().any(decided) || group.iter().map(|work| &*work.decided).any(decided)
    }

    /// Exchanges names in the catalog, and says what to store. All of it becomes visible together.
    pub(super) fn swap(&mut self, task: TaskUid, effect: &Effect, commit: &mut Commit) {
        let Effect::Swap { swaps } = effect else { return };
        let mut put = Vec::new();
        for Swap { indexes: (first, second), .. } in swaps {
            let (left, right) = (self.catalog.remove(first), self.catalog.remove(second));
            commit.catalog.extend([first, second].map(|uid| CatalogChange::Remove(uid.clone())));
            let moved = [(left, second), (right, first)];
            for (entry, uid) in moved.into_iter().filter_map(|(entry, uid)| Some((entry?, uid))) {
                let entry = IndexEntry { uid: uid.clone(), ..entry };
                self.catalog.insert(uid.clone(), entry.clone());
                put.push(CatalogChange::Put(Box::new(entry)));
            }
            commit.relabelled.push(Relabelling { before: task, pair: (first.clone(), second.clone()) });
        }
        commit.catalog.extend(put);
    }
}
