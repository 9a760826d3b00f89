//! Taking Miroir's own names out of what a node says.
//!
//! The sentences are those of Meilisearch 1.50 (`crates/milli/src/error.rs`): attribute lists stand in one pair of
//! backticks, separated by commas; rules of `filterableAttributes` are counted from 0, and Miroir's rule is the first.

use crate::document::marker;
use crate::ids::{IndexUid, PhysicalUid};

const NOTHING_FILTERABLE: &str = "This index does not have configured filterable attributes.";

/// A node's message as one Meilisearch would have put it to the client: with the client's name of the index, and
/// without the names that only Miroir uses, be they items of a list, members of a printed document or conditions of a
/// printed filter.
pub fn scrub_message(message: &str, physical: &PhysicalUid, uid: &IndexUid) -> String {
    // Searches and tasks put it in two ways.
    let only_marker = ["attributes", "attribute"]
        .map(|word| format!("Available filterable {word} patterns are: `{}`.", marker::PATTERN));
    let clean =
        only_marker.iter().fold(message.to_owned(), |text, only| text.replace(only, NOTHING_FILTERABLE));
    let mut clean = count_rules_without_marker(&clean);
    while let Some(at) = clean.find(marker::RESERVED_PREFIX) {
        let (start, end) = surroundings(&clean, at);
        clean.replace_range(start..end, "");
    }
    if physical.as_str() == uid.as_str() {
        clean
    } else {
        clean.replace(&format!("`{physical}`"), &format!("`{uid}`"))
    }
}

/// `rule #3` on a node is the client's rule #2.
fn count_rules_without_marker(message: &str) -> String {
    const RULE: &str = "rule #";
    let mut pieces = message.split(RULE);
    let mut counted = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        counted.push_str(RULE);
        match piece[..digits].parse::<u64>() {
            Ok(number) => {
                counted.push_str(&number.saturating_sub(1).to_string());
                counted.push_str(&piece[digits..]);
            }
            Err(_) => counted.push_str(piece),
        }
    }
    counted
}

/// Characters of which Miroir's own names consist.
fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '*')
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(message: &str) -> String {
        scrub_message(message, &PhysicalUid::new("books-2"), &IndexUid::new("books"))
    }

    #[test]
    fn an_index_whose_only_filterable_pattern_is_the_marker_has_none() {
        let message = "Attribute `x` is not filterable. Available filterable attributes patterns are: `_miroir_shard_*`.";
        let expected =
            "Attribute `x` is not filterable. This index does not have configured filterable attributes.";
        assert_eq!(scrubbed(message), expected);
        assert_eq!(scrubbed(&message.replace("attributes patterns", "attribute patterns")), expected);
    }

    #[test]
    fn the_marker_leaves_a_list_wherever_it_stands() {
        assert_eq!(scrubbed("are: `_miroir_shard_*, a, b`."), "are: `a, b`.");
        assert_eq!(scrubbed("are: `a, _miroir_shard_*, b`."), "are: `a, b`.");
        assert_eq!(scrubbed("are: `A, _miroir_shard_*`."), "are: `A`.");
    }

    #[test]
    fn rules_are_counted_as_the_client_wrote_them() {
        let message = "matched rule #3 in filterableAttributes; modify rule #12, not rule #x";
        assert_eq!(
            scrubbed(message),
            "matched rule #2 in filterableAttributes; modify rule #11, not rule #x"
        );
    }

    #[test]
    fn the_index_has_the_name_that_the_client_gave_it() {
        assert_eq!(scrubbed("Index `books-2`: Attribute"), "Index `books`: Attribute");
    }

    #[test]
    fn miroirs_own_names_leave_documents_lists_and_filters() {
        let scrubbed =
            |text: &str| scrub_message(text, &PhysicalUid::new("movies_2"), &IndexUid::new("movies"));
        assert_eq!(scrubbed(r#"`{"_miroir_shard_001":null,"a":1}`"#), r#"`{"a":1}`"#);
        assert_eq!(scrubbed(r#"`{"a":1,"_miroir_shard_001":null}`"#), r#"`{"a":1}`"#);
        assert_eq!(
            scrubbed("Index `movies_2`: available are: `_miroir_shard_*`, `a`, `b`."),
            "Index `movies`: available are: `a`, `b`."
        );
        assert_eq!(scrubbed("patterns are: `a`, `_miroir_shard_*`."), "patterns are: `a`.");
        assert_eq!(scrubbed("_miroir_shard_001 EXISTS OR _miroir_shard_002 EXISTS AND a = 1"), "a = 1");
        assert_eq!(scrubbed("nothing of ours"), "nothing of ours");
    }
}
