//! Encodings of bodies, where Meilisearch's server and ours differ: it reads their names in capitals too, says in words of
//! its own what is wrong with a packed body, and packs an answer only if the client names a way that it knows.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use miroir_core::error::ErrorCode;

use crate::error::RequestError;

/// The ways in which answers can be packed.
const ANSWERS: [&str; 3] = ["br", "gzip", "deflate"];

/// What a client hears that takes none of them, and nothing that is not packed.
const KNOWN: &str = "br, gzip, deflate";

/// How the body of a request was packed. Kept beside the request, since the header goes when the body is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    Gzip,
    Deflate,
    Brotli,
}

/// Reads both headers as Meilisearch does, before anything is unpacked or packed.
pub(super) async fn settle(mut request: Request, next: Next) -> Response<Body> {
    if let Some(packed) = packing(request.headers()) {
        let name = HeaderValue::from_static(packed.name());
        request.headers_mut().insert(CONTENT_ENCODING, name);
        request.extensions_mut().insert(packed);
    }
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    match accepted.map(choose) {
        None => {}
        Some(Answer::Packed(names)) => {
            if let Ok(names) = HeaderValue::from_str(&names) {
                request.headers_mut().insert(ACCEPT_ENCODING, names);
            }
        }
        Some(Answer::Plain) => drop(request.headers_mut().remove(ACCEPT_ENCODING)),
        Some(Answer::None) => {
            let mut refusal = Response::new(Body::from(KNOWN));
            *refusal.status_mut() = StatusCode::NOT_ACCEPTABLE;
            return refusal;
        }
    }
    next.run(request).await
}

impl Packed {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    /// What Meilisearch says of a JSON body that can't be unpacked; `cause` is what our own library says of it.
    pub(super) fn fault(self, cause: &str) -> RequestError {
        let (kind, error) = match self {
            Self::Gzip if cause.contains("header") => ("InvalidInput", "invalid gzip header"),
            Self::Gzip => ("InvalidInput", "corrupt gzip stream does not have a matching checksum"),
            Self::Deflate => ("InvalidInput", "corrupt deflate stream"),
            Self::Brotli => ("InvalidData", "Invalid Data"),
        };
        let message = format!(
            "Error that occur during reading payload: payload reached EOF before completing: Some(Custom {{ kind: \
             {kind}, error: {error:?} }})"
        );
        RequestError::new(ErrorCode::BadRequest, message)
    }
}

fn packing(headers: &HeaderMap) -> Option<Packed> {
    let name = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
    [Packed::Gzip, Packed::Deflate, Packed::Brotli]
        .into_iter()
        .find(|packed| name.eq_ignore_ascii_case(packed.name()))
}

/// How an answer goes out.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// In one of these ways, as they were weighed by the client.
    Packed(String),
    /// As it is.
    Plain,
    /// Not at all.
    None,
}

/// `*` stands for no way in particular, so nothing is packed for it; but it can refuse what is not packed.
fn choose(accepted: &str) -> Answer {
    let items: Vec<(&str, bool)> = accepted
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| (item, !is_refused(item)))
        .collect();
    let name = |item: &str| item.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let taken = |item: &&(&str, bool)| item.1 && ANSWERS.contains(&name(item.0).as_str());
    let packed: Vec<&str> = items.iter().filter(taken).map(|(item, _)| *item).collect();
    if !packed.is_empty() {
        return Answer::Packed(packed.join(", "));
    }
    let says = |wanted: &str| items.iter().find(|(item, _)| name(item) == wanted).map(|(_, taken)| *taken);
    if says("identity").or_else(|| says("*")).unwrap_or(true) { Answer::Plain } else { Answer::None }
}

fn is_refused(item: &str) -> bool {
    let weight = item.split(';').skip(1).find_map(|part| part.trim().strip_prefix("q="));
    weight.and_then(|weight| weight.trim().parse::<f32>().ok()) == Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_packed_only_in_a_way_that_is_named() {
        let packed = |names: &str| Answer::Packed(names.to_owned());
        for (accepted, answer) in [
            ("gzip, deflate, br", packed("gzip, deflate, br")),
            ("gzip;q=0.5, *", packed("gzip;q=0.5")),
            ("zstd, GZIP;q=0.1", packed("GZIP;q=0.1")),
            ("*", Answer::Plain),
            ("", Answer::Plain),
            ("gzip;q=0", Answer::Plain),
            ("*;q=0, identity", Answer::Plain),
            ("zstd", Answer::Plain),
            ("*;q=0", Answer::None),
            ("identity;q=0", Answer::None),
        ] {
            assert_eq!(choose(accepted), answer, "{accepted}");
        }
    }

    #[test]
    fn names_of_packings_are_read_in_capitals_too_and_one_at_a_time() {
        let read = |name: &'static str| {
            packing(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(name))]))
        };
        assert_eq!((read("GZIP"), read(" Br ")), (Some(Packed::Gzip), Some(Packed::Brotli)));
        assert_eq!((read("gzip, gzip"), read("x-gzip"), read("identity")), (None, None, None));
    }
}
