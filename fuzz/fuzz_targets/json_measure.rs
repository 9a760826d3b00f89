//! Counting values goes wrong where building them goes wrong, and in the same words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miroir_core::json::{Unmeasured, abridge, measure};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let built = serde_json::from_slice::<Value>(body);
    match (measure(body, usize::MAX), built) {
        (Ok(_), Ok(_)) => assert!(abridge(body).is_ok()),
        (Err(Unmeasured::Malformed(ours)), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
        // Text that stands for JSON is refused earlier here, and its faults are told of the text.
        _ => assert!(String::from_utf8_lossy(body).contains("RawValue")),
    }
});
