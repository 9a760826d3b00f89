use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use time::macros::datetime;
use uuid::{Uuid, uuid};

use super::*;
use crate::ids::KeyUid;
use crate::keys::{ApiKey, KeyValue, derive_value};

const MASTER: &str = "a master key";
const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
const FILMS: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const READER: Uuid = uuid!("00000000-0000-4000-8000-000000000002");
const GONE: Uuid = uuid!("00000000-0000-4000-8000-000000000009");

fn key(uid: Uuid, actions: &[Action], indexes: &[&str]) -> ApiKey {
    ApiKey {
        uid: KeyUid(uid),
        name: None,
        description: None,
        actions: actions.to_vec(),
        indexes: indexes.iter().filter_map(|text| UidPattern::parse(text)).collect(),
        expires_at: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn ring(master: Option<&str>) -> Ring {
    let keys = vec![
        key(FILMS, &[Action::Search, Action::IndexesGet], &["films", "books-*"]),
        key(READER, &[Action::DocumentsGet], &["*"]),
    ];
    Ring::new(master, keys)
}

fn value(uid: Uuid) -> String {
    KeyValue::to_hex(&derive_value(MASTER, KeyUid(uid)))
}

fn token(uid: Uuid, rules: &Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "searchRules": rules, "apiKeyUid": uid });
    let signed = format!("{}.{}", part(json!({ "alg": "HS256" })), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(value(uid).as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn ask(credentials: &str, action: Action, index: Option<&str>) -> Result<Scope, String> {
    let found = ring(Some(MASTER)).authorize(Credentials::Bearer(credentials), action, index, NOW);
    found.map_err(|denied| denied.to_string())
}

const INVALID: &str = "The provided API key is invalid.";

#[test]
fn the_header_must_begin_with_bearer() {
    assert_eq!(Credentials::of_header(None), Credentials::Absent);
    assert_eq!(Credentials::of_header(Some("Bearer abc d")), Credentials::Bearer("abc d"));
    assert_eq!(Credentials::of_header(Some("Bearer")), Credentials::Empty);
    for wrong in ["bearer abc", "Basic abc", "abc", "Bearerabc", ""] {
        assert_eq!(Credentials::of_header(Some(wrong)), Credentials::NotBearer, "{wrong}");
    }
    let answer = |credentials| {
        let denied = ring(Some(MASTER)).authorize(credentials, Action::IndexesGet, None, NOW).unwrap_err();
        ResponseError::from(denied).code
    };
    assert_eq!(answer(Credentials::Absent), ErrorCode::MissingAuthorizationHeader);
    assert_eq!(answer(Credentials::NotBearer), ErrorCode::MissingAuthorizationHeader);
    assert_eq!(answer(Credentials::Empty), ErrorCode::InvalidApiKey);
}

#[test]
fn the_master_key_may_do_everything() {
    for action in Action::ALL {
        assert_eq!(ask(MASTER, *action, Some("anything")), Ok(Scope::unlimited()), "{action}");
    }
    assert_eq!(ask("another key", Action::Search, None), Err(INVALID.to_owned()));
}

#[test]
fn without_a_master_key_everything_is_open_but_the_keys() {
    let open = ring(None);
    for credentials in [Credentials::Absent, Credentials::Bearer("x")] {
        let scope = open.authorize(credentials, Action::IndexesDelete, Some("films"), NOW).unwrap();
        assert_eq!(scope, Scope::unlimited());
        let denied = open.authorize(credentials, Action::KeysGet, None, NOW).unwrap_err();
        assert_eq!(ResponseError::from(denied).code, ErrorCode::MissingMasterKey);
    }
}

#[test]
fn a_key_is_confined_to_its_indexes_and_actions() {
    let films = value(FILMS);
    let scope = ask(&films, Action::IndexesGet, None).unwrap();
    assert!(scope.allows("films") && scope.allows("books-1") && !scope.allows("other"));
    assert!(!scope.may_create("films"));
    assert_eq!(
        ask(&films, Action::Search, Some("other")),
        Err("The API key cannot acces the index `other`, authorized indexes are [\"books-*\", \"films\"]."
            .to_owned())
    );
    assert_eq!(ask(&films, Action::DocumentsGet, Some("films")), Err(INVALID.to_owned()));
    assert_eq!(ask(&films, Action::Version, None), Err(INVALID.to_owned()));
    assert!(ask(&films.to_uppercase(), Action::Search, Some("films")).is_ok());
}

#[test]
fn a_token_searches_what_it_and_its_key_allow_and_does_nothing_else() {
    let films = token(FILMS, &json!({ "films": { "filter": "a = 1" }, "other": {} }));
    let scope = ask(&films, Action::Search, Some("films")).unwrap();
    let mut body = serde_json::Map::new();
    scope.confine("films", &mut body).unwrap();
    assert_eq!(body["filter"], "a = 1");
    assert_eq!(
        ask(&films, Action::Search, Some("books-1")),
        Err("The provided tenant token cannot acces the index `books-1`, allowed indexes are [\"films\", \"other\"].".to_owned())
    );
    assert_eq!(
        ask(&films, Action::Search, Some("other")),
        Err("The API key used to generate this tenant token cannot acces the index `other`.".to_owned())
    );
    assert_eq!(ask(&films, Action::IndexesGet, Some("films")), Err(INVALID.to_owned()));
    let reader = token(READER, &json!(["*"]));
    assert_eq!(ask(&reader, Action::Search, Some("films")), Err(INVALID.to_owned()));
}

#[test]
fn a_token_ends_with_its_key() {
    let gone = token(GONE, &json!(["*"]));
    assert_eq!(ask(&gone, Action::Search, Some("films")), Err(INVALID.to_owned()));
    let forged = token(GONE, &json!(["*"])) + "x";
    assert!(ask(&forged, Action::Search, Some("films")).unwrap_err().starts_with("Could not decode"));
}
