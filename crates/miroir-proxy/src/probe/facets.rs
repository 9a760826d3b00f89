//! Facets that a node would find, and one Meilisearch would not.
//!
//! On nodes Miroir's marker is filterable, so a pattern such as `*` always finds something there. Where the client has
//! nothing that it finds, Meilisearch refuses it; a node is asked for a name that fits nothing then, refuses that one at
//! the same place among all that may be wrong, and the client gets its own pattern back.

use std::borrow::Cow;

use miroir_core::search::{MultiRequest, SearchRequest};
use miroir_core::view::{IndexEntry, View};
use serde_json::json;

use super::Original;
use crate::node_api::ABSENT_SUFFIX;

/// The facets with every pattern that finds nothing of the client's made a name; `None` if there is no such pattern.
fn without_marker(facets: &[String], entry: &IndexEntry) -> Option<Vec<String>> {
    let is_odd = |facet: &String| entry.settings.finds_only_marker(facet);
    if !facets.iter().any(is_odd) {
        return None;
    }
    let name = |facet: &String| if is_odd(facet) { format!("{facet}{ABSENT_SUFFIX}") } else { facet.clone() };
    Some(facets.iter().map(name).collect())
}

/// The search with such facets, and what it is explained with.
pub(crate) fn with_named_facets<'a>(
    request: &'a SearchRequest,
    original: &'a Original,
    entry: &IndexEntry,
) -> (Cow<'a, SearchRequest>, Cow<'a, Original>) {
    let Some(facets) = without_marker(&request.facets, entry) else {
        return (Cow::Borrowed(request), Cow::Borrowed(original));
    };
    let mut request = request.clone();
    request.body.insert("facets".to_owned(), json!(facets));
    request.facets = facets;
    let original = original.clone().confined(&request.body);
    (Cow::Owned(request), Cow::Owned(original))
}

/// The same for the facets of a federated search.
pub(crate) fn with_named_facets_in_all<'a>(request: &'a MultiRequest, view: &View) -> Cow<'a, MultiRequest> {
    let mut request = Cow::Borrowed(request);
    let named: Vec<_> = request
        .federation
        .iter()
        .flat_map(|federation| &federation.facets)
        .filter_map(|(uid, facets)| Some((uid.clone(), without_marker(facets.as_ref()?, view.index(uid)?)?)))
        .collect();
    if !named.is_empty()
        && let Some(federation) = &mut request.to_mut().federation
    {
        for (uid, facets) in named {
            federation.written["facetsByIndex"][uid.as_str()] = json!(facets);
            federation.facets.insert(uid, Some(facets));
        }
    }
    request
}
