//! The network of Meilisearch's Community Edition: a list of servers that federated searches may name. It has no
//! leader, and Miroir only keeps and shows it. (Meilisearch 1.50, `routes/network`.)

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, ResponseError};

/// What `GET /network` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The name of this server.
    #[serde(rename = "self")]
    pub server: Option<String>,
    /// The servers, by name.
    pub remotes: BTreeMap<String, Remote>,
    /// Which servers hold which documents; without a leader nobody asks.
    pub shards: BTreeMap<String, Shard>,
    /// Always none: only the Enterprise Edition has leaders.
    pub leader: Option<String>,
    /// Another one after each change.
    pub version: String,
}

/// One server of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remote {
    /// Where it is.
    pub url: String,
    /// The key for searches.
    pub search_api_key: Option<String>,
    /// The key for writes.
    pub write_api_key: Option<String>,
    /// Whether it answers; nobody looks without a leader.
    pub status: Status,
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// It may be asked.
    Available,
}

/// The servers that hold some documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Their names.
    pub remotes: BTreeSet<String>,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkError {
    /// It is not of the form that Meilisearch accepts; a node says so best.
    NotUnderstood,
    /// It says something that may not be.
    Refused(ResponseError),
}

impl Default for Network {
    fn default() -> Self {
        Self {
            server: None,
            remotes: BTreeMap::new(),
            shards: BTreeMap::new(),
            leader: None,
            version: "00000000-0000-0000-0000-000000000000".to_owned(),
        }
    }
}

/// Three ways to speak of a value.
enum Setting<T> {
    Left,
    Reset,
    Set(T),
}

type Patch<'a> = &'a Map<String, Value>;

/// Whether a change has the form that Meilisearch accepts, whatever it says.
pub fn check_network_form(patch: &Map<String, Value>) -> Result<(), NetworkError> {
    const FIELDS: [&str; 6] = ["remotes", "shards", "previousShards", "self", "leader", "previousRemotes"];
    only(patch, &FIELDS)?;
    for name in ["self", "leader"] {
        text(patch, name)?;
    }
    for (name, fields) in [("remotes", REMOTE), ("previousRemotes", REMOTE)] {
        for (_, remote) in entries(patch, name)? {
            let Some(remote) = remote else { continue };
            only(remote, &fields)?;
            fields.iter().try_for_each(|field| text(remote, field).map(|_| ()))?;
        }
    }
    for (name, fields) in [("shards", SHARD), ("previousShards", SHARD)] {
        for (_, shard) in entries(patch, name)? {
            let Some(shard) = shard else { continue };
            only(shard, &fields)?;
            fields.iter().try_for_each(|field| names(shard, field).map(|_| ()))?;
        }
    }
    Ok(())
}

const REMOTE: [&str; 3] = ["url", "searchApiKey", "writeApiKey"];
const SHARD: [&str; 3] = ["remotes", "addRemotes", "removeRemotes"];

/// The network after a change. `check_url` says what is wrong with an address.
pub fn change(
    network: &Network,
    patch: &Map<String, Value>,
    version: String,
    check_url: impl Fn(&str) -> Result<(), String>,
) -> Result<Network, NetworkError> {
    check_network_form(patch)?;
    if let Setting::Set(_) = text(patch, "leader")? {
        let message = "Meilisearch Enterprise Edition is required to set `network.leader`";
        return refuse(ErrorCode::RequiresEnterpriseEdition, message);
    }
    if patch.contains_key("previousRemotes") {
        return refuse(
            ErrorCode::UnexpectedNetworkPreviousRemotes,
            "Unexpected `previousRemotes` in network call.\n  - Note: `previousRemote` is reserved for internal use.",
        );
    }
    let mut next = Network { version, ..network.clone() };
    match text(patch, "self")? {
        Setting::Left => {}
        Setting::Reset => next.server = None,
        Setting::Set(name) => next.server = Some(name.to_owned()),
    }
    change_shards(&mut next, patch)?;
    change_remotes(&mut next, patch, check_url)?;
    next.shards.retain(|_, shard| !shard.remotes.is_empty());
    Ok(next)
}

fn change_shards(next: &mut Network, patch: Patch<'_>) -> Result<(), NetworkError> {
    if patch.get("shards").is_some_and(Value::is_null) {
        next.shards.clear();
    }
    for (name, shard) in entries(patch, "shards")? {
        let Some(shard) = shard else {
            next.shards.remove(name);
            continue;
        };
        let old = next.shards.remove(name).map(|shard| shard.remotes).unwrap_or_default();
        let mut remotes = names(shard, "remotes")?.unwrap_or(old);
        remotes.extend(names(shard, "addRemotes")?.unwrap_or_default());
        for removed in names(shard, "removeRemotes")?.unwrap_or_default() {
            remotes.remove(&removed);
        }
        next.shards.insert(name.clone(), Shard { remotes });
    }
    Ok(())
}

