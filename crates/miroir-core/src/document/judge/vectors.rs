//! Vectors that documents bring under `_vectors`. An embedder whose vectors are the client's own takes only those of its
//! length, and one Meilisearch refuses the whole batch for one that is not. Nodes see parts of the batch, so it is judged
//! before they do; vectors of any other form are left to them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{BatchError, JudgedBatch};
use crate::document::Payload;
use crate::ids::IndexUid;
use crate::settings::ClientSettings;

/// The lengths of the vectors that clients bring, by embedder.
#[derive(Debug, Default)]
pub struct VectorLengths<'a>(BTreeMap<&'a str, usize>);

impl<'a> VectorLengths<'a> {
    /// What the settings say; empty where no vectors are the client's own.
    pub fn of(settings: &'a ClientSettings) -> Self {
        let embedders = settings.get("embedders").and_then(Value::as_object).into_iter().flatten();
        let own = embedders.filter(|(_, embedder)| embedder["source"] == "userProvided");
        let length = |embedder: &Value| usize::try_from(embedder["dimensions"].as_u64()?).ok();
        Self(own.filter_map(|(name, embedder)| Some((name.as_str(), length(embedder)?))).collect())
    }

    /// Refuses a batch with a vector of another length.
    pub fn judge(
        &self,
        payload: &Payload,
        batch: &JudgedBatch,
        index_uid: &IndexUid,
    ) -> Result<(), BatchError> {
        if self.0.is_empty() {
            return Ok(());
        }
        // Of several versions of one document only the last one's vectors are looked at.
        let last: HashMap<&str, usize> = batch.ids.iter().zip(0..).collect();
        for (place, (document, id)) in payload.iter().zip(batch.ids.iter()).enumerate() {
            if last.get(id) == Some(&place)
                && let Some(reason) = self.fault(document, id)
            {
                return Err(BatchError::WrongVectorLength { index_uid: index_uid.clone(), reason });
            }
        }
        Ok(())
    }

    fn fault(&self, document: &[u8], id: &str) -> Option<String> {
        let embedded: Embedded<'_> = serde_json::from_slice(document).ok()?;
        let vectors = embedded.vectors?;
        self.0.iter().find_map(|(embedder, required)| {
            let value: Value = serde_json::from_str(vectors.get(*embedder)?.get()).ok()?;
            let lengths = lengths(value.get("embeddings").unwrap_or(&value))?;
            let (place, found) = lengths.into_iter().enumerate().find(|(_, found)| found != required)?;
            Some(format!(
                "Invalid vector dimensions in document with id `{id}` in `._vectors.{embedder}`.\n  - note: embedding \
                 #{place} has dimensions {found}\n  - note: embedder `{embedder}` requires {required}"
            ))
        })
    }
}

#[derive(Deserialize)]
struct Embedded<'a> {
    #[serde(rename = "_vectors", borrow)]
    vectors: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
}

/// The lengths of one vector or of a list of them; `None` for anything else.
fn lengths(embeddings: &Value) -> Option<Vec<usize>> {
    let list = embeddings.as_array()?;
    let is_vector = |list: &[Value]| list.iter().all(Value::is_number);
    if !list.is_empty() && is_vector(list) {
        return Some(vec![list.len()]);
    }
    list.iter().map(|vector| vector.as_array().filter(|it| is_vector(it)).map(Vec::len)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    use crate::document::{PayloadFormat, check_payload, judge_batch};

    fn judged(documents: &Value) -> Result<(), String> {
        let mut settings = ClientSettings::default();
        let embedders = json!({ "embedders": {
            "own": { "source": "userProvided", "dimensions": 2 },
            "made": { "source": "ollama", "dimensions": 2 },
        } });
        settings.apply(embedders.as_object().unwrap());
        let payload = check_payload(PayloadFormat::Json, Bytes::from(documents.to_string())).unwrap();
        let uid = IndexUid::new("sky");
        let batch = judge_batch(&payload, Some("id"), None, &uid).unwrap();
        VectorLengths::of(&settings).judge(&payload, &batch, &uid).map_err(|error| error.to_string())
    }

    #[test]
    fn a_vector_of_another_length_refuses_the_batch_in_meilisearch_s_words() {
        let one = json!([{ "id": 1, "_vectors": { "own": [1, 2] } }, { "id": "bad", "_vectors": { "own": [1, 2, 3] } }]);
        let expected = "Index `sky`: Invalid vector dimensions in document with id `bad` in `._vectors.own`.\n  - note: \
                        embedding #0 has dimensions 3\n  - note: embedder `own` requires 2";
        assert_eq!(judged(&one), Err(expected.to_owned()));
        let second =
            json!([{ "id": 1, "_vectors": { "own": { "embeddings": [[1, 2], [1]], "regenerate": false } } }]);
        assert!(judged(&second).unwrap_err().contains("embedding #1 has dimensions 1"));
    }

    #[test]
    fn what_is_right_or_not_judged_here_passes() {
        for vectors in [
            json!({ "own": null }),
            json!({ "own": [[1, 2], [3.5, 4]] }),
            json!({ "own": [], "made": [1], "unknown": [1] }),
            json!({ "own": ["a", 1] }),
            json!({ "own": { "regenerate": true } }),
        ] {
            assert_eq!(judged(&json!([{ "id": 1, "_vectors": vectors }])), Ok(()), "{vectors}");
        }
        let replaced =
            json!([{ "id": 1, "_vectors": { "own": [1] } }, { "id": "1", "_vectors": { "own": [1, 2] } }]);
        assert_eq!(judged(&replaced), Ok(()));
    }
}
