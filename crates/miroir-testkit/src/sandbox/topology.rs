//! The shape of a cluster: how many nodes, in how many groups, with how many copies.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, ensure};

/// Shards of a topology that does not say: enough for every node of the standard topologies to hold several.
const DEFAULT_SHARDS: u32 = 16;

/// The shape of a cluster. Written `3x2:rf2` (3 nodes per group, 2 groups, 2 copies), with `:s8` for 8 shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Replica groups; each holds everything.
    pub groups: u32,
    /// Nodes in each group.
    pub nodes_per_group: u32,
    /// Copies of a shard within a group.
    pub replication_factor: u32,
    /// Shards of an index.
    pub shards: u32,
}

impl Topology {
    /// One node with everything.
    pub const SINGLE: Self =
        Self { groups: 1, nodes_per_group: 1, replication_factor: 1, shards: DEFAULT_SHARDS };

    /// One group of `nodes` nodes that keep `replication_factor` copies.
    pub const fn one_group(nodes: u32, replication_factor: u32) -> Self {
        Self { groups: 1, nodes_per_group: nodes, replication_factor, shards: DEFAULT_SHARDS }
    }

    /// `groups` groups of `nodes` nodes each.
    pub const fn groups(groups: u32, nodes: u32, replication_factor: u32) -> Self {
        Self { groups, nodes_per_group: nodes, replication_factor, shards: DEFAULT_SHARDS }
    }

    /// The topologies that every change of the search path has to pass.
    pub const STANDARD: [Self; 6] = [
        Self::SINGLE,
        Self::one_group(3, 1),
        Self::one_group(3, 2),
        Self::one_group(3, 3),
        Self::groups(2, 2, 1),
        Self::groups(2, 3, 2),
    ];

    /// Nodes in all groups together.
    pub const fn nodes(&self) -> u32 {
        self.groups * self.nodes_per_group
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups > 1 {
            write!(f, "{} groups x ", self.groups)?;
        }
        let plural = if self.nodes_per_group == 1 { "" } else { "s" };
        write!(f, "{} node{plural} RF {}", self.nodes_per_group, self.replication_factor)
    }
}

impl FromStr for Topology {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let size = parts.next().unwrap_or_default();
        let (nodes, groups) =
            size.split_once('x').with_context(|| format!("`{text}`: expected `3x1:rf2`"))?;
        let mut topology = Self {
            groups: groups.parse().with_context(|| format!("`{text}`: the number of groups"))?,
            nodes_per_group: nodes.parse().with_context(|| format!("`{text}`: the number of nodes"))?,
            ..Self::SINGLE
        };
        for part in parts {
            let number = part.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let value = number.parse().with_context(|| format!("`{text}`: no number in `{part}`"))?;
            match &part[..part.len() - number.len()] {
                "rf" => topology.replication_factor = value,
                "s" => topology.shards = value,
                _ => anyhow::bail!("`{text}`: `{part}` is neither `rf<copies>` nor `s<shards>`"),
            }
        }
        ensure!(topology.nodes() > 0 && topology.shards > 0, "`{text}`: a cluster has nodes and shards");
        ensure!(
            (1..=topology.nodes_per_group).contains(&topology.replication_factor),
            "`{text}`: a group of {} nodes can't keep {} copies",
            topology.nodes_per_group,
            topology.replication_factor
        );
        Ok(topology)
    }
}

#[cfg(test)]
mod tests {
    use super::Topology;

    #[test]
    fn a_topology_is_read_from_its_short_form() {
        let topology: Topology = "3x2:rf2:s8".parse().unwrap();
        assert_eq!(topology, Topology { groups: 2, nodes_per_group: 3, replication_factor: 2, shards: 8 });
        assert_eq!(topology.to_string(), "2 groups x 3 nodes RF 2");
        assert_eq!("1x1".parse::<Topology>().unwrap(), Topology::SINGLE);
        assert_eq!(Topology::SINGLE.to_string(), "1 node RF 1");
    }

    #[test]
    fn an_impossible_topology_is_refused() {
        for text in ["", "3", "0x1", "2x1:rf3", "3x1:rf0", "3x1:q2", "3x1:rf"] {
            assert!(text.parse::<Topology>().is_err(), "{text} was accepted");
        }
    }
}
