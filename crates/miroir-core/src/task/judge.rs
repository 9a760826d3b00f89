//! The decision about one entry of the log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::decision::Target;
use super::{
    Decision, Deletion, Effect, Grouping, LogEntry, MissingIndex, Mutation, NewIndexPolicy, SettingsOrigin,
    Step, Verdict,
};
use crate::arrival::{ArrivalChange, MOST_DOCUMENTS};
use crate::document::{
    Batch, Demands, DocumentIds, Existing, Judged, Payload, judge_batch, partition, replaced_later,
};
use crate::error::{ErrorCode, ResponseError};
use crate::hash::shard_of;
use crate::ids::{NodeId, PhysicalUid, ShardId};
use crate::placement::{IndexPlacement, PlacementError};
use crate::settings::node_settings;
use crate::view::IndexEntry;

/// What is known when an entry's turn comes.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The index after everything that stands before the entry in the log.
    pub index: Option<&'a IndexEntry>,
    /// How many documents the index holds by then. Only asked for when a primary key is to be changed.
    pub documents: u64,
    /// Which documents the index holds by then, as far as they were asked for.
    pub existing: Existing<'a>,
    /// Nodes that may be trusted to answer: their counts are preferred.
    pub readable: &'a BTreeSet<NodeId>,
    /// What a new index is like.
    pub policy: &'a NewIndexPolicy,
    /// The time.
    pub now: OffsetDateTime,
}

/// A decision, and what was found out about the payload on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What to do.
    pub decision: Decision,
    /// The shard of each document that is sent, part by part of the payload; empty if no document is.
    pub shards_of_documents: Vec<Vec<ShardId>>,
    /// What it means for the order in which the index's documents are listed.
    pub arrivals: Vec<ArrivalChange>,
    /// Documents of which it must be known whether they exist. Unless there are none, the decision is void, and the
    /// entry is to be judged again with the answer in [`Circumstances::existing`].
    pub depends_on: BTreeSet<String>,
}

/// Decides about one entry. `payload` is there for documents to add.
///
/// # Errors
/// When a new index can't be placed on the configured nodes.
pub fn judge(
    entry: &LogEntry,
    payload: Option<&Payload>,
    circumstances: Circumstances<'_>,
) -> Result<Judgement, PlacementError> {
    let mut draft = match Draft::open(entry, circumstances)? {
        Ok(draft) => draft,
        Err(error) => return Ok(Judgement::refused(error)),
    };
    let mut shards_of_documents = Vec::new();
    let mut depends_on = BTreeSet::new();
    let verdict = match &entry.mutation {
        Mutation::AddDocuments { .. } => match draft.add_documents(&entry.mutation, payload) {
            Ok(shards) => {
                shards_of_documents = shards;
                Verdict::Accepted
            }
            Err(NotAdded::Refused(error)) => Verdict::Refused(error),
            Err(NotAdded::DependsOn(documents)) => {
                depends_on = documents;
                Verdict::Accepted
            }
        },
        Mutation::DeleteDocuments { deletion } => draft.delete_documents(deletion),
        Mutation::Settings { patch, .. } => draft.change_settings(patch),
        Mutation::CreateIndex { .. } => draft.create_index(),
        Mutation::EditDocuments { filter, context, function } => {
            draft.edit_documents(filter.clone(), context.clone(), function.clone())
        }
        Mutation::RenameIndex { new_uid, primary_key, .. } => {
            let verdict = draft.update_index(primary_key.as_deref());
            draft.effects.push(Effect::Rename { uid: new_uid.clone() });
            verdict
        }
        // About no single index: see `judge_swap` and `judge_rules`. Errands are done before they are decided about.
        Mutation::SwapIndexes { .. } | Mutation::Errand { .. } | Mutation::Rules { .. } => Verdict::Accepted,
        Mutation::UpdateIndex { primary_key } => draft.update_index(primary_key.as_deref()),
        Mutation::DeleteIndex => draft.delete_index(),
    };
    let arrivals = std::mem::take(&mut draft.arrivals);
    Ok(Judgement { decision: draft.close(verdict), shards_of_documents, arrivals, depends_on })
}

impl Judgement {
    /// The write is refused, and nothing else happens.
    pub fn refused(error: ResponseError) -> Self {
        let decision = Decision {
            verdict: Verdict::Refused(error),
            target: None,
            steps: Vec::new(),
            effects: Vec::new(),
            indexed_documents: 0,
        };
        Self::of(decision)
    }

