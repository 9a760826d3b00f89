//! The bodies of `POST /keys` and `PATCH /keys/{key}`. No node could be asked what is wrong with them: a correct one
//! would make a key there.

use std::str::FromStr;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::expiry::parse_expiry;
use super::{Action, ApiKey, IndexScope, UidPattern};
use crate::error::form::{
    immutable_field, missing_field, unknown_field, unknown_value, wrong_type, wrong_value,
};
use crate::error::{ErrorCode, ResponseError};
use crate::ids::KeyUid;

const CREATION: [&str; 6] = ["description", "name", "uid", "actions", "indexes", "expiresAt"];
const PATCH: [&str; 2] = ["description", "name"];

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    uid: Option<KeyUid>,
    name: Option<String>,
    description: Option<String>,
    actions: Vec<Action>,
    indexes: Vec<UidPattern>,
    expires_at: Option<OffsetDateTime>,
}

impl NewKey {
    /// The key, made now; `fresh` is its uid unless the client chose one.
    pub fn into_key(self, fresh: KeyUid, now: OffsetDateTime) -> ApiKey {
        ApiKey {
            uid: self.uid.unwrap_or(fresh),
            name: self.name,
            description: self.description,
            actions: self.actions,
            indexes: self.indexes,
            expires_at: self.expires_at,
            created_at: now,
            updated_at: now,
        }
    }

