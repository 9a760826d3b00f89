//! `localizedAttributes` in normal form: nodes show every locale by its code of three letters.

use serde_json::{Value, json};

/// Codes of two letters (ISO 639-1) and of three (ISO 639-3), of the languages that Meilisearch 1.50 takes.
#[rustfmt::skip]
const CODES: [(&str, &str); 69] = [
    ("af", "afr"), ("ak", "aka"), ("am", "amh"), ("ar", "ara"), ("az", "aze"), ("be", "bel"), ("bn", "ben"), ("bg",
    "bul"), ("ca", "cat"), ("cs", "ces"), ("da", "dan"), ("de", "deu"), ("el", "ell"), ("en", "eng"), ("eo", "epo"),
    ("et", "est"), ("fi", "fin"), ("fr", "fra"), ("gu", "guj"), ("he", "heb"), ("hi", "hin"), ("hr", "hrv"), ("hu",
    "hun"), ("hy", "hye"), ("id", "ind"), ("it", "ita"), ("jv", "jav"), ("ja", "jpn"), ("kn", "kan"), ("ka", "kat"),
    ("km", "khm"), ("ko", "kor"), ("la", "lat"), ("lv", "lav"), ("lt", "lit"), ("ml", "mal"), ("mr", "mar"), ("mk",
    "mkd"), ("my", "mya"), ("ne", "nep"), ("nl", "nld"), ("nb", "nob"), ("or", "ori"), ("pa", "pan"), ("fa", "pes"),
    ("pl", "pol"), ("pt", "por"), ("ro", "ron"), ("ru", "rus"), ("si", "sin"), ("sk", "slk"), ("sl", "slv"), ("sn",
    "sna"), ("es", "spa"), ("sr", "srp"), ("sv", "swe"), ("ta", "tam"), ("te", "tel"), ("tl", "tgl"), ("th", "tha"),
    ("tk", "tuk"), ("tr", "tur"), ("uk", "ukr"), ("ur", "urd"), ("uz", "uzb"), ("vi", "vie"), ("yi", "yid"), ("zh",
    "zho"), ("zu", "zul"),
];

pub(super) fn normal(value: &Value) -> Value {
    let Some(rules) = value.as_array() else { return value.clone() };
    let rule = |rule: &Value| {
        let locales = rule["locales"].as_array().map(|locales| locales.iter().map(long).collect::<Vec<_>>());
        json!({ "attributePatterns": rule["attributePatterns"], "locales": locales.unwrap_or_default() })
    };
    Value::Array(rules.iter().map(rule).collect())
}

fn long(code: &Value) -> Value {
    let found = CODES.iter().find(|(short, _)| code == short);
    found.map_or(code.clone(), |(_, long)| json!(long))
}
