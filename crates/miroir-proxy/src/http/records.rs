//! Changing what clients keep in a collection: read, change, store, and from the beginning if somebody else was faster.

use std::collections::BTreeMap;

use miroir_core::error::ErrorCode;
use miroir_store::{Collection, RecordChange};
use serde_json::Value;

use super::App;
use crate::error::RequestError;

/// Changes that are overtaken before the client is told.
const MAX_TRIES: usize = 10;

/// Changes one thing in a collection. `change` makes from all that is there what the thing is from now on (none takes it
/// out), and what the client is told; it is called again when the collection has changed meanwhile.
///
/// # Errors
/// Those of `change`, and of the store; 503 if the collection changes all the time.
pub(super) async fn change_record<T, F>(
    app: &App,
    collection: Collection,
    id: String,
    change: impl Fn(BTreeMap<String, Value>) -> F,
) -> Result<T, RequestError>
where
    F: Future<Output = Result<(Option<Value>, T), RequestError>>,
{
    let _turn = app.changing_records.lock().await;
    for _ in 0..MAX_TRIES {
        let kept = app.records.collection(collection).await?;
        let (body, told) = change(kept.by_id).await?;
        let change = RecordChange { collection, version: kept.version, id: id.clone(), body };
        if app.records.put(change).await? {
            return Ok(told);
        }
    }
    let message = "Another Miroir changes this all the time. Try again, or stop one of the two.";
    Err(RequestError::new(ErrorCode::MiroirSuperseded, message))
}
