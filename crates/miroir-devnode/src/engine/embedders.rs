//! The embedders an index is configured with.

use std::sync::Arc;

use milli_core::heed::RoTxn;
use milli_core::vector::{Embedder, EmbeddingConfigs};
use milli_core::{Index, UserError};

use crate::error::Result;

/// Embeddings of search queries to remember; a development node is not asked the same thing often.
const CACHE_SIZE: usize = 0;

/// One embedder, ready to embed.
pub struct ReadyEmbedder {
    pub name: String,
    pub embedder: Arc<Embedder>,
    pub is_quantized: bool,
}

/// All embedders of the index.
pub fn load(index: &Index, rtxn: &RoTxn<'_>) -> Result<EmbeddingConfigs> {
    let mut embedders = std::collections::HashMap::new();
    for configured in index.embedding_configs(rtxn)? {
        let is_quantized = configured.config.quantized();
        let prompt =
            configured.config.prompt.try_into().map_err(UserError::InvalidPrompt).map_err(to_milli)?;
        let embedder = Embedder::new(configured.config.embedder_options, CACHE_SIZE)
            .map_err(milli_core::vector::Error::from)
            .map_err(milli_core::Error::from)?;
        embedders.insert(configured.name, (Arc::new(embedder), Arc::new(prompt), is_quantized));
    }
    Ok(EmbeddingConfigs::new(embedders))
}

/// The embedder of this name.
pub fn find(index: &Index, rtxn: &RoTxn<'_>, name: &str) -> Result<ReadyEmbedder> {
    let (embedder, _, is_quantized) = load(index, rtxn)?
        .get(name)
        .ok_or_else(|| to_milli(UserError::InvalidSearchEmbedder(name.to_owned())))?;
    Ok(ReadyEmbedder { name: name.to_owned(), embedder, is_quantized })
}

fn to_milli(error: UserError) -> milli_core::Error {
    milli_core::Error::UserError(error)
}
