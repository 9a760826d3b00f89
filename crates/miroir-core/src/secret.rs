//! Showing that there is a secret without showing it.

/// The first characters of a secret, more of a longer one, none of a short one (Meilisearch 1.50).
pub fn mask(secret: &str) -> String {
    let (shown, hidden) = match secret.len() {
        0..10 => (0, "XXX..."),
        10..20 => (2, "XXXX..."),
        20..30 => (3, "XXXXX..."),
        _ => (5, "XXXXXX..."),
    };
    format!("{}{hidden}", &secret[..secret.ceil_char_boundary(shown)])
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_longer_secret_shows_more_of_its_beginning() {
        assert_eq!(mask("short"), "XXX...");
        assert_eq!(mask("0123456789"), "01XXXX...");
        assert_eq!(mask("01234567890123456789"), "012XXXXX...");
        assert_eq!(mask(&"é".repeat(20)), "éééXXXXXX...");
    }
}
