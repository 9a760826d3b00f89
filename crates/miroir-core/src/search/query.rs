//! A search in query parameters (`GET`) as the body that would ask for the same.

use serde_json::{Map, Number, Value, json};

use super::NotUnderstood;

/// How a parameter's text becomes JSON.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Count,
    Decimal,
    Flag,
    List,
    /// A list in which `*` stands for everything.
    Fields,
    Numbers,
    Filter,
    Sort,
}

/// Parameters that stand in the body under the same name (Meilisearch 1.50).
const PARAMETERS: [(&str, Form); 27] = [
    ("q", Form::Text),
    ("offset", Form::Count),
    ("limit", Form::Count),
    ("page", Form::Count),
    ("hitsPerPage", Form::Count),
    ("attributesToRetrieve", Form::List),
    ("attributesToCrop", Form::List),
    ("cropLength", Form::Count),
    ("cropMarker", Form::Text),
    ("attributesToHighlight", Form::List),
    ("highlightPreTag", Form::Text),
    ("highlightPostTag", Form::Text),
    ("showMatchesPosition", Form::Flag),
    ("filter", Form::Filter),
    ("sort", Form::Sort),
    ("distinct", Form::Text),
    ("facets", Form::List),
    ("matchingStrategy", Form::Text),
    ("attributesToSearchOn", Form::List),
    ("rankingScoreThreshold", Form::Decimal),
    ("locales", Form::List),
    ("vector", Form::Numbers),
    ("retrieveVectors", Form::Flag),
    ("showRankingScore", Form::Flag),
    ("showRankingScoreDetails", Form::Flag),
    ("showPerformanceDetails", Form::Flag),
    ("useNetwork", Form::Flag),
];

/// Parameters of a search for similar documents.
const SIMILAR_PARAMETERS: [(&str, Form); 11] = [
    ("id", Form::Text),
    ("embedder", Form::Text),
    ("offset", Form::Count),
    ("limit", Form::Count),
    ("attributesToRetrieve", Form::List),
    ("retrieveVectors", Form::Flag),
    ("filter", Form::Filter),
    ("showRankingScore", Form::Flag),
    ("showRankingScoreDetails", Form::Flag),
    ("showPerformanceDetails", Form::Flag),
    ("rankingScoreThreshold", Form::Decimal),
];

/// Parameters of a listing of documents.
const LISTING_PARAMETERS: [(&str, Form); 7] = [
    ("offset", Form::Count),
    ("limit", Form::Count),
    ("fields", Form::Fields),
    ("ids", Form::List),
    ("retrieveVectors", Form::Flag),
    ("filter", Form::Filter),
    ("sort", Form::Sort),
];

/// Translates decoded `name=value` pairs; of a repeated parameter the last counts. `Err` for whatever Meilisearch would
/// refuse or Miroir does not know: a node tells which.
pub fn body_of_query(pairs: &[(String, String)]) -> Result<Map<String, Value>, NotUnderstood> {
    let mut body = Map::new();
    let (mut embedder, mut ratio) = (None, None);
    for (name, text) in pairs {
        match name.as_str() {
            "hybridEmbedder" => embedder = Some(json!(text)),
            "hybridSemanticRatio" => ratio = Some(read("hybridSemanticRatio", Form::Decimal, text)?),
            _ => body.extend([read_known(&PARAMETERS, name, text)?]),
        }
    }
    if let Some(embedder) = embedder {
        let ratio = ratio.unwrap_or_else(|| json!(0.5));
        body.insert("hybrid".to_owned(), json!({ "embedder": embedder, "semanticRatio": ratio }));
    } else if ratio.is_some() {
        return Err(NotUnderstood("hybridSemanticRatio"));
    }
    Ok(body)
}

/// The same for a search for similar documents.
pub fn similar_of_query(pairs: &[(String, String)]) -> Result<Map<String, Value>, NotUnderstood> {
    pairs.iter().map(|(name, text)| read_known(&SIMILAR_PARAMETERS, name, text)).collect()
}

/// The same for a listing of documents.
pub fn listing_of_query(pairs: &[(String, String)]) -> Result<Map<String, Value>, NotUnderstood> {
    pairs.iter().map(|(name, text)| read_known(&LISTING_PARAMETERS, name, text)).collect()
}

