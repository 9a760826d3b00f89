//! What can be wrong with a configuration. Each problem names the key, the value, the place and the reason, because
//! the reader has the file open and wants to know which line to change.

use std::fmt;
use std::path::{Path, PathBuf};

use super::MAX_SHARDS;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file, counted from 1.
    Line(u64),
    /// An environment variable, by its name.
    Variable(String),
    /// Nowhere: the value is missing, or a default.
    Unset,
}

impl Origin {
    /// The order in which a reader looks for places: down the file, then elsewhere.
    fn place(&self) -> (u8, u64) {
        match self {
            Self::Line(line) => (0, *line),
            Self::Variable(_) => (1, 0),
            Self::Unset => (2, 0),
        }
    }
}

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The text is not YAML, or has a list where a value belongs.
    #[error("{0}")]
    Syntax(String),
    /// A variable that should hold a list holds something else.
    #[error("must be a list as YAML or JSON, such as '{example}' ({found})")]
    NotAList {
        /// One that would do.
        example: &'static str,
        /// What is wrong with what there is.
        found: String,
    },
    /// No such key.
    #[error("unknown key{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A key without a default is not set.
    #[error("is missing{}", set_variable(.variable.as_deref()))]
    Missing {
        /// The variable that can set it, for keys that have one.
        variable: Option<String>,
    },
    /// Set, but to nothing.
    #[error("must not be empty")]
    Empty,
    /// Not a whole number, or one outside its range.
    #[error("must be a whole number from {min} to {max}")]
    NotInRange {
        /// The smallest number allowed.
        min: u64,
        /// The largest number allowed.
        max: u64,
    },
    /// Not one of the words allowed.
    #[error("must be one of {}", .allowed.join(", "))]
    NotOneOf {
        /// The words allowed.
        allowed: &'static [&'static str],
    },
    /// Something else than a file of Miroir's lies there.
    #[error("must be the path of a file that Miroir makes and writes: {0}")]
    NotAStore(&'static str),
    /// Not an IP address to listen on.
    #[error("must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::1")]
    NotAnIpAddress,
    /// Not an address of a node.
    #[error("must be a node's URL, such as http://10.0.0.1:7700 ({0})")]
    NotANodeAddress(String),
    /// A name with characters that can't be logged, put in a header or in a URL.
    #[error("must be 1 to 64 letters, digits, `-`, `_` or `.`")]
    NotANodeId,
    /// Not an index pattern.
    #[error("must be an index uid (letters, digits, `-`, `_`), with an optional `*` at the end")]
    NotAnIndexPattern,
    /// Two nodes with one name.
    #[error("another node has this id already ({0}): give each its own")]
    DuplicateNodeId(FirstOrigin),
    /// Two nodes at one address: two copies of a shard would be one.
    #[error("node `{0}` has this address already: each node is a server of its own")]
    DuplicateAddress(String),
    /// Two listeners at one place.
    #[error("`{0}` has this port already, at the same address: choose another one")]
    PortTaken(&'static str),
    /// A node that is Miroir itself.
    #[error("is where Miroir itself listens (`{0}.bind`, `{0}.port`): a node is a Meilisearch server")]
    OwnAddress(&'static str),
    /// A key for clients, and the word that there is none.
    #[error("`master_key` is set: take one of them out")]
    MasterKeySet,
    /// A group number that doesn't exist.
    #[error("there are {groups} replica groups, numbered from 0: must be at most {}", .groups - 1)]
    GroupOutOfRange {
        /// How many groups are configured.
        groups: u32,
    },
    /// A group without nodes can't hold a copy of anything.
    #[error("replica group {group} has no node: each group must hold a full copy of everything")]
    EmptyGroup {
        /// The group.
        group: u32,
    },
    /// More copies than nodes to hold them.
    #[error("replica group {group} has only {nodes} node(s): a node holds at most one copy of a shard")]
    TooFewNodes {
        /// The group.
        group: u32,
        /// How many nodes it has.
        nodes: usize,
    },
}

/// An origin as part of another message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstOrigin(pub(super) Origin);

impl fmt::Display for FirstOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Line(line) => write!(f, "line {line}"),
            Origin::Variable(name) => write!(f, "in {name}"),
            Origin::Unset => f.write_str("above"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key with its path, such as `nodes[2].address`; empty for the file as a whole.
    pub key: String,
    /// The refused value; none when it is missing or secret.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong with it.
    pub reason: Reason,
}

impl Problem {
    /// Whether the other key is missing only because it was written like this one, or could not be read.
    pub(super) fn explains(&self, other: &Self) -> bool {
        if self.key == other.key && matches!(other.reason, Reason::Missing { .. }) {
            return true;
        }
        let (Reason::UnknownKey { nearest: Some(nearest) }, Reason::Missing { .. }) =
            (&self.reason, &other.reason)
        else {
            return false;
        };
        let beside = self.key.rsplit_once('.').map(|(section, _)| format!("{section}.{nearest}"));
        beside.unwrap_or_else(|| nearest.clone()) == other.key
    }

    pub(super) fn unreadable_file(error: &std::io::Error) -> Self {
        Self {
            key: String::new(),
            value: None,
            origin: Origin::Unset,
            reason: Reason::Unreadable(error.to_string()),
        }
    }

    pub(super) fn syntax(origin: Origin, message: String) -> Self {
        Self { key: String::new(), value: None, origin, reason: Reason::Syntax(message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.as_str(), &self.value) {
            ("", _) => write!(f, "{}", self.reason),
            (key, None) => write!(f, "`{key}`: {}", self.reason),
            (key, Some(value)) => write!(f, "`{key}` is `{value}`: {}", self.reason),
        }
    }
}

/// Everything that is wrong with a configuration, from the top of the file to its end, then what is wrong elsewhere.
/// Never empty.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigErrors {
    file: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(super) fn new(file: Option<&Path>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.origin.place());
        Self { file: file.map(Path::to_path_buf), problems }
    }

    /// The problems, in the order in which they are shown.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    /// One problem a line, each beginning with `file:line: ` or the variable's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            match (&problem.origin, &self.file) {
                (Origin::Variable(name), _) => write!(f, "{name}: ")?,
                (Origin::Line(line), Some(file)) => write!(f, "{}:{line}: ", file.display())?,
                (Origin::Line(line), None) => write!(f, "line {line}: ")?,
                (Origin::Unset, Some(file)) => write!(f, "{}: ", file.display())?,
                (Origin::Unset, None) => {}
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Allowed, but probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A master key that can be guessed.
    #[error("`master_key` is {bytes} bytes long: use at least 16 in production")]
    ShortMasterKey {
        /// Its length.
        bytes: usize,
    },
    /// No master key, as asked for.
    #[error(
        "there is no `master_key`: whoever reaches this address may read, change and delete everything. For development \
         only"
    )]
    NoMasterKey,
    /// A store that others can read, with the keys in it.
    #[error(
        "the task store `{}` holds keys, and others can read it (mode {mode:03o}): `serve` takes that right from them", path.display()
    )]
    ReadableStore {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A `MIROIR_…` variable that sets nothing.
    #[error("the environment variable {name} sets no key and is ignored{}", suggestion(.nearest.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

fn set_variable(variable: Option<&str>) -> String {
    variable.map(|name| format!(": set it in the file, or as the variable {name}")).unwrap_or_default()
}

/// The reason for a number of shards out of range, which several keys share.
pub(super) const SHARDS_OUT_OF_RANGE: Reason = Reason::NotInRange { min: 1, max: MAX_SHARDS as u64 };
