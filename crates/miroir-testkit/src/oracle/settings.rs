//! Generated index settings, and what the other generators have to know about them.

use serde_json::{Value, json};

use super::dice::Dice;

/// What the values of a field are, for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Numbers, here and there a string, an array, null or nothing.
    Number,
    /// Strings from a list, or arrays of them.
    Text(&'static [&'static str]),
    /// Booleans.
    Bool,
    /// Null, empty string, empty array, empty object, text or nothing.
    Mixed,
    /// Points.
    Geo,
}

/// A filterable field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Path in the document.
    pub path: &'static str,
    /// Its values.
    pub kind: FieldKind,
    /// Whether the rule it falls under allows `<`, `>` and `TO`.
    pub comparison: bool,
}

/// What generated settings allow: queries are made to fit (or, rarely, not to fit) this.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties, all combinations of which occur")]
pub struct Shape {
    /// Field of the document id.
    pub primary_key: &'static str,
    /// Ids are strings instead of integers.
    pub string_ids: bool,
    /// The primary key is not among the displayed attributes.
    pub hides_primary_key: bool,
    /// Filterable fields, which are also the facets.
    pub filterable: Vec<Field>,
    /// Sortable fields (`_geo` among them when documents can be sorted by distance).
    pub sortable: Vec<&'static str>,
    /// Searchable fields, in order of weight; empty means all.
    pub searchable: Vec<&'static str>,
    /// The distinct attribute.
    pub distinct: Option<&'static str>,
    /// Facet values come in the order of their counts (`year` excepted).
    pub facets_by_count: bool,
    /// `maxTotalHits` is low enough to cut lists.
    pub capped: bool,
}

const SEARCHABLE: &[&str] =
    &["title", "overview", "tags", "code", "brand", "info.color", "authors.name", "genre"];

const SORTABLE: &[&str] =
    &["price", "year", "rating", "title", "brand", "info.size", "available", "label", "part"];

fn all_filterable() -> Vec<Field> {
    use super::words::{BRANDS, COLORS, COUNTRIES, GENRES, LABELS, WORDS};
    let field = |path, kind| Field { path, kind, comparison: true };
    vec![
        field("genre", FieldKind::Text(GENRES)),
        field("brand", FieldKind::Text(BRANDS)),
        field("tags", FieldKind::Text(WORDS)),
        field("price", FieldKind::Number),
        field("year", FieldKind::Number),
        field("rating", FieldKind::Number),
        field("available", FieldKind::Bool),
        field("note", FieldKind::Mixed),
        field("info.color", FieldKind::Text(COLORS)),
        field("info.size", FieldKind::Number),
        field("info.maker.country", FieldKind::Text(COUNTRIES)),
        field("label", FieldKind::Text(LABELS)),
        field("part", FieldKind::Number),
        field("_geo", FieldKind::Geo),
    ]
}

/// Settings as a client would PATCH them, and their [`Shape`].
pub fn generate(dice: &mut Dice) -> (Shape, Value) {
    let mut settings = json!({});
    let primary_key = *dice.pick(&["id", "sku"]);
    let (filterable, filterable_setting) = filterable(dice);
    settings["filterableAttributes"] = filterable_setting;
    let mut sortable = dice.some(SORTABLE, 4, SORTABLE.len());
    if dice.chance(70) {
        sortable.push("_geo");
    }
    settings["sortableAttributes"] = under_parents(dice, json!(sortable));
    let searchable = if dice.chance(15) { Vec::new() } else { dice.some(SEARCHABLE, 3, SEARCHABLE.len()) };
    if !searchable.is_empty() {
        settings["searchableAttributes"] = json!(searchable);
    }
    let distinct = dice.chance(20).then(|| *dice.pick(&["brand", "brand", "info.color", "label"]));
    settings["distinctAttribute"] = json!(distinct);
    let (displayed, hides_primary_key) = displayed(dice, primary_key, distinct.is_some());
    if let Some(displayed) = &displayed {
        settings["displayedAttributes"] = json!(displayed);
    }
    add_ranking(dice, &mut settings);
    add_words(dice, &mut settings);
    let capped = add_limits(dice, &mut settings, hides_primary_key);
    let shape = Shape {
        primary_key,
        string_ids: dice.chance(40),
        hides_primary_key,
        filterable,
        sortable,
        searchable,
        distinct,
        facets_by_count: settings["faceting"]["sortFacetValuesBy"].is_object(),
        capped,
    };
    (shape, settings)
}

