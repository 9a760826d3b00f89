//! Meilisearch's filter grammar (1.50), so that expressions which others wrote are put together as trees and never as text.
//!
//! What is accepted here, alone and as a whole, is what a node accepts; `miroir-testkit/tests/it/filter_grammar.rs` compares
//! the two. What is refused here is left to a node, which refuses it with its own words: it may stand as an item of its own
//! in a list, but nothing is written around it. A condition keeps its own text, since a server looks at that too; only how
//! conditions are combined is written anew.
//!
//! ```text
//! filter     = or end
//! or         = and ("OR" and)*
//! and        = not ("AND" not)*
//! not        = "NOT" not | primary
//! primary    = "(" or ")" | area | condition | "_foreign(" value "," or ")"
//! ```

mod area;
mod condition;
mod json;
mod print;
mod value;
mod vectors;

#[cfg(test)]
mod tests;

pub use json::{join, mentions, read};
pub use value::Value;

/// How deep expressions may be nested: every level of the grammar that is entered counts.
const MOST_DEPTH: usize = 150;

/// A filter as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All must hold; two at least.
    And(Vec<Self>),
    /// One must hold; two at least.
    Or(Vec<Self>),
    /// It must not hold.
    Not(Box<Self>),
    /// A condition on what one document has.
    Condition {
        /// The field that it is about, if it is about one.
        field: Option<String>,
        /// As it was written.
        written: String,
    },
    /// A condition on the documents of another index whose ids the field has.
    Foreign {
        /// The field with the ids.
        field: Value,
        /// What must hold of the other index's documents.
        filter: Box<Self>,
    },
}

/// No complete expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the filter is not a complete expression")]
pub struct Malformed;

/// Reads one expression; `None` if there is nothing but white space.
pub fn parse(text: &str) -> Result<Option<Filter>, Malformed> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    match or(text, 0) {
        Ok(("", filter)) => Ok(Some(filter)),
        _ => Err(Malformed),
    }
}

impl Filter {
    /// The conditions on documents of other indexes, in the order in which they were written.
    pub fn foreign(&self) -> Vec<(&Value, &Self)> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::foreign).collect(),
            Self::Not(one) => one.foreign(),
            Self::Condition { .. } => Vec::new(),
            Self::Foreign { field, filter } => vec![(field, filter)],
        }
    }

    /// The fields that it is about, in whatever way they were written.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::fields).collect(),
            Self::Not(one) => one.fields(),
            Self::Condition { field, .. } => field.as_deref().into_iter().collect(),
            Self::Foreign { field, filter } => [vec![field.text.as_str()], filter.fields()].concat(),
        }
    }

    /// That the field has one of these values.
    pub fn one_of(field: &str, values: impl IntoIterator<Item = String>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| Value::quoted(&value).written).collect();
        let written = format!("{} IN [{}]", Value::quoted(field).written, values.join(", "));
        Self::Condition { field: Some(field.to_owned()), written }
    }

    /// The same with something else in the place of each condition on documents of another index.
    #[must_use]
    pub fn replace_foreign(self, with: &mut impl FnMut(&Value, &Self) -> Self) -> Self {
        let mut all = |list: Vec<Self>| list.into_iter().map(|one| one.replace_foreign(with)).collect();
        match self {
            Self::And(list) => Self::And(all(list)),
            Self::Or(list) => Self::Or(all(list)),
            Self::Not(one) => Self::Not(Box::new(one.replace_foreign(with))),
            Self::Condition { .. } => self,
            Self::Foreign { field, filter } => with(&field, &filter),
        }
    }
}

/// What is left of the text, and what was read of it.
type Read<'a, T> = Result<(&'a str, T), Stop>;

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Something else may stand here.
    Other,
    /// Nothing else can be meant.
    Wrong,
}

/// From here on nothing else can be meant.
fn surely<T>(read: Read<'_, T>) -> Read<'_, T> {
    read.map_err(|_| Stop::Wrong)
}

/// Without the white space that the grammar allows between its parts. Unicode knows more of it.
fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What follows `beginning` and at least one blank.
fn after_blanks<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(beginning)?;
    rest.starts_with(is_blank).then(|| skip_blanks(rest))
}

/// What follows a whole word, blanks around it included.
fn spaced_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    value::exact_word(skip_blanks(text), word).map(skip_blanks)
}

fn or(text: &str, depth: usize) -> Read<'_, Filter> {
    let (rest, list) = chain(text, depth, "OR", and)?;
    Ok((rest, one_or(list, Filter::Or)))
}

fn and(text: &str, depth: usize) -> Read<'_, Filter> {
    let (rest, list) = chain(text, depth, "AND", not)?;
    Ok((rest, one_or(list, Filter::And)))
}

fn chain<'a>(
    text: &'a str,
    depth: usize,
    between: &str,
    part: impl Fn(&'a str, usize) -> Read<'a, Filter>,
) -> Read<'a, Vec<Filter>> {
    check_depth(depth)?;
    let (mut rest, first) = part(text, depth + 1)?;
    let mut list = vec![first];
    while let Some(next) = spaced_word(rest, between) {
        let (after, filter) = surely(part(next, depth + 1))?;
        list.push(filter);
        rest = after;
    }
    Ok((rest, list))
}

fn one_or(mut list: Vec<Filter>, several: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        popped => {
            list.extend(popped);
            several(list)
        }
    }
}

fn not(text: &str, depth: usize) -> Read<'_, Filter> {
    check_depth(depth)?;
    match spaced_word(text, "NOT") {
        Some(rest) => {
            let (rest, filter) = surely(not(rest, depth + 1))?;
            Ok((rest, Filter::Not(Box::new(filter))))
        }
        None => primary(text, depth + 1),
    }
}

fn primary(text: &str, depth: usize) -> Read<'_, Filter> {
    check_depth(depth)?;
    let start = skip_blanks(text);
    if let Some(inner) = start.strip_prefix('(') {
        let (rest, filter) = surely(or(skip_blanks(inner), depth + 1))?;
        let rest = skip_blanks(rest).strip_prefix(')').ok_or(Stop::Wrong)?;
        return Ok((skip_blanks(rest), filter));
    }
    let read = match area::read(start) {
        Err(Stop::Other) => condition::read(start).map(|(rest, field)| (rest, Some(field))),
        read => read.map(|(rest, ())| (rest, None)),
    };
    match read {
        Ok((rest, field)) => {
            let written = &start[..start.len() - rest.len()];
            let written = written.trim_end_matches(is_blank).to_owned();
            Ok((rest, Filter::Condition { field, written }))
        }
        Err(Stop::Other) => foreign(start, depth),
        Err(Stop::Wrong) => Err(Stop::Wrong),
    }
}

fn foreign(text: &str, depth: usize) -> Read<'_, Filter> {
    let Some(rest) = value::exact_word(text, "_foreign") else { return Err(Stop::Other) };
    let rest = rest.strip_prefix('(').ok_or(Stop::Wrong)?;
    let (rest, field) = surely(value::read(skip_blanks(rest)))?;
    let rest = skip_blanks(rest).strip_prefix(',').ok_or(Stop::Wrong)?;
    let (rest, filter) = surely(or(skip_blanks(rest), depth))?;
    let rest = skip_blanks(rest).strip_prefix(')').ok_or(Stop::Wrong)?;
    Ok((rest, Filter::Foreign { field, filter: Box::new(filter) }))
}

const fn check_depth(depth: usize) -> Result<(), Stop> {
    if depth > MOST_DEPTH { Err(Stop::Other) } else { Ok(()) }
}
