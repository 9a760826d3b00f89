//! What a search may say about other servers. Miroir's own nodes are no such servers: they answer as one.

use miroir_core::error::ErrorCode;
use miroir_core::network::Network;
use miroir_core::search::SubQuery;
use serde_json::{Map, Value};

use crate::error::RequestError;

/// The servers that clients told of, if they switched the feature `network` on.
#[derive(Debug, Clone)]
pub struct RemoteServers {
    /// Whether the feature is on.
    pub enabled: bool,
    /// What clients told.
    pub network: Network,
}

/// Which servers a query asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServersAsked {
    /// This one, as if there were no network.
    Here,
    /// All of a network that has none: nothing is found.
    Nobody,
    /// All of a network in which only this one is, under this name.
    Named(String),
}

impl RemoteServers {
    /// The name of this server.
    pub fn server(&self) -> Option<&str> {
        self.network.server.as_deref()
    }

    /// `Err` if a query of a federated search needs a server that is not this one, or a feature that is off.
    pub fn check_query(&self, query: &SubQuery) -> Result<(), RequestError> {
        let servers = self.asked_by(&query.body)?;
        let Some(options) = &query.options else { return Ok(()) };
        if let Some(remote) = &options.remote {
            self.check_feature("Performing a remote federated search")?;
            if servers != ServersAsked::Here {
                return Err(asked_twice());
            }
            self.check_remote(remote)?;
        }
        match options.query_position {
            Some(_) => self.check_feature("Using `federationOptions.queryPosition`"),
            None => Ok(()),
        }
    }

    /// Which servers a query asks. `Err` if one of them is not this one, or if the feature is off.
    pub fn asked_by(&self, body: &Map<String, Value>) -> Result<ServersAsked, RequestError> {
        let Some(Value::Bool(uses_network)) = body.get("useNetwork") else { return Ok(ServersAsked::Here) };
        self.check_feature("passing `useNetwork` in a search query")?;
        if !uses_network {
            return Ok(ServersAsked::Here);
        }
        match self.network.remotes.keys().find(|name| Some(name.as_str()) != self.server()) {
            Some(other) => Err(not_asked(other)),
            None if self.network.remotes.is_empty() => Ok(ServersAsked::Nobody),
            None => {
                Ok(self.server().map_or(ServersAsked::Nobody, |name| ServersAsked::Named(name.to_owned())))
            }
        }
    }

    fn check_remote(&self, remote: &str) -> Result<(), RequestError> {
        if self.server() == Some(remote) {
            return Ok(());
        }
        if self.network.remotes.contains_key(remote) {
            return Err(not_asked(remote));
        }
        let message = format!("Invalid `.federation_options.remote`: remote `{remote}` is not registered");
        Err(RequestError::new(ErrorCode::InvalidMultiSearchRemote, message))
    }

    fn check_feature(&self, action: &str) -> Result<(), RequestError> {
        if self.enabled {
            return Ok(());
        }
        Err(feature_missing(action))
    }
}

/// Meilisearch's error for what needs the feature `network`.
pub fn feature_missing(action: &str) -> RequestError {
    RequestError::feature_missing(action, "network", 805)
}

fn asked_twice() -> RequestError {
    RequestError::new(
        ErrorCode::InvalidMultiSearchFederationOptions,
        "Using `.useNetwork` is not allowed as the same time as `.federationOptions.remote`.\n  - Hint: to perform an \
         explicit query against a remote, remove `.useNetwork`.\n  - Hint: to automatically perform queries against the \
         entire network, remove `.federationOptions.remote`.",
    )
}

fn not_asked(remote: &str) -> RequestError {
    let message = format!("Miroir does not ask other servers: `{remote}` is not this one.");
    RequestError::new(ErrorCode::MiroirNotSupported, message)
}
