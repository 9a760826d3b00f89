//! Filters in the form in which requests have them: an expression, or a list of expressions and of lists of alternatives.

use serde_json::Value;

use super::{Filter, Malformed, one_or, parse};

/// Reads a filter of a request; `None` if it has no condition.
pub fn read(filter: &Value) -> Result<Option<Filter>, Malformed> {
    match filter {
        Value::Null => Ok(None),
        Value::String(text) => parse(text),
        Value::Array(items) => combine(items, Filter::And, |item| match item {
            Value::Array(either) => combine(either, Filter::Or, expression),
            item => expression(item),
        }),
        _ => Err(Malformed),
    }
}

/// Whether the text stands somewhere in the filter, which costs less than reading it.
pub fn mentions(filter: &Value, text: &str) -> bool {
    match filter {
        Value::String(expression) => expression.contains(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        _ => false,
    }
}

fn expression(item: &Value) -> Result<Option<Filter>, Malformed> {
    item.as_str().map_or(Err(Malformed), parse)
}

fn combine(
    items: &[Value],
    several: impl Fn(Vec<Filter>) -> Filter,
    read: impl Fn(&Value) -> Result<Option<Filter>, Malformed>,
) -> Result<Option<Filter>, Malformed> {
    let read: Vec<Option<Filter>> = items.iter().map(read).collect::<Result<_, _>>()?;
    let filters: Vec<Filter> = read.into_iter().flatten().collect();
    Ok((!filters.is_empty()).then(|| one_or(filters, several)))
}

/// One expression that means what the whole filter means. `None` if some part of it is no complete expression by itself, or
/// if they are nested too deep together: then they have to stay apart.
pub fn join(filter: &Value) -> Option<String> {
    let filter = read(filter).ok()??;
    let text = filter.to_string();
    (parse(&text) == Ok(Some(filter))).then_some(text)
}
