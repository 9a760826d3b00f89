//! Our reading of Meilisearch's filters: generated ones, whole and broken, are accepted and refused as a node does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use miroir_core::filter;
use miroir_testkit::client::Client;
use miroir_testkit::oracle::Dice;
use miroir_testkit::sandbox::{Node, nodes_are_real};
use serde_json::json;

/// The seed to try again with.
const SEED: &str = "MIROIR_FILTER_SEED";

/// Filters of one run.
const FILTERS: usize = 6_000;

/// Requests on their way at a time.
const AT_ONCE: usize = 16;

const VALUES: [&str; 26] = [
    "1",
    "-2.5",
    "b",
    "été",
    "a.b-c_d",
    "'x y'",
    "\"x y\"",
    "''",
    "'it\\'s'",
    "\"say \\\"so\\\"\"",
    "'\\n'",
    "'\\u0041'",
    "'\\u{41}'",
    "'\\x41'",
    "'\\101'",
    "'\\q'",
    "'a\\\\'",
    "'(b'",
    "\"OR\"",
    "_foreign",
    "_geoPolygon",
    "_vectors",
    "NULLx",
    "TOx",
    "\u{a0}b",
    "'é\u{a0}'",
];
const WORDS: [&str; 34] = [
    "AND",
    "OR",
    "NOT",
    "IN",
    "TO",
    "EXISTS",
    "IS",
    "NULL",
    "EMPTY",
    "CONTAINS",
    "STARTS",
    "WITH",
    "STARTS WITH",
    "and",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    "!=",
    "<=",
    ">",
    "'",
    "\"",
    "\\",
    "_geoRadius",
    "_geoBoundingBox",
    "_geoPoint(1, 2)",
    "_geoDistance",
    "_geo",
    "_foreign(",
    "--",
    "#",
];
const AREAS: [&str; 16] = [
    "_geoRadius(45.4, -9e1, .5)",
    "_geoRadius( 1,2 ,3,4 )",
    "_geoRadius(1, 2)",
    "_geoRadius (1, 2, 3)",
    "_geoRadius(1, 2, 3,)",
    "_geoRadius(1., +2, 3e)",
    "_geoBoundingBox([1, 2], [3, 4])",
    "_geoBoundingBox([1, 2], [3, 4],)",
    "_geoBoundingBox([1, 2], [3])",
    "_geoBoundingBox( [1, 2],[ 3,4 ] )",
    "_geoPolygon([1, 2], [3, 4], [5, 6])",
    "_geoPolygon([1, 2], [3, 4], [5, 6] , )",
    "_geoPolygon([1, 2], [3, 4])",
    "_geoPolygon([1, 2], [3, 4], [5, 6, 7])",
    "_geoPointless = 1",
    "_geo.lat = 1",
];
const VECTORS: [&str; 16] = [
    "_vectors EXISTS",
    "_vectors NOT  EXISTS",
    "_vectors.m EXISTS",
    "_vectors.'m m'.userProvided EXISTS",
    "_vectors.\"m\".documentTemplate NOT EXISTS",
    "_vectors.m.regenerate EXISTS",
    "_vectors.m.fragments.f EXISTS",
    "_vectors.m.fragments EXISTS",
    "_vectors.m.fragmentsx EXISTS",
    "_vectors.m.other EXISTS",
    "_vectors. EXISTS",
    "_vectors.m.userProvidedx EXISTS",
    "_vectors.m = 1",
    "_vectorsx EXISTS",
    "_vectors IS NULL",
    "_vectors CONTAINS x",
];

/// Mostly ordinary ones.
const BLANKS: [&str; 15] = [" ", " ", " ", " ", " ", " ", " ", " ", " ", "", "", "  ", "\n", "\t", "\u{a0}"];

fn blank(dice: &mut Dice) -> &'static str {
    (dice.pick(&BLANKS)) as _
}