    /// Refuses a key for some indexes that grants what is about none.
    fn check_scope(&self) -> Result<(), ResponseError> {
        let is_global = self.indexes.is_empty() || self.indexes.iter().any(UidPattern::is_all);
        let action = self.actions.iter().find(|action| action.index_scope() == IndexScope::Global);
        match action {
            Some(action) if !is_global => Err(ResponseError::new(
                ErrorCode::IndexScopedApiKeyWithGlobalAction,
                format!(
                    "cannot create index-scoped API key with global action `\"{action}\"`\n  - Hint: remove action \
                     `\"{action}\"` from the action list, or remove `indexes` to make the key global"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// What changes of a key; `None` leaves a text as it is, `Some(None)` takes it away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// The name.
    pub name: Option<Option<String>>,
    /// The description.
    pub description: Option<Option<String>>,
}

/// Reads the body of `POST /keys`; the first fault in it is the error.
pub fn read_creation(body: &Value, now: OffsetDateTime) -> Result<NewKey, ResponseError> {
    let fields = object(body)?;
    let mut key = NewKey::default();
    for (name, value) in fields {
        match name.as_str() {
            "description" => key.description = text(value, name, ErrorCode::InvalidApiKeyDescription)?,
            "name" => key.name = text(value, name, ErrorCode::InvalidApiKeyName)?,
            "uid" => key.uid = Some(read_uid(value)?),
            "actions" => key.actions = list(value, name, ErrorCode::InvalidApiKeyActions, read_action)?,
            "indexes" => key.indexes = list(value, name, ErrorCode::InvalidApiKeyIndexes, read_pattern)?,
            "expiresAt" => key.expires_at = read_expiry(value, now)?,
            _ => return Err(ResponseError::new(ErrorCode::BadRequest, unknown_field(name, &CREATION))),
        }
    }
    for (name, code) in [
        ("actions", ErrorCode::MissingApiKeyActions),
        ("indexes", ErrorCode::MissingApiKeyIndexes),
        ("expiresAt", ErrorCode::MissingApiKeyExpiresAt),
    ] {
        if !fields.contains_key(name) {
            return Err(ResponseError::new(code, missing_field(name)));
        }
    }
    key.check_scope()?;
    Ok(key)
}

/// Reads the body of `PATCH /keys/{key}`; the first fault in it is the error.
pub fn read_patch(body: &Value) -> Result<KeyPatch, ResponseError> {
    let mut patch = KeyPatch::default();
    for (name, value) in object(body)? {
        let immutable = |code| Err(ResponseError::new(code, immutable_field(name, &PATCH)));
        match name.as_str() {
            "description" => {
                patch.description = Some(text(value, name, ErrorCode::InvalidApiKeyDescription)?);
            }
            "name" => patch.name = Some(text(value, name, ErrorCode::InvalidApiKeyName)?),
            "uid" => return immutable(ErrorCode::ImmutableApiKeyUid),
            "actions" => return immutable(ErrorCode::ImmutableApiKeyActions),
            "indexes" => return immutable(ErrorCode::ImmutableApiKeyIndexes),
            "expiresAt" => return immutable(ErrorCode::ImmutableApiKeyExpiresAt),
            "createdAt" => return immutable(ErrorCode::ImmutableApiKeyCreatedAt),
            "updatedAt" => return immutable(ErrorCode::ImmutableApiKeyUpdatedAt),
            _ => return Err(ResponseError::new(ErrorCode::BadRequest, unknown_field(name, &PATCH))),
        }
    }
    Ok(patch)
}

fn object(body: &Value) -> Result<&Map<String, Value>, ResponseError> {
    body.as_object()
        .ok_or_else(|| ResponseError::new(ErrorCode::BadRequest, wrong_type("", "an object", body)))
}

fn text(value: &Value, name: &str, code: ErrorCode) -> Result<Option<String>, ResponseError> {
    match value {
        Value::Null => Ok(None),
        value => string(value, &format!(".{name}"), code).map(|text| Some(text.to_owned())),
    }
}

fn string<'a>(value: &'a Value, place: &str, code: ErrorCode) -> Result<&'a str, ResponseError> {
    value.as_str().ok_or_else(|| ResponseError::new(code, wrong_type(place, "a string", value)))
}

fn list<T>(
    value: &Value,
    name: &str,
    code: ErrorCode,
    read: fn(&str, &str) -> Result<T, String>,
) -> Result<Vec<T>, ResponseError> {
    let Value::Array(items) = value else {
        return Err(ResponseError::new(code, wrong_type(&format!(".{name}"), "an array", value)));
    };
    let item = |(item, place): (&Value, usize)| {
        let place = format!(".{name}[{place}]");
        read(string(item, &place, code)?, &place).map_err(|message| ResponseError::new(code, message))
    };
    items.iter().zip(0..).map(item).collect()
}

fn read_action(text: &str, place: &str) -> Result<Action, String> {
    Action::from_name(text).ok_or_else(|| unknown_value(place, text, Action::NAMES))
}

fn read_pattern(text: &str, place: &str) -> Result<UidPattern, String> {
    UidPattern::parse(text).ok_or_else(|| {
        let name = text.strip_suffix('*').unwrap_or(text);
        let reason = format!(
            "`{name}` is not a valid index uid pattern. Index uid patterns can be an integer or a string containing \
             only alphanumeric characters, hyphens (-), underscores (_), and optionally end with a star (*)."
        );
        wrong_value(place, &reason)
    })
}

fn read_uid(value: &Value) -> Result<KeyUid, ResponseError> {
    let code = ErrorCode::InvalidApiKeyUid;
    let uid = Uuid::from_str(string(value, ".uid", code)?);
    uid.map(KeyUid).map_err(|error| ResponseError::new(code, wrong_value(".uid", &error.to_string())))
}

fn read_expiry(value: &Value, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, ResponseError> {
    let code = ErrorCode::InvalidApiKeyExpiresAt;
    let Some(text) = text(value, "expiresAt", code)? else { return Ok(None) };
    parse_expiry(&text, now).map(Some).ok_or_else(|| {
        let reason = format!(
            "`{text}` is not a valid date. It should follow the RFC 3339 format to represents a date or datetime in \
             the future or specified as a null value. e.g. 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'.\n"
        );
        ResponseError::new(code, wrong_value(".expiresAt", &reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn refused(body: &Value) -> (ErrorCode, String) {
        let error = read_creation(body, NOW).unwrap_err();
        (error.code, error.message)
    }

    #[test]
    fn a_whole_key_is_read_and_what_is_left_out_is_chosen() {
        let body = json!({
            "uid": "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01", "name": "n", "description": null,
            "actions": ["search", "documents.*"], "indexes": ["a", "b*"], "expiresAt": "2099-04-05",
        });
        let fresh = KeyUid(Uuid::nil());
        let key = read_creation(&body, NOW).unwrap().into_key(fresh, NOW);
        assert_eq!(key.uid.to_string(), "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01");
        assert_eq!((key.name.as_deref(), key.description.as_deref()), (Some("n"), None));
        assert_eq!(key.actions, [Action::Search, Action::DocumentsAll]);
        assert_eq!(key.expires_at, Some(datetime!(2099-04-05 0:00 UTC)));
        let least = json!({ "actions": [], "indexes": [], "expiresAt": null });
        let key = read_creation(&least, NOW).unwrap().into_key(fresh, NOW);
        assert_eq!((key.uid, key.created_at, key.expires_at), (fresh, NOW, None));
    }

    #[test]
    fn the_first_fault_in_the_order_of_the_body_is_told() {
        let both = json!({ "uid": 4, "actions": "search" });
        assert_eq!(refused(&both).0, ErrorCode::InvalidApiKeyUid);
        let missing = json!({ "expiresAt": null });
        assert_eq!(
            refused(&missing),
            (ErrorCode::MissingApiKeyActions, "Missing field `actions`".to_owned())
        );
        let action = json!({ "actions": ["search", "serch"] });
        assert!(
            refused(&action).1.starts_with("Unknown value `serch` at `.actions[1]`: did you mean `search`?")
        );
        let pattern = json!({ "indexes": ["a b*"] });
        assert!(refused(&pattern).1.starts_with("Invalid value at `.indexes[0]`: `a b` is not a valid"));
        assert!(refused(&json!({ "expiresAt": "2001-01-01" })).1.ends_with("HH:MM:SS'.\n"));
        assert_eq!(refused(&json!({ "key": "x" })).0, ErrorCode::BadRequest);
        assert_eq!(refused(&json!([])).0, ErrorCode::BadRequest);
    }

    #[test]
    fn a_key_for_some_indexes_can_not_grant_what_is_about_none() {
        let body = |indexes: &[&str]| json!({ "actions": ["search", "version"], "indexes": indexes, "expiresAt": null });
        let (code, message) = refused(&body(&["films"]));
        assert_eq!(code, ErrorCode::IndexScopedApiKeyWithGlobalAction);
        assert!(message.contains("global action `\"version\"`\n  - Hint"), "{message}");
        for global in [&["films", "*"][..], &[]] {
            assert!(read_creation(&body(global), NOW).is_ok());
        }
    }

    #[test]
    fn only_name_and_description_change() {
        let patch = read_patch(&json!({ "name": null, "description": "d" })).unwrap();
        assert_eq!(patch, KeyPatch { name: Some(None), description: Some(Some("d".to_owned())) });
        assert_eq!(read_patch(&json!({})).unwrap(), KeyPatch::default());
        let refused = |body: Value| read_patch(&body).unwrap_err();
        let error = refused(json!({ "actions": ["*"] }));
        assert_eq!(error.code, ErrorCode::ImmutableApiKeyActions);
        assert_eq!(error.message, "Immutable field `actions`: expected one of `description`, `name`");
        assert_eq!(refused(json!({ "key": "x" })).code, ErrorCode::BadRequest);
        assert_eq!(refused(json!({ "name": 5 })).code, ErrorCode::InvalidApiKeyName);
    }
}
