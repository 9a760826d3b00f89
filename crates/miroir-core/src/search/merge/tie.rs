//! The order of hits that nothing else tells apart: by the primary key, as nodes' last ranking rule has it. It is needed where
//! nodes give no such rule: among similar documents, and between lists that nodes merged on their own.

use std::cmp::Ordering;

use super::hits::RankedHit;
use super::hybrid::id_of;
use super::value::SortValue;
use crate::search::MergePlan;

/// A hit's place among its equals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tie {
    key: SortValue,
    id: Option<String>,
}

impl Tie {
    /// The hit's, if it shows its primary key.
    pub(super) fn of(plan: &MergePlan, hit: &RankedHit) -> Self {
        let field = plan.primary_key.as_deref().unwrap_or_default();
        let key = SortValue::first_of(hit.object(), field, true);
        Self { key, id: id_of(hit.object(), field) }
    }
}

impl Eq for Tie {}

impl PartialOrd for Tie {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tie {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.order(&other.key, true).then_with(|| self.id.cmp(&other.id))
    }
}
