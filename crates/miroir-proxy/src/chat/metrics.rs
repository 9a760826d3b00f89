//! What chats cost: the tokens that models say they used, and the searches that they made.

use miroir_core::chat::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Which workspace, and which side of the conversation. Models are named by clients, so they would be labels without end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    workspace: String,
    kind: &'static str,
}

/// Chats with language models.
#[derive(Debug, Clone, Default)]
pub struct ChatMetrics {
    searches: Counter,
    tokens: Family<Tokens, Counter>,
}

impl ChatMetrics {
    /// Counts a search that a model asked for.
    pub fn note_search(&self) {
        self.searches.inc();
    }

    /// Counts what a model says that it used.
    pub fn note_usage(&self, workspace: &str, usage: &Usage) {
        for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
            let labels = Tokens { workspace: workspace.to_owned(), kind };
            self.tokens.get_or_create(&labels).inc_by(u64::from(tokens));
        }
    }

    /// Has them written down.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("chat_searches", "Searches that language models asked for", self.searches.clone());
        registry.register("chat_tokens", "Tokens that language models say they used", self.tokens.clone());
    }
}
