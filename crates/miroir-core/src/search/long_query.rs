//! Queries that are much longer than what a server looks at. Meilisearch reads the first thousand tokens of a query, and ten
//! words of those; what is behind them would be sent to every node and back for nothing.

use serde_json::{Map, Value};

use super::{SearchKind, SearchRequest};

/// Longer queries are cut here, in bytes.
const LONG: usize = 256 << 10;

/// So many words must be left: each is a token at least, and a server looks at a thousand (`MAX_TOKEN_COUNT` of its search).
const WORDS: usize = 2_000;

impl SearchRequest {
    /// The same search with no more of its query than a node may look at; none if that is all of it, or if somebody reads all
    /// of it: a model that makes a vector of it.
    pub fn shortened(&self) -> Option<Self> {
        if self.kind != SearchKind::Keyword {
            return None;
        }
        let short = shortened(&self.body)?;
        let mut body = Map::new();
        for (name, value) in &self.body {
            let value = if name == "q" { Value::String(short.to_owned()) } else { value.clone() };
            body.insert(name.clone(), value);
        }
        Some(Self {
            body,
            window: self.window,
            attributes_to_retrieve: self.attributes_to_retrieve.clone(),
            facets: self.facets.clone(),
            distinct: self.distinct.clone(),
            sort: self.sort.clone(),
            show_ranking_score_details: self.show_ranking_score_details,
            show_ranking_score: self.show_ranking_score,
            has_threshold: self.has_threshold,
            kind: self.kind,
            counted: self.counted.clone(),
            paths: self.paths.clone(),
        })
    }
}

/// What is left of a query that is too long.
fn shortened(body: &Map<String, Value>) -> Option<&str> {
    let query = body.get("q")?.as_str().filter(|query| query.len() > LONG)?;
    let short = &query[..query.floor_char_boundary(LONG)];
    let is_word = |piece: &&str| piece.chars().any(char::is_alphanumeric);
    (short.split_whitespace().filter(is_word).take(WORDS).count() == WORDS).then_some(short)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(body: &Value) -> SearchRequest {
        SearchRequest::parse(body.as_object().cloned().unwrap()).unwrap()
    }

    #[test]
    fn only_a_query_of_very_many_words_is_cut_and_nothing_else_of_the_search() {
        let long = "häufig ".repeat(100_000);
        let cut = request(&json!({ "q": long, "limit": 3, "filter": "a = 1", "sort": ["b:asc"] }))
            .shortened()
            .unwrap();
        let left = cut.body["q"].as_str().unwrap();
        assert!(long.starts_with(left) && left.len() <= LONG && left.len() > LONG - 4);
        assert_eq!(cut, request(&json!({ "q": left, "limit": 3, "filter": "a = 1", "sort": ["b:asc"] })));
        for kept in [
            "short".to_owned(),
            "x".repeat(2 * LONG),
            format!("{}end", " ".repeat(2 * LONG)),
            "- ".repeat(LONG),
        ] {
            assert!(request(&json!({ "q": kept })).shortened().is_none());
        }
    }

    #[test]
    fn what_a_model_reads_is_not_cut() {
        let body = json!({ "q": "word ".repeat(100_000), "hybrid": { "embedder": "m" } });
        assert!(request(&body).shortened().is_none());
    }
}
