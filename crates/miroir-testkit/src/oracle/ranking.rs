//! The whole order of a query's documents, in groups that the ranking rules can't tell apart.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::queries::SearchRequest;
use super::world::World;
use crate::client::Client;

/// More hits than any world has documents.
pub const WHOLE_LIST: usize = 10_000;

/// Hits that an index lets out when its settings don't say how many.
pub const CAP: usize = 1_000;

/// Keys of a hit that describe the search, not the document.
const EXTRAS: [&str; 5] =
    ["_formatted", "_matchesPosition", "_rankingScore", "_rankingScoreDetails", "_geoDistance"];

/// Which group of ties each document of a query belongs to.
///
/// Documents are known by their primary key, or by all that is visible of them when the key is not; then several may
/// look alike, in the same group or in several.
#[derive(Debug, Default)]
pub struct Ranking {
    primary_key: String,
    key_visible: bool,
    /// Every document of the list is in `groups_of`.
    all_seen: bool,
    /// Group at each position of the whole list.
    group_at: Vec<usize>,
    /// Groups of the documents that look like this, in order.
    groups_of: HashMap<String, Vec<usize>>,
    /// The value that makes each document distinct, when the query has a distinct attribute.
    distinct_of: HashMap<String, String>,
    /// Best group of each distinct value.
    best_group: HashMap<String, usize>,
    /// The hits of the same query over the whole list, by document.
    visible: HashMap<String, Vec<Value>>,
}

impl Ranking {
    /// Asks the single node for the whole list of a query: once as the client would see it, once from the twin index.
    pub async fn fetch(expected: &Client, world: &World, query: &SearchRequest) -> Result<Self> {
        let visible = whole_list(expected, &world.index, &query.body).await?;
        let mut unhidden = query.body.clone();
        for name in
            ["distinct", "attributesToRetrieve", "attributesToCrop", "attributesToHighlight", "facets"]
        {
            unhidden.remove(name);
        }
        unhidden.insert("showRankingScoreDetails".to_owned(), json!(true));
        let unhidden = whole_list(expected, &world.twin(), &unhidden).await?;
        let distinct = query.body.get("distinct").and_then(Value::as_str).or(world.shape.distinct);
        Self::build(world.shape.primary_key, distinct, &visible, &unhidden)
    }

    /// Puts the two lists together. `unhidden` has all documents with primary key and score details.
    pub(super) fn build(
        primary_key: &str,
        distinct: Option<&str>,
        visible: &[Value],
        unhidden: &[Value],
    ) -> Result<Self> {
        let key_visible = visible.iter().all(|hit| hit.get(primary_key).is_some());
        let mut ranking = Self { primary_key: primary_key.to_owned(), key_visible, ..Self::default() };
        ranking.group_at = groups(unhidden);
        ranking.all_seen = key_visible || visible.len() == unhidden.len();
        if !key_visible {
            ensure!(
                visible.len() == unhidden.len() || visible.len() == CAP,
                "the twin index lists {} documents, the index {}",
                unhidden.len(),
                visible.len()
            );
        }
        for (position, hit) in unhidden.iter().enumerate() {
            let group = ranking.group_at[position];
            let seen = if key_visible { Some(hit) } else { visible.get(position) };
            let Some(seen) = seen else { break };
            let identity = ranking.identity(seen);
            ranking.groups_of.entry(identity.clone()).or_default().push(group);
            if let Some(value) = distinct.and_then(|path| distinct_value(hit, path)) {
                ranking.best_group.entry(value.clone()).or_insert(group);
                ranking.distinct_of.insert(identity, value);
            }
        }
        for hit in visible {
            ranking.visible.entry(ranking.identity(hit)).or_default().push(hit.clone());
        }
        Ok(ranking)
    }

    /// What tells this document from others: its primary key, or all that is visible of it.
    pub fn identity(&self, hit: &Value) -> String {
        if self.key_visible {
            return hit[&self.primary_key].to_string();
        }
        document_part(hit)
    }

    /// The group of the expected hit at `position` of the page that starts at `offset`.
    pub fn expected_group(&self, expected: &Value, offset: usize, position: usize) -> Option<usize> {
        if self.key_visible {
            return self.groups_of.get(&self.identity(expected))?.first().copied();
        }
        self.group_at.get(offset + position).copied()
    }

    /// Whether this hit may be in the list at all: it is known, or not all that the list has can be seen.
    pub fn may_have(&self, hit: &Value) -> bool {
        !self.all_seen || self.groups_of.contains_key(&self.identity(hit))
    }

    /// Whether this hit may stand where documents of `group` stand.
    pub fn may_stand_in(&self, hit: &Value, group: usize) -> bool {
        let identity = self.identity(hit);
        let member = self.groups_of.get(&identity).is_some_and(|groups| groups.contains(&group));
        let best = self.distinct_of.get(&identity).and_then(|value| self.best_group.get(value));
        member && best.is_none_or(|best| *best == group)
    }