fn condition(dice: &mut Dice) -> String {
    let field = if dice.chance(70) { "a" } else { dice.pick(&VALUES) };
    let (value, other) = (*dice.pick(&VALUES), *dice.pick(&VALUES));
    let (one, two, three) = (blank(dice), blank(dice), blank(dice));
    match dice.between(0, 11) {
        0 => (*dice.pick(&AREAS)).to_owned(),
        1 => (*dice.pick(&VECTORS)).to_owned(),
        2..=4 => {
            let operator = *dice.pick(&["=", "!=", ">", ">=", "<", "<="]);
            format!("{field}{one}{operator}{two}{value}{three}")
        }
        5 => format!("{field}{one}{value}{two}TO{three}{other}"),
        6 => {
            let not = *dice.pick(&["", "NOT ", "NOT"]);
            let last = *dice.pick(&["", ",", " , ", "x"]);
            format!("{field}{one}{not}IN{two}[{value}{three},{one}{other}{last}]")
        }
        7 => format!("{field}{one}{}IN[]", dice.pick(&["", "NOT "])),
        8 => {
            let operator = *dice.pick(&["EXISTS", "NOT EXISTS", "NOT\tEXISTS", "EXISTSx", "NOTEXISTS"]);
            format!("{field}{one}{operator}{three}")
        }
        9 => {
            let state = *dice.pick(&["NULL", "NOT NULL", "EMPTY", "NOT  EMPTY", "NOTNULL", "ANY"]);
            format!("{field}{one}IS{two}{state}")
        }
        _ => {
            let operator =
                *dice.pick(&["CONTAINS", "NOT CONTAINS", "STARTS WITH", "NOT STARTS WITH", "STARTS  WITH"]);
            format!("{field}{one}{operator}{two}{value}")
        }
    }
}

fn expression(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.chance(30) {
        return condition(dice);
    }
    let (one, two) = (blank(dice), blank(dice));
    let left = expression(dice, depth - 1);
    match dice.between(0, 5) {
        0 => format!("({one}{left}{two})"),
        1 => format!("NOT{one}{left}"),
        2 => format!("_foreign({one}{}{two},{one}{left})", dice.pick(&VALUES)),
        3 => format!("{left}{one}AND{two}{}", expression(dice, depth - 1)),
        4 => format!("({left}){one}OR{two}({})", expression(dice, depth - 1)),
        _ => format!("{left} OR {}", expression(dice, depth - 1)),
    }
}

/// Nested about as deep as is allowed.
fn nested(dice: &mut Dice) -> String {
    let (open, close) =
        *dice.pick(&[("(", ")"), ("NOT (", ")"), ("_foreign(f, (", "))"), ("a = 1 OR (", ")")]);
    let levels = dice.between(28, 38);
    let nots = "NOT ".repeat(dice.between(0, 6));
    format!("{}{nots}{}{}", open.repeat(levels), condition(dice), close.repeat(levels))
}

/// Takes something away, puts something in, or cuts it off.
fn damage(dice: &mut Dice, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..dice.between(1, 2) {
        let place = dice.between(0, chars.len());
        match dice.between(0, 3) {
            0 if place < chars.len() => drop(chars.remove(place)),
            1 => chars.truncate(place.max(1)),
            2 if place < chars.len() => chars.insert(place, chars[place]),
            _ => {
                let word: Vec<char> = dice.pick(&WORDS).chars().collect();
                chars.splice(place..place, word);
            }
        }
    }
    chars.into_iter().collect()
}

fn generate(dice: &mut Dice) -> String {
    let text = match dice.between(0, 9) {
        0 => nested(dice),
        1 => {
            let count = dice.between(1, 8);
            (0..count).fold(String::new(), |text, _| text + *dice.pick(&WORDS) + blank(dice))
        }
        _ => expression(dice, 3),
    };
    if dice.chance(30) { damage(dice, &text) } else { text }
}

/// Whether a node reads the filter: behind it stands one that no node reads, so nothing is done in any case, and the first
/// that is wrong is named.
async fn is_read(node: &Client, text: &str) -> bool {
    let poison = "'~behind' >";
    let reply =
        node.post("/indexes/none/documents/delete", &json!({"filter": [text, poison]})).await.unwrap();
    assert_eq!((reply.status, reply.error_code()), (400, Some("invalid_document_filter")), "{}", reply.text);
    reply.body["message"].as_str().unwrap().ends_with(poison)
}

#[tokio::test]
async fn filters_are_accepted_and_refused_as_a_node_does() {
    if !nodes_are_real() {
        // The development node reads the filters of an older version.
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var(SEED).map_or(now, |seed| seed.parse().unwrap());
    let mut dice = Dice::new(seed);
    let filters: Vec<String> = (0..FILTERS).map(|_| generate(&mut dice)).collect();
    let node = Node::start("expected").await.unwrap();
    let node = node.client();
    let judged: Vec<(String, bool)> = stream::iter(filters)
        .map(|text| async move {
            let read = is_read(node, &text).await;
            (text, read)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let accepted = judged.iter().filter(|(_, read)| *read).count();
    assert!((FILTERS / 10..FILTERS * 4 / 5).contains(&accepted), "{SEED}={seed}: {accepted} accepted");
    let differing: Vec<&(String, bool)> =
        judged.iter().filter(|(text, read)| filter::parse(text).is_ok() != *read).collect();
    assert!(differing.is_empty(), "{SEED}={seed}: a node said {differing:?}");
}