    /// A decision that is about no documents.
    pub(super) const fn of(decision: Decision) -> Self {
        Self { decision, shards_of_documents: Vec::new(), arrivals: Vec::new(), depends_on: BTreeSet::new() }
    }

    /// Something was done that needs nothing more from the nodes; its task says `details`.
    pub fn done(details: Map<String, Value>) -> Self {
        let decision = Decision {
            verdict: Verdict::Accepted,
            target: None,
            steps: Vec::new(),
            effects: vec![Effect::Report { details }],
            indexed_documents: 0,
        };
        Self::of(decision)
    }

    /// The same, with another name on the nodes for the index that it creates. The nodes that were chosen stay: any
    /// choice is as good as another.
    #[must_use]
    pub fn with_physical(mut self, physical: &PhysicalUid) -> Self {
        for effect in &mut self.decision.effects {
            if let Effect::Create { entry } = effect {
                entry.physical = physical.clone();
            }
        }
        if let Some(target) = &mut self.decision.target {
            target.physical = physical.clone();
        }
        self
    }
}

/// Why documents are not added, or not yet.
enum NotAdded {
    Refused(ResponseError),
    DependsOn(BTreeSet<String>),
}

/// A decision in the making: the index as it will be, and what leads there.
struct Draft<'a> {
    circumstances: Circumstances<'a>,
    index: IndexEntry,
    is_new: bool,
    steps: Vec<Step>,
    effects: Vec<Effect>,
    arrivals: Vec<ArrivalChange>,
    indexed_documents: u64,
}

impl<'a> Draft<'a> {
    /// Finds the index or makes it. The inner error is the client's: no such index.
    fn open(
        entry: &LogEntry,
        circumstances: Circumstances<'a>,
    ) -> Result<Result<Self, ResponseError>, PlacementError> {
        let (index, is_new) = match circumstances.index {
            Some(index) => (index.clone(), false),
            None if creates_missing_index(&entry.mutation) => {
                let primary_key = match &entry.mutation {
                    Mutation::CreateIndex { primary_key } => primary_key.clone(),
                    _ => None,
                };
                (circumstances.policy.entry(&entry.index_uid, primary_key, circumstances.now)?, true)
            }
            None => {
                let message = format!("Index `{}` not found.", entry.index_uid);
                return Ok(Err(ResponseError::new(ErrorCode::IndexNotFound, message)));
            }
        };
        let mut draft = Self {
            circumstances,
            index,
            is_new,
            steps: Vec::new(),
            effects: Vec::new(),
            arrivals: Vec::new(),
            indexed_documents: 0,
        };
        if is_new {
            draft.begin_arrivals();
            draft.effects.push(Effect::Create { entry: Box::new(draft.index.clone()) });
            draft.steps.push(Step::CreateIndex { primary_key: draft.index.primary_key.clone() });
        }
        Ok(Ok(draft))
    }

