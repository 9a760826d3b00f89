//! Whose a node is. A cluster has an identity, and leaves a mark on each of its nodes that names the cluster and the node.
//! From the marks that a node shows, its indexes and its tasks it follows whether this Miroir may use it:
//!
//! ```text
//!  a mark? -- this cluster's, this node's ---------------------------------> own
//!     |   \-- another cluster's, or another node's ------------------------> foreign
//!     no
//!     |
//!  indexes? -- none (new, or emptied) -------------------------------------> unclaimed: it gets the mark
//!     |
//!  the last task of any Miroir: this log's? -------------------------------> unclaimed
//!     |                      \-- another log's ----------------------------> foreign
//!     none
//!     |
//!  are all of them in the catalog? -- yes ---------------------------------> unclaimed
//!                                  \- no ----------------------------------> foreign
//! ```
//!
//! The lower half is for nodes of before there were marks, and for those that lost theirs.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::ids::{ClusterId, KeyUid, NodeId, PhysicalUid};
use crate::keys::Action;

/// With what the text of a mark begins.
const MARK: &str = "miroir-mark";

/// With what the text begins by which a log finds its requests again in a node's queue.
const REQUEST: &str = "miroir";

/// Indexes that a message names; of more it says how many.
const NAMED: usize = 3;

/// What Miroir does on its nodes, and nothing else: the actions of the key that it makes itself on each of them. Several
/// routes are only ever asked what is wrong with a client's request.
pub const NODE_KEY_ACTIONS: &[Action] = &[
    Action::Search,
    // Edits by function are let through with the master key only: no group of actions holds them.
    Action::DocumentsAdd,
    Action::DocumentsGet,
    Action::DocumentsDelete,
    Action::IndexesCreate,
    Action::IndexesGet,
    Action::IndexesUpdate,
    Action::IndexesDelete,
    Action::IndexesSwap,
    Action::IndexesCompact,
    Action::FieldsPost,
    Action::SettingsGet,
    Action::SettingsUpdate,
    Action::StatsGet,
    Action::TasksGet,
    Action::TasksCompact,
    Action::MetricsGet,
    Action::DumpsCreate,
    Action::SnapshotsCreate,
    Action::Version,
    Action::FeaturesGet,
    Action::FeaturesUpdate,
    Action::Export,
    Action::NetworkUpdate,
    Action::ChatCompletions,
    Action::ChatsGet,
    Action::ChatsDelete,
    Action::ChatsSettingsGet,
    Action::ChatsSettingsUpdate,
    Action::WebhooksUpdate,
    Action::DynamicSearchRulesGet,
    Action::DynamicSearchRulesUpdate,
    Action::DynamicSearchRulesDelete,
];

/// What a cluster leaves on each of its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose node it is.
    pub cluster: ClusterId,
    /// Which of its nodes.
    pub node: NodeId,
}

impl Mark {
    /// The mark at the beginning of this text, if there is one. Whatever follows it is for people.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace().next()?.splitn(3, ':');
        let is_mark = parts.next() == Some(MARK);
        let cluster = Uuid::try_parse(parts.next()?).ok()?;
        let node = parts.next().filter(|node| !node.is_empty())?;
        is_mark.then(|| Self { cluster: ClusterId(cluster), node: NodeId::new(node) })
    }

    /// The uid of the key that carries this mark: the same whenever it is made, so that it is never made twice. The first
    /// 16 bytes of the SHA-256 of the mark's text, as a UUID of version 8.
    pub fn key_uid(&self) -> KeyUid {
        let digest = Sha256::digest(self.to_string().as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        KeyUid(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}:{}:{}", self.cluster, self.node)
    }
}

/// The log whose request a task of a node was, by what the task carries.
pub fn log_of_request(metadata: &str) -> Option<&str> {
    let mut parts = metadata.split(':');
    (parts.next() == Some(REQUEST)).then(|| parts.next()).flatten()
}

/// What is found on a node that shows no mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// Its indexes.
    pub indexes: BTreeSet<PhysicalUid>,
    /// The log of the last request that any Miroir sent it; none if none is in its queue.
    pub last_log: Option<String>,
}

