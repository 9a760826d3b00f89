//! What can be done, as keys name it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! actions {
    ($($name:ident = $text:literal,)+) => {
        /// An action that a key can grant, or a group of actions. In the order in which Meilisearch lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(
                #[doc = concat!("`", $text, "`")]
                $name,
            )+
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];
            /// The names of all of them, in the same order.
            pub const NAMES: &[&str] = &[$($text),+];

            /// The name that keys hold.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

actions! {
    Everything = "*",
    Search = "search",
    DocumentsAll = "documents.*",
    DocumentsAdd = "documents.add",
    DocumentsGet = "documents.get",
    DocumentsDelete = "documents.delete",
    IndexesAll = "indexes.*",
    IndexesCreate = "indexes.create",
    IndexesGet = "indexes.get",
    IndexesUpdate = "indexes.update",
    IndexesDelete = "indexes.delete",
    IndexesSwap = "indexes.swap",
    TasksAll = "tasks.*",
    TasksCancel = "tasks.cancel",
    TasksDelete = "tasks.delete",
    TasksGet = "tasks.get",
    SettingsAll = "settings.*",
    SettingsGet = "settings.get",
    SettingsUpdate = "settings.update",
    StatsAll = "stats.*",
    StatsGet = "stats.get",
    MetricsAll = "metrics.*",
    MetricsGet = "metrics.get",
    DumpsAll = "dumps.*",
    DumpsCreate = "dumps.create",
    SnapshotsAll = "snapshots.*",
    SnapshotsCreate = "snapshots.create",
    Version = "version",
    KeysCreate = "keys.create",
    KeysGet = "keys.get",
    KeysUpdate = "keys.update",
    KeysDelete = "keys.delete",
    FeaturesGet = "experimental.get",
    FeaturesUpdate = "experimental.update",
    Export = "export",
    NetworkGet = "network.get",
    NetworkUpdate = "network.update",
    ChatCompletions = "chatCompletions",
    ChatsAll = "chats.*",
    ChatsGet = "chats.get",
    ChatsDelete = "chats.delete",
    ChatsSettingsAll = "chatsSettings.*",
    ChatsSettingsGet = "chatsSettings.get",
    ChatsSettingsUpdate = "chatsSettings.update",
    AllGet = "*.get",
    WebhooksGet = "webhooks.get",
    WebhooksUpdate = "webhooks.update",
    WebhooksDelete = "webhooks.delete",
    WebhooksCreate = "webhooks.create",
    WebhooksAll = "webhooks.*",
    IndexesCompact = "indexes.compact",
    FieldsPost = "fields.post",
    TasksCompact = "tasks.compact",
    DynamicSearchRulesGet = "dynamicSearchRules.get",
    DynamicSearchRulesCreate = "dynamicSearchRules.create",
    DynamicSearchRulesUpdate = "dynamicSearchRules.update",
    DynamicSearchRulesDelete = "dynamicSearchRules.delete",
    DynamicSearchRulesAll = "dynamicSearchRules.*",
}

/// What an action has to do with indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexScope {
    /// Nothing: a key for some indexes can't grant it.
    Global,
    /// Its routes look for themselves at what indexes the key is for, also those whose path names none.
    CheckedByRoute,
    /// Its routes name an index in their path.
    InPath,
    /// It is a group of actions of several kinds.
    Mixed,
}

