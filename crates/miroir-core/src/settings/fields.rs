//! What each field of an index may be used for (`POST /indexes/{uid}/fields`). A node knows the fields that it has met,
//! and the settings that Miroir gave it; the client sees the fields of all nodes and its own settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ClientSettings, tie_rule};
use crate::document::marker;

/// The names under which a field says what it may be used for, and the filter that asks for it.
const USES: [&str; 6] = ["displayed", "searchable", "sortable", "distinct", "rankingRule", "filterable"];

/// What a client wants to see of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldsRequest {
    /// Leave out so many.
    pub offset: usize,
    /// Then show so many.
    pub limit: usize,
    /// Patterns of names; none for all names.
    pub patterns: Option<Value>,
    /// Uses that a field must have or must not have.
    pub uses: Vec<(&'static str, bool)>,
}

impl FieldsRequest {
    /// `None` for a body that Meilisearch would refuse, or of which only a node can say whether it would.
    pub fn parse(body: &Map<String, Value>) -> Option<Self> {
        let mut request = Self { offset: 0, limit: 20, patterns: None, uses: Vec::new() };
        for (key, value) in body {
            match key.as_str() {
                "offset" => request.offset = usize::try_from(value.as_u64()?).ok()?,
                "limit" => request.limit = usize::try_from(value.as_u64()?).ok()?,
                "filter" if value.is_null() => {}
                "filter" => request.read_filter(value.as_object()?)?,
                _ => return None,
            }
        }
        Some(request)
    }

    fn read_filter(&mut self, filter: &Map<String, Value>) -> Option<()> {
        for (key, value) in filter {
            if value.is_null() {
                continue;
            }
            if key == "attributePatterns" {
                self.patterns = Some(value.clone());
            } else {
                let wanted = USES.into_iter().find(|name| name == key)?;
                self.uses.push((wanted, value.as_bool()?));
            }
        }
        Some(())
    }

    /// The body for a node, which tells all fields that match the patterns.
    pub fn for_node(&self) -> Value {
        json!({ "limit": u32::MAX, "filter": { "attributePatterns": self.patterns } })
    }

    fn wants(&self, field: &Map<String, Value>) -> bool {
        self.uses.iter().all(|(name, wanted)| is_enabled(field, name) == *wanted)
    }
}

fn is_enabled(field: &Map<String, Value>, name: &str) -> bool {
    field.get(name).is_some_and(|about| about["enabled"] == true)
}

/// A page of the fields that nodes told, by name, and how many there are.
pub fn merge_fields(
    nodes: Vec<Vec<Map<String, Value>>>,
    request: &FieldsRequest,
    client: &ClientSettings,
    primary_key: Option<&str>,
) -> (Vec<Map<String, Value>>, usize) {
    let mut fields = BTreeMap::new();
    for mut field in nodes.into_iter().flatten() {
        let Some(name) = field.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
        if marker::is_reserved(&name) {
            continue;
        }
        show_as_the_client_set(&mut field, &name, client, primary_key);
        fields.insert(name, field);
    }
    fields.retain(|_, field| request.wants(field));
    let total = fields.len();
    (fields.into_values().skip(request.offset).take(request.limit).collect(), total)
}

fn show_as_the_client_set(
    field: &mut Map<String, Value>,
    name: &str,
    client: &ClientSettings,
    primary_key: Option<&str>,
) {
    let lies_in =
        |list: &str| name.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let displayed =
        client.list("displayedAttributes").is_none_or(|list| list.iter().any(|it| *it == "*" || lies_in(it)));
    field.insert("displayed".to_owned(), json!({ "enabled": displayed }));
    if primary_key == Some(name) && tie_rule(client, primary_key).is_some() {
        field.insert("rankingRule".to_owned(), json!({ "enabled": false }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn field(name: &str, filterable: bool) -> Map<String, Value> {
        object(&json!({
            "name": name,
            "displayed": { "enabled": true },
            "rankingRule": { "enabled": true, "order": "asc" },
            "filterable": { "enabled": filterable },
        }))
    }

    fn request(body: &Value) -> FieldsRequest {
        FieldsRequest::parse(&object(body)).unwrap()
    }

    fn client(settings: &Value) -> ClientSettings {
        let mut client = ClientSettings::default();
        client.apply(&object(settings));
        client
    }

    #[test]
    fn fields_of_all_nodes_are_shown_once_by_name_and_markers_never() {
        let nodes = vec![
            vec![field("b", true), field("_miroir_shard_001", true)],
            vec![field("a", false), field("b", true)],
        ];
        let (page, total) = merge_fields(nodes, &request(&json!({})), &ClientSettings::default(), None);
        let names: Vec<_> = page.iter().map(|field| field["name"].clone()).collect();
        assert_eq!((names, total), (vec![json!("a"), json!("b")], 2));
    }

    #[test]
    fn the_settings_are_the_clients_and_not_the_nodes() {
        let client = client(&json!({ "displayedAttributes": ["meta"] }));
        let nodes = vec![vec![field("id", false), field("meta.size", false), field("metadata", false)]];
        let (page, _) = merge_fields(nodes, &request(&json!({})), &client, Some("id"));
        let displayed: Vec<_> = page.iter().map(|field| field["displayed"]["enabled"].clone()).collect();
        assert_eq!(displayed, [json!(false), json!(true), json!(false)]);
        assert_eq!(page[0]["rankingRule"], json!({ "enabled": false }));
        assert_eq!(page[1]["rankingRule"]["order"], "asc");
    }

    #[test]
    fn uses_are_filtered_before_the_page_is_cut() {
        let nodes = vec![vec![field("a", true), field("b", false), field("c", true), field("d", true)]];
        let request =
            request(&json!({ "offset": 1, "limit": 1, "filter": { "filterable": true, "sortable": null } }));
        let (page, total) = merge_fields(nodes, &request, &ClientSettings::default(), None);
        assert_eq!((page[0]["name"].as_str(), page.len(), total), (Some("c"), 1, 3));
        assert_eq!(request.for_node()["filter"], json!({ "attributePatterns": null }));
    }

    #[test]
    fn what_meilisearch_refuses_is_not_understood() {
        for body in [
            json!({ "limit": -1 }),
            json!({ "offset": "1" }),
            json!({ "filter": [] }),
            json!({ "filter": { "displayed": 1 } }),
            json!({ "filter": { "shown": true } }),
            json!({ "page": 1 }),
        ] {
            assert_eq!(FieldsRequest::parse(&object(&body)), None, "{body}");
        }
    }
}
