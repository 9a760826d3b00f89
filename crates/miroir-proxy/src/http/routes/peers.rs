//! What requests say about other servers.

use miroir_core::network::Network;
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::http::App;
use crate::probe::Original;
use crate::search::{Peers, Reach};

/// What clients told of other servers.
pub(super) async fn peers(app: &App) -> Result<Peers, RequestError> {
    let enabled = app.writer.features().await?.get("network").copied().unwrap_or(false);
    let network = if enabled { app.writer.network().await? } else { Network::default() };
    Ok(Peers { enabled, network })
}

/// Takes `useNetwork` out of a search: which servers it asks, and what its errors are explained with then.
pub(super) async fn take_reach(
    app: &App,
    body: &mut Map<String, Value>,
    original: Original,
) -> Result<(Reach, Original), RequestError> {
    if !body.contains_key("useNetwork") {
        return Ok((Reach::Here, original));
    }
    let reach = peers(app).await?.reach(body)?;
    body.shift_remove("useNetwork");
    Ok((reach, original.confined(body)))
}