fn filterable(dice: &mut Dice) -> (Vec<Field>, Value) {
    let mut fields = dice.some(&all_filterable(), 8, 14);
    if dice.chance(60) {
        let setting: Vec<&str> = fields.iter().map(|field| field.path).collect();
        let setting = under_parents(dice, json!(setting));
        return (fields, setting);
    }
    // One rule without comparison, one with, the rest as plain names.
    let features = |comparison: bool| json!({"facetSearch": true, "filter": {"equality": true, "comparison": comparison}});
    let mut plain = Vec::new();
    for field in &mut fields {
        field.comparison = !field.path.starts_with("info.");
        if !field.path.starts_with("info.") && field.path != "year" && field.path != "rating" {
            plain.push(json!(field.path));
        }
    }
    let mut rules = vec![
        json!({"attributePatterns": ["info.*"], "features": features(false)}),
        json!({"attributePatterns": ["year", "rating"], "features": features(true)}),
    ];
    fields.retain(|field| !matches!(field.path, "year" | "rating"));
    fields.extend(all_filterable().into_iter().filter(|field| matches!(field.path, "year" | "rating")));
    rules.extend(plain);
    (fields, Value::Array(rules))
}

/// Sometimes names `info` instead of what lies below it: an attribute in a list stands for all paths below it.
fn under_parents(dice: &mut Dice, list: Value) -> Value {
    let is_below = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("info."));
    match list {
        Value::Array(names) if names.iter().any(is_below) && dice.chance(50) => {
            let others = names.into_iter().filter(|name| !is_below(name));
            others.chain([json!("info")]).collect()
        }
        list => list,
    }
}

/// Displayed attributes: mostly all; else without the fields results are sorted by, sometimes without the primary key
/// (but not together with a distinct attribute: then nothing would tell which of the equal documents came).
fn displayed(dice: &mut Dice, key: &'static str, distinct: bool) -> (Option<Vec<&'static str>>, bool) {
    if !dice.chance(35) {
        return (None, false);
    }
    let mut displayed = dice.some(
        &[
            "title",
            "overview",
            "genre",
            "brand",
            "code",
            "info",
            "info.maker.name",
            "_geo",
            "tags",
            "price.usd",
        ],
        3,
        6,
    );
    let hides_primary_key = !distinct && dice.chance(35);
    if !hides_primary_key {
        displayed.push(key);
    }
    (Some(displayed), hides_primary_key)
}

fn add_ranking(dice: &mut Dice, settings: &mut Value) {
    let field = *dice.pick(&["price", "year", "rating", "title", "info.size"]);
    let custom = format!("{field}:{}", dice.pick(&["asc", "desc"]));
    match dice.between(0, 9) {
        0..=4 => {}
        5 | 6 => {
            let rules = ["words", "typo", "proximity", "attribute", "sort", "exactness", &custom];
            settings["rankingRules"] = json!(rules);
        }
        7 => {
            let rules = [&custom, "words", "typo", "proximity", "attribute", "sort", "exactness"];
            settings["rankingRules"] = json!(rules);
        }
        8 => {
            let rules = ["sort", "words", "typo", &custom, "exactness", "attribute", "proximity"];
            settings["rankingRules"] = json!(rules);
        }
        _ => settings["rankingRules"] = json!(["words", "sort", "exactness", "rating:desc", "typo"]),
    }
}

fn add_words(dice: &mut Dice, settings: &mut Value) {
    if dice.chance(50) {
        settings["synonyms"] = json!({
            "house": ["building", "home"], "car": ["horse"], "sp": ["sao paulo"], "night": ["moon light"],
            "river": ["stream", "mountain"],
        });
    }
    if dice.chance(40) {
        settings["stopWords"] = json!(["the", "of", "a"]);
    }
    if dice.chance(40) {
        settings["typoTolerance"] = match dice.between(0, 3) {
            0 => json!({"enabled": false}),
            1 => json!({"minWordSizeForTypos": {"oneTypo": 4, "twoTypos": 7}}),
            2 => json!({"disableOnWords": ["horse", "storm"]}),
            _ => json!({"disableOnAttributes": ["title"]}),
        };
    }
}

/// Adds limits; says whether lists are cut by one.
fn add_limits(dice: &mut Dice, settings: &mut Value, hides_primary_key: bool) -> bool {
    if dice.chance(40) {
        settings["faceting"] = json!({"sortFacetValuesBy": {"*": "count", "year": "alpha"}});
    }
    if dice.chance(30) {
        settings["faceting"]["maxValuesPerFacet"] = json!(dice.between(4, 12));
    }
    // With the primary key hidden the oracle identifies documents through the uncapped list.
    let capped = dice.chance(20) && !hides_primary_key;
    if capped {
        settings["pagination"] = json!({"maxTotalHits": dice.between(15, 60)});
    }
    capped
}

/// The settings of the twin index: the same ranking, with nothing hidden, deduplicated or capped.
pub fn of_twin(settings: &Value) -> Value {
    let mut twin = settings.clone();
    twin["displayedAttributes"] = json!(["*"]);
    twin["distinctAttribute"] = Value::Null;
    twin["faceting"]["maxValuesPerFacet"] = json!(super::ranking::WHOLE_LIST);
    twin["pagination"] = json!({"maxTotalHits": super::ranking::WHOLE_LIST});
    twin
}
