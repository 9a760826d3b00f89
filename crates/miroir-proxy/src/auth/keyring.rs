//! The API keys: durable in the store, and in memory with their values, so that checking a request waits for no disk.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use miroir_core::ids::KeyUid;
use miroir_core::keys::{ApiKey, HeldKey, KeyPatch, Ring, default_keys};
use miroir_store::{Adding, Store, StoreError, until_known};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::config::Secret;

/// All keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keyring(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    ring: ArcSwap<Ring>,
    /// Changes go one at a time, so that memory takes them in the order of the store. Requests never wait for it.
    changing: Mutex<()>,
}

impl Keyring {
    /// Reads the keys; a store without any gets the default ones.
    pub async fn open(store: Arc<dyn Store>, master_key: Option<&Secret>) -> Result<Self, StoreError> {
        let uids = std::array::from_fn(|_| fresh_uid());
        let first = default_keys(uids, OffsetDateTime::now_utc());
        until_known(|| store.begin_api_keys(first.clone())).await?;
        let ring = Ring::new(master_key.map(Secret::expose), store.api_keys().await?);
        let shared = Shared { store, ring: ArcSwap::from_pointee(ring), changing: Mutex::new(()) };
        Ok(Self(Arc::new(shared)))
    }

    /// The keys as they are now.
    pub fn load(&self) -> Guard<Arc<Ring>> {
        self.0.ring.load()
    }

    /// Stores a key; `None` if its uid is taken. Goes on to its end when the future is dropped, as the other changes do.
    pub async fn add(&self, key: ApiKey) -> Result<Option<HeldKey>, StoreError> {
        self.change(|shared| async move {
            if until_known(|| shared.store.add_api_key(key.clone())).await? == Adding::Taken {
                return Ok(None);
            }
            Ok(Some(shared.hold(key)))
        })
        .await
    }

    /// Changes the texts of a key; `None` if there is no such key.
    pub async fn patch(&self, uid: KeyUid, patch: KeyPatch) -> Result<Option<HeldKey>, StoreError> {
        self.change(move |shared| async move {
            let now = OffsetDateTime::now_utc();
            let key = until_known(|| shared.store.patch_api_key(uid, patch.clone(), now)).await?;
            Ok(key.map(|key| shared.hold(key)))
        })
        .await
    }

    /// Forgets a key; `None` if there was none. No request with it is let in after this.
    pub async fn delete(&self, uid: KeyUid) -> Result<Option<ApiKey>, StoreError> {
        self.change(move |shared| async move {
            let key = until_known(|| shared.store.delete_api_key(uid)).await?;
            shared.ring.store(Arc::new(shared.ring.load().without(uid)));
            Ok(key)
        })
        .await
    }

    /// In a task of its own: a request that is given up must not leave the store changed and memory as it was.
    async fn change<T, F>(
        &self,
        step: impl FnOnce(Arc<Shared>) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let changed = tokio::spawn(async move {
            let _turn = shared.changing.lock().await;
            step(Arc::clone(&shared)).await
        });
        changed.await.map_err(StoreError::broken_off)?
    }
}

impl Shared {
    fn hold(&self, key: ApiKey) -> HeldKey {
        let (ring, held) = self.ring.load().with(key);
        self.ring.store(Arc::new(ring));
        held
    }
}

/// A uid that no key has.
pub fn fresh_uid() -> KeyUid {
    KeyUid(Uuid::new_v4())
}
