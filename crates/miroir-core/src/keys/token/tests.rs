use proptest::prelude::*;
use serde_json::json;
use uuid::uuid;

use super::*;
use crate::keys::derive_value;

const UID: KeyUid = KeyUid(uuid!("74c9c733-3368-4738-bbe5-1d18a5fecb37"));
const NOW: i64 = 1_800_000_000;

fn value() -> KeyValue {
    derive_value("master", UID)
}

fn sign<M: Mac + KeyInit>(alg: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": alg })), part(claims));
    let mut mac = <M as KeyInit>::new_from_slice(value().to_hex().as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn token(claims: &Value) -> String {
    sign::<Hmac<Sha256>>("HS256", claims)
}

fn claims(rules: &Value) -> Value {
    json!({ "searchRules": rules, "apiKeyUid": UID })
}

fn verify(token: &str) -> Result<SearchRules, TokenError> {
    let unverified = Unverified::read(token)?;
    assert_eq!(unverified.key_uid(), UID);
    unverified.verify(&value(), NOW)
}

fn refused(token: &str) -> String {
    verify(token).unwrap_err().to_string()
}

#[test]
fn three_algorithms_are_taken() {
    let all = claims(&json!(["*"]));
    for token in [
        sign::<Hmac<Sha256>>("HS256", &all),
        sign::<Hmac<Sha384>>("HS384", &all),
        sign::<Hmac<Sha512>>("HS512", &all),
    ] {
        assert!(verify(&token).unwrap().allow("films"));
    }
    assert_eq!(
        refused(&sign::<Hmac<Sha256>>("RS256", &all)),
        "Could not decode tenant token, InvalidAlgorithm."
    );
    assert_eq!(
        refused(&sign::<Hmac<Sha256>>("HS384", &all)),
        "Could not decode tenant token, InvalidSignature."
    );
    let none = Unverified::read(&sign::<Hmac<Sha256>>("none", &all)).err().unwrap().to_string();
    assert!(none.starts_with("Could not decode tenant token, JSON error: unknown variant `none`"), "{none}");
    assert!(none.ends_with("`PS512`, `EdDSA` at line 1 column 25."), "{none}");
}

#[test]
fn nothing_of_a_token_can_be_changed() {
    let right = token(&claims(&json!(["films"])));
    let other = token(&claims(&json!(["*"])));
    let payload = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    let forged = right.replace(&payload(&right), &payload(&other));
    assert_eq!(refused(&forged), "Could not decode tenant token, InvalidSignature.");
    let unsigned = right.rsplit_once('.').unwrap().0.to_owned() + ".";
    assert_eq!(refused(&unsigned), "Could not decode tenant token, InvalidSignature.");
    let read = Unverified::read(&right).unwrap();
    assert!(matches!(read.verify(&derive_value("another", UID), NOW), Err(TokenError::Signature)));
}

#[test]
fn what_is_no_token_may_be_a_key_and_what_is_broken_is_told() {
    for key in ["", "abc", "a.b"] {
        assert!(matches!(Unverified::read(key), Err(TokenError::NotAToken)), "{key}");
    }
    assert_eq!(refused("a.b.c"), "Could not decode tenant token, Base64 error: Invalid input length: 1.");
    let text = refused(&token(&claims(&json!("films"))));
    assert!(text.contains("data did not match any variant of untagged enum SearchRules"), "{text}");
    let text = refused(&token(&json!({ "searchRules": ["*"] })));
    assert!(text.contains("missing field `apiKeyUid`"), "{text}");
    let text = refused(&token(&json!({ "searchRules": ["*"], "apiKeyUid": "abc" })));
    assert!(text.contains("UUID parsing failed: invalid length: found 3"), "{text}");
}

#[test]
fn a_token_ends_and_is_for_nobody_else() {
    let with = |name: &str, value: Value| {
        let mut claims = claims(&json!(["*"]));
        claims[name] = value;
        token(&claims)
    };
    assert!(verify(&with("exp", json!(NOW))).is_ok() && verify(&with("exp", json!(null))).is_ok());
    assert_eq!(
        refused(&with("exp", json!(NOW - 1))),
        format!("Tenant token expired. Was valid up to `{}` and we're now `{NOW}`.", NOW - 1)
    );
    assert!(verify(&with("iss", json!("x"))).is_ok() && verify(&with("aud", json!(null))).is_ok());
    assert!(verify(&with("sub", json!("x"))).is_ok() && verify(&with("sub", json!(5))).is_ok());
    assert!(refused(&with("sub", json!({ "a": 1 }))).contains("JSON error: expected `,` or `}`"));
    assert_eq!(refused(&with("aud", json!("me"))), "Could not decode tenant token, InvalidAudience.");
}

#[test]
fn one_rule_counts_and_it_is_the_nearest() {
    let rules: SearchRules = serde_json::from_value(json!({
        "*": { "filter": "a = 1" }, "fil*": { "filter": ["b = 1"] }, "film*": null, "films": {}, "film-1": { "filter": null },
    }))
    .unwrap();
    assert_eq!(rules.filter("books"), Some(&json!("a = 1")));
    assert_eq!(rules.filter("file"), Some(&json!(["b = 1"])));
    for free in ["filming", "films", "film-1"] {
        assert_eq!(rules.filter(free), None, "{free}");
    }
    let set: SearchRules = serde_json::from_value(json!(["films", "tv-*"])).unwrap();
    assert!(set.allow("films") && set.allow("tv-1") && !set.allow("books") && set.filter("films").is_none());
    let none: SearchRules = serde_json::from_value(json!({})).unwrap();
    assert!(!none.allow("films"));
}

proptest! {
    #[test]
    fn no_text_is_a_token_by_chance(header in ".{0,40}", payload in ".{0,80}", signature in "[A-Za-z0-9_-]{0,60}") {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in [
            format!("{header}.{payload}.{signature}"),
            format!("{}.{}.{signature}", encode(&header), encode(&payload)),
            format!("{}.{}.{signature}", encode("{\"alg\":\"HS256\"}"), encode(&claims(&json!([payload])).to_string())),
        ] {
            let verified = Unverified::read(&token).and_then(|read| read.verify(&value(), NOW));
            prop_assert!(verified.is_err(), "{token}");
        }
    }
}
