//! Conditions on one field.

use super::{Read, Stop, after_blanks, spaced_word, surely, value, vectors};

/// Longer ones first.
const COMPARISONS: [&str; 6] = ["<=", ">=", "!=", "<", ">", "="];

/// Reads a condition, and tells its field. The order of the attempts matters where a word begins like an operator: `a CONTAINSx` looks for `x`,
/// and `a CONTAINSx TO z` is a range.
pub(super) fn read(text: &str) -> Read<'_, String> {
    let (rest, field) = value::read(text)?;
    let (rest, ()) = condition(text, rest)?;
    Ok((rest, field.text))
}

/// Reads what follows the field, which the text begins with.
fn condition<'a>(text: &'a str, rest: &'a str) -> Read<'a, ()> {
    if let Some(list) = spaced_word(rest, "IN").or_else(|| not_in(rest)) {
        return value::list(list.strip_prefix('[').ok_or(Stop::Wrong)?);
    }
    if let Some(compared) = COMPARISONS.iter().find_map(|operator| rest.strip_prefix(operator)) {
        return one_value(compared);
    }
    if let Some(rest) = null_or_empty(rest) {
        return Ok((rest, ()));
    }
    match vectors::read(text) {
        Err(Stop::Other) => {}
        read => return read,
    }
    if let Some(rest) = plain_or_not(rest, "EXISTS") {
        return Ok((rest, ()));
    }
    match range(rest) {
        Err(Stop::Other) => {}
        read => return read,
    }
    match plain_or_not(rest, "CONTAINS").or_else(|| plain_or_not(rest, "STARTS WITH")) {
        Some(rest) => one_value(rest),
        None => Err(Stop::Other),
    }
}

fn one_value(text: &str) -> Read<'_, ()> {
    let (rest, _) = surely(value::read(text))?;
    Ok((rest, ()))
}

fn not_in(text: &str) -> Option<&str> {
    spaced_word(value::exact_word(text, "NOT")?, "IN")
}

fn null_or_empty(text: &str) -> Option<&str> {
    let state = after_blanks(text, "IS")?;
    let state = after_blanks(state, "NOT").unwrap_or(state);
    state.strip_prefix("NULL").or_else(|| state.strip_prefix("EMPTY"))
}

/// What follows the operator, which a `NOT` may stand before.
pub(super) fn plain_or_not<'a>(text: &'a str, operator: &str) -> Option<&'a str> {
    text.strip_prefix(operator).or_else(|| after_blanks(text, "NOT")?.strip_prefix(operator))
}

fn range(text: &str) -> Read<'_, ()> {
    let (rest, _) = value::read(text)?;
    one_value(after_blanks(rest, "TO").ok_or(Stop::Other)?)
}