impl Action {
    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == name)
    }

    /// Whether a key that holds this action may do `wanted`. A group does not hold itself, except `*`: what asks for
    /// a whole group is allowed to nobody else.
    pub fn grants(self, wanted: Self) -> bool {
        match self {
            Self::Everything => wanted != Self::AllGet,
            Self::AllGet => wanted.is_read(),
            Self::DocumentsAll
            | Self::IndexesAll
            | Self::TasksAll
            | Self::SettingsAll
            | Self::StatsAll
            | Self::MetricsAll
            | Self::DumpsAll
            | Self::SnapshotsAll
            | Self::ChatsAll
            | Self::ChatsSettingsAll
            | Self::WebhooksAll
            | Self::DynamicSearchRulesAll => self != wanted && self.parts().0 == wanted.parts().0,
            single => single == wanted,
        }
    }

    /// What stands before the `.`, and behind it.
    fn parts(self) -> (&'static str, &'static str) {
        self.as_str().split_once('.').unwrap_or(("", self.as_str()))
    }

    /// Whether `*.get` holds it. Reading keys is left out: a key could become another one by it.
    fn is_read(self) -> bool {
        match self {
            Self::Search | Self::Export | Self::Version | Self::FieldsPost => true,
            Self::AllGet | Self::KeysGet => false,
            action => action.parts().1 == "get",
        }
    }

    /// What it has to do with indexes.
    pub const fn index_scope(self) -> IndexScope {
        match self {
            Self::Everything
            | Self::AllGet
            | Self::DocumentsAll
            | Self::IndexesAll
            | Self::TasksAll
            | Self::SettingsAll => IndexScope::Mixed,
            Self::Search
            | Self::DocumentsGet
            | Self::IndexesCreate
            | Self::IndexesGet
            | Self::IndexesSwap
            | Self::TasksCancel
            | Self::TasksDelete
            | Self::TasksGet
            | Self::SettingsGet
            | Self::StatsAll
            | Self::StatsGet
            | Self::ChatCompletions => IndexScope::CheckedByRoute,
            Self::DocumentsAdd
            | Self::DocumentsDelete
            | Self::IndexesUpdate
            | Self::IndexesDelete
            | Self::IndexesCompact
            | Self::FieldsPost
            | Self::SettingsUpdate => IndexScope::InPath,
            Self::TasksCompact
            | Self::MetricsAll
            | Self::MetricsGet
            | Self::DumpsAll
            | Self::DumpsCreate
            | Self::SnapshotsAll
            | Self::SnapshotsCreate
            | Self::Version
            | Self::KeysCreate
            | Self::KeysGet
            | Self::KeysUpdate
            | Self::KeysDelete
            | Self::FeaturesGet
            | Self::FeaturesUpdate
            | Self::Export
            | Self::NetworkGet
            | Self::NetworkUpdate
            | Self::ChatsAll
            | Self::ChatsGet
            | Self::ChatsDelete
            | Self::ChatsSettingsAll
            | Self::ChatsSettingsGet
            | Self::ChatsSettingsUpdate
            | Self::WebhooksGet
            | Self::WebhooksUpdate
            | Self::WebhooksDelete
            | Self::WebhooksCreate
            | Self::WebhooksAll
            | Self::DynamicSearchRulesGet
            | Self::DynamicSearchRulesCreate
            | Self::DynamicSearchRulesUpdate
            | Self::DynamicSearchRulesDelete
            | Self::DynamicSearchRulesAll => IndexScope::Global,
        }
    }

    /// Whether it is about keys themselves: without a master key there are none.
    pub const fn is_about_keys(self) -> bool {
        matches!(self, Self::KeysCreate | Self::KeysGet | Self::KeysUpdate | Self::KeysDelete)
    }

    /// Whether a tenant token can be used for it.
    pub const fn takes_tokens(self) -> bool {
        matches!(self, Self::Search | Self::ChatCompletions)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| de::Error::custom(format!("unknown action `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(action: Action) -> Vec<&'static str> {
        Action::ALL.iter().filter(|wanted| action.grants(**wanted)).map(|wanted| wanted.as_str()).collect()
    }

    #[test]
    fn a_group_holds_its_actions_and_no_other() {
        assert_eq!(granted(Action::DocumentsAll), ["documents.add", "documents.get", "documents.delete"]);
        assert_eq!(granted(Action::TasksAll), ["tasks.cancel", "tasks.delete", "tasks.get", "tasks.compact"]);
        assert_eq!(granted(Action::ChatsAll), ["chats.get", "chats.delete"]);
        assert_eq!(granted(Action::ChatsSettingsAll), ["chatsSettings.get", "chatsSettings.update"]);
        assert_eq!(granted(Action::DumpsAll), ["dumps.create"]);
        assert_eq!(granted(Action::IndexesAll).len(), 6);
        assert_eq!(granted(Action::WebhooksAll).len(), 4);
        assert_eq!(granted(Action::Search), ["search"]);
    }

    #[test]
    fn everything_holds_keys_and_reading_does_not() {
        assert_eq!(granted(Action::Everything).len(), Action::ALL.len() - 1);
        assert!(
            Action::Everything.grants(Action::KeysDelete) && Action::Everything.grants(Action::Everything)
        );
        assert_eq!(
            granted(Action::AllGet),
            [
                "search",
                "documents.get",
                "indexes.get",
                "tasks.get",
                "settings.get",
                "stats.get",
                "metrics.get",
                "version",
                "experimental.get",
                "export",
                "network.get",
                "chats.get",
                "chatsSettings.get",
                "webhooks.get",
                "fields.post",
                "dynamicSearchRules.get",
            ]
        );
    }

    #[test]
    fn every_action_is_found_by_its_name() {
        for (action, name) in Action::ALL.iter().zip(Action::NAMES) {
            assert_eq!(Action::from_name(name), Some(*action));
            assert_eq!(serde_json::to_value(action).unwrap(), *name);
        }
        assert!(serde_json::from_str::<Action>("\"fly\"").is_err());
    }
}
