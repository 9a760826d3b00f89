//! What a good answer of a node looks like, by what it was asked. A node that is broken, or that is something else than a
//! Meilisearch, may answer `200` with anything: what does not have the form is no answer, so that another replica is asked
//! instead of an answer without hits being made of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use miroir_core::path::NodePath;

use super::NodeReply;

/// What is expected of a successful answer. What is behind it in a document or a hit is a client's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: the answer is looked at where it is used.
    Any,
    /// Any JSON.
    Json,
    /// Any JSON object.
    Object,
    /// Hits of one search, or of each of several.
    Searches,
    /// Values of a facet with their counts.
    FacetHits,
    /// A page of objects.
    Page,
    /// A page of documents with the number of all.
    Documents,
    /// A page of tasks, each with its number.
    Tasks,
    /// One task.
    Task,
    /// The statistics of an index.
    IndexStats,
    /// The statistics of all indexes.
    Stats,
}

impl Form {
    /// What is expected where this is asked.
    pub(super) fn of(method: &Method, path: &NodePath) -> Self {
        let segments: Vec<&str> = path.path().split('/').skip(1).collect();
        let reads = *method == Method::GET;
        match segments.as_slice() {
            ["indexes", _, "search" | "similar"] | ["multi-search"] => Self::Searches,
            ["indexes", _, "facet-search"] => Self::FacetHits,
            ["indexes", _, "documents", "fetch"] => Self::Documents,
            ["indexes", _, "stats"] => Self::IndexStats,
            ["stats"] => Self::Stats,
            _ if reads => Self::of_read(&segments),
            _ => Self::Any,
        }
    }

    fn of_read(segments: &[&str]) -> Self {
        match segments {
            ["indexes", _, "documents"] => Self::Documents,
            ["indexes", _, "settings", _] => Self::Json,
            ["indexes", _, "documents", _]
            | ["indexes", _, "settings"]
            | ["version" | "experimental-features"] => Self::Object,
            ["indexes"] => Self::Page,
            ["tasks"] => Self::Tasks,
            ["tasks", _] => Self::Task,
            _ => Self::Any,
        }
    }

    /// # Errors
    /// What is wrong with an answer that does not have this form.
    pub fn check(self, body: &[u8]) -> Result<(), serde_json::Error> {
        match self {
            Self::Any => Ok(()),
            Self::Json => serde_json::from_slice::<IgnoredAny>(body).map(drop),
            Self::Object => serde_json::from_slice::<Object>(body).map(drop),
            Self::Searches => {
                let read: Searches = serde_json::from_slice(body)?;
                let Searches { results, hits, estimated_total_hits, total_hits } = read;
                let own = SearchHits { hits, estimated_total_hits, total_hits };
                if results
                    .map_or_else(|| own.are_whole(), |results| results.iter().all(SearchHits::are_whole))
                {
                    return Ok(());
                }
                Err(serde_json::Error::custom("hits or their number are missing"))
            }
            Self::FacetHits => serde_json::from_slice::<FacetHits<'_>>(body).map(drop),
            Self::Page => serde_json::from_slice::<ListOf<Object>>(body).map(drop),
            Self::Documents => serde_json::from_slice::<Documents>(body).map(drop),
            Self::Tasks => serde_json::from_slice::<ListOf<Task<'_>>>(body).map(drop),
            Self::Task => serde_json::from_slice::<Task<'_>>(body).map(drop),
            Self::IndexStats => serde_json::from_slice::<IndexStats>(body).map(drop),
            Self::Stats => serde_json::from_slice::<Stats>(body).map(drop),
        }
    }
}

/// An object of whatever fields.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Object, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// One answer, or those to several searches.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Searches {
    results: Option<Vec<SearchHits>>,
    hits: Option<Vec<Object>>,
    estimated_total_hits: Option<u64>,
    total_hits: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchHits {
    hits: Option<Vec<Object>>,
    estimated_total_hits: Option<u64>,
    total_hits: Option<u64>,
}

impl SearchHits {
    const fn are_whole(&self) -> bool {
        self.hits.is_some() && (self.estimated_total_hits.is_some() || self.total_hits.is_some())
    }
}

#[derive(Deserialize)]
struct FacetHits<'a> {
    #[serde(borrow, rename = "facetHits")]
    _hits: Vec<FacetHit<'a>>,
}

#[derive(Deserialize)]
struct FacetHit<'a> {
    #[serde(borrow, rename = "value")]
    _value: Cow<'a, str>,
    #[serde(rename = "count")]
    _count: u64,
}

#[derive(Deserialize)]
struct ListOf<T> {
    #[serde(rename = "results")]
    _results: Vec<T>,
}

