//! Conditions on a document's vectors: `_vectors.embedder.userProvided EXISTS` and the like.

use super::condition::plain_or_not;
use super::{Read, Stop, is_blank, skip_blanks, value};

/// Reads such a condition. Behind an embedder's name nothing else can be meant.
pub(super) fn read(text: &str) -> Read<'_, ()> {
    let rest = text.strip_prefix("_vectors").ok_or(Stop::Other)?;
    let rest = match rest.strip_prefix('.') {
        _ if rest.starts_with(is_blank) => rest,
        Some(named) => embedder(named).ok_or(Stop::Wrong)?,
        None => return Err(Stop::Other),
    };
    let operator = skip_blanks(rest);
    plain_or_not(operator, "EXISTS").map(|rest| (rest, ())).ok_or(Stop::Wrong)
}

/// An embedder's name and what of its vectors is meant; a blank must follow.
fn embedder(text: &str) -> Option<&str> {
    let rest = name(text)?;
    let rest = if let Some(fragment) = rest.strip_prefix(".fragments") {
        name(fragment.strip_prefix('.')?)?
    } else {
        let parts = [".userProvided", ".documentTemplate", ".regenerate"];
        parts.iter().find_map(|part| rest.strip_prefix(part)).unwrap_or(rest)
    };
    rest.starts_with(is_blank).then_some(rest)
}

/// Keywords may be names here, and a dot ends them.
fn name(text: &str) -> Option<&str> {
    let (rest, name) = if let quote @ ('\'' | '"') = text.chars().next()? {
        let (rest, inside) = value::quoted(&text[1..], quote).ok()?;
        (rest, inside.replace(&format!("\\{quote}"), &quote.to_string()))
    } else {
        let (_, word) = value::word(text);
        let name = word.split('.').next().filter(|name| !name.is_empty())?;
        (&text[name.len()..], name.to_owned())
    };
    value::unescape(&name).ok().map(|_| rest)
}