    /// The shard of each document that is sent, part by part, unless none is written.
    fn add_documents(
        &mut self,
        mutation: &Mutation,
        payload: Option<&Payload>,
    ) -> Result<Vec<Vec<ShardId>>, NotAdded> {
        let Mutation::AddDocuments { method, primary_key: requested, skip_creation, .. } = mutation else {
            unreachable!("only called for documents")
        };
        let nothing = Payload::default();
        let payload = payload.unwrap_or(&nothing);
        let known = self.index.primary_key.clone();
        // Without a key there never was a document.
        let existing = if known.is_none() { Existing::None } else { self.circumstances.existing };
        let judged = judge_batch(&Batch {
            payload,
            index_uid: &self.index.uid,
            known_key: known.as_deref(),
            requested_key: requested.as_deref(),
            method: *method,
            skip_creation: *skip_creation,
            demands: &Demands::of(&self.index.settings),
            existing,
        });
        let batch = match judged {
            Ok(Judged::Accepted(batch)) => batch,
            Ok(Judged::DependsOn(documents)) => return Err(NotAdded::DependsOn(documents)),
            Err(error) => {
                self.settle_new_index();
                return Err(NotAdded::Refused(error.into()));
            }
        };
        let Some(primary_key) = batch.primary_key else {
            self.settle_new_index();
            return Ok(Vec::new());
        };
        if batch.ids.is_empty() {
            self.name_primary_key(known.as_deref(), &primary_key);
            self.settle_new_index();
            return Ok(Vec::new());
        }
        if known.is_none() {
            self.learn_primary_key(&primary_key);
        }
        self.settle_new_index();
        let mut shards = partition(&batch.ids, self.index.shards).into_iter();
        let mut replaced = replaced_later(payload, &batch.ids, *method).into_iter();
        let mut shards_of_documents = Vec::with_capacity(payload.parts.len());
        for (number, part) in payload.parts.iter().enumerate() {
            let replaced = replaced.next().unwrap_or_default();
            let of_part = shards.by_ref().take(part.len()).enumerate();
            let is_sent = |(place, _): &(usize, ShardId)| replaced.binary_search(place).is_err();
            let of_part: Vec<ShardId> = of_part.filter(is_sent).map(|(_, shard)| shard).collect();
            self.steps.push(Step::AddDocuments {
                part: number,
                method: *method,
                primary_key: primary_key.clone(),
                skip_creation: *skip_creation,
                shards: of_part.iter().copied().collect(),
                replaced,
            });
            shards_of_documents.push(of_part);
        }
        self.effects.push(Effect::Touch);
        self.indexed_documents = batch.distinct_ids;
        if !skip_creation {
            self.note_arrivals(batch.ids, batch.distinct_ids);
        }
        Ok(shards_of_documents)
    }

    /// A single shard is listed as its node does it.
    fn begin_arrivals(&mut self) {
        let begins = self.index.shards.get() > 1;
        self.arrivals.extend(begins.then_some(ArrivalChange::Begin));
    }

    fn note_arrivals(&mut self, ids: DocumentIds, distinct_ids: u64) {
        let are_few = distinct_ids <= MOST_DOCUMENTS as u64;
        self.arrivals.push(if are_few { ArrivalChange::Add(ids) } else { ArrivalChange::Close });
    }

    /// A batch without documents may still name the key.
    fn name_primary_key(&mut self, known: Option<&str>, primary_key: &str) {
        if known.is_none() {
            self.steps.push(Step::UpdateIndex { primary_key: primary_key.to_owned() });
            self.learn_primary_key(primary_key);
        }
    }

    fn delete_documents(&mut self, deletion: &Deletion) -> Verdict {
        if let Some(error) = self.impossible_id(deletion) {
            return Verdict::Refused(error);
        }
        match deletion {
            Deletion::ByIds(ids) if ids.len() <= MOST_DOCUMENTS => {
                self.arrivals.push(ArrivalChange::Remove(ids.clone()));
            }
            Deletion::ByIds(_) | Deletion::ByFilter(_) => self.arrivals.push(ArrivalChange::Doubt),
            Deletion::All => self.begin_arrivals(),
        }
        let step = match deletion {
            Deletion::ByIds(ids) => {
                let shards: BTreeSet<_> = ids.iter().map(|id| shard_of(id, self.index.shards)).collect();
                Step::DeleteByIds { counting: self.counting(shards) }
            }
            Deletion::ByFilter(filter) => Step::DeleteByFilter {
                filter: filter.clone(),
                counting: self.counting(self.index.shards.shards()),
                grouping: Grouping::ByCopies,
            },
            Deletion::All => Step::Clear,
        };
        self.steps.push(step);
        self.effects.push(Effect::Touch);
        Verdict::Accepted
    }

    /// Meilisearch looks ids up without a look at them, and its database refuses an empty one.
    fn impossible_id(&self, deletion: &Deletion) -> Option<ResponseError> {
        let Deletion::ByIds(ids) = deletion else { return None };
        if self.index.primary_key.is_none() || !ids.iter().any(String::is_empty) {
            return None;
        }
        let message = "MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size";
        Some(ResponseError::new(ErrorCode::Internal, message))
    }

    fn edit_documents(&mut self, filter: Option<Value>, context: Option<Value>, function: String) -> Verdict {
        let counting = self.counting(self.index.shards.shards());
        self.steps.push(Step::EditDocuments {
            filter,
            context,
            function,
            counting,
            grouping: Grouping::ByCopies,
        });
        self.effects.push(Effect::Touch);
        self.arrivals.push(ArrivalChange::Doubt);
        Verdict::Accepted
    }

