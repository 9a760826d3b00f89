use proptest::prelude::*;
use serde_json::json;

use super::*;

fn accepts(text: &str) -> bool {
    matches!(parse(text), Ok(Some(_)))
}

#[test]
fn every_operator_is_read() {
    for text in [
        "a = 1",
        "a != 'b c'",
        "a>1",
        "a >= 1.5",
        "a < \"x\"",
        "a <= -3",
        "a 1 TO 5",
        "a IN []",
        "a IN[b, 'c d', ]",
        "a NOT IN [b]",
        "a EXISTS",
        "a NOT  EXISTS",
        "a IS NULL",
        "a IS NOT NULL",
        "a IS EMPTY",
        "a IS NOT EMPTY",
        "a CONTAINS b",
        "a NOT CONTAINS b",
        "a STARTS WITH b",
        "a NOT STARTS WITH b",
        "_geoRadius(45.4, 9.1, 2000)",
        "_geoRadius(45.4, 9.1, 2000, 100)",
        "_geoBoundingBox([45, 9], [44.5, -9e1])",
        "_geoPolygon([1, 2], [3, 4], [5, 6],)",
        "_vectors EXISTS",
        "_vectors.m NOT EXISTS",
        "_vectors.'my m'.fragments.\"f 1\" EXISTS",
        "_vectors.m.userProvided EXISTS",
        "_foreign(author, fame >= 1 AND name = 'x')",
        "NOT NOT a = 1",
        "(a = 1 OR b = 2) AND NOT (c = 3)",
        "été.a-b_c = ü",
    ] {
        assert!(accepts(text), "{text}");
    }
}

#[test]
fn what_is_no_complete_expression_is_refused() {
    for text in [
        "tenant = B) OR (n = 1",
        "(a = 1",
        "a = 1)",
        "a = 'b",
        "a = b'",
        "a = 'b\\'",
        "a = 1 OR",
        "AND a = 1",
        "a = 1 b = 2",
        "a = AND",
        "IN = 1",
        "a IN [b c]",
        "a IN b",
        "a = 1 -- b",
        "a = 1 /* b */",
        "a = 1 # b",
        "a = _geoPoint(1, 2)",
        "_geoRadius(1, 2)",
        "_geoPolygon([1, 2], [3, 4])",
        "_geoBoundingBox([1, 2], [3, 4, 5])",
        "_vectors.m",
        "_vectors.m.other EXISTS",
        "_foreign(author)",
        "_foreign(author, a = 1",
        "a = \"\\q\"",
        "a EXISTS ",
        "a && b",
    ] {
        assert_eq!(parse(text), Err(Malformed), "{text}");
    }
}

#[test]
fn words_that_begin_like_operators_are_read_as_a_server_reads_them() {
    let same = |text: &str| parse(text).unwrap().unwrap().to_string();
    assert_eq!(same("a CONTAINSx TO z"), "a CONTAINSx TO z");
    assert_eq!(same("a EXISTSAND b = 1"), "a EXISTS AND b = 1");
    assert!(!accepts("a EXISTSx TO z"));
    assert!(accepts("a ISx TO z"));
    assert!(accepts("_vectorsX EXISTS"));
    assert!(accepts("_foreign = 1"));
    assert!(!accepts("_geoPolygon = 1"));
    assert!(!accepts("_geoPointless = 1"));
}

#[test]
fn nesting_ends_where_a_server_ends_it() {
    let nested = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(accepts(&nested(36)));
    assert!(!accepts(&nested(37)));
    assert!(accepts(&format!("{}a = 1", "NOT ".repeat(147))));
    assert!(!accepts(&format!("{}a = 1", "NOT ".repeat(148))));
    assert!(!accepts(&"(".repeat(1_000_000)));
}

#[test]
fn a_list_becomes_one_expression_and_what_is_no_filter_stays() {
    let joined = |filter| join(&filter);
    assert_eq!(
        joined(json!(["a = 1 OR b = 2", ["c = 3", "d = 4"], " ", [" "]])).as_deref(),
        Some("(a = 1 OR b = 2) AND (c = 3 OR d = 4)")
    );
    assert_eq!(joined(json!(["a=1", "NOT (b IN [x ])"])).as_deref(), Some("a=1 AND NOT b IN [x ]"));
    for apart in [json!([]), json!([""]), json!([["a = 1", 2]]), json!([[["a = 1"]]]), json!(null), json!(4)]
    {
        assert_eq!(joined(apart.clone()), None, "{apart}");
    }
}

#[test]
fn nothing_that_leaves_its_place_is_joined() {
    for client in ["tenant = B) OR (n = 1", "n = 1 OR (n = 1", "n = '1", "n = 1 OR", ") OR (", "NOT"] {
        assert_eq!(join(&json!([client, "tenant = A"])), None, "{client}");
        assert_eq!(join(&json!([["n = 2", client], "tenant = A"])), None, "{client}");
    }
}

#[test]
fn what_is_nested_too_deep_together_stays_apart() {
    let deep = format!("{}a = 1 AND b = 2{}", "(c = 3 OR ".repeat(36), ")".repeat(36));
    assert!(accepts(&deep));
    assert_eq!(join(&json!([deep, "tenant = A"])), None);
}