fn change_remotes(
    next: &mut Network,
    patch: Patch<'_>,
    check_url: impl Fn(&str) -> Result<(), String>,
) -> Result<(), NetworkError> {
    if patch.get("remotes").is_some_and(Value::is_null) {
        next.remotes.clear();
    }
    let mut remotes: Vec<_> = entries(patch, "remotes")?.collect();
    remotes.sort_by_key(|(name, _)| *name);
    for (name, remote) in remotes {
        let old = next.remotes.remove(name);
        let Some(remote) = remote else {
            next.shards.values_mut().for_each(|shard| {
                shard.remotes.remove(name);
            });
            continue;
        };
        let url = match (text(remote, "url")?, &old) {
            (Setting::Set(url), _) => {
                check_url(url).or_else(|error| {
                    let message = format!("Invalid `.remotes.{name}.url` (`{url}`): {error}");
                    refuse(ErrorCode::InvalidNetworkUrl, message)
                })?;
                url.to_owned()
            }
            (Setting::Left, Some(old)) => old.url.clone(),
            (Setting::Reset, Some(_)) => {
                let message = format!("Field `.remotes.{name}.url` cannot be set to `null`");
                return refuse(ErrorCode::InvalidNetworkUrl, message);
            }
            (Setting::Left | Setting::Reset, None) => {
                let message = format!("Missing field `.remotes.{name}.url`");
                return refuse(ErrorCode::MissingNetworkUrl, message);
            }
        };
        let key = |field: &str, old: Option<String>| {
            text(remote, field).map(|key| match key {
                Setting::Left => old,
                Setting::Reset => None,
                Setting::Set(key) => Some(key.to_owned()),
            })
        };
        let (old_search, old_write) = old.map_or((None, None), |old| (old.search_api_key, old.write_api_key));
        let remote = Remote {
            url,
            search_api_key: key("searchApiKey", old_search)?,
            write_api_key: key("writeApiKey", old_write)?,
            status: Status::Available,
        };
        next.remotes.insert(name.clone(), remote);
    }
    Ok(())
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, NetworkError> {
    Err(NetworkError::Refused(ResponseError::new(code, message)))
}

fn only(object: Patch<'_>, fields: &[&str]) -> Result<(), NetworkError> {
    if object.keys().all(|field| fields.contains(&field.as_str())) {
        Ok(())
    } else {
        Err(NetworkError::NotUnderstood)
    }
}

fn text<'a>(object: Patch<'a>, field: &str) -> Result<Setting<&'a str>, NetworkError> {
    match object.get(field) {
        None => Ok(Setting::Left),
        Some(Value::Null) => Ok(Setting::Reset),
        Some(Value::String(text)) => Ok(Setting::Set(text)),
        Some(_) => Err(NetworkError::NotUnderstood),
    }
}

fn names(object: Patch<'_>, field: &str) -> Result<Option<BTreeSet<String>>, NetworkError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let names: Option<_> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            Ok(Some(names.ok_or(NetworkError::NotUnderstood)?))
        }
        Some(_) => Err(NetworkError::NotUnderstood),
    }
}

/// The named objects below a field; `None` stands for `null`.
fn entries<'a>(
    object: Patch<'a>,
    field: &str,
) -> Result<impl Iterator<Item = (&'a String, Option<Patch<'a>>)>, NetworkError> {
    let named = match object.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::Object(named)) => Some(named),
        Some(_) => return Err(NetworkError::NotUnderstood),
    };
    let fits = |value: &Value| value.is_null() || value.is_object();
    if named.is_some_and(|named| !named.values().all(fits)) {
        return Err(NetworkError::NotUnderstood);
    }
    Ok(named.into_iter().flatten().map(|(name, value)| (name, value.as_object())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(network: &Network, patch: &Value) -> Result<Network, NetworkError> {
        let check = |url: &str| if url.contains(':') { Ok(()) } else { Err("no scheme".to_owned()) };
        change(network, patch.as_object().unwrap(), "v".to_owned(), check)
    }

    #[test]
    fn servers_come_change_and_go_and_take_their_shards_along() {
        let first = changed(
            &Network::default(),
            &json!({
                "self": "a",
                "remotes": { "a": { "url": "http://a" }, "b": { "url": "http://b", "searchApiKey": "k" } },
                "shards": { "s": { "remotes": ["a", "b"] }, "t": { "addRemotes": ["b"] } },
            }),
        )
        .unwrap();
        assert_eq!(first.server.as_deref(), Some("a"));
        let second =
            changed(&first, &json!({ "remotes": { "b": null, "a": { "writeApiKey": "w" } } })).unwrap();
        assert_eq!(
            serde_json::to_value(&second).unwrap(),
            json!({
                "self": "a",
                "remotes": { "a": { "url": "http://a", "searchApiKey": null, "writeApiKey": "w", "status": "available" } },
                "shards": { "s": { "remotes": ["a"] } },
                "leader": null,
                "version": "v",
            })
        );
        let third = changed(&second, &json!({ "self": null, "remotes": null })).unwrap();
        assert_eq!((third.server, third.remotes.len()), (None, 0));
    }

    #[test]
    fn what_may_not_be_is_refused_and_what_has_no_form_is_left_to_a_node() {
        let code = |patch: Value| match changed(&Network::default(), &patch) {
            Err(NetworkError::Refused(error)) => Some(error.code),
            _ => None,
        };
        assert_eq!(code(json!({ "leader": "a" })), Some(ErrorCode::RequiresEnterpriseEdition));
        assert_eq!(code(json!({ "previousRemotes": {} })), Some(ErrorCode::UnexpectedNetworkPreviousRemotes));
        assert_eq!(code(json!({ "remotes": { "a": {} } })), Some(ErrorCode::MissingNetworkUrl));
        assert_eq!(code(json!({ "remotes": { "a": { "url": "x" } } })), Some(ErrorCode::InvalidNetworkUrl));
        for patch in [json!({ "x": 1 }), json!({ "self": 1 }), json!({ "remotes": { "a": 1 } })] {
            assert_eq!(changed(&Network::default(), &patch), Err(NetworkError::NotUnderstood));
        }
    }
}
