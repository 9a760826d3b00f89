//! Pages of documents as nodes send them, with the ids by which they are put together.

use miroir_core::search::Listed;

use super::unreadable;
use crate::error::RequestError;
use crate::node_api::DocumentsPage;

/// What is on a page.
pub(super) struct ListedPage {
    /// The documents; `None` if some has no id that can be read.
    pub(super) documents: Option<Vec<Listed>>,
    /// How many documents match, on this page and on others.
    pub(super) total: u64,
}

impl ListedPage {
    /// # Errors
    /// When the page, or a document on it, can't be read.
    pub(super) fn read(page: &DocumentsPage, primary_key: &str) -> Result<Self, RequestError> {
        let read = page.read().map_err(unreadable)?;
        let total = read.total;
        let listed = read.with_ids(primary_key).map(|(id, text)| {
            let Some(id) = id else { return Ok(None) };
            Ok(Some(Listed { id, document: serde_json::from_str(text.get()).map_err(unreadable)? }))
        });
        Ok(Self { documents: listed.collect::<Result<_, RequestError>>()?, total })
    }

    /// Its documents, where each must have an id.
    ///
    /// # Errors
    /// When one has none.
    pub(super) fn all(self) -> Result<Vec<Listed>, RequestError> {
        self.documents.ok_or_else(|| unreadable("a document has no id"))
    }
}
