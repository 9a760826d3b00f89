//! Whether `_geo` is a place.

use serde_json::Value;

use super::error::{GeoError, ValueError};

/// Checks the value of a document's `_geo`: null, or an object of `lat` and `lng` and nothing else, each a finite number
/// or the text of one.
pub(super) fn check_geo(document_id: &str, text: &str) -> Result<(), ValueError> {
    let value: Value = serde_json::from_str(text).map_err(|error| ValueError::unreadable(&error))?;
    check_place(value)
        .map_err(|reason| ValueError::Geo { document_id: document_id.to_owned(), reason: Box::new(reason) })
}

fn check_place(value: Value) -> Result<(), GeoError> {
    let mut place = match value {
        Value::Null => return Ok(()),
        Value::Object(place) => place,
        other => return Err(GeoError::NotAnObject(other)),
    };
    match (place.remove("lat"), place.remove("lng")) {
        (Some(_), Some(_)) if !place.is_empty() => Err(GeoError::MoreFields(place)),
        (Some(lat), Some(lng)) => match (is_finite(&lat), is_finite(&lng)) {
            (true, true) => Ok(()),
            (false, true) => Err(GeoError::BadLatitude(lat)),
            (true, false) => Err(GeoError::BadLongitude(lng)),
            (false, false) => Err(GeoError::BadBoth(Box::new((lat, lng)))),
        },
        (Some(_), None) => Err(GeoError::NoLongitude),
        (None, Some(_)) => Err(GeoError::NoLatitude),
        (None, None) => Err(GeoError::Neither),
    }
}

fn is_finite(number: &Value) -> bool {
    let number = match number {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.is_some_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check_geo("p-1", text).unwrap_err().to_string()
    }

    #[test]
    fn null_and_pairs_of_finite_numbers_are_places() {
        for text in
            ["null", r#"{"lat":1,"lng":-2.5}"#, r#"{"lng":"7.25","lat":"-1e2"}"#, r#"{"lat":900,"lng":1e10}"#]
        {
            assert!(check_geo("1", text).is_ok(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_the_words_of_meilisearch() {
        let document = "the document with the id: `\"p-1\"`";
        for (text, message) in [
            (
                "\"Paris\"",
                format!(
                    "The `_geo` field in {document} is not an object. Was expecting an object with the `_geo.lat` and \
                     `_geo.lng` fields but instead got `\"Paris\"`."
                ),
            ),
            (
                r#"{"lat":1,"lng":2,"alt":3}"#,
                format!(
                    "The `_geo` field in {document} contains the following unexpected fields: `{{\"alt\":3}}`."
                ),
            ),
            (
                "{}",
                format!(
                    "Could not find latitude nor longitude in {document}. Was expecting `_geo.lat` and `_geo.lng` fields."
                ),
            ),
            (
                r#"{"lat":1}"#,
                format!("Could not find longitude in {document}. Was expecting a `_geo.lng` field."),
            ),
            (
                r#"{"lng":1,"x":1}"#,
                format!("Could not find latitude in {document}. Was expecting a `_geo.lat` field."),
            ),
            (
                r#"{"lat":"north","lng":null}"#,
                format!(
                    "Could not parse latitude nor longitude in {document}. Was expecting finite numbers but instead got \
                     `\"north\"` and `null`."
                ),
            ),
            (
                r#"{"lat":"NaN","lng":1}"#,
                format!(
                    "Could not parse latitude in {document}. Was expecting a finite number but instead got `\"NaN\"`."
                ),
            ),
            (
                r#"{"lat":0,"lng":[1]}"#,
                format!(
                    "Could not parse longitude in {document}. Was expecting a finite number but instead got `[1]`."
                ),
            ),
            (r#"{"lat":1E400,"lng":1}"#, "internal: number out of range at line 1 column 12.".to_owned()),
        ] {
            assert_eq!(refusal(text), message, "{text}");
        }
    }
}
