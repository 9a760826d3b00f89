//! Coordinates that a document brings under `_geo`. An index that filters or sorts by them takes a batch only if all
//! of them are coordinates.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{BatchError, JudgedBatch};
use crate::document::Payload;
use crate::ids::IndexUid;
use crate::settings::ClientSettings;

const GEO: &str = "_geo";

/// Whether the index does anything with coordinates.
pub fn uses_coordinates(settings: &ClientSettings) -> bool {
    let sorts = settings.list("sortableAttributes").is_some_and(|list| list.contains(&GEO));
    let filters = settings.get("filterableAttributes").and_then(Value::as_array).into_iter().flatten();
    // A rule of patterns never makes coordinates usable.
    sorts || filters.into_iter().any(|rule| rule.as_str() == Some(GEO))
}

/// Refuses a batch with a document whose `_geo` is neither null nor a pair of coordinates.
pub fn judge_coordinates(
    payload: &Payload,
    batch: &JudgedBatch,
    index_uid: &IndexUid,
) -> Result<(), BatchError> {
    for (document, id) in payload.iter().zip(batch.ids.iter()) {
        let Ok(Located { geo: Some(geo) }) = serde_json::from_slice(document) else { continue };
        check(geo, id)
            .map_err(|reason| BatchError::BadCoordinates { index_uid: index_uid.clone(), reason })?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Located<'a> {
    #[serde(rename = "_geo", borrow)]
    geo: Option<&'a RawValue>,
}

fn check(geo: &RawValue, id: &str) -> Result<(), String> {
    let id = json!(id);
    let mut geo: Map<String, Value> = match serde_json::from_str(geo.get()) {
        Ok(Value::Null) | Err(_) => return Ok(()),
        Ok(Value::Object(geo)) => geo,
        Ok(value) => {
            return Err(format!(
                "The `_geo` field in the document with the id: `{id}` is not an object. Was expecting an object with \
                 the `_geo.lat` and `_geo.lng` fields but instead got `{value}`."
            ));
        }
    };
    let within = format!("in the document with the id: `{id}`");
    match (geo.shift_remove("lat"), geo.shift_remove("lng")) {
        (Some(_), Some(_)) if !geo.is_empty() => Err(format!(
            "The `_geo` field {within} contains the following unexpected fields: `{}`.",
            Value::Object(geo)
        )),
        (Some(lat), Some(lng)) => check_numbers(&lat, &lng, &within),
        (None, None) => Err(format!(
            "Could not find latitude nor longitude {within}. Was expecting `_geo.lat` and `_geo.lng` fields."
        )),
        (None, Some(_)) => {
            Err(format!("Could not find latitude {within}. Was expecting a `_geo.lat` field."))
        }
        (Some(_), None) => {
            Err(format!("Could not find longitude {within}. Was expecting a `_geo.lng` field."))
        }
    }
}

fn check_numbers(lat: &Value, lng: &Value, within: &str) -> Result<(), String> {
    let one = |name: &str, value: &Value| {
        Err(format!(
            "Could not parse {name} {within}. Was expecting a finite number but instead got `{value}`."
        ))
    };
    match (is_finite(lat), is_finite(lng)) {
        (true, true) => Ok(()),
        (false, true) => one("latitude", lat),
        (true, false) => one("longitude", lng),
        (false, false) => Err(format!(
            "Could not parse latitude nor longitude {within}. Was expecting finite numbers but instead got `{lat}` and \
             `{lng}`."
        )),
    }
}

/// A number, or a text that is one.
fn is_finite(value: &Value) -> bool {
    let text = match value {
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        _ => return false,
    };
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::document::{PayloadFormat, check_payload, judge_batch};

    fn fault(geo: &Value) -> Option<String> {
        let body = json!([{ "id": 7 }, { "id": 3000, "_geo": geo }]).to_string();
        let payload = check_payload(PayloadFormat::Json, Bytes::from(body)).unwrap();
        let uid = IndexUid::new("places");
        let batch = judge_batch(&payload, Some("id"), None, &uid).unwrap();
        judge_coordinates(&payload, &batch, &uid).err().map(|error| error.to_string())
    }

    #[test]
    fn numbers_texts_of_numbers_and_nothing_at_all_are_coordinates() {
        for geo in [json!(null), json!({ "lat": 1, "lng": -2.5 }), json!({ "lng": "4.5", "lat": "1e1" })] {
            assert_eq!(fault(&geo), None, "{geo}");
        }
    }

    #[test]
    fn anything_else_is_named_with_its_document() {
        let half = "Index `places`: Could not find longitude in the document with the id: `\"3000\"`. Was expecting a \
                    `_geo.lng` field.";
        assert_eq!(fault(&json!({ "lat": 1 })).as_deref(), Some(half));
        let north = "Index `places`: Could not parse latitude in the document with the id: `\"3000\"`. Was expecting a \
                     finite number but instead got `\"north\"`.";
        assert_eq!(fault(&json!({ "lat": "north", "lng": 1 })).as_deref(), Some(north));
        for geo in [json!("x"), json!({}), json!({ "lng": 1 }), json!({ "lat": 1, "lng": 1, "alt": 1 })] {
            assert!(fault(&geo).is_some_and(|text| text.contains("3000")), "{geo}");
        }
        assert!(
            fault(&json!({ "lat": "inf", "lng": [] })).is_some_and(|text| text.contains("nor longitude"))
        );
    }

    #[test]
    fn coordinates_matter_where_they_are_filtered_or_sorted_by() {
        let uses = |patch: &Value| {
            let mut settings = ClientSettings::default();
            settings.apply(patch.as_object().unwrap());
            uses_coordinates(&settings)
        };
        assert!(!uses(&json!({ "filterableAttributes": ["geo"] })));
        assert!(uses(&json!({ "filterableAttributes": ["a", "_geo"] })));
        assert!(!uses(&json!({ "filterableAttributes": [{ "attributePatterns": ["_geo"] }] })));
        assert!(uses(&json!({ "sortableAttributes": ["_geo"] })));
    }
}
