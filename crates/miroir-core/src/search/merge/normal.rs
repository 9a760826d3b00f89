//! Meilisearch's normal form of facet values: two spellings with the same form are one value.

use unicode_normalization::UnicodeNormalization;

/// The longest normal form, in bytes, that a server tells from others (1.50, `MAX_FACET_VALUE_LENGTH`): a key of its
/// database, with what else stands in it. What two values have behind it makes no difference to facets, sorts and distinct
/// values.
const MAX_BYTES: usize = 468;

/// What a server keeps a text under: its whole normal form as far as that fits.
pub(super) fn normalize(text: &str) -> String {
    let mut normal = normalize_whole(text);
    normal.truncate(normal.floor_char_boundary(MAX_BYTES));
    normal
}

/// Trimmed, compatibility-decomposed, lower-cased.
pub(super) fn normalize_whole(text: &str) -> String {
    text.trim().nfkd().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_when_they_begin_with_the_same_468_bytes() {
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(normalize(&format!("{long}b")), normalize(&format!("{long}c")));
        assert_eq!(normalize(&long), long);
        assert_ne!(normalize(&format!("{}b", &long[1..])), normalize(&format!("{}c", &long[1..])));
        assert_ne!(normalize_whole(&format!("{long}b")), normalize_whole(&format!("{long}c")));
    }

    #[test]
    fn a_character_is_kept_as_a_whole_or_not_at_all() {
        let almost = "a".repeat(MAX_BYTES - 1);
        assert_eq!(normalize(&format!("{almost}\u{3b1}")), almost);
        let form = format!("{}\u{3b1}", &almost[1..]);
        assert_eq!(normalize(&form), form);
        assert_eq!(normalize(&format!("{form}\u{3b1}")), form);
    }

    #[test]
    fn blanks_case_and_compatible_forms_make_no_difference() {
        assert_eq!(normalize("  \u{c9}t\u{e9} \u{fb01}"), normalize("e\u{301}te\u{301} FI"));
    }
}
