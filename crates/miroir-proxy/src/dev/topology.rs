//! How big a development cluster is. Flags that are not given take the value that the data directory was made with; a
//! flag that contradicts it is refused, because the copies on the nodes would no longer be where Miroir looks.

use std::fmt;

use miroir_core::ids::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

const DEFAULT_NODES: u32 = 3;
const DEFAULT_REPLICATION_FACTOR: u32 = 2;
const DEFAULT_REPLICA_GROUPS: u32 = 1;
const DEFAULT_SHARDS: u32 = 64;

/// What the flags say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// `--nodes`.
    pub nodes: Option<u32>,
    /// `--replication-factor`.
    pub replication_factor: Option<u32>,
    /// `--replica-groups`.
    pub replica_groups: Option<u32>,
    /// `--shards`.
    pub shards: Option<u32>,
}

/// The shape of a development cluster, kept with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Nodes in all.
    pub nodes: u32,
    /// Copies of each shard within a group.
    pub replication_factor: u32,
    /// Groups that the nodes are dealt over.
    pub replica_groups: u32,
    /// Shards of each index.
    pub shards: u32,
}

/// Why a cluster can't have this shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Some group would be smaller than another.
    #[error(
        "--nodes is the number of nodes in all: {nodes} can't be dealt evenly over {groups} replica groups (try {})",
        .groups * .nodes.div_ceil(*.groups)
    )]
    Uneven {
        /// Nodes in all.
        nodes: u32,
        /// Groups.
        groups: u32,
    },
    /// More copies than nodes to hold them.
    #[error(
        "--replication-factor {factor} needs {factor} nodes in each replica group, and {nodes} node(s) over {groups} \
         group(s) make {}", .nodes / .groups
    )]
    TooFewNodes {
        /// Copies wanted.
        factor: u32,
        /// Nodes in all.
        nodes: u32,
        /// Groups.
        groups: u32,
    },
    /// The data belong to a cluster of another shape.
    #[error(
        "the data directory holds a cluster made with `{kept}`, not `{wanted}`: leave these flags out to go on with \
         it, or give another --data-dir, or delete the directory to start anew"
    )]
    Changed {
        /// The shape the data have.
        kept: Topology,
        /// The shape asked for.
        wanted: Topology,
    },
}

impl Topology {
    /// Decides the shape. The second value says when the default replication factor was lowered, and to what.
    pub fn choose(wanted: &Wanted, kept: Option<Self>) -> Result<(Self, Option<u32>), TopologyError> {
        if let Some(kept) = kept {
            let asked = Self {
                nodes: wanted.nodes.unwrap_or(kept.nodes),
                replication_factor: wanted.replication_factor.unwrap_or(kept.replication_factor),
                replica_groups: wanted.replica_groups.unwrap_or(kept.replica_groups),
                shards: wanted.shards.unwrap_or(kept.shards),
            };
            return if asked == kept {
                Ok((kept, None))
            } else {
                Err(TopologyError::Changed { kept, wanted: asked })
            };
        }
        let groups = wanted.replica_groups.unwrap_or(DEFAULT_REPLICA_GROUPS);
        let nodes = wanted.nodes.unwrap_or(DEFAULT_NODES.next_multiple_of(groups));
        if !nodes.is_multiple_of(groups) {
            return Err(TopologyError::Uneven { nodes, groups });
        }
        let in_group = nodes / groups;
        let factor = wanted.replication_factor.unwrap_or(DEFAULT_REPLICATION_FACTOR.min(in_group));
        if factor > in_group {
            return Err(TopologyError::TooFewNodes { factor, nodes, groups });
        }
        let lowered = wanted.replication_factor.is_none() && factor < DEFAULT_REPLICATION_FACTOR;
        let shards = wanted.shards.unwrap_or(DEFAULT_SHARDS);
        let topology = Self { nodes, replication_factor: factor, replica_groups: groups, shards };
        Ok((topology, lowered.then_some(factor)))
    }

    /// The nodes by name, each with its group: dealt in turn, so that every group gets as many.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, GroupId)> {
        let groups = self.replica_groups;
        (0..self.nodes)
            .map(move |number| (NodeId::new(format!("node-{}", number + 1)), GroupId(number % groups)))
    }
}

impl fmt::Display for Topology {
    /// As the flags that ask for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, replication_factor, replica_groups, shards } = self;
        write!(
            f,
            "--nodes {nodes} --replication-factor {replication_factor} --replica-groups {replica_groups} --shards {shards}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(wanted: Wanted) -> Result<(Topology, Option<u32>), TopologyError> {
        Topology::choose(&wanted, None)
    }

    #[test]
    fn without_flags_there_are_three_nodes_and_two_copies() {
        let (topology, lowered) = choose(Wanted::default()).unwrap();
        assert_eq!(topology, Topology { nodes: 3, replication_factor: 2, replica_groups: 1, shards: 64 });
        assert_eq!(lowered, None);
    }

    #[test]
    fn one_node_lowers_the_default_number_of_copies_and_says_so() {
        let (topology, lowered) = choose(Wanted { nodes: Some(1), ..Wanted::default() }).unwrap();
        assert_eq!((topology.replication_factor, lowered), (1, Some(1)));
    }

    #[test]
    fn more_copies_than_nodes_are_refused_when_asked_for() {
        let wanted = Wanted {
            nodes: Some(4),
            replica_groups: Some(2),
            replication_factor: Some(3),
            ..Wanted::default()
        };
        let error = choose(wanted).unwrap_err();
        assert_eq!(error, TopologyError::TooFewNodes { factor: 3, nodes: 4, groups: 2 });
        assert!(error.to_string().ends_with("4 node(s) over 2 group(s) make 2"), "{error}");
    }

    #[test]
    fn nodes_that_do_not_divide_over_the_groups_are_refused_with_a_number_that_does() {
        let error =
            choose(Wanted { nodes: Some(5), replica_groups: Some(2), ..Wanted::default() }).unwrap_err();
        assert_eq!(error, TopologyError::Uneven { nodes: 5, groups: 2 });
        assert!(error.to_string().contains("(try 6)"), "{error}");
    }

    #[test]
    fn nodes_are_dealt_over_the_groups_in_turn() {
        let wanted = Wanted { nodes: Some(4), replica_groups: Some(2), ..Wanted::default() };
        let dealt: Vec<_> =
            choose(wanted).unwrap().0.members().map(|(id, group)| (id.to_string(), group.0)).collect();
        let expected = [("node-1", 0), ("node-2", 1), ("node-3", 0), ("node-4", 1)];
        assert_eq!(dealt, expected.map(|(id, group)| (id.to_owned(), group)));
    }

    #[test]
    fn kept_data_decide_what_the_flags_leave_open_and_refuse_what_contradicts_them() {
        let kept = Topology { nodes: 5, replication_factor: 3, replica_groups: 1, shards: 8 };
        assert_eq!(Topology::choose(&Wanted::default(), Some(kept)).unwrap().0, kept);
        let error =
            Topology::choose(&Wanted { nodes: Some(3), ..Wanted::default() }, Some(kept)).unwrap_err();
        assert_eq!(error, TopologyError::Changed { kept, wanted: Topology { nodes: 3, ..kept } });
        assert!(error.to_string().contains("--nodes 5 --replication-factor 3"), "{error}");
    }
}
