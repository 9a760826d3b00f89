//! A payload that is read in windows of any size has the documents that it has in one piece, or is unclear.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use miroir_core::document::{Payload, PayloadFormat, Windows, check_payload};

/// The payload, read in windows that begin with this many bytes and grow where nothing fits.
fn by_windows(format: PayloadFormat, body: &Bytes, size: usize) -> Option<Payload> {
    let mut windows = Windows::begin(format)?;
    let (mut at, mut wanted) = (0, size);
    loop {
        let end = body.len().min(at + wanted);
        let taken = windows.take(&body.slice(at..end)).ok()?;
        if end == body.len() {
            return if at + taken == end { windows.finish().ok() } else { None };
        }
        wanted = if taken == 0 { 2 * wanted } else { size };
        at += taken;
    }
}

fn documents(payload: &Payload) -> Vec<Vec<u8>> {
    payload.iter().map(|document| document.to_vec()).collect()
}

fuzz_target!(|input: (u8, bool, Vec<u8>)| {
    let (size, is_array, body) = input;
    let format = if is_array { PayloadFormat::Json } else { PayloadFormat::Ndjson };
    let body = Bytes::from(body);
    if let Some(windowed) = by_windows(format, &body, usize::from(size).max(1)) {
        let whole = check_payload(format, &body).expect("what is clear in windows is right as a whole");
        assert_eq!(documents(&windowed), documents(&whole));
    }
});
