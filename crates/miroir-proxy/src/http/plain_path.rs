//! Requests with their path as Meilisearch reads it; see [`miroir_core::path::plain_path`].

use axum::extract::Request;
use axum::http::Uri;
use miroir_core::path::plain_path;

/// The same request with a path of that form. For a layer around the router: inside, the path is taken apart already.
pub fn with_plain_path(mut request: Request) -> Request {
    if let Some(uri) = plain(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `None` if nothing has to change.
fn plain(uri: &Uri) -> Option<Uri> {
    let path = plain_path(uri.path())?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(uri: &str) -> Option<String> {
        plain(&uri.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_plain_path_stays_as_it_is() {
        for plain in ["/indexes/films/search?q=%FF//", "/", "/keys/a+b"] {
            assert_eq!(changed(plain), None, "{plain}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_replaced_and_nothing_else() {
        for (path, expected) in [
            ("/indexes/a%FF/facet-search?q=%FF", "/indexes/a%EF%BF%BD/facet-search?q=%FF"),
            ("/indexes/a%2Fb/documents/%FF", "/indexes/a%2Fb/documents/%EF%BF%BD"),
            ("http://host/keys/%C3", "http://host/keys/%EF%BF%BD"),
        ] {
            assert_eq!(changed(path).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_the_path_is_decoded() {
        assert_eq!(changed("/ind%65xes?q=%65").as_deref(), Some("/indexes?q=%65"));
    }

    #[test]
    fn slashes_in_a_row_are_one() {
        for (path, expected) in [
            ("//indexes///films//search//?q=//", "/indexes/films/search?q=//"),
            ("//", "/"),
            ("/indexes//search", "/indexes/search"),
        ] {
            assert_eq!(changed(path).as_deref(), Some(expected));
        }
    }
}
