//! What requests say about other servers.

use miroir_core::network::Network;
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::http::App;
use crate::probe::Original;
use crate::search::{RemoteServers, ServersAsked};

/// What clients told of other servers.
pub(super) async fn remote_servers(app: &App) -> Result<RemoteServers, RequestError> {
    let enabled = app.records.features().await?.get("network").copied().unwrap_or(false);
    let network = if enabled { app.records.network().await? } else { Network::default() };
    Ok(RemoteServers { enabled, network })
}

/// Takes `useNetwork` out of a search: which servers it asks, and what its errors are explained with then.
pub(super) async fn take_servers_asked(
    app: &App,
    body: &mut Map<String, Value>,
    original: Original,
) -> Result<(ServersAsked, Original), RequestError> {
    if !body.contains_key("useNetwork") {
        return Ok((ServersAsked::Here, original));
    }
    let servers = remote_servers(app).await?.asked_by(body)?;
    body.shift_remove("useNetwork");
    Ok((servers, original.confined(body)))
}
