//! No text opens anything but the keys and what they have signed, whatever it looks like.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use miroir_core::ids::KeyUid;
use miroir_core::keys::{Action, Credentials, Ring, default_keys};
use time::OffsetDateTime;
use uuid::Uuid;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

static RING: LazyLock<Ring> = LazyLock::new(|| {
    let uids = [1, 2, 3, 4].map(|number| KeyUid(Uuid::from_u128(number)));
    Ring::new(Some("the master key"), default_keys(uids, NOW))
});

fuzz_target!(|header: &str| {
    for (action, index) in [(Action::Search, Some("films")), (Action::DocumentsGet, Some("films")), (Action::KeysGet, None)] {
        let opened = RING.authorize(Credentials::of_header(Some(header)), action, index, NOW);
        assert!(opened.is_err(), "{header} opens {action:?}");
    }
});
