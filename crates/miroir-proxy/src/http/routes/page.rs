//! A page of a list, as Meilisearch shows it.

use serde::Serialize;
use serde_json::Value;

use super::indexes::wrong_query;
use crate::error::RequestError;
use crate::http::App;

/// Which part of a list is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Default for Window {
    /// Meilisearch's default page.
    fn default() -> Self {
        Self { offset: 0, limit: 20 }
    }
}

impl Window {
    /// Reads `offset` and `limit`. What else a query of `path` has, or has in another form, a node refuses in its words.
    pub(super) async fn read(
        app: &App,
        path: &'static str,
        query: Option<&str>,
        pairs: &[(String, String)],
    ) -> Result<Self, RequestError> {
        let mut window = Self::default();
        for (name, text) in pairs {
            match (name.as_str(), text.parse()) {
                ("offset", Ok(number)) => window.offset = number,
                ("limit", Ok(number)) => window.limit = number,
                _ => return Err(wrong_query(app, path, query).await),
            }
        }
        Ok(window)
    }

    /// The part of `items` in this window, each shown by `show`.
    pub(super) fn page<T>(
        self,
        items: impl ExactSizeIterator<Item = T>,
        show: impl Fn(T) -> Value,
    ) -> ListPage {
        let (Self { offset, limit }, total) = (self, items.len());
        ListPage { results: items.skip(offset).take(limit).map(show).collect(), offset, limit, total }
    }
}

/// A page of whatever has an offset and a limit.
#[derive(Debug, Serialize)]
pub(super) struct ListPage {
    results: Vec<Value>,
    offset: usize,
    limit: usize,
    total: usize,
}
