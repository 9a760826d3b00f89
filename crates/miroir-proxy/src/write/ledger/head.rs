//! The head of the log: how each index looks now, as the ended tasks leave it, and how it looks after everything decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use miroir_core::ids::{IndexUid, NodeId, PhysicalUid, TaskUid};
use miroir_core::rules::{RULES_UID, RuleBook};
use miroir_core::task::{Effect, Folded, LogEntry, Step, Target, apply_effect};
use miroir_core::view::IndexEntry;
use miroir_store::{CatalogChange, Commit, Relabelling};
use time::OffsetDateTime;

use super::open::effects;
use super::rollout::is_rollout;
use super::{ChangesOfSettings, Touched};
use crate::write::prepared::Decided;

/// See the module.
#[derive(Debug)]
pub(in crate::write) struct Head {
    pub(super) catalog: BTreeMap<IndexUid, IndexEntry>,
    /// Dynamic search rules, as the ended tasks leave them.
    pub(super) rules: RuleBook,
    /// What is decided and not over about each index.
    pub(super) unsettled: BTreeMap<IndexUid, BTreeMap<TaskUid, Arc<Decided>>>,
    /// Says how changes of settings stand.
    pub(super) changes: Arc<dyn ChangesOfSettings>,
    /// There while somebody wants to know.
    pub(super) touched: Option<Touched>,
    /// Nothing from this entry on was added.
    end: TaskUid,
}

impl Head {
    pub(super) fn new(
        catalog: Vec<IndexEntry>,
        rules: RuleBook,
        changes: Arc<dyn ChangesOfSettings>,
    ) -> Self {
        Self {
            catalog: catalog.into_iter().map(|entry| (entry.uid.clone(), entry)).collect(),
            rules,
            unsettled: BTreeMap::new(),
            changes,
            touched: None,
            end: TaskUid(0),
        }
    }

    /// Nothing from this entry on was added.
    pub(in crate::write) const fn end(&self) -> TaskUid {
        self.end
    }

    /// The indexes as the ended tasks leave them.
    pub(in crate::write) fn catalog(&self) -> &BTreeMap<IndexUid, IndexEntry> {
        &self.catalog
    }

    /// Dynamic search rules, as the ended tasks leave them.
    pub(in crate::write) fn rules(&self) -> &RuleBook {
        &self.rules
    }

    /// Whether there is an index of this name now.
    pub(in crate::write) fn has_index(&self, uid: &IndexUid) -> bool {
        self.catalog.contains_key(uid)
    }

