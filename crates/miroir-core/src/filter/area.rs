//! Conditions on where a document is, and names of theirs that nothing else may begin with.

use super::{Read, Stop, skip_blanks, value};

/// Reads `_geoRadius(…)`, `_geoBoundingBox(…)` or `_geoPolygon(…)`.
pub(super) fn read(text: &str) -> Read<'_, ()> {
    let (rest, word) = value::word(text);
    let read = match word {
        "_geoRadius" => radius(rest),
        "_geoBoundingBox" => corners(rest, |count| count == 2, |rest| rest.strip_prefix(')')),
        "_geoPolygon" => corners(
            rest,
            |count| count >= 3,
            |rest| {
                let spaced = skip_blanks(rest);
                let without_comma = spaced.strip_prefix(',').map_or(rest, skip_blanks);
                without_comma.strip_prefix(')')
            },
        ),
        _ => return Err(Stop::Other),
    };
    read.map(|rest| (rest, ())).ok_or(Stop::Wrong)
}

/// Refuses what begins like one of these where a value should stand.
pub(super) fn check_no_area(text: &str) -> Result<(), Stop> {
    let (_, word) = value::word(text);
    let begins = |name: &&str| text.starts_with(*name);
    let is_one = ["_geo", "_geoRadius", "_geoBoundingBox"].contains(&word);
    // These two count also as the beginning of a longer word.
    if is_one || ["_geoPoint", "_geoDistance"].iter().any(begins) { Err(Stop::Wrong) } else { Ok(()) }
}

fn radius(text: &str) -> Option<&str> {
    let (rest, count) = numbers(text.strip_prefix('(')?)?;
    let rest = rest.strip_prefix(')')?;
    (3..=4).contains(&count).then_some(rest)
}

/// Points between parentheses.
fn corners(
    text: &str,
    enough: impl Fn(usize) -> bool,
    end: impl for<'a> Fn(&'a str) -> Option<&'a str>,
) -> Option<&str> {
    let (mut rest, mut sizes) = (text.strip_prefix('(')?, Vec::new());
    let mut next = rest;
    while let Some((after, size)) = point(next) {
        sizes.push(size);
        rest = after;
        match rest.strip_prefix(',') {
            Some(following) => next = following,
            None => break,
        }
    }
    let rest = end(rest)?;
    (enough(sizes.len()) && sizes.iter().all(|size| *size == 2)).then_some(rest)
}

/// `[number, number]`, with blanks around it.
fn point(text: &str) -> Option<(&str, usize)> {
    let (rest, count) = numbers(skip_blanks(text).strip_prefix('[')?)?;
    Some((skip_blanks(rest.strip_prefix(']')?), count))
}

/// Numbers with commas between them and blanks around them: at least one.
fn numbers(text: &str) -> Option<(&str, usize)> {
    let mut rest = skip_blanks(number(skip_blanks(text))?);
    let mut count = 1;
    while let Some(next) = rest.strip_prefix(',') {
        let Some(after) = number(skip_blanks(next)) else { break };
        rest = skip_blanks(after);
        count += 1;
    }
    Some((rest, count))
}

/// `+1`, `1.`, `.5`, `1.5e-3`.
fn number(text: &str) -> Option<&str> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let places = digits(fraction);
        if whole == 0 && places == 0 {
            return None;
        }
        rest = &fraction[places..];
    } else if whole == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let places = digits(exponent);
        return (places > 0).then(|| &exponent[places..]);
    }
    Some(rest)
}