#[test]
fn conditions_on_other_indexes_are_found_at_any_depth_and_replaced() {
    let text = "a = 1 OR NOT (_foreign('author', fame > 1) AND _foreign(b.c, NOT x = 1))";
    let filter = parse(text).unwrap().unwrap();
    let found: Vec<(String, String)> =
        filter.foreign().into_iter().map(|(field, inner)| (field.text.clone(), inner.to_string())).collect();
    assert_eq!(
        found,
        [("author".to_owned(), "fame > 1".to_owned()), ("b.c".to_owned(), "NOT x = 1".to_owned())]
    );
    let replaced = filter.replace_foreign(&mut |field, _| Filter::one_of(&field.text, ["w1".to_owned()]));
    assert_eq!(replaced.to_string(), "a = 1 OR NOT (\"author\" IN [\"w1\"] AND \"b.c\" IN [\"w1\"])");
    assert!(parse("a = '_foreign(b, c = 1)'").unwrap().unwrap().foreign().is_empty());
}

#[test]
fn fields_are_known_however_they_are_written() {
    let text = r"a = 1 AND NOT ('\x62' EXISTS OR _foreign(c, 'd\u0065' IN [x])) AND _geoRadius(1, 2, 3)";
    assert_eq!(parse(text).unwrap().unwrap().fields(), ["a", "b", "c", "de"]);
}

#[test]
fn a_quoted_value_means_its_text_whatever_it_is() {
    for text in ["AND", "a\"b", "a\\", "\\\"", "') OR (a = 1", "\\u0041", ""] {
        let value = Value::quoted(text);
        assert_eq!(value::read(&value.written).unwrap(), ("", value.clone()));
    }
}

/// Pieces that filters are made of, and those that break them.
fn piece() -> impl Strategy<Value = String> {
    const FIXED: &[&str] = &[
        "(",
        ")",
        "'",
        "\"",
        "\\",
        "AND",
        "OR",
        "NOT",
        "IN",
        "[",
        "]",
        ",",
        "=",
        "!=",
        ">",
        "TO",
        "EXISTS",
        "IS",
        "NULL",
        "EMPTY",
        "CONTAINS",
        "STARTS WITH",
        "_geoRadius(1,2,3)",
        "_vectors.m",
        "_foreign(",
        "a",
        "b = 1",
        "tenant",
        "A",
        "1",
        "\u{a0}",
        "--",
        "#",
        "\\u{29}",
        "'x'",
        "\"y\"",
        "(a = 1)",
        "\n",
    ];
    prop_oneof![8 => prop::sample::select(FIXED).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

fn text() -> impl Strategy<Value = String> {
    let spaced = prop::collection::vec((piece(), prop::bool::weighted(0.7)), 0..14);
    spaced.prop_map(|pieces| {
        pieces
            .into_iter()
            .fold(String::new(), |text, (piece, blank)| text + &piece + if blank { " " } else { "" })
    })
}

fn condition() -> impl Strategy<Value = String> {
    const OTHERS: &[&str] =
        &["a IN [b, 'c)']", "a NOT EXISTS", "a IS NOT NULL", "_geoRadius(1, 2, 3)", "_vectors.m EXISTS"];
    let value = prop_oneof![Just("1"), Just("'x y'"), Just("\"') OR (\""), Just("b")];
    let operator =
        prop_oneof![Just(" = "), Just("!="), Just(" CONTAINS "), Just(" NOT STARTS WITH "), Just(" 0 TO ")];
    let compared = (operator, value).prop_map(|(operator, value)| format!("a{operator}{value}"));
    prop_oneof![3 => compared, 2 => prop::sample::select(OTHERS).prop_map(str::to_owned)]
}

fn expression() -> impl Strategy<Value = String> {
    condition().prop_recursive(4, 24, 4, |inner| {
        let list = |between: &'static str| {
            move |list: Vec<String>| {
                list.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(between)
            }
        };
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(list(" AND ")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(list(" OR ")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) OR ({b}) AND ({a})")),
            inner.clone().prop_map(|one| format!("NOT ({one})")),
            inner.prop_map(|one| format!("_foreign(f, {one})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same_tree(text in expression()) {
        let filter = parse(&text).unwrap().unwrap();
        prop_assert_eq!(parse(&filter.to_string()), Ok(Some(filter)));
    }

    #[test]
    fn joining_never_changes_how_conditions_are_grouped(client in text(), token in expression()) {
        let list = json!([client, token]);
        match parse(&client) {
            Ok(Some(client)) => {
                let expected = Filter::And(vec![client, parse(&token).unwrap().unwrap()]);
                if let Some(joined) = join(&list) {
                    prop_assert_eq!(parse(&joined), Ok(Some(expected)));
                }
            }
            Ok(None) => prop_assert_eq!(join(&list).map(|text| parse(&text)), Some(parse(&token))),
            Err(Malformed) => prop_assert_eq!(join(&list), None),
        }
    }

    #[test]
    fn a_complete_expression_stays_one_between_parentheses(text in text()) {
        if let Ok(Some(filter)) = parse(&text)
            && let Ok(Some(wrapped)) = parse(&format!("({text}) AND z = 1"))
        {
            prop_assert_eq!(wrapped, Filter::And(vec![filter, parse("z = 1").unwrap().unwrap()]));
        }
    }
}
