//! Whatever a client writes as a filter, it is read without a fault, printed as the same tree, and joined without leaving its
//! place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miroir_core::filter::{Filter, join, parse};
use serde_json::json;

const OTHERS: &str = "tenant = A OR tenant = B";

fuzz_target!(|text: &str| {
    let read = parse(text);
    if let Ok(Some(filter)) = &read {
        // What is printed may be nested deeper than what was written.
        if let Ok(again) = parse(&filter.to_string()) {
            assert_eq!(again.as_ref(), Some(filter));
        }
    }
    let others = parse(OTHERS).expect("it is a filter").expect("it has a condition");
    let joined = join(&json!([text, OTHERS])).map(|joined| parse(&joined));
    match (read, joined) {
        (Err(_), joined) => assert_eq!(joined, None),
        (Ok(None), joined) => assert_eq!(joined, Some(Ok(Some(others)))),
        (Ok(Some(filter)), Some(joined)) => assert_eq!(joined, Ok(Some(Filter::And(vec![filter, others])))),
        (Ok(Some(_)), None) => {}
    }
});
