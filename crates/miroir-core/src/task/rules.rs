//! Deciding about dynamic search rules: every node has all of them.

use std::collections::BTreeMap;

use super::decision::Target;
use super::{Decision, Effect, Judgement, Step, Verdict};
use crate::ids::{GroupId, NodeId, PhysicalUid, ShardCount};
use crate::placement::{GroupPlacement, IndexPlacement, Members, PlacementError};
use crate::rules::{RULES_UID, RuleBook, RuleChange};

/// Decides about a change of the rules. `name_on_nodes` is the name that nodes have for an index.
///
/// # Errors
/// Never with members that were checked.
pub fn judge_rules(
    change: &RuleChange,
    members: &Members,
    name_on_nodes: impl Fn(&str) -> String,
) -> Result<Judgement, PlacementError> {
    let step = match change {
        RuleChange::Put { uid, update } => {
            Step::PutRule { uid: uid.clone(), update: update.clone().for_node(name_on_nodes) }
        }
        RuleChange::Delete { uid } => Step::DeleteRule { uid: uid.clone() },
        RuleChange::Clear => Step::ClearRules,
    };
    Ok(Judgement::of(Decision {
        verdict: Verdict::Accepted,
        target: Some(everywhere(members)?),
        steps: vec![step],
        effects: vec![Effect::Rules { change: change.clone() }],
        indexed_documents: 0,
    }))
}

/// What nodes have to be told of rules that name one of these indexes, when nodes call it otherwise.
pub fn rules_naming(book: &RuleBook, renamed: &[&str], name_on_nodes: impl Fn(&str) -> String) -> Vec<Step> {
    let concerned = book.by_change().into_iter();
    concerned
        .filter(|(_, rule)| renamed.iter().any(|uid| rule.fields().names(uid)))
        .map(|(uid, rule)| Step::PutRule {
            uid: uid.to_owned(),
            update: rule.fields().clone().for_node(&name_on_nodes),
        })
        .collect()
}

impl Judgement {
    /// Adds what nodes have to be told of rules if names change, on the nodes that hold the index.
    #[must_use]
    pub fn with_rules(mut self, steps: Vec<Step>) -> Self {
        let decision = &mut self.decision;
        let accepted = decision.verdict == Verdict::Accepted;
        let changes_names = |effect: &Effect| match effect {
            Effect::Create { .. } => true,
            Effect::Rename { .. } => accepted,
            _ => false,
        };
        if decision.effects.iter().any(changes_names) {
            decision.steps.extend(steps);
        }
        self
    }

    /// The same on all nodes, for a decision that no node has to hear of otherwise.
    ///
    /// # Errors
    /// Never with members that were checked.
    pub fn with_rules_everywhere(
        mut self,
        steps: Vec<Step>,
        members: &Members,
    ) -> Result<Self, PlacementError> {
        if self.decision.verdict == Verdict::Accepted && !steps.is_empty() {
            self.decision.target = Some(everywhere(members)?);
            self.decision.steps = steps;
        }
        Ok(self)
    }
}

/// All nodes, as if the rules were an index with a copy on each.
fn everywhere(members: &Members) -> Result<Target, PlacementError> {
    let mut groups: BTreeMap<GroupId, Vec<NodeId>> = BTreeMap::new();
    for (node, group) in members {
        groups.entry(*group).or_default().push(node.clone());
    }
    let one = ShardCount::new(1).expect("one is not zero");
    let tables = groups.into_iter().map(|(group, nodes)| (group, GroupPlacement::new(vec![nodes])));
    let placement = IndexPlacement::new(one, tables.collect())?;
    Ok(Target { physical: PhysicalUid::new(RULES_UID), placement })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::rules::RuleUpdate;
    use crate::task::{Op, OpResult, TaskStatus, fold, ops_for};

    fn members() -> Members {
        ["a", "b", "c"].into_iter().map(|node| (NodeId::new(node), GroupId(0))).collect()
    }

    fn put(uid: &str, index: &str) -> RuleChange {
        let pin = json!([{ "selector": { "indexUid": index, "id": "1" }, "action": { "type": "pin", "position": 0 } }]);
        let update = RuleUpdate::new(&[("actions".to_owned(), pin)].into_iter().collect());
        RuleChange::Put { uid: uid.to_owned(), update }
    }

    #[test]
    fn every_node_gets_every_change_with_its_own_names() {
        let judged = judge_rules(&put("r", "films"), &members(), |uid| format!("{uid}-2")).unwrap();
        for node in members().keys() {
            let ops = ops_for(&judged.decision, node);
            let [Op::PutRule { uid: "r", update }] = ops.as_slice() else { panic!("{ops:?}") };
            assert!(update.names("films-2"));
        }
    }

    #[test]
    fn deleted_rules_are_counted_once_though_every_node_deletes_them() {
        let judged = judge_rules(&RuleChange::Clear, &members(), str::to_owned).unwrap();
        let done = vec![OpResult::Done { deleted: Some(4) }];
        let reports = members().into_keys().map(|node| (node, done.clone())).collect();
        let folded = fold(&judged.decision, RULES_UID, &reports);
        assert_eq!((folded.status, folded.count), (TaskStatus::Succeeded, 4));
    }

    #[test]
    fn only_rules_that_name_a_renamed_index_are_sent_again() {
        let mut book = RuleBook::default();
        for (uid, index) in [("r", "films"), ("s", "books")] {
            book.apply(&put(uid, index), OffsetDateTime::UNIX_EPOCH);
        }
        let steps = rules_naming(&book, &["books"], |_| "x".to_owned());
        let unconcerned = Judgement::done(serde_json::Map::new());
        assert!(unconcerned.clone().with_rules(steps.clone()).decision.steps.is_empty());
        let judged = unconcerned.with_rules_everywhere(steps, &members()).unwrap();
        let [Step::PutRule { uid, update }] = judged.decision.steps.as_slice() else { panic!("one step") };
        assert!(uid == "s" && update.names("x"));
        assert!(judged.decision.target.is_some());
    }
}
