//! The versions that nodes run.

/// Whether versions have the same first two numbers.
pub fn versions_agree<'a>(versions: impl IntoIterator<Item = &'a str>) -> bool {
    let mut minors = versions.into_iter().map(|version| version.split('.').take(2).collect::<Vec<_>>());
    let first = minors.next();
    minors.all(|minor| Some(minor) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree_in_their_first_two_numbers() {
        assert!(versions_agree([]));
        assert!(versions_agree(["1.50.0", "1.50.3"]));
        assert!(!versions_agree(["1.50.0", "1.49.0"]));
    }
}
