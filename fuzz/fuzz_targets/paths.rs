//! A path of any bytes is made plain once: a second time changes nothing, so that nobody behind it reads another path.

#![no_main]

use axum::body::Body;
use axum::extract::Request;
use libfuzzer_sys::fuzz_target;
use miroir_proxy::http::with_plain_path;

fuzz_target!(|path: &[u8]| {
    let Ok(request) = Request::builder().uri(path).body(Body::empty()) else { return };
    let once = with_plain_path(request);
    let plain = once.uri().clone();
    assert!(!plain.path().contains("//"), "{plain}");
    assert_eq!(*with_plain_path(once).uri(), plain);
});
