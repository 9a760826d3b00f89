//! What an engine must do with API keys.

use miroir_core::ids::KeyUid;
use miroir_core::keys::{Action, ApiKey, KeyPatch, UidPattern};
use miroir_store::Adding;
use time::Duration;
use time::macros::datetime;
use uuid::{Uuid, uuid};

use super::{Engine, NOW};

pub const FIRST: Uuid = uuid!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a01");
pub const SECOND: Uuid = uuid!("5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a02");

pub fn key(uid: Uuid) -> ApiKey {
    ApiKey {
        uid: KeyUid(uid),
        name: Some("Ünïcode".to_owned()),
        description: None,
        actions: vec![Action::Search, Action::AllGet, Action::Search],
        indexes: vec![UidPattern::parse("films-*").unwrap()],
        expires_at: Some(datetime!(2098-01-01 10:00 +2)),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub async fn api_keys_are_kept_as_they_were_made(engine: &impl Engine) {
    let store = engine.open();
    assert_eq!(store.api_keys().await.unwrap(), []);
    let plain = ApiKey { name: None, actions: vec![], indexes: vec![], expires_at: None, ..key(SECOND) };
    assert_eq!(store.add_api_key(key(FIRST)).await.unwrap(), Adding::Added);
    assert_eq!(store.add_api_key(plain.clone()).await.unwrap(), Adding::Added);
    let other = ApiKey { name: Some("other".to_owned()), ..key(FIRST) };
    assert_eq!(store.add_api_key(other).await.unwrap(), Adding::Taken);
    drop(store);
    let mut kept = engine.open().api_keys().await.unwrap();
    kept.sort_by_key(|key| key.uid);
    assert_eq!(kept, [key(FIRST), plain]);
    assert_eq!(kept[0].expires_at.unwrap().offset().whole_hours(), 2);
}

pub async fn an_api_key_changes_its_texts_only_and_is_gone_when_deleted(engine: &impl Engine) {
    let store = engine.open();
    store.add_api_key(key(FIRST)).await.unwrap();
    let later = NOW + Duration::HOUR;
    let patch = KeyPatch { name: Some(None), description: Some(Some("d".to_owned())) };
    let expected = ApiKey { name: None, description: Some("d".to_owned()), updated_at: later, ..key(FIRST) };
    let patched = store.patch_api_key(KeyUid(FIRST), patch, later).await.unwrap();
    assert_eq!(patched.as_ref(), Some(&expected));
    let same = store.patch_api_key(KeyUid(FIRST), KeyPatch::default(), later).await.unwrap();
    assert_eq!(same, patched);
    assert_eq!(store.patch_api_key(KeyUid(SECOND), KeyPatch::default(), later).await.unwrap(), None);
    assert_eq!(store.api_keys().await.unwrap(), std::slice::from_ref(&expected));
    assert_eq!(store.delete_api_key(KeyUid(FIRST)).await.unwrap(), Some(expected));
    assert_eq!(store.delete_api_key(KeyUid(FIRST)).await.unwrap(), None);
    assert_eq!(store.api_keys().await.unwrap(), []);
}

pub async fn the_first_api_keys_are_made_once(engine: &impl Engine) {
    let store = engine.open();
    store.begin_api_keys(vec![key(FIRST)]).await.unwrap();
    store.begin_api_keys(vec![key(SECOND)]).await.unwrap();
    assert_eq!(store.api_keys().await.unwrap(), [key(FIRST)]);
}