    /// What may come only so often, and how often: a distinct value once, a document as often as it is there.
    pub fn unique_part(&self, hit: &Value) -> (String, usize) {
        let identity = self.identity(hit);
        if let Some(value) = self.distinct_of.get(&identity) {
            return (format!("distinct {value}"), 1);
        }
        let times = self.groups_of.get(&identity).map_or(1, Vec::len);
        (identity, times)
    }

    /// How the single node shows this document for this query: not at all where another one with the same distinct
    /// value stands for it, in several ways where documents look alike but for their formatting.
    pub fn visible(&self, hit: &Value) -> &[Value] {
        self.visible.get(&self.identity(hit)).map_or(&[], Vec::as_slice)
    }
}

/// The fields of the document in a hit, as text that does not depend on the order of top-level keys.
pub fn document_part(hit: &Value) -> String {
    let fields: BTreeMap<&String, &Value> =
        hit.as_object().into_iter().flatten().filter(|(name, _)| !EXTRAS.contains(&name.as_str())).collect();
    json!(fields).to_string()
}

/// All hits of a query, whatever page it asks for (as far as the index's `maxTotalHits` lets them out).
pub async fn whole_list(client: &Client, index: &str, query: &Map<String, Value>) -> Result<Vec<Value>> {
    let answer = whole_answer(client, index, query).await?;
    answer["hits"].as_array().cloned().context("an answer without hits")
}

/// The answer to a query whose page is so large that everything is on it.
pub async fn whole_answer(client: &Client, index: &str, query: &Map<String, Value>) -> Result<Value> {
    let mut query = query.clone();
    let in_pages = query.contains_key("page") || query.contains_key("hitsPerPage");
    for name in ["page", "hitsPerPage", "offset", "limit"] {
        query.remove(name);
    }
    query.insert(if in_pages { "hitsPerPage" } else { "limit" }.to_owned(), json!(WHOLE_LIST));
    client.post(&format!("/indexes/{index}/search"), &Value::Object(query)).await?.success()
}

/// The group number at each position: it changes where the score details do.
fn groups(hits: &[Value]) -> Vec<usize> {
    let mut group = 0;
    let mut numbers = Vec::with_capacity(hits.len());
    for (position, hit) in hits.iter().enumerate() {
        if position > 0 && hit["_rankingScoreDetails"] != hits[position - 1]["_rankingScoreDetails"] {
            group += 1;
        }
        numbers.push(group);
    }
    numbers
}

/// The single value that makes a document distinct; documents without one are all kept.
fn distinct_value(hit: &Value, path: &str) -> Option<String> {
    match path.split('.').fold(hit, |value, name| &value[name]) {
        // A server keeps the first 468 bytes.
        Value::String(text) => Some(text.to_lowercase().chars().take(468).collect()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Ranking;
    use serde_json::{Value, json};

    fn hit(id: u32, brand: &str, score: u32) -> Value {
        json!({"id": id, "brand": brand, "_rankingScoreDetails": {"words": {"score": score}}})
    }

    #[test]
    fn documents_with_equal_details_are_one_group() {
        let hits = [hit(1, "a", 9), hit(2, "b", 9), hit(3, "c", 5)];
        let ranking = Ranking::build("id", None, &hits, &hits).unwrap();
        assert_eq!(ranking.expected_group(&hits[1], 0, 1), Some(0));
        assert!(ranking.may_stand_in(&hits[1], 0));
        assert!(!ranking.may_stand_in(&hits[2], 0));
    }

    #[test]
    fn under_distinct_a_document_stands_only_in_the_best_group_of_its_value() {
        let all = [hit(1, "a", 9), hit(2, "a", 9), hit(3, "a", 5), hit(4, "b", 5)];
        let shown = [all[0].clone(), all[3].clone()];
        let ranking = Ranking::build("id", Some("brand"), &shown, &all).unwrap();
        assert!(ranking.may_stand_in(&all[1], 0));
        assert!(!ranking.may_stand_in(&all[2], 1));
        assert_eq!(ranking.unique_part(&all[1]), ranking.unique_part(&all[0]));
    }

    #[test]
    fn without_the_primary_key_a_document_is_what_is_visible_of_it() {
        let all = [hit(1, "a", 9), hit(2, "a", 5), hit(3, "b", 5)];
        let shown =
            [json!({"brand": "a"}), json!({"brand": "a", "_rankingScore": 0.5}), json!({"brand": "b"})];
        let ranking = Ranking::build("id", None, &shown, &all).unwrap();
        assert_eq!(ranking.expected_group(&shown[1], 1, 0), Some(1));
        assert!(ranking.may_stand_in(&json!({"brand": "a"}), 0));
        assert!(!ranking.may_stand_in(&json!({"brand": "b"}), 0));
        assert_eq!(ranking.unique_part(&shown[0]).1, 2);
    }
}
