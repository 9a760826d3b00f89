//! What a search may say about other servers. Miroir's own nodes are no such servers: they answer as one.

use miroir_core::error::ErrorCode;
use miroir_core::network::Network;
use miroir_core::search::SubQuery;
use serde_json::{Map, Value};

use crate::http::HttpError;

/// The servers that clients told of, if they switched the feature `network` on.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Whether the feature is on.
    pub enabled: bool,
    /// What clients told.
    pub network: Network,
}

impl Peers {
    /// The name of this server.
    pub fn server(&self) -> Option<&str> {
        self.network.server.as_deref()
    }

    /// `Err` if a query of a federated search needs a server that is not this one, or a feature that is off.
    pub fn check_query(&self, query: &SubQuery) -> Result<(), HttpError> {
        self.check_search(&query.body)?;
        let Some(options) = &query.options else { return Ok(()) };
        if let Some(remote) = &options.remote {
            self.check_feature("Performing a remote federated search")?;
            self.check_remote(remote)?;
        }
        match options.query_position {
            Some(_) => self.check_feature("Using `federationOptions.queryPosition`"),
            None => Ok(()),
        }
    }

    /// The same for a search of one index.
    pub fn check_search(&self, body: &Map<String, Value>) -> Result<(), HttpError> {
        let Some(Value::Bool(uses_network)) = body.get("useNetwork") else { return Ok(()) };
        self.check_feature("passing `useNetwork` in a search query")?;
        let other = self.network.remotes.keys().find(|name| Some(name.as_str()) != self.server());
        match other {
            Some(other) if *uses_network => Err(not_asked(other)),
            _ => Ok(()),
        }
    }

    fn check_remote(&self, remote: &str) -> Result<(), HttpError> {
        if self.server() == Some(remote) {
            return Ok(());
        }
        if self.network.remotes.contains_key(remote) {
            return Err(not_asked(remote));
        }
        let message = format!("Invalid `.federation_options.remote`: remote `{remote}` is not registered");
        Err(HttpError::new(ErrorCode::InvalidMultiSearchRemote, message))
    }

    fn check_feature(&self, action: &str) -> Result<(), HttpError> {
        if self.enabled {
            return Ok(());
        }
        Err(feature_missing(action))
    }
}

/// Meilisearch's error for what needs the feature `network`.
pub fn feature_missing(action: &str) -> HttpError {
    let message = format!(
        "{action} requires enabling the `network` experimental feature. See https://github.com/orgs/meilisearch/discussions/805"
    );
    HttpError::new(ErrorCode::FeatureNotEnabled, message)
}

fn not_asked(remote: &str) -> HttpError {
    let message = format!("Miroir does not ask other servers: `{remote}` is not this one.");
    HttpError::new(ErrorCode::MiroirNotSupported, message)
}
