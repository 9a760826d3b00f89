//! Generated searches.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::filters;
use super::settings::Shape;
use super::words::{WORDS, misspell, prefix, without_accents};

/// One search, as the JSON body of a POST or as the parameters of a GET.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Sent as GET.
    pub by_get: bool,
    /// The parameters.
    pub body: Map<String, Value>,
}

impl SearchRequest {
    /// A POST of these parameters.
    pub fn post(body: Map<String, Value>) -> Self {
        Self { by_get: false, body }
    }

    /// Whether the answer is paginated with exact totals.
    pub fn in_pages(&self) -> bool {
        self.body.contains_key("page") || self.body.contains_key("hitsPerPage")
    }

    /// The parameters of a GET: lists joined by commas, nested arrays as JSON.
    pub fn parameters(&self) -> Vec<(String, String)> {
        self.body.iter().map(|(name, value)| (name.clone(), parameter(name, value))).collect()
    }
}

fn parameter(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if name != "filter" => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// Words of the shard markers, which must never be found.
const MARKER_WORDS: [&str; 7] =
    ["shard", "miroir", "007", "7", "_miroir_shard_007", "miroir shard", "\"miroir shard 007\""];

/// The searches of a world: `count` random ones, and one for each word a marker could leak.
pub fn generate(dice: &mut Dice, shape: &Shape, count: usize) -> Vec<SearchRequest> {
    let markers = MARKER_WORDS.iter().map(|word| {
        let body = json!({"q": word, "hitsPerPage": 1000, "page": 1});
        SearchRequest::post(body.as_object().cloned().unwrap_or_default())
    });
    let mut queries: Vec<SearchRequest> = (0..count).map(|_| query(dice, shape)).collect();
    queries.extend(markers);
    queries
}

/// One random search.
pub fn query(dice: &mut Dice, shape: &Shape) -> SearchRequest {
    let mut body = Map::new();
    if dice.chance(90) {
        body.insert("q".to_owned(), json!(words(dice)));
    }
    if dice.chance(40) {
        body.insert("filter".to_owned(), filters::generate(dice, shape));
    }
    let sorted_by_distance = add_sort(dice, shape, &mut body);
    let distinct = add_distinct(dice, shape, &mut body);
    add_pages(dice, &mut body);
    if body.contains_key("hitsPerPage") && !distinct && dice.chance(15) {
        body.insert("rankingScoreThreshold".to_owned(), json!(*dice.pick(&[0.1, 0.3, 0.5, 0.7, 0.9])));
    }
    if dice.chance(25) {
        body.insert("facets".to_owned(), facets(dice, shape));
    }
    if dice.chance(30) {
        body.insert("matchingStrategy".to_owned(), json!(*dice.pick(&["all", "last"])));
    }
    if !shape.searchable.is_empty() && dice.chance(8) {
        body.insert("attributesToSearchOn".to_owned(), json!(dice.some(&shape.searchable, 1, 2)));
    }
    add_display(dice, shape, distinct, &mut body);
    if dice.chance(4) {
        break_something(dice, &mut body);
    }
    // A comma inside `_geoPoint(…)` has its own rules in a GET.
    SearchRequest { by_get: !sorted_by_distance && dice.chance(10), body }
}

fn words(dice: &mut Dice) -> String {
    let count = *dice.pick(&[0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6]);
    let mut words: Vec<String> = (0..count).map(|_| word(dice)).collect();
    match dice.between(0, 11) {
        0 if count >= 2 => {
            let phrase = format!("\"{} {}\"", dice.pick_skewed(&WORDS[..20]), dice.pick_skewed(&WORDS[..20]));
            words[0] = phrase;
        }
        1 if count >= 2 => words.push(format!("-{}", dice.pick_skewed(WORDS))),
        2 if count >= 1 => words.push(format!("-\"{} {}\"", dice.pick(&WORDS[..9]), dice.pick(&WORDS[..9]))),
        3..=6 => {
            if let Some(last) = words.last_mut() {
                *last = prefix(dice, last);
            }
        }
        _ => {}
    }
    words.join(" ")
}

fn word(dice: &mut Dice) -> String {
    let word = *dice.pick_skewed(WORDS);
    match dice.between(0, 19) {
        0..=2 => misspell(dice, word),
        3 => word.to_uppercase(),
        4 => without_accents(word),
        5 => format!("{word}{}", dice.pick_skewed(WORDS)),
        _ => word.to_owned(),
    }
}

/// Adds a sort; says whether it is by distance.
fn add_sort(dice: &mut Dice, shape: &Shape, body: &mut Map<String, Value>) -> bool {
    if !dice.chance(35) {
        return false;
    }
    let rules: Vec<String> = dice
        .some(&shape.sortable, 1, 2)
        .into_iter()
        .map(|field| {
            let direction = if dice.chance(50) { "asc" } else { "desc" };
            if field == "_geo" {
                let (lat, lng) = (dice.real(45.0, 47.0), dice.real(4.0, 7.0));
                return format!("_geoPoint({lat:.4}, {lng:.4}):{direction}");
            }
            format!("{field}:{direction}")
        })
        .collect();
    let by_distance = rules.iter().any(|rule| rule.starts_with("_geo"));
    body.insert("sort".to_owned(), json!(rules));
    by_distance
}

/// Adds a distinct attribute; says whether one is in force, by the query or by the settings.
fn add_distinct(dice: &mut Dice, shape: &Shape, body: &mut Map<String, Value>) -> bool {
    let allowed = |name: &str| shape.filterable.iter().any(|field| field.path == name);
    let candidates: Vec<&str> =
        ["brand", "genre", "info.color", "label"].into_iter().filter(|name| allowed(name)).collect();
    if !shape.hides_primary_key && !candidates.is_empty() && dice.chance(8) {
        body.insert("distinct".to_owned(), json!(dice.pick(&candidates)));
        return true;
    }
    shape.distinct.is_some()
}

fn add_pages(dice: &mut Dice, body: &mut Map<String, Value>) {
    match dice.between(0, 9) {
        0..=3 => {}
        4..=6 => {
            body.insert("limit".to_owned(), json!(dice.between(0, 25)));
            if dice.chance(60) {
                body.insert("offset".to_owned(), json!(dice.between(0, 40)));
            }
        }
        _ => {
            body.insert("hitsPerPage".to_owned(), json!(dice.between(0, 15)));
            if dice.chance(80) {
                body.insert("page".to_owned(), json!(dice.between(1, 4)));
            }
        }
    }
}

/// Some of the facets, or all.
pub fn facets(dice: &mut Dice, shape: &Shape) -> Value {
    if dice.chance(25) {
        return json!(["*"]);
    }
    let fields: Vec<&str> =
        shape.filterable.iter().map(|field| field.path).filter(|path| *path != "_geo").collect();
    json!(dice.some(&fields, 1, 4))
}

fn add_display(dice: &mut Dice, shape: &Shape, distinct: bool, body: &mut Map<String, Value>) {
    const FIELDS: &[&str] = &[
        "title",
        "overview",
        "genre",
        "info",
        "info.color",
        "info.maker.name",
        "authors.born",
        "tags",
        "tags.k",
        "price",
        "price.usd",
        "title.x",
        "_geo",
        "_geo.lat",
    ];
    if dice.chance(20) {
        let mut fields = dice.some(FIELDS, 1, 6);
        if distinct || shape.capped || dice.chance(80) {
            fields.push(shape.primary_key);
        }
        body.insert("attributesToRetrieve".to_owned(), json!(fields));
    }
    if dice.chance(12) {
        body.insert("attributesToCrop".to_owned(), json!(["overview:6", "title"]));
        body.insert("cropLength".to_owned(), json!(dice.between(2, 12)));
        if dice.chance(30) {
            body.insert("cropMarker".to_owned(), json!("[..]"));
        }
    }
    if dice.chance(15) {
        let fields: &[&str] = if dice.chance(50) { &["*"] } else { &["title", "overview", "tags"] };
        body.insert("attributesToHighlight".to_owned(), json!(fields));
        if dice.chance(30) {
            body.insert("highlightPreTag".to_owned(), json!("<b>"));
            body.insert("highlightPostTag".to_owned(), json!("</b>"));
        }
    }
    for (name, percent) in
        [("showMatchesPosition", 12), ("showRankingScore", 30), ("showRankingScoreDetails", 12)]
    {
        if dice.chance(percent) {
            body.insert(name.to_owned(), json!(true));
        }
    }
}

/// Makes the query wrong in one of the ways a server has to explain.
fn break_something(dice: &mut Dice, body: &mut Map<String, Value>) {
    let (name, value) = dice
        .pick(&[
            ("filter", json!("authors.born > 3")),
            ("filter", json!("genre = ")),
            ("filter", json!("price > 3 AND AND")),
            ("filter", json!([["genre = drama"], "nothing = 1"])),
            ("sort", json!(["overview:asc"])),
            ("sort", json!(["price"])),
            ("facets", json!(["nothing"])),
            ("distinct", json!("overview")),
            ("attributesToSearchOn", json!(["nothing"])),
            ("matchingStrategy", json!("lst")),
            ("rankingScoreThreshold", json!(2)),
            ("limitt", json!(3)),
        ])
        .clone();
    body.insert(name.to_owned(), value);
}