    /// The index after everything decided so far and then `more`; none if there will be no such index.
    pub(in crate::write) fn index<'a>(
        &'a self,
        uid: &IndexUid,
        more: impl Iterator<Item = &'a Decided>,
        now: OffsetDateTime,
    ) -> Option<IndexEntry> {
        let more = more.filter(|work| work.entry.index_uid == *uid);
        let decided = self.works_about(uid).chain(more).flat_map(|work| self.decided_effects(work));
        decided.fold(self.catalog.get(uid).cloned(), |index, effect| apply_effect(index, effect, now))
    }

    fn decided_effects<'a>(&self, work: &'a Decided) -> impl Iterator<Item = &'a Effect> + use<'a> {
        let taken_back = is_rollout(work) && self.changes.taken_back(work.entry.uid).is_some();
        effects(work, None).filter(move |effect| !taken_back || effect.survives_refusal())
    }

    pub(super) fn works_about(&self, index: &IndexUid) -> impl Iterator<Item = &Decided> {
        self.unsettled.get(index).into_iter().flat_map(BTreeMap::values).map(|work| &**work)
    }

    pub(super) fn works(&self) -> impl Iterator<Item = &Decided> {
        self.unsettled.values().flat_map(BTreeMap::values).map(|work| &**work)
    }

    /// The entries of an index that are decided and whose task is not over.
    pub(in crate::write) fn unsettled(&self, index: &IndexUid) -> impl Iterator<Item = &LogEntry> {
        self.works_about(index).map(|work| &work.entry)
    }

    /// How many tasks are not over, those of some indexes left out.
    pub(in crate::write) fn unsettled_count(&self, without: &[IndexUid]) -> usize {
        let counted = self.unsettled.iter().filter(|(index, _)| !without.contains(index));
        counted.map(|(_, works)| works.len()).sum()
    }

    /// An index of which the node holds a part, or will when everything decided is over.
    pub(in crate::write) fn held_by(&self, node: &NodeId) -> Option<IndexUid> {
        let mut catalog = self.catalog.values();
        let held = catalog.find(|index| index.placement.shard_count_of(node) > 0);
        held.map(|index| index.uid.clone()).or_else(|| {
            // Every node has the rules, and none holds them.
            let holds = |target: &Target| {
                target.physical.as_str() != RULES_UID && target.placement.shard_count_of(node) > 0
            };
            let held = self.works().find(|work| work.decision.target.as_ref().is_some_and(holds));
            held.map(|work| work.entry.index_uid.clone())
        })
    }

    /// The forms that an index may have on a node that is up to date.
    pub(in crate::write) fn targets(&self, index: &PhysicalUid) -> Vec<IndexEntry> {
        let known = self.catalog.values().find(|entry| entry.physical == *index);
        let decided = || self.works().find(|work| is_about(work, index)).map(|work| &work.entry.index_uid);
        let Some(uid) = known.map(|entry| &entry.uid).or_else(decided) else { return Vec::new() };
        let head = self.index(uid, std::iter::empty(), OffsetDateTime::UNIX_EPOCH);
        let Some(head) = head.filter(|head| head.physical == *index) else { return Vec::new() };
        let earlier_key = known.and_then(|entry| entry.primary_key.clone());
        let earlier = (earlier_key != head.primary_key)
            .then(|| IndexEntry { primary_key: earlier_key, ..head.clone() });
        std::iter::once(head).chain(earlier).collect()
    }

    /// Whether a change of an index's settings or of its existence is decided and not over.
    pub(super) fn is_changing(&self, index: &PhysicalUid) -> bool {
        let changes = |step: &Step| {
            matches!(step, Step::Settings { .. } | Step::CreateIndex { .. } | Step::DeleteIndex)
        };
        self.works().any(|work| is_about(work, index) && work.decision.steps.iter().any(changes))
    }

    /// Whether a deletion of an index is decided and not over.
    pub(super) fn is_going(&self, uid: &IndexUid) -> bool {
        let deletes = |step: &Step| matches!(step, Step::DeleteIndex);
        self.works_about(uid).any(|work| work.decision.steps.iter().any(deletes))
    }

    /// Takes in a decision, whose task may be over.
    pub(super) fn add(&mut self, work: &Arc<Decided>, is_over: bool) {
        let uid = work.entry.uid;
        self.end = self.end.max(TaskUid(uid.0 + 1));
        if let Some(touched) = &mut self.touched {
            touched.note(work);
        }
        if !is_over {
            let works = self.unsettled.entry(work.entry.index_uid.clone()).or_default();
            works.insert(uid, Arc::clone(work));
        }
    }

    /// The task is over, and has come to this: changes rules and the catalog, and says what to store of that.
    pub(super) fn settle(
        &mut self,
        work: &Decided,
        folded: &Folded,
        date: OffsetDateTime,
        commit: &mut Commit,
    ) {
        let (uid, index) = (work.entry.uid, &work.entry.index_uid);
        for effect in effects(work, Some(folded)) {
            let Effect::Rules { change } = effect else { continue };
            let changed = self.rules.apply(change, work.entry.enqueued_at);
            commit.rules.extend(changed.into_iter().map(|uid| {
                let rule = self.rules.get(&uid).cloned();
                (uid, rule)
            }));
        }
        if let Some(swap) = effects(work, Some(folded)).find(|effect| matches!(effect, Effect::Swap { .. })) {
            self.swap(uid, swap, commit);
        } else if effects(work, Some(folded)).any(Effect::is_about_index) {
            let after = effects(work, Some(folded))
                .fold(self.catalog.remove(index), |entry, effect| apply_effect(entry, effect, date));
            if after.as_ref().is_none_or(|entry| entry.uid != *index) {
                commit.catalog.push(CatalogChange::Remove(index.clone()));
            }
            if let Some(entry) = after {
                if entry.uid != *index {
                    let pair = (index.clone(), entry.uid.clone());
                    commit.relabelled.push(Relabelling { before: uid, pair });
                }
                self.catalog.insert(entry.uid.clone(), entry.clone());
                commit.catalog.push(CatalogChange::Put(Box::new(entry)));
            }
        }
        if let Some(works) = self.unsettled.get_mut(index) {
            works.remove(&uid);
            if works.is_empty() {
                self.unsettled.remove(index);
            }
        }
    }

    /// The first task of an index that is not over.
    pub(super) fn first(&self, index: &IndexUid) -> Option<TaskUid> {
        self.unsettled.get(index)?.keys().next().copied()
    }
}

fn is_about(work: &Decided, index: &PhysicalUid) -> bool {
    work.decision.target.as_ref().is_some_and(|target| target.physical == *index)
}
