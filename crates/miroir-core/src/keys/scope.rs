//! What a request is confined to by its key and its token.

use serde_json::{Map, Value};
use thiserror::Error;

use super::{SearchRules, UidPattern};

/// The indexes that a request may touch, and what its token adds to searches of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// What the key is for.
    pub(super) indexes: Vec<UidPattern>,
    /// What the token is for, if there is one.
    pub(super) rules: Option<SearchRules>,
    /// Whether the key may create indexes.
    pub(super) may_create: bool,
}

/// Whether a search was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confined {
    /// It is as the client sent it.
    AsSent,
    /// The token's filter was added.
    Filtered,
}

/// The index is not the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("The provided API key is invalid.")]
pub struct NotAllowed;

impl Scope {
    /// Everything: the scope of the master key.
    pub fn unlimited() -> Self {
        Self { indexes: vec![UidPattern::all()], rules: None, may_create: true }
    }

    /// Whether the request may touch this index.
    pub fn allows(&self, index: &str) -> bool {
        self.key_allows(index) && self.token_allows(index)
    }

    /// Whether a write may create this index.
    pub fn may_create(&self, index: &str) -> bool {
        self.may_create && self.allows(index)
    }

    /// The patterns of the indexes that may be touched; `None` if those are all. Tokens, which only search, don't count.
    pub fn patterns(&self) -> Option<&[UidPattern]> {
        (!self.indexes.iter().any(UidPattern::is_all)).then_some(self.indexes.as_slice())
    }

    /// Confines the body of a search to what the caller may find in this index: the filter of the token is joined to
    /// that of the client, so that both must hold.
    pub fn confine(&self, index: &str, body: &mut Map<String, Value>) -> Result<Confined, NotAllowed> {
        if !self.allows(index) {
            return Err(NotAllowed);
        }
        let Some(rule) = self.rules.as_ref().and_then(|rules| rules.filter(index)) else {
            return Ok(Confined::AsSent);
        };
        let filter = match body.shift_remove("filter") {
            None | Some(Value::Null) => rule.clone(),
            Some(filter) => Value::Array([items(filter), items(rule.clone())].concat()),
        };
        body.insert("filter".to_owned(), filter);
        Ok(Confined::Filtered)
    }

    pub(super) fn key_allows(&self, index: &str) -> bool {
        self.indexes.iter().any(|pattern| pattern.matches(index))
    }

    pub(super) fn token_allows(&self, index: &str) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.allow(index))
    }
}

fn items(filter: Value) -> Vec<Value> {
    match filter {
        Value::Array(items) => items,
        filter => vec![filter],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope(indexes: &[&str], rules: Option<Value>) -> Scope {
        Scope {
            indexes: indexes.iter().filter_map(|text| UidPattern::parse(text)).collect(),
            rules: rules.map(|rules| serde_json::from_value(rules).unwrap()),
            may_create: true,
        }
    }

    fn confined(scope: &Scope, index: &str, filter: Option<Value>) -> Result<Option<Value>, NotAllowed> {
        let mut body = Map::new();
        if let Some(filter) = filter {
            body.insert("filter".to_owned(), filter);
        }
        scope.confine(index, &mut body).map(|_| body.remove("filter"))
    }

    #[test]
    fn key_and_token_must_both_allow_an_index() {
        let scope = scope(&["films", "tv-*"], Some(json!(["tv-1", "books"])));
        assert!(scope.allows("tv-1") && scope.may_create("tv-1"));
        for hidden in ["films", "books", "tv-2"] {
            assert!(!scope.allows(hidden) && !scope.may_create(hidden), "{hidden}");
            assert_eq!(confined(&scope, hidden, None), Err(NotAllowed));
        }
        assert!(Scope::unlimited().allows("anything") && Scope::unlimited().patterns().is_none());
    }

    #[test]
    fn the_filters_of_token_and_client_must_both_hold() {
        let token = scope(&["*"], Some(json!({ "films": { "filter": "user = 1" }, "books": {} })));
        assert_eq!(confined(&token, "films", None), Ok(Some(json!("user = 1"))));
        assert_eq!(confined(&token, "films", Some(Value::Null)), Ok(Some(json!("user = 1"))));
        assert_eq!(
            confined(&token, "films", Some(json!("a = 1 OR b = 2"))),
            Ok(Some(json!(["a = 1 OR b = 2", "user = 1"])))
        );
        assert_eq!(
            confined(&token, "films", Some(json!([["a = 1", "b = 2"], "c = 3"]))),
            Ok(Some(json!([["a = 1", "b = 2"], "c = 3", "user = 1"])))
        );
        assert_eq!(confined(&token, "books", Some(json!("a = 1"))), Ok(Some(json!("a = 1"))));
        let list = scope(&["*"], Some(json!({ "films": { "filter": [["user = 1", "user = 2"]] } })));
        assert_eq!(
            confined(&list, "films", Some(json!("a = 1"))),
            Ok(Some(json!(["a = 1", ["user = 1", "user = 2"]])))
        );
        assert_eq!(confined(&Scope::unlimited(), "films", Some(json!("a = 1"))), Ok(Some(json!("a = 1"))));
    }
}
