//! Following relations between documents: conditions on another index's documents are answered before a search, and ids in
//! its hits give way to documents. A caller who may search an index sees what it is related to, as on one Meilisearch.

use std::collections::{BTreeMap, BTreeSet};

use miroir_core::document::reserved;
use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::IndexUid;
use miroir_core::relation::{
    MOST_MATCHING, NotRelated, Question, RelatedDocuments, Relation, SETTING, answered, fill_hit, is_related,
    questions, relations_of, unsupported, wanted_ids,
};
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::error::RequestError;
use crate::read::{documents_by_id, existing, ids_by_filter};
use crate::write::Records;

/// So many documents of other indexes one answer may be filled with.
const MOST_FILLED: usize = 100_000;

/// What relations are followed with, in one view.
#[derive(Debug, Clone, Copy)]
pub struct Relations<'a> {
    /// The nodes that hold what is related.
    pub cluster: &'a Cluster,
    /// Who knows which features are on.
    pub records: &'a Records,
    /// The indexes by name.
    pub view: &'a View,
}

impl Relations<'_> {
    /// Whether the feature is on, which is called like the setting. Without it the setting means nothing.
    async fn is_on(&self) -> Result<bool, RequestError> {
        Ok(self.records.features().await?.get(SETTING).copied().unwrap_or(false))
    }

    /// Answers the conditions on other indexes' documents in a request's filter, and tells whether there were any. Without the
    /// feature they stay, and a node refuses them.
    ///
    /// # Errors
    /// What one Meilisearch says against them.
    pub async fn answer_conditions(
        &self,
        entry: &IndexEntry,
        body: &mut Map<String, Value>,
    ) -> Result<bool, RequestError> {
        let Some(filter) = body.get_mut("filter") else { return Ok(false) };
        if !is_related(filter) || !self.is_on().await? {
            return Ok(false);
        }
        reserved::check(Some(filter), ErrorCode::InvalidSearchFilter)?;
        let asked =
            questions(filter, &relations_of(&entry.settings)).map_err(|fault| refused(entry, &fault))?;
        let mut found = Vec::with_capacity(asked.len());
        let mut of_indexes: BTreeMap<&IndexUid, BTreeSet<String>> = BTreeMap::new();
        for question in &asked {
            // An operator that needs a feature which is off is refused for the filter as a whole.
            let Some(ids) = self.answer(question).await? else { return Ok(false) };
            let matching = of_indexes.entry(&question.index).or_default();
            matching.extend(ids.iter().cloned());
            if matching.len() > MOST_MATCHING {
                return Err(too_many(&question.index));
            }
            found.push(ids);
        }
        *filter = answered(filter, &mut found.into_iter());
        Ok(true)
    }

    /// `None` if the condition needs a feature that is off.
    async fn answer(&self, question: &Question) -> Result<Option<Vec<String>>, RequestError> {
        let other = existing(self.view, &question.index)?;
        match ids_by_filter(self.cluster, self.view, other, &question.filter, MOST_MATCHING).await {
            Ok(ids) => ids.map(Some).ok_or_else(|| too_many(&question.index)),
            Err(RequestError::Node(reply)) if reply.status.is_client_error() => {
                let error = RequestError::Node(reply).told();
                if error.code == ErrorCode::FeatureNotEnabled {
                    return Ok(None);
                }
                Err(inside_condition(&error, question).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses conditions on other indexes' documents, for what one Meilisearch does not take them for. Without the feature a node
    /// refuses them. An error begins with the index if it is to be named.
    pub async fn refuse_conditions(
        &self,
        named: Option<&IndexUid>,
        filter: &Value,
    ) -> Result<(), RequestError> {
        match unsupported(filter) {
            Some(said) if self.is_on().await? => {
                let message = named.map_or_else(|| said.clone(), |index| format!("Index `{index}`: {said}"));
                Err(RequestError::new(ErrorCode::InvalidDocumentFilter, message))
            }
            _ => Ok(()),
        }
    }

    /// Fills the hits of one search.
    pub async fn fill(&self, entry: &IndexEntry, body: &mut Map<String, Value>) -> Result<(), RequestError> {
        let relations = relations_of(&entry.settings);
        if relations.is_empty() || !self.is_on().await? {
            return Ok(());
        }
        let hits = hits_of(body).map(|hit| (relations.as_slice(), hit)).collect();
        self.fill_hits(hits).await
    }

    /// Fills the hits of a federated search, each by the relations of its index.
    pub async fn fill_federated(&self, body: &mut Map<String, Value>) -> Result<(), RequestError> {
        let of_indexes: BTreeMap<&str, Vec<Relation>> = self
            .view
            .indexes
            .iter()
            .map(|(uid, entry)| (uid.as_str(), relations_of(&entry.settings)))
            .filter(|(_, relations)| !relations.is_empty())
            .collect();
        if of_indexes.is_empty() || !self.is_on().await? {
            return Ok(());
        }
        let hits = hits_of(body).filter_map(|hit| {
            let index = hit.get("_federation").and_then(|about| about["indexUid"].as_str());
            Some((of_indexes.get(index?)?.as_slice(), hit))
        });
        let hits = hits.collect();
        self.fill_hits(hits).await
    }

    async fn fill_hits(&self, hits: Vec<(&[Relation], &mut Map<String, Value>)>) -> Result<(), RequestError> {
        let mut wanted = BTreeMap::new();
        for (relations, hit) in &hits {
            wanted_ids(hit, relations, &mut wanted);
        }
        if wanted.values().map(BTreeSet::len).sum::<usize>() > MOST_FILLED {
            let message =
                format!("The hits are related to more than {MOST_FILLED} documents of other indexes.");
            return Err(RequestError::new(ErrorCode::MiroirNotSupported, message));
        }
        let mut documents = RelatedDocuments::new();
        for (index, ids) in wanted {
            let found = documents_by_id(self.cluster, self.view, existing(self.view, &index)?, &ids).await?;
            documents.insert(index, found);
        }
        for (relations, hit) in hits {
            fill_hit(hit, relations, &documents);
        }
        Ok(())
    }
}

fn refused(entry: &IndexEntry, fault: &NotRelated) -> RequestError {
    RequestError::new(ErrorCode::InvalidSearchFilter, format!("Index `{}`: {fault}", entry.uid))
}

fn too_many(index: &IndexUid) -> RequestError {
    let message = format!(
        "Index `{index}`: Foreign filter is retrieving too many documents, foreign filters can't retrieve more than \
         {MOST_MATCHING} documents per index"
    );
    RequestError::new(ErrorCode::InvalidSearchFilter, message)
}

/// A node was asked what stands inside the condition, and one server shows the whole condition.
fn inside_condition(error: &ResponseError, question: &Question) -> ResponseError {
    let message =
        error.message.strip_prefix(&format!("Index `{}`: ", question.index)).unwrap_or(&error.message);
    let begin = format!("_foreign({}, ", question.field);
    let shifted = message.split_once('\n').and_then(|(said, shown)| {
        let (place, text) = shown.split_once(' ')?;
        let (from, to) = place.split_once(':')?;
        let by = begin.chars().count();
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        Some(format!("{said}\n{}:{} {begin}{text})", from + by, to + by))
    });
    let message = format!("Index `{}`: {}", question.index, shifted.as_deref().unwrap_or(message));
    ResponseError { message, ..error.clone() }
}

fn hits_of(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let hits = body.get_mut("hits").and_then(Value::as_array_mut);
    hits.into_iter().flatten().filter_map(Value::as_object_mut)
}
