//! Values and names of fields: bare words, or anything between quotes.

use super::{Read, Stop, area, skip_blanks};

/// A name or a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As it was written, quotes included.
    pub written: String,
    /// What it means.
    pub text: String,
}

/// Words that are no values unless they stand between quotes.
const KEYWORDS: [&str; 14] = [
    "AND",
    "OR",
    "IN",
    "NOT",
    "TO",
    "EXISTS",
    "IS",
    "NULL",
    "EMPTY",
    "CONTAINS",
    "STARTS",
    "WITH",
    "_geoRadius",
    "_geoBoundingBox",
];

impl Value {
    /// A value that means this text. Nothing of it is taken for anything else, whatever it is.
    pub fn quoted(text: &str) -> Self {
        let mut written = String::with_capacity(text.len() + 2);
        written.push('"');
        for c in text.chars() {
            match c {
                // Between quotes a quote is first of all written `\"`; then all escapes are read, also behind a backslash.
                '"' => written.push_str("\\u0022"),
                '\\' => written.push_str("\\u005c"),
                c => written.push(c),
            }
        }
        written.push('"');
        Self { written, text: text.to_owned() }
    }
}

/// Reads a value, and the blanks behind it.
pub(super) fn read(text: &str) -> Read<'_, Value> {
    // Here, and only here, all white space that Unicode knows is skipped.
    let text = text.trim_start();
    area::check_no_area(text)?;
    let (rest, meant) = if let Some(quote @ ('\'' | '"')) = text.chars().next() {
        let (rest, inside) = quoted(&text[1..], quote)?;
        (rest, inside.replace(&format!("\\{quote}"), &quote.to_string()))
    } else {
        let (rest, word) = word(text);
        if word.is_empty() || KEYWORDS.contains(&word) {
            return Err(Stop::Other);
        }
        (rest, word.to_owned())
    };
    let written = text[..text.len() - rest.len()].to_owned();
    Ok((skip_blanks(rest), Value { written, text: unescape(&meant)? }))
}

/// Reads a bare word, which may be empty.
pub(super) fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find(|c| !is_of_word(c)).unwrap_or(text.len()));
    (rest, word)
}

/// What follows if the first word is this one.
pub(super) fn exact_word<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    let (rest, word) = word(text);
    (word == expected).then_some(rest)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Reads up to the closing quote, which is left out. A backslash takes the next character with it.
pub(super) fn quoted(text: &str, quote: char) -> Read<'_, &str> {
    let mut chars = text.char_indices();
    while let Some((place, c)) = chars.next() {
        if c == quote {
            return Ok((&text[place + quote.len_utf8()..], &text[..place]));
        }
        if c == '\\' {
            chars.next();
        }
    }
    Err(Stop::Wrong)
}

/// Reads the escapes of a value: those of C and JSON, and numbers of characters in several forms.
pub(super) fn unescape(text: &str) -> Result<String, Stop> {
    let mut meant = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            meant.push(c);
            continue;
        }
        meant.push(match chars.next().ok_or(Stop::Wrong)? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c @ ('\'' | '"' | '\\' | '/') => c,
            'u' => unicode(&mut chars)?,
            'x' => {
                let digits = take(&mut chars, 2)?;
                char::from(u8::from_str_radix(&digits, 16).map_err(|_| Stop::Other)?)
            }
            first @ '0'..='7' => octal(first, &mut chars)?,
            _ => return Err(Stop::Other),
        });
    }
    Ok(meant)
}

/// `\uXXXX`, or `\u{X…}`, whose closing brace may be missing at the end.
fn unicode(chars: &mut std::str::Chars<'_>) -> Result<char, Stop> {
    let digits = if chars.as_str().starts_with('{') {
        chars.next();
        chars.by_ref().take_while(|c| *c != '}').collect()
    } else {
        take(chars, 4)?
    };
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or(Stop::Other)
}

/// Up to three digits, of a number below 256.
fn octal(first: char, chars: &mut std::str::Chars<'_>) -> Result<char, Stop> {
    let mut digits = String::from(first);
    let further = if first < '4' { 2 } else { 1 };
    for _ in 0..further {
        let Some(digit) = chars.as_str().chars().next().filter(|c| c.is_digit(8)) else { break };
        chars.next();
        digits.push(digit);
    }
    u8::from_str_radix(&digits, 8).map(char::from).map_err(|_| Stop::Other)
}

fn take(chars: &mut std::str::Chars<'_>, count: usize) -> Result<String, Stop> {
    let taken: String = chars.by_ref().take(count).collect();
    if taken.chars().count() == count { Ok(taken) } else { Err(Stop::Wrong) }
}

/// A list between brackets, of which the first one was read. A last comma may follow the last value.
pub(super) fn list(text: &str) -> Read<'_, ()> {
    let mut rest = text;
    let mut is_first = true;
    loop {
        let next = match (is_first, skip_blanks(rest).strip_prefix(',')) {
            (true, _) => rest,
            (false, Some(next)) => skip_blanks(next),
            (false, None) => break,
        };
        match read(next) {
            Ok((after, _)) => rest = after,
            Err(Stop::Other) => break,
            Err(Stop::Wrong) => return Err(Stop::Wrong),
        }
        is_first = false;
    }
    let end = skip_blanks(rest);
    let end = if is_first { end } else { end.strip_prefix(',').map_or(end, skip_blanks) };
    let end = end.strip_prefix(']').ok_or(Stop::Wrong)?;
    Ok((skip_blanks(end), ()))
}
