//! Paths of requests to nodes. They are built here and nowhere else, of segments of which each becomes one segment, however
//! hostile its text is: every byte that is not unreserved (RFC 3986, 2.3) is written as its code. What an URL parser would
//! still read in another way (`.` and `..` mean other segments, and so do their codes) is refused before it is sent.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use url::Url;

/// The path and the query of a request to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePath {
    path: String,
    query: String,
}

/// A path that can't be sent without becoming another one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` would be read as another path")]
pub struct Unaddressable(String);

impl NodePath {
    /// The path of these segments, none of which is encoded yet.
    pub fn of<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        segments.into_iter().fold(Self { path: String::new(), query: String::new() }, Self::then)
    }

    /// The same with one more segment.
    #[must_use]
    pub fn then(mut self, segment: &str) -> Self {
        self.path.push('/');
        encode(&mut self.path, segment, SEGMENT);
        self
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        encode(&mut self.query, name, SEGMENT);
        self.query.push('=');
        encode(&mut self.query, &value.to_string(), SEGMENT);
        self
    }

    /// The same with a query as a client wrote it. It stays a query, whatever it says.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        self.query.clear();
        encode(&mut self.query, query, QUERY);
        self
    }

    /// Path and query at a node's address, which has no final slash.
    ///
    /// # Errors
    /// If they would be read as something else there.
    pub fn at(&self, address: &str) -> Result<Url, Unaddressable> {
        let unaddressable = || Unaddressable(self.to_string());
        let base = Url::parse(address).map_err(|_| unaddressable())?;
        let url = Url::parse(&format!("{address}{self}")).map_err(|_| unaddressable())?;
        let same_path = url.path().strip_prefix(base.path().trim_end_matches('/')) == Some(self.path());
        let same_query = url.query().unwrap_or_default() == self.query;
        if same_path && same_query && url.fragment().is_none() && url.origin() == base.origin() {
            Ok(url)
        } else {
            Err(unaddressable())
        }
    }

    /// The path alone, encoded.
    pub fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

impl<const N: usize> From<[&str; N]> for NodePath {
    fn from(segments: [&str; N]) -> Self {
        Self::of(segments)
    }
}

/// A path that stands in the source, such as `/tasks?limit=1`.
impl From<&'static str> for NodePath {
    fn from(written: &'static str) -> Self {
        let (path, query) = written.split_once('?').unwrap_or((written, ""));
        Self::of(path.split('/').filter(|segment| !segment.is_empty())).with_query(query)
    }
}

/// Everything that is not unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an URL parser does not leave alone in a query. What a client encoded stays encoded.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');

fn encode(into: &mut String, text: &str, encoded: &'static AsciiSet) {
    into.extend(utf8_percent_encode(text, encoded));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "http://127.0.0.1:7700";

    #[test]
    fn what_stands_in_the_source_is_what_is_sent() {
        for path in ["/health", "/", "/tasks?statuses=enqueued,processing&limit=1"] {
            assert_eq!(NodePath::from(path).to_string(), path);
        }
        let path = NodePath::from(["indexes", "films", "documents"]).with("primaryKey", "a b").with("n", 5);
        assert_eq!(path.to_string(), "/indexes/films/documents?primaryKey=a%20b&n=5");
        assert_eq!(path.at(&format!("{NODE}/below")).unwrap().path(), "/below/indexes/films/documents");
    }

    #[test]
    fn a_hostile_segment_stays_one_segment_or_is_not_sent() {
        for (segment, sent) in [
            (r"..\..\keys", Some("/indexes/..%5C..%5Ckeys")),
            ("../keys", Some("/indexes/..%2Fkeys")),
            ("%2e%2e", Some("/indexes/%252e%252e")),
            ("a?b#c", Some("/indexes/a%3Fb%23c")),
            ("..", None),
            (".", None),
        ] {
            let at = NodePath::of(["indexes", segment]).at(NODE);
            assert_eq!(at.ok().as_ref().map(Url::path), sent, "{segment}");
        }
    }

    #[test]
    fn a_hostile_query_stays_a_query() {
        for query in [r"q=..\..\keys", "q=#/../keys", "q=a\tb\nc", "q='<\">'", "q=%23%2e%2e"] {
            let url = NodePath::from(["indexes", "films"]).with_query(query).at(NODE).unwrap();
            assert_eq!((url.path(), url.fragment()), ("/indexes/films", None), "{query}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_has_the_segments_that_were_given(
            segments in proptest::collection::vec(r"(\.|/|\\|%2e|%5c|\?|#|[a-z]|\PC){1,6}", 1..5),
            query in r"(#|\.|/|\\|%|\?|&|=|\PC){0,8}",
        ) {
            let path = NodePath::of(segments.iter().map(String::as_str)).with_query(&query);
            if let Ok(url) = path.at(NODE) {
                let sent: Vec<_> = url
                    .path_segments()
                    .unwrap()
                    .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8().unwrap())
                    .collect();
                prop_assert_eq!(sent, segments);
                prop_assert_eq!(url.host_str(), Some("127.0.0.1"));
                prop_assert_eq!(url.port(), Some(7700));
            }
        }
    }
}