#[derive(Deserialize)]
struct Documents {
    #[serde(rename = "results")]
    _results: Vec<Object>,
    #[serde(rename = "total")]
    _total: u64,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(rename = "uid")]
    _uid: u64,
    #[serde(borrow, rename = "status")]
    _status: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexStats {
    #[serde(rename = "numberOfDocuments")]
    _documents: u64,
    #[serde(rename = "fieldDistribution")]
    _fields: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(rename = "indexes")]
    _indexes: BTreeMap<String, IndexStats>,
}

/// What Meilisearch says of a request that it refuses.
#[derive(Deserialize)]
struct RefusalBody {
    #[serde(rename = "message")]
    _message: String,
    #[serde(rename = "code")]
    _code: String,
    #[serde(rename = "type")]
    _kind: String,
}

/// A client may be told what a node finds wrong with a request, so it has to be what a Meilisearch says. It says nothing where
/// it has no such route or method.
///
/// # Errors
/// What is wrong with the refusal.
pub(super) fn check_refusal(reply: &NodeReply) -> Result<(), serde_json::Error> {
    let may_be_silent = matches!(reply.status.as_u16(), 404 | 405);
    if !reply.status.is_client_error() || may_be_silent && reply.body.is_empty() {
        return Ok(());
    }
    serde_json::from_slice::<RefusalBody>(&reply.body).map(drop)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn of(method: &Method, path: &'static str) -> Form {
        Form::of(method, &path.into())
    }

    #[test]
    fn every_question_whose_answer_is_read_has_a_form() {
        assert_eq!(of(&Method::POST, "/indexes/films/search"), Form::Searches);
        assert_eq!(of(&Method::GET, "/indexes/films/search?q=a"), Form::Searches);
        assert_eq!(of(&Method::GET, "/indexes/films/documents"), Form::Documents);
        assert_eq!(of(&Method::POST, "/indexes/films/documents"), Form::Any);
        assert_eq!(of(&Method::DELETE, "/indexes/films/documents/1"), Form::Any);
        assert_eq!(of(&Method::PATCH, "/indexes/films/settings"), Form::Any);
        assert_eq!(of(&Method::GET, "/tasks?limit=1"), Form::Tasks);
        assert_eq!(of(&Method::GET, "/metrics"), Form::Any);
    }

    #[test]
    fn what_lacks_its_heart_is_no_answer() {
        for (form, good) in [
            (Form::Searches, r#"{"hits":[{"id":1}],"estimatedTotalHits":20}"#),
            (Form::Searches, r#"{"results":[{"hits":[],"totalHits":0},{"hits":[],"estimatedTotalHits":1}]}"#),
            (Form::FacetHits, r#"{"facetHits":[{"value":"a\"b","count":3}],"facetQuery":null}"#),
            (Form::Documents, r#"{"results":[{}],"offset":0,"limit":1,"total":7}"#),
            (Form::Tasks, r#"{"results":[{"uid":3,"status":"succeeded"}],"total":1}"#),
            (Form::Stats, r#"{"indexes":{"a":{"numberOfDocuments":1,"fieldDistribution":{"id":1}}}}"#),
            (Form::Page, r#"{"results":[{"uid":"a"}]}"#),
            (Form::Object, r#"{"a":1}"#),
            (Form::Json, "[\"*\"]"),
        ] {
            assert!(form.check(good.as_bytes()).is_ok(), "{good}");
            for bad in [
                "{}",
                "[]",
                "null",
                "",
                "<html>",
                r#"{"hits":{}}"#,
                r#"{"results":[1]}"#,
                r#"{"hits":[]}"#,
                &good[..good.len() - 1],
            ] {
                let cut = bad == &good[..good.len() - 1];
                let says_nothing = matches!(form, Form::Object | Form::Json) && !bad.is_empty() && !cut;
                if !says_nothing {
                    assert!(form.check(bad.as_bytes()).is_err(), "{form:?} {bad}");
                }
            }
        }
    }

    #[test]
    fn only_what_a_meilisearch_says_is_a_refusal() {
        let refusal = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            check_refusal(&NodeReply { status, content_type: None, body: body.into() }).is_ok()
        };
        let good = r#"{"message":"Index `a` not found.","code":"index_not_found","type":"invalid_request","link":"x"}"#;
        assert!(refusal(404, good) && refusal(400, good) && refusal(404, "") && refusal(405, ""));
        assert!(refusal(503, "") && refusal(500, "oops"), "what is no refusal is judged by its status");
        for bad in ["hello", "{}", "", "[]", r#"{"message":1,"code":"a","type":"b"}"#] {
            assert!(!refusal(400, bad) && !refusal(418, bad), "{bad}");
        }
    }
}
