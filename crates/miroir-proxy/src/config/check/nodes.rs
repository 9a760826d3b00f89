//! The checks of the nodes: each by itself, against the others, and all together as replica groups.

use std::collections::HashMap;

use miroir_core::ids::{GroupId, NodeId};

use super::super::checked::{NodeAddress, NodeConfig};
use super::super::error::{FirstOrigin, Origin, Reason};
use super::super::raw::{Raw, RawNode, Setting};
use super::Checker;
use super::addresses::{Own, same_for_all};

impl Checker {
    pub(super) fn nodes(&mut self, raw: &Raw, replica_groups: u32, own: &Own) -> Vec<NodeConfig> {
        let mut ids: HashMap<String, Origin> = HashMap::new();
        let mut addresses: HashMap<NodeAddress, String> = HashMap::new();
        let mut nodes = Vec::new();
        for (position, node) in raw.nodes.iter().flatten().enumerate() {
            let key = |name: &str| format!("nodes[{position}].{name}");
            let id = self.node_id(&key("id"), node, &mut ids);
            let address = self.node_address(&key("address"), node, &mut addresses, own);
            let group = self.group(&key("replica_group"), node.value.replica_group.as_ref(), replica_groups);
            if let (Some(id), Some(address), Some(group)) = (id, address, group) {
                nodes.push(NodeConfig { id, address, group });
            }
        }
        if raw.nodes.as_ref().is_none_or(Vec::is_empty) {
            self.missing("nodes", &Origin::Unset);
        }
        nodes
    }

    fn node_id(
        &mut self,
        key: &str,
        node: &Setting<RawNode>,
        seen: &mut HashMap<String, Origin>,
    ) -> Option<NodeId> {
        let Some(setting) = &node.value.id else {
            self.missing(key, &node.origin);
            return None;
        };
        let id = setting.value.as_str();
        let is_name = id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !is_name || !(1..=64).contains(&id.len()) {
            self.refuse(key, setting, Reason::NotANodeId);
            return None;
        }
        if let Some(first) = seen.insert(id.to_owned(), setting.origin.clone()) {
            self.refuse(key, setting, Reason::DuplicateNodeId(FirstOrigin(first)));
        }
        Some(NodeId::new(id))
    }

    fn node_address(
        &mut self,
        key: &str,
        node: &Setting<RawNode>,
        seen: &mut HashMap<NodeAddress, String>,
        own: &Own,
    ) -> Option<NodeAddress> {
        let Some(setting) = &node.value.address else {
            self.missing(key, &node.origin);
            return None;
        };
        match NodeAddress::parse(&setting.value) {
            Err(why) => {
                self.refuse(key, setting, Reason::NotANodeAddress(why));
                None
            }
            Ok(address) => {
                let id = node.value.id.as_ref().map_or("?", |id| &id.value);
                if let Some(other) = seen.insert(same_for_all(&address), id.to_owned()) {
                    self.refuse(key, setting, Reason::DuplicateAddress(other));
                }
                if let Some(section) = own.section_of(&address) {
                    self.refuse(key, setting, Reason::OwnAddress(section));
                }
                Some(address)
            }
        }
    }

    fn group(&mut self, key: &str, setting: Option<&Setting>, groups: u32) -> Option<GroupId> {
        let Some(setting) = setting else { return Some(GroupId(0)) };
        match setting.value.parse::<u32>() {
            Ok(group) if group < groups => Some(GroupId(group)),
            _ => {
                self.refuse(key, setting, Reason::GroupOutOfRange { groups });
                None
            }
        }
    }

    /// Judges the groups, every node of which is known to be right.
    pub(super) fn groups(&mut self, raw: &Raw, nodes: &[NodeConfig], groups: u32, factor: u32) {
        let factor_setting = raw.replication_factor.as_ref();
        for group in 0..groups {
            let count = nodes.iter().filter(|node| node.group == GroupId(group)).count();
            if count == 0 {
                self.refuse_as(
                    "replica_groups",
                    raw.replica_groups.as_ref(),
                    &groups,
                    Reason::EmptyGroup { group },
                );
            } else if count < factor as usize {
                let reason = Reason::TooFewNodes { group, nodes: count };
                self.refuse_as("replication_factor", factor_setting, &factor, reason);
            }
        }
    }
}