/// Why a node is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// It shows the mark of another cluster.
    OtherCluster(Mark),
    /// It shows the mark of this other node of the same cluster.
    OtherNode(NodeId),
    /// It shows no mark, and the last Miroir that wrote to it had another log.
    OtherLog,
    /// It shows no mark, and has indexes that are not in the catalog.
    UnknownIndexes(Vec<PhysicalUid>),
}

/// Whose a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// It is the node that it is taken for.
    Own,
    /// It shows no mark and may get one.
    Unclaimed,
    /// It must not be used.
    Foreign(Stranger),
}

/// Whose the node is that shows this mark.
pub fn judge_mark(own: &Mark, shown: &Mark) -> Belonging {
    if shown.cluster != own.cluster {
        Belonging::Foreign(Stranger::OtherCluster(shown.clone()))
    } else if shown.node != own.node {
        Belonging::Foreign(Stranger::OtherNode(shown.node.clone()))
    } else {
        Belonging::Own
    }
}

/// Whether a node without a mark may get one. `known` are the indexes that the catalog has, or that an entry of the log is
/// about.
pub fn judge_traces(traces: &Traces, log_id: &str, known: &BTreeSet<PhysicalUid>) -> Belonging {
    if traces.indexes.is_empty() {
        return Belonging::Unclaimed;
    }
    match &traces.last_log {
        Some(log) if log == log_id => return Belonging::Unclaimed,
        Some(_) => return Belonging::Foreign(Stranger::OtherLog),
        None => {}
    }
    let unknown: Vec<PhysicalUid> = traces.indexes.difference(known).cloned().collect();
    if unknown.is_empty() {
        Belonging::Unclaimed
    } else {
        Belonging::Foreign(Stranger::UnknownIndexes(unknown))
    }
}

