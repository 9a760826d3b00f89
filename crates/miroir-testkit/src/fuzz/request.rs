//! One request, made from a seed.

use serde_json::Value;

use super::routes::{Route, all};
use super::values::{any, mutate, written};
use crate::oracle::Dice;

const UIDS: [&str; 12] = [
    "films",
    "films",
    "films",
    "films",
    "people",
    "people",
    "nobody",
    "~",
    "a%2Fb",
    "%zz",
    "f%C3%BClm",
    "f ilms",
];
const IDS: [&str; 12] = [
    "1",
    "2",
    "7",
    "a-8",
    "0",
    "-1",
    "x%20y",
    "%00",
    "stop-words",
    "%F0%9F%98%80",
    "00000000-0000-0000-0000-000000000000",
    "...",
];
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];
const SEGMENTS: [&str; 10] =
    ["indexes", "films", "documents", "search", "settings", "tasks", "keys", "%", "", "multi-search"];
const CONTENT_TYPES: [&str; 7] = [
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "text/plain",
    "application/json; charset=utf-8",
    "application/vnd.api+json",
    "nonsense",
];

/// What a request is authorized with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// The server's master key.
    Master,
    /// This, instead.
    Header(&'static str),
    /// Nothing.
    None,
}

const HEADERS: [&str; 9] = [
    "Bearer",
    "Bearer ",
    "Bearer nonsense",
    "Basic abc",
    "bearer x",
    "Bearer a.b.c",
    "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
    "Bearer eyJhbGciOiJub25lIn0.eyJzZWFyY2hSdWxlcyI6WyIqIl19.",
    "",
];

/// A request as it is sent to both servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The content type, if any is sent.
    pub content_type: Option<&'static str>,
    /// The key.
    pub authorization: Authorization,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Any request.
    pub fn any(dice: &mut Dice) -> Self {
        let routes = all();
        if dice.chance(6) {
            return Self::nowhere(dice);
        }
        let route = dice.pick(&routes);
        let is_known = dice.chance(92);
        let method = *dice.pick(if is_known { route.methods } else { &METHODS });
        let authorization = if dice.chance(94) { Authorization::Master } else { any_authorization(dice) };
        let (content_type, body) = any_body(dice, route, method);
        Self { method, path: any_path(dice, route), content_type, authorization, body }
    }

    fn nowhere(dice: &mut Dice) -> Self {
        let segments: Vec<&str> = (0..dice.between(1, 5)).map(|_| *dice.pick(&SEGMENTS)).collect();
        Self {
            method: *dice.pick(&METHODS),
            path: format!("/{}", segments.join("/")),
            content_type: Some("application/json"),
            authorization: any_authorization(dice),
            body: Vec::new(),
        }
    }
}

fn any_authorization(dice: &mut Dice) -> Authorization {
    match dice.between(0, 3) {
        0 => Authorization::None,
        1 => Authorization::Master,
        _ => Authorization::Header(dice.pick::<&str>(&HEADERS)),
    }
}

fn any_path(dice: &mut Dice, route: &Route) -> String {
    let (uid, id) = (*dice.pick(&UIDS), *dice.pick(&IDS));
    let path = route.path.replacen("{}", uid, 1).replacen("{id}", id, 1);
    let mut pairs = Vec::new();
    while !route.query.is_empty() && dice.chance(40) && pairs.len() < 4 {
        let value = match any(dice, 1) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        pairs.push(format!("{}={}", dice.pick(route.query), encoded(&value)));
    }
    if dice.chance(2) {
        pairs.push("x=%zz".to_owned());
    }
    if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn any_body(dice: &mut Dice, route: &Route, method: &str) -> (Option<&'static str>, Vec<u8>) {
    let has_body = method != "GET" && !route.body.is_null();
    if !has_body && dice.chance(97) {
        return (None, Vec::new());
    }
    let mut value = route.body.clone();
    for _ in 0..dice.between(0, 3) {
        value = mutate(dice, &value);
    }
    let content_type =
        if dice.chance(95) { Some("application/json") } else { Some(*dice.pick(&CONTENT_TYPES)) };
    let content_type = content_type.filter(|_| dice.chance(98));
    (content_type, written(dice, &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_requests_and_they_are_of_many_kinds() {
        let make = |seed| {
            let mut dice = Dice::new(seed);
            (0..1000).map(|_| Request::any(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        let requests = make(2);
        let count = |is: &dyn Fn(&Request) -> bool| requests.iter().filter(|request| is(request)).count();
        assert!(count(&|request| request.authorization != Authorization::Master) > 15);
        assert!(count(&|request| serde_json::from_slice::<Value>(&request.body).is_err()) > 60);
        assert!(count(&|request| request.path.contains("/search")) > 15);
    }
}
