//! Meilisearch's normal form of facet values: two spellings with the same form are one value.

use unicode_normalization::UnicodeNormalization;

/// Trimmed, compatibility-decomposed, lower-cased.
pub(super) fn normalize(text: &str) -> String {
    text.trim().nfkd().collect::<String>().to_lowercase()
}
