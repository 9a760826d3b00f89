//! What Miroir says about an answer besides the answer, and what it can be asked for besides the request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use miroir_core::cover::Shortfall;
use miroir_core::error::ErrorCode;
use miroir_core::ids::{SettingsVersion, ShardId};

use super::App;
use crate::error::{RequestError, list};
use crate::search::SettingsNote;

/// `shards=3,7`: the documents of these shards are missing from the answer. `stale=3,7`: these shards were answered for by
/// nodes that are behind. `cutoff`: a node ran out of time while it ranked its hits. Several are joined by semicolons.
const DEGRADED: HeaderName = HeaderName::from_static("x-miroir-degraded");

/// Asks for the names of the indexes that were searched, and more, in the answer.
const METADATA: HeaderName = HeaderName::from_static("meili-include-metadata");
/// The last committed version of the settings of the indexes that were searched.
const SETTINGS_VERSION: HeaderName = HeaderName::from_static("x-miroir-settings-version");

/// `true`: nodes with different settings took part in the answer.
const SETTINGS_INCONSISTENT: HeaderName = HeaderName::from_static("x-miroir-settings-inconsistent");

/// The version that the settings of a search must have at least.
const MIN_SETTINGS_VERSION: &str = "x-miroir-min-settings-version";

/// Whether the client asks for metadata about its queries.
pub(super) fn wants_metadata(headers: &HeaderMap) -> bool {
    headers.get(METADATA).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true") || value == "1")
}

/// Says what the answer lacks; nothing when it is whole.
pub(super) fn degraded(shortfall: &Shortfall) -> HeaderMap {
    let named =
        |what: &str, shards: &[ShardId]| (!shards.is_empty()).then(|| format!("{what}={}", list(shards)));
    let shards = [named("shards", &shortfall.missing), named("stale", &shortfall.stale)];
    let cutoff = shortfall.cut_off.then(|| "cutoff".to_owned());
    let lacks: Vec<String> = shards.into_iter().chain([cutoff]).flatten().collect();
    let mut headers = HeaderMap::new();
    if !lacks.is_empty()
        && let Ok(value) = HeaderValue::from_str(&lacks.join("; "))
    {
        headers.insert(DEGRADED, value);
    }
    headers
}

/// All that there is to say about the answer to a search: also the last settings that were committed for what was
/// searched, and whether nodes with different ones took part.
pub(super) fn about(shortfall: &Shortfall, note: SettingsNote) -> HeaderMap {
    let mut headers = degraded(shortfall);
    if !note.uniform {
        headers.insert(SETTINGS_INCONSISTENT, HeaderValue::from_static("true"));
    }
    if let Some(SettingsVersion(version)) = note.version {
        headers.insert(SETTINGS_VERSION, HeaderValue::from(version));
    }
    headers
}

/// What the client wants the settings to be at least; nothing if it does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettingsFloor(pub(super) Option<SettingsVersion>);

impl FromRequestParts<App> for SettingsFloor {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        floor(&parts.headers).map(Self)
    }
}

fn floor(headers: &HeaderMap) -> Result<Option<SettingsVersion>, RequestError> {
    let Some(value) = headers.get(MIN_SETTINGS_VERSION) else { return Ok(None) };
    let text =
        value.to_str().ok().map(str::trim).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match text.and_then(|text| text.parse().ok()) {
        Some(version) => Ok(Some(SettingsVersion(version))),
        None => Err(RequestError::new(
            ErrorCode::InvalidHeaderValue,
            "Invalid value in header `X-Miroir-Min-Settings-Version`: expected a version of settings, which is a whole \
             number.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Result<Option<u64>, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(MIN_SETTINGS_VERSION, HeaderValue::from_str(value).unwrap());
        floor(&headers).map(|floor| floor.map(|version| version.0)).map_err(|error| match error {
            RequestError::Refused(error) => error.status(),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn a_floor_is_a_whole_number_and_anything_else_is_the_clients_fault() {
        assert_eq!(floor(&HeaderMap::new()).unwrap(), None);
        assert_eq!(parsed(" 17 "), Ok(Some(17)));
        for wrong in ["", "-1", "+1", "1.0", "one", "18446744073709551616"] {
            assert_eq!(parsed(wrong), Err(400), "{wrong}");
        }
    }

    #[test]
    fn an_answer_says_what_it_lacks_and_a_whole_one_nothing() {
        let said = |missing: &[u32], stale: &[u32], cut_off| {
            let shards = |numbers: &[u32]| numbers.iter().copied().map(ShardId).collect();
            let headers = degraded(&Shortfall { missing: shards(missing), stale: shards(stale), cut_off });
            headers.get(DEGRADED).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(said(&[], &[], false), None);
        assert_eq!(said(&[3, 7], &[], false).as_deref(), Some("shards=3,7"));
        assert_eq!(said(&[], &[3, 7], false).as_deref(), Some("stale=3,7"));
        assert_eq!(said(&[], &[], true).as_deref(), Some("cutoff"));
        assert_eq!(said(&[3], &[1], true).as_deref(), Some("shards=3; stale=1; cutoff"));
    }

    #[test]
    fn nothing_is_said_of_settings_that_were_never_committed_and_a_mixture_is_told() {
        let said = |version: Option<u64>, uniform| {
            let note = SettingsNote { version: version.map(SettingsVersion), uniform };
            let headers = about(&Shortfall::default(), note);
            let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
            (text(SETTINGS_VERSION), text(SETTINGS_INCONSISTENT))
        };
        assert_eq!(said(None, true), (None, None));
        assert_eq!(said(Some(9), false), (Some("9".to_owned()), Some("true".to_owned())));
    }
}
