//! What the settings of an index ask of its documents, beyond an id.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::settings::ClientSettings;

/// The field that holds a place on the earth.
pub(super) const GEO: &str = "_geo";
/// The field that holds a shape on the earth.
pub(super) const GEOJSON: &str = "_geojson";
/// The field that holds the vectors that a client brings: an object, embedder by embedder.
pub(super) const VECTORS: &str = "_vectors";

/// How many numbers a vector of `OpenAI`'s models has (Meilisearch 1.50 knows these three).
const OPEN_AI_MODELS: [(&str, usize); 3] =
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)];
const DEFAULT_OPEN_AI_MODEL: &str = "text-embedding-3-small";

/// What documents must be like to be indexed under some settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// `_geo` must be a place: it is filterable or sortable.
    pub(super) geo: bool,
    /// `_geojson` must be a shape: it is filterable.
    pub(super) geojson: bool,
    /// The embedders, by name.
    pub(super) embedders: BTreeMap<String, EmbedderDemand>,
}

/// What one embedder asks of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EmbedderDemand {
    /// Documents must bring vectors: nobody makes them.
    pub(super) is_user_provided: bool,
    /// How many numbers a vector has; none where only a node can tell, because it asked the embedder.
    pub(super) dimensions: Option<usize>,
}

impl Demands {
    /// What these settings ask.
    pub fn of(settings: &ClientSettings) -> Self {
        let names = |list: &str, name: &str| settings.list(list).unwrap_or_default().contains(&name);
        let embedders = settings.get("embedders").and_then(Value::as_object).into_iter().flatten();
        Self {
            geo: names("filterableAttributes", GEO) || names("sortableAttributes", GEO),
            geojson: names("filterableAttributes", GEOJSON),
            embedders: embedders
                .filter(|(_, embedder)| embedder.is_object())
                .map(|(name, embedder)| (name.clone(), EmbedderDemand::of(embedder)))
                .collect(),
        }
    }

    /// Whether some embedder leaves it to documents to bring vectors.
    pub(super) fn needs_vectors(&self) -> bool {
        self.embedders.values().any(|embedder| embedder.is_user_provided)
    }
}

impl EmbedderDemand {
    fn of(embedder: &Value) -> Self {
        let source = embedder["source"].as_str().unwrap_or("openAi");
        let given = embedder["dimensions"].as_u64().and_then(|number| usize::try_from(number).ok());
        let dimensions = match source {
            "openAi" => given.or_else(|| open_ai_dimensions(embedder)),
            "composite" => Self::of(&embedder["indexingEmbedder"]).dimensions,
            _ => given,
        };
        Self { is_user_provided: source == "userProvided", dimensions }
    }
}

fn open_ai_dimensions(embedder: &Value) -> Option<usize> {
    let model = embedder["model"].as_str().unwrap_or(DEFAULT_OPEN_AI_MODEL);
    OPEN_AI_MODELS.iter().find(|(name, _)| *name == model).map(|(_, dimensions)| *dimensions)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn demands(settings: &Value) -> Demands {
        Demands::of(&serde_json::from_value(settings.clone()).unwrap())
    }

    #[test]
    fn default_settings_ask_for_nothing() {
        assert_eq!(demands(&json!({})), Demands::default());
        assert_eq!(demands(&json!({ "filterableAttributes": ["*", "_geo.lat"] })), Demands::default());
        let pattern = json!({ "filterableAttributes": [{ "attributePatterns": ["_geo"] }] });
        assert_eq!(demands(&pattern), Demands::default());
    }

    #[test]
    fn places_are_asked_for_where_they_are_filterable_or_sortable() {
        assert!(demands(&json!({ "filterableAttributes": ["color", "_geo"] })).geo);
        assert!(demands(&json!({ "sortableAttributes": ["_geo"] })).geo);
        let shapes = demands(&json!({ "filterableAttributes": ["_geojson"] }));
        assert!(shapes.geojson && !shapes.geo);
        assert!(!demands(&json!({ "sortableAttributes": ["_geojson"] })).geojson);
    }

    #[test]
    fn the_length_of_vectors_is_known_where_the_settings_or_the_model_say_it() {
        let length = |embedder: &Value| {
            let demands = demands(&json!({ "embedders": { "mine": embedder } }));
            demands.embedders["mine"].dimensions
        };
        assert_eq!(length(&json!({ "source": "userProvided", "dimensions": 3 })), Some(3));
        assert_eq!(length(&json!({ "source": "rest", "url": "http://x" })), None);
        assert_eq!(length(&json!({ "source": "rest", "url": "http://x", "dimensions": 8 })), Some(8));
        assert_eq!(length(&json!({ "source": "huggingFace" })), None);
        assert_eq!(length(&json!({})), Some(1536));
        assert_eq!(length(&json!({ "source": "openAi", "model": "text-embedding-3-large" })), Some(3072));
        assert_eq!(length(&json!({ "source": "openAi", "dimensions": 64 })), Some(64));
        let composite =
            json!({ "source": "composite", "indexingEmbedder": { "source": "rest", "dimensions": 5 } });
        assert_eq!(length(&composite), Some(5));
    }

    #[test]
    fn only_the_client_makes_vectors_of_a_user_provided_embedder() {
        let embedders = |source: &str| demands(&json!({ "embedders": { "mine": { "source": source } } }));
        assert!(embedders("userProvided").needs_vectors());
        assert!(!embedders("rest").needs_vectors());
        assert!(!demands(&json!({ "embedders": { "gone": null } })).needs_vectors());
    }
}