impl fmt::Display for Stranger {
    /// What is wrong, and what can be done.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCluster(mark) => write!(
                f,
                "it belongs to another Miroir's cluster ({}, as its node `{}`). Is `task_store.path` the right one, and the \
                 address?",
                mark.cluster, mark.node
            )?,
            Self::OtherNode(node) => write!(
                f,
                "the server at its address is node `{node}` of this cluster. Two addresses reach one server, two addresses \
                 were exchanged, or its data are a copy of that node's. Correct `nodes`, or empty the data directory."
            )?,
            Self::OtherLog => f.write_str(
                "it has indexes that another Miroir wrote, with another task store. Is `task_store.path` the right one, and \
                 the address?",
            )?,
            Self::UnknownIndexes(indexes) => {
                f.write_str("it has indexes that this Miroir does not know: ")?;
                for (position, index) in indexes.iter().take(NAMED).enumerate() {
                    write!(f, "{}`{index}`", if position == 0 { "" } else { ", " })?;
                }
                if indexes.len() > NAMED {
                    write!(f, " and {} more", indexes.len() - NAMED)?;
                }
                f.write_str(". Is `task_store.path` the right one, and the address?")?;
            }
        }
        f.write_str(" It is neither read nor written. See \"Whose a node is\" in docs/operations.md")?;
        match self {
            // There is nothing to take over: the server is in use, as another node.
            Self::OtherNode(_) => Ok(()),
            Self::OtherCluster(_) | Self::OtherLog | Self::UnknownIndexes(_) => {
                f.write_str(": `POST /_miroir/nodes/{id}/adopt` takes it over and gives up what it has")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::uuid;

    const HERE: ClusterId = ClusterId(uuid!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01"));
    const ELSEWHERE: ClusterId = ClusterId(uuid!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a02"));

    fn mark(cluster: ClusterId, node: &str) -> Mark {
        Mark { cluster, node: NodeId::new(node) }
    }

    fn indexes(names: &[&str]) -> BTreeSet<PhysicalUid> {
        names.iter().map(|name| PhysicalUid::new(*name)).collect()
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_whatever_people_read_behind_it() {
        for node in ["a", "node-1", "10.0.0.1", "a_b"] {
            let written = mark(HERE, node);
            assert_eq!(Mark::parse(&written.to_string()), Some(written.clone()));
            assert_eq!(Mark::parse(&format!("{written} made by Miroir")), Some(written));
        }
        let others = ["", "miroir", "miroir-mark:", "miroir-mark:x:a", "miroir:0123456789abcdef:7:0"];
        let nobody = format!("miroir-mark:{HERE}:");
        for text in others.into_iter().chain([nobody.as_str()]) {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_uid_of_a_nodes_key_never_changes_and_is_the_nodes_own() {
        let uid = mark(HERE, "a").key_uid();
        assert_eq!(uid.to_string(), "529cc3b6-f376-87f9-933b-042d0bd50340");
        assert_ne!(uid, mark(HERE, "b").key_uid());
        assert_ne!(uid, mark(ELSEWHERE, "a").key_uid());
    }

    #[test]
    fn a_request_names_its_log_and_a_mark_is_no_request() {
        assert_eq!(log_of_request("miroir:0123456789abcdef:7:0"), Some("0123456789abcdef"));
        assert_eq!(log_of_request(&mark(HERE, "a").to_string()), None);
        assert_eq!(log_of_request("a client's own"), None);
    }

    #[test]
    fn a_mark_says_whose_a_node_is() {
        let own = mark(HERE, "a");
        assert_eq!(judge_mark(&own, &mark(HERE, "a")), Belonging::Own);
        let other = Belonging::Foreign(Stranger::OtherNode(NodeId::new("b")));
        assert_eq!(judge_mark(&own, &mark(HERE, "b")), other);
        for node in ["a", "b"] {
            let other = mark(ELSEWHERE, node);
            let foreign = Belonging::Foreign(Stranger::OtherCluster(other.clone()));
            assert_eq!(judge_mark(&own, &other), foreign);
        }
    }

    #[test]
    fn a_node_without_a_mark_is_claimed_only_if_nothing_on_it_is_anothers() {
        let known = indexes(&["films", "books"]);
        let judge = |names: &[&str], last_log: Option<&str>| {
            let traces = Traces { indexes: indexes(names), last_log: last_log.map(str::to_owned) };
            judge_traces(&traces, "here", &known)
        };
        let unknown = |names: &[&str]| {
            Belonging::Foreign(Stranger::UnknownIndexes(indexes(names).into_iter().collect()))
        };
        for log in [None, Some("here"), Some("elsewhere")] {
            assert_eq!(judge(&[], log), Belonging::Unclaimed, "an emptied node, after {log:?}");
        }
        for names in [&["films"][..], &["films", "books"], &["films", "songs"]] {
            assert_eq!(judge(names, Some("here")), Belonging::Unclaimed, "{names:?}");
            assert_eq!(judge(names, Some("elsewhere")), Belonging::Foreign(Stranger::OtherLog), "{names:?}");
        }
        assert_eq!(judge(&["films", "books"], None), Belonging::Unclaimed);
        assert_eq!(judge(&["films", "songs"], None), unknown(&["songs"]));
    }

    #[test]
    fn the_reason_names_what_is_wrong_and_what_can_be_done() {
        let names = ["a", "b", "c", "d", "e"].map(PhysicalUid::new);
        let reasons = [
            (Stranger::OtherCluster(mark(ELSEWHERE, "x")), vec![ELSEWHERE.to_string(), "`x`".to_owned()]),
            (Stranger::OtherNode(NodeId::new("b")), vec!["node `b`".to_owned(), "`nodes`".to_owned()]),
            (Stranger::OtherLog, vec!["`task_store.path`".to_owned()]),
            (Stranger::UnknownIndexes(names.into()), vec!["`a`, `b`, `c` and 2 more".to_owned()]),
        ];
        for (stranger, parts) in reasons {
            let text = stranger.to_string();
            let may_be_adopted = !matches!(stranger, Stranger::OtherNode(_));
            assert!(text.contains("docs/operations.md"), "{text}");
            assert_eq!(text.contains("adopt"), may_be_adopted, "{text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn the_key_of_a_node_makes_no_keys_and_takes_no_orders_of_others() {
        for action in
            ["keys.create", "keys.get", "keys.update", "keys.delete", "tasks.cancel", "tasks.delete"]
        {
            let action = Action::from_name(action).unwrap();
            assert!(NODE_KEY_ACTIONS.iter().all(|granted| !granted.grants(action)), "{action}");
        }
    }
}
