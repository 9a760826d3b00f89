//! Paths as Meilisearch reads them: several slashes are one, a letter may be written as its code, and what is not UTF-8
//! once decoded has `U+FFFD` in place of what can't be read. It then finds no index, document or key of that name; extractors
//! of paths would refuse the request before any handler could say so.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The path of that form, without a query; `None` if nothing has to change.
pub fn plain_path(path: &str) -> Option<String> {
    if !path.contains("//") && !path.contains('%') {
        return None;
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let path = segments.map(|segment| with_letters(&readable(segment))).collect::<Vec<_>>().join("/");
    Some(format!("/{path}"))
}

fn is_readable(encoded: &str) -> bool {
    percent_decode_str(encoded).decode_utf8().is_ok()
}

fn readable(segment: &str) -> String {
    if is_readable(segment) {
        return segment.to_owned();
    }
    let text = percent_decode_str(segment).decode_utf8_lossy();
    utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
}

/// The codes of letters, digits, `-` and `_` as what they stand for: names of routes are made of these.
fn with_letters(segment: &str) -> String {
    let mut plain = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let code = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let letter = code.filter(|code| code.is_ascii_alphanumeric() || matches!(code, b'-' | b'_'));
        // Behind a `%` that begins no code it would make one, which whoever reads the path next would decode.
        let letter = letter.filter(|letter| !(letter.is_ascii_hexdigit() && begins_a_code(&plain)));
        plain.push(letter.map_or('%', char::from));
        rest = &rest[if letter.is_some() { 3 } else { 1 }..];
    }
    plain + rest
}

/// Whether a hexadecimal digit behind this text would belong to a code.
fn begins_a_code(text: &str) -> bool {
    let mut last = text.bytes().rev();
    match last.next() {
        Some(b'%') => true,
        Some(digit) => digit.is_ascii_hexdigit() && last.next() == Some(b'%'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_decoded_makes_another_code() {
        for path in ["/keys/%%35c", "/keys/%5%63", "/keys/%%32%45", "/a/%%45e\u{b}"] {
            let once = plain_path(path).unwrap();
            assert_eq!(plain_path(&once).unwrap_or(once.clone()), once, "{path}");
            assert!(!once.to_ascii_lowercase().contains("%5c") && !once.contains("%2E"), "{once}");
        }
        assert_eq!(plain_path("/%2F%45").as_deref(), Some("/%2FE"));
    }

    #[test]
    fn letters_may_be_written_as_their_codes_and_nothing_else_is_decoded() {
        for (path, expected) in [
            ("/ind%65xes/%66ilms/delete%2Dbatch?q=%65", "/indexes/films/delete-batch?q=%65"),
            ("/indexes/caf%C3%A9/documents/a%2Fb/", "/indexes/caf%C3%A9/documents/a%2Fb"),
            ("/keys/%zz%6", "/keys/%zz%6"),
            ("/keys/%2E%2e%+1%é", "/keys/%2E%2e%+1%é"),
        ] {
            let segments: Vec<_> = path.split('?').next().unwrap().split('/').map(with_letters).collect();
            let expected_path = expected.split('?').next().unwrap();
            assert_eq!(segments.join("/").trim_end_matches('/'), expected_path);
        }
        assert_eq!(plain_path("/ind%65xes").as_deref(), Some("/indexes"));
    }
}