fn read_known(
    known: &'static [(&'static str, Form)],
    name: &str,
    text: &str,
) -> Result<(String, Value), NotUnderstood> {
    let known = known.iter().find(|(parameter, _)| *parameter == name);
    let (parameter, form) = known.ok_or(NotUnderstood("a parameter"))?;
    Ok(((*parameter).to_owned(), read(parameter, *form, text)?))
}

fn read(name: &'static str, form: Form, text: &str) -> Result<Value, NotUnderstood> {
    let refuse = NotUnderstood(name);
    Ok(match form {
        Form::Text => json!(text),
        Form::Count => json!(text.trim().parse::<u64>().map_err(|_| refuse)?),
        Form::Decimal => Value::Number(text.parse::<f64>().ok().and_then(Number::from_f64).ok_or(refuse)?),
        Form::Flag => json!(text.parse::<bool>().map_err(|_| refuse)?),
        Form::List => json!(list(text)),
        Form::Fields => {
            let names = list(text);
            if names.contains(&"*") { Value::Null } else { json!(names) }
        }
        Form::Numbers => {
            let numbers: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
            json!(numbers.map_err(|_| refuse)?)
        }
        Form::Filter => match serde_json::from_str(text) {
            Ok(Value::Null) => return Err(refuse),
            filter => filter.unwrap_or_else(|_| json!(text)),
        },
        Form::Sort => json!(split_sort(text)),
    })
}

/// The items of a comma list; nothing between two commas is no item.
fn list(text: &str) -> Vec<&str> {
    text.split(',').filter(|item| !item.is_empty()).collect()
}

/// Splits at commas, but not at the one inside `_geoPoint(lat,lng)`.
fn split_sort(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut inside_point = false;
    for piece in text.trim_matches('"').split(',').map(str::trim) {
        match parts.last_mut() {
            Some(point) if inside_point => {
                point.push(',');
                point.push_str(piece);
                inside_point = !piece.contains(')');
            }
            _ => {
                inside_point = piece.starts_with("_geoPoint(");
                parts.push(piece.to_owned());
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pairs: &[(&str, &str)]) -> Result<Value, NotUnderstood> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        body_of_query(&pairs).map(Value::Object)
    }

    #[test]
    fn parameters_become_the_values_that_a_body_would_hold() {
        let pairs = [
            ("q", "tea"),
            ("limit", "3"),
            ("facets", "a,b"),
            ("filter", "size > 3"),
            ("sort", "_geoPoint(1.5, 2):asc,name:desc"),
            ("showRankingScore", "true"),
            ("rankingScoreThreshold", "0.5"),
            ("limit", "4"),
        ];
        let expected = json!({
            "q": "tea", "limit": 4, "facets": ["a", "b"], "filter": "size > 3",
            "sort": ["_geoPoint(1.5,2):asc", "name:desc"], "showRankingScore": true, "rankingScoreThreshold": 0.5,
        });
        assert_eq!(body(&pairs), Ok(expected));
    }

    #[test]
    fn empty_items_are_left_out_and_a_star_means_every_field() {
        assert_eq!(body(&[("facets", "")]), Ok(json!({ "facets": [] })));
        assert_eq!(body(&[("facets", ",a,")]), Ok(json!({ "facets": ["a"] })));
        let listing = |name: &str, text: &str| {
            listing_of_query(&[(name.to_owned(), text.to_owned())]).map(Value::Object)
        };
        assert_eq!(listing("fields", "a,*"), Ok(json!({ "fields": null })));
        assert_eq!(listing("sort", "\"_geoPoint(0,0):asc\""), Ok(json!({ "sort": ["_geoPoint(0,0):asc"] })));
        assert!(listing("q", "a").is_err());
    }

    #[test]
    fn a_filter_is_read_as_json_where_it_is_json() {
        let expected = json!({ "filter": [["a = 1", "b = 2"], "c = 3"] });
        assert_eq!(body(&[("filter", r#"[["a = 1","b = 2"],"c = 3"]"#)]), Ok(expected));
    }

    #[test]
    fn what_meilisearch_would_refuse_is_not_understood() {
        assert!(body(&[("limit", "many")]).is_err());
        assert!(body(&[("limi", "1")]).is_err());
        assert!(body(&[("filter", "null")]).is_err());
        assert!(body(&[("vector", "1, 2")]).is_err());
        assert!(body(&[("hybridSemanticRatio", "0.5")]).is_err());
        assert!(body(&[("showMatchesPosition", "yes")]).is_err());
    }
}
