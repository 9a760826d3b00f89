//! A path of any text is made plain once: a second time changes nothing, so that nobody behind it reads another path. And
//! whatever a client writes in a segment, it is one segment of a request to a node, or the request is not sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miroir_core::path::{NodePath, plain_path};
use percent_encoding::percent_decode_str;

const NODE: &str = "http://127.0.0.1:7700/below";

fuzz_target!(|segments: Vec<&str>| {
    if let Some(plain) = plain_path(&segments.join("/")) {
        assert!(!plain.contains("//"), "{plain}");
        assert_eq!(plain_path(&plain).unwrap_or(plain.clone()), plain);
    }
    if let Ok(url) = NodePath::of(segments.iter().copied()).with_query(segments.last().unwrap_or(&"")).at(NODE) {
        let sent: Vec<_> = url.path_segments().expect("it has a path").skip(1).map(percent_decode_str).collect();
        let sent: Vec<_> = sent.into_iter().map(|segment| segment.decode_utf8_lossy().into_owned()).collect();
        assert!(sent == segments || segments.is_empty() && sent == [""], "{segments:?} became {url}");
        assert!(url.as_str().starts_with(NODE) && url.fragment().is_none(), "{url}");
    }
});
