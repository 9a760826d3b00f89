//! Generated filter expressions over the fields that settings allow.

use serde_json::{Value, json};

use super::dice::Dice;
use super::settings::{Field, FieldKind, Shape};

/// How deep generated expressions nest.
const DEPTH: usize = 2;

/// A filter as text or as nested arrays.
pub fn generate(dice: &mut Dice, shape: &Shape) -> Value {
    if dice.chance(65) {
        return json!(expression(dice, shape, DEPTH));
    }
    let count = dice.between(1, 3);
    let item = |dice: &mut Dice| {
        if dice.chance(60) {
            return json!(expression(dice, shape, 1));
        }
        let count = dice.between(1, 3);
        json!((0..count).map(|_| expression(dice, shape, 0)).collect::<Vec<_>>())
    };
    Value::Array((0..count).map(|_| item(dice)).collect())
}

fn expression(dice: &mut Dice, shape: &Shape, depth: usize) -> String {
    if depth == 0 || dice.chance(45) {
        let field = *dice.pick(&shape.filterable);
        return condition(dice, field);
    }
    let left = expression(dice, shape, depth - 1);
    match dice.between(0, 4) {
        0 => format!("NOT ({left})"),
        1 => format!("({left})"),
        2 => format!("({left} OR {})", expression(dice, shape, depth - 1)),
        3 => format!("{left} AND {}", expression(dice, shape, depth - 1)),
        _ => format!("{left} OR {}", expression(dice, shape, depth - 1)),
    }
}

fn condition(dice: &mut Dice, field: Field) -> String {
    let path = field.path;
    if field.kind == FieldKind::Geo {
        return geo(dice);
    }
    if dice.chance(20) || field.kind == FieldKind::Mixed {
        let operator =
            *dice.pick(&["EXISTS", "NOT EXISTS", "IS NULL", "IS NOT NULL", "IS EMPTY", "IS NOT EMPTY"]);
        return format!("{path} {operator}");
    }
    match field.kind {
        FieldKind::Number if field.comparison && dice.chance(60) => comparison(dice, path),
        FieldKind::Bool => format!("{path} {} {}", dice.pick(&["=", "!="]), dice.pick(&["true", "false"])),
        _ if dice.chance(35) => {
            let count = dice.between(1, 4);
            let values: Vec<String> = (0..count).map(|_| literal(dice, field)).collect();
            format!("{path} {} [{}]", dice.pick(&["IN", "NOT IN"]), values.join(", "))
        }
        _ => format!("{path} {} {}", dice.pick(&["=", "=", "!="]), literal(dice, field)),
    }
}

fn comparison(dice: &mut Dice, path: &str) -> String {
    let (low, high) = range(path);
    let value = dice.between(low, high);
    if dice.chance(30) {
        return format!("{path} {value} TO {}", dice.between(value, high));
    }
    format!("{path} {} {value}", dice.pick(&[">", ">=", "<", "<="]))
}

fn range(path: &str) -> (usize, usize) {
    match path {
        "year" => (1950, 2025),
        "rating" => (1, 5),
        "info.size" => (1, 12),
        _ => (1, 40),
    }
}

fn literal(dice: &mut Dice, field: Field) -> String {
    let FieldKind::Text(values) = field.kind else {
        let (low, high) = range(field.path);
        return dice.between(low, high).to_string();
    };
    let value = dice.pick_skewed(values);
    // Strings are compared without case.
    let value = if dice.chance(20) { value.to_uppercase() } else { (*value).to_owned() };
    format!("\"{value}\"")
}

fn geo(dice: &mut Dice) -> String {
    let (lat, lng) = (dice.real(45.0, 47.0), dice.real(4.0, 7.0));
    match dice.between(0, 2) {
        0 => format!("_geoRadius({lat:.3}, {lng:.3}, {})", dice.between(5_000, 120_000)),
        1 => {
            let (bottom, left) = (lat - dice.real(0.1, 0.9), lng - dice.real(0.1, 1.5));
            format!("_geoBoundingBox([{lat:.3}, {lng:.3}], [{bottom:.3}, {left:.3}])")
        }
        _ => format!("_geo {}", dice.pick(&["EXISTS", "NOT EXISTS"])),
    }
}
