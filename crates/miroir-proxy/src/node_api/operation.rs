//! What a request to a node is about, as one of few words: a label must not grow with the indexes.

/// The word for a path, with or without a query.
pub fn operation(path: &str) -> &'static str {
    let path = path.split('?').next().unwrap_or_default();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match segments.next() {
        Some("indexes") => match segments.nth(1) {
            None => "indexes",
            Some("search") => "search",
            Some("facet-search") => "facet_search",
            Some("similar") => "similar",
            Some("documents") => "documents",
            Some("settings") => "settings",
            Some("stats") => "stats",
            Some(_) => "other",
        },
        Some("health") => "health",
        Some("multi-search") => "multi_search",
        Some("stats") => "stats",
        Some("tasks") => "tasks",
        Some("version") => "version",
        Some(_) | None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_of_few_words() {
        let words = [
            "/health",
            "/indexes",
            "/indexes/films",
            "/indexes/films/search",
            "/indexes/films/documents/7",
            "/indexes/search/settings/synonyms",
            "/tasks?limit=3&uids=1",
            "/",
            "/indexes/films/anything",
        ]
        .map(operation);
        let expected =
            ["health", "indexes", "indexes", "search", "documents", "settings", "tasks", "other", "other"];
        assert_eq!(words, expected);
    }
}