    fn change_settings(&mut self, patch: &Map<String, Value>) -> Verdict {
        self.index.settings.apply(patch);
        self.push_settings(patch);
        self.effects.push(Effect::Settings { patch: patch.clone() });
        Verdict::Accepted
    }

    fn create_index(&mut self) -> Verdict {
        if self.is_new {
            self.settle_new_index();
            return Verdict::Accepted;
        }
        let message = format!("Index `{}` already exists.", self.index.uid);
        Verdict::Refused(ResponseError::new(ErrorCode::IndexAlreadyExists, message))
    }

    fn update_index(&mut self, requested: Option<&str>) -> Verdict {
        let Some(requested) = requested else { return Verdict::Accepted };
        match &self.index.primary_key {
            Some(known) if known == requested => Verdict::Accepted,
            Some(known) if self.circumstances.documents > 0 => {
                let uid = &self.index.uid;
                let message = format!("Index `{uid}`: Index already has a primary key: `{known}`.");
                Verdict::Refused(ResponseError::new(ErrorCode::IndexPrimaryKeyAlreadyExists, message))
            }
            _ => {
                self.steps.push(Step::UpdateIndex { primary_key: requested.to_owned() });
                self.learn_primary_key(requested);
                Verdict::Accepted
            }
        }
    }

    fn delete_index(&mut self) -> Verdict {
        self.steps.push(Step::DeleteIndex);
        self.effects.push(Effect::Remove);
        self.arrivals.push(ArrivalChange::Close);
        Verdict::Accepted
    }

    /// Gives a new index the settings that Miroir needs on every node.
    fn settle_new_index(&mut self) {
        if self.is_new && !self.steps.iter().any(|step| matches!(step, Step::Settings { .. })) {
            self.settle_with_nothing();
        }
    }

    /// Settings make an index too, so one without a primary key takes one task of a node. They are Miroir's own: no node
    /// refuses them for what the client did.
    fn settle_with_nothing(&mut self) {
        if matches!(self.steps[..], [Step::CreateIndex { primary_key: None }]) {
            self.steps.clear();
        }
        self.push_settings(&Map::new());
    }

    /// The tie rule names the primary key, so it must be there before documents are.
    fn learn_primary_key(&mut self, primary_key: &str) {
        self.index.primary_key = Some(primary_key.to_owned());
        self.effects.push(Effect::PrimaryKey { primary_key: primary_key.to_owned() });
        if self.index.placement.is_scattered() {
            self.settle_with_nothing();
        }
    }

    fn push_settings(&mut self, patch: &Map<String, Value>) {
        let patch = node_settings(&self.index.settings, patch, self.index.node_context());
        self.steps.push(Step::Settings { patch });
    }

    fn counting(&self, shards: impl IntoIterator<Item = ShardId>) -> BTreeMap<ShardId, NodeId> {
        let counter = |shard| counting_replica(&self.index.placement, shard, self.circumstances.readable);
        shards.into_iter().filter_map(|shard| Some((shard, counter(shard)?))).collect()
    }

    fn close(self, verdict: Verdict) -> Decision {
        let target =
            Target { physical: self.index.physical.clone(), placement: self.index.placement.clone() };
        Decision {
            verdict,
            target: Some(target),
            steps: self.steps,
            effects: self.effects,
            indexed_documents: self.indexed_documents,
        }
    }
}

fn creates_missing_index(mutation: &Mutation) -> bool {
    match mutation {
        Mutation::AddDocuments { missing_index, .. }
        | Mutation::Settings { missing_index, origin: SettingsOrigin::Update, .. } => {
            *missing_index == MissingIndex::Create
        }
        Mutation::CreateIndex { .. } => true,
        Mutation::Settings { origin: SettingsOrigin::Reset, .. }
        | Mutation::DeleteDocuments { .. }
        | Mutation::EditDocuments { .. }
        | Mutation::UpdateIndex { .. }
        | Mutation::RenameIndex { .. }
        | Mutation::SwapIndexes { .. }
        | Mutation::Rules { .. }
        | Mutation::Errand { .. }
        | Mutation::DeleteIndex => false,
    }
}

/// The first replica that can be trusted to answer, or the first of all.
fn counting_replica(
    placement: &IndexPlacement,
    shard: ShardId,
    readable: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let trusted = placement.all_replicas(shard).find(|node| readable.contains(node));
    trusted.or_else(|| placement.all_replicas(shard).next()).cloned()
}
