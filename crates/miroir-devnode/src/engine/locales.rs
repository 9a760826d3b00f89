//! Languages by their ISO 639 codes, two letters or three.

use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, ValuePointerRef};
use milli_core::tokenizer::Language;
use serde::Serialize;

/// Two-letter codes with their three-letter codes, in the order Meilisearch lists them.
const CODES: [(&str, &str); 70] = [
    ("af", "afr"),
    ("ak", "aka"),
    ("am", "amh"),
    ("ar", "ara"),
    ("az", "aze"),
    ("be", "bel"),
    ("bn", "ben"),
    ("bg", "bul"),
    ("ca", "cat"),
    ("cs", "ces"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("eo", "epo"),
    ("et", "est"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("gu", "guj"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hr", "hrv"),
    ("hu", "hun"),
    ("hy", "hye"),
    ("id", "ind"),
    ("it", "ita"),
    ("jv", "jav"),
    ("ja", "jpn"),
    ("kn", "kan"),
    ("ka", "kat"),
    ("km", "khm"),
    ("ko", "kor"),
    ("la", "lat"),
    ("lv", "lav"),
    ("lt", "lit"),
    ("ml", "mal"),
    ("mr", "mar"),
    ("mk", "mkd"),
    ("my", "mya"),
    ("ne", "nep"),
    ("nl", "nld"),
    ("nb", "nob"),
    ("or", "ori"),
    ("pa", "pan"),
    ("fa", "pes"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("si", "sin"),
    ("sk", "slk"),
    ("sl", "slv"),
    ("sn", "sna"),
    ("es", "spa"),
    ("sr", "srp"),
    ("sv", "swe"),
    ("ta", "tam"),
    ("te", "tel"),
    ("tl", "tgl"),
    ("th", "tha"),
    ("tk", "tuk"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("ur", "urd"),
    ("uz", "uzb"),
    ("vi", "vie"),
    ("yi", "yid"),
    ("zh", "zho"),
    ("zu", "zul"),
    ("cmn", "cmn"),
];

/// A language as the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Locale {
    code: String,
    #[serde(skip)]
    language: Language,
}

impl Locale {
    /// The language of this code.
    pub fn parse(code: &str) -> Option<Self> {
        let (_, long) = CODES.iter().find(|(short, long)| *short == code || *long == code)?;
        Some(Self { code: code.to_owned(), language: Language::from_code(long)? })
    }

    /// The engine's language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// All codes: the short ones first, then the long ones.
    pub fn codes() -> Vec<&'static str> {
        let shorts = CODES.iter().filter(|(short, long)| short != long).map(|(short, _)| *short);
        shorts.chain(CODES.iter().map(|(_, long)| *long)).collect()
    }
}

impl<E: DeserializeError> Deserr<E> for Locale {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, E> {
        let code = String::deserialize_from_value(value, location)?;
        Self::parse(&code).ok_or_else(|| {
            let error = ErrorKind::UnknownValue { value: &code, accepted: &Self::codes() };
            deserr::take_cf_content(E::error::<std::convert::Infallible>(None, error, location))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_language_of_the_engine() {
        for code in Locale::codes() {
            assert!(Locale::parse(code).is_some(), "{code}");
        }
        assert_eq!(Locale::parse("klingon"), None);
        assert_eq!(Locale::parse("fr").map(|locale| locale.language()), Some(Language::Fra));
    }
}
