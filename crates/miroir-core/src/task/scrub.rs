//! Error texts of nodes, as a client of one Meilisearch would read them.

use crate::document::marker::RESERVED_PREFIX;

/// Characters of which Miroir's own names consist.
fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '*')
}

/// A node's text with the index's own name for the one on the nodes, and without the names that only Miroir uses: as
/// members of a printed document, items of a printed list, or conditions of a printed filter.
pub fn scrub(text: &str, physical: &str, index: &str) -> String {
    let mut clean = if physical == index {
        text.to_owned()
    } else {
        text.replace(&format!("`{physical}`"), &format!("`{index}`"))
    };
    while let Some(at) = clean.find(RESERVED_PREFIX) {
        let (start, end) = surroundings(&clean, at);
        clean.replace_range(start..end, "");
    }
    clean
}

/// What goes with the reserved name at `at`: its quotes, its value or operator, and one separator.
fn surroundings(text: &str, at: usize) -> (usize, usize) {
    let mut start = at;
    let mut end = at + text[at..].find(|c| !is_name(c)).unwrap_or(text.len() - at);
    for quote in ["\\\"", "\"", "`", "'"] {
        if text[..start].ends_with(quote) && text[end..].starts_with(quote) {
            start -= quote.len();
            end += quote.len();
            break;
        }
    }
    for tail in [":null", ": null", " EXISTS"] {
        if text[end..].starts_with(tail) {
            end += tail.len();
            break;
        }
    }
    for separator in [", ", ",", " OR ", " AND "] {
        if text[end..].starts_with(separator) {
            return (start, end + separator.len());
        }
        if text[..start].ends_with(separator) {
            return (start - separator.len(), end);
        }
    }
    (start, end)
}
