//! From found documents to the hits of an answer: chosen fields, highlights, positions, scores.

use std::collections::{BTreeMap, BTreeSet};

use milli_core::heed::RoTxn;
use milli_core::score_details::ScoreDetails;
use milli_core::tokenizer::{Language, TokenizerBuilder};
use milli_core::{
    AscDesc, DocumentId, FieldId, FieldsIdsMap, FormatOptions, Index, LocalizedAttributesRule, MatchBounds,
    MatcherBuilder, Member, Object, PatternMatch, SearchResult, distance_between_two_points, is_faceted_by,
    obkv_to_json,
};
use serde_json::{Value, json};

use super::search::{SearchQuery, parse_sort};
use super::{json_paths, read};
use crate::error::Result;

/// The parts of a request that decide how a hit looks.
pub struct HitFormat<'a> {
    pub query: &'a SearchQuery,
    pub locales: Option<&'a [Language]>,
}

/// All hits, in the order found.
pub fn make_hits(
    index: &Index,
    rtxn: &RoTxn<'_>,
    format: &HitFormat<'_>,
    found: SearchResult,
) -> Result<Vec<Value>> {
    let SearchResult { matching_words, documents_ids, document_scores, .. } = found;
    let dictionary = index.dictionary(rtxn)?;
    let dictionary: Option<Vec<&str>> =
        dictionary.as_ref().map(|words| words.iter().map(String::as_str).collect());
    let separators = index.allowed_separators(rtxn)?;
    let separators: Option<Vec<&str>> =
        separators.as_ref().map(|list| list.iter().map(String::as_str).collect());
    let mut tokenizer = TokenizerBuilder::default();
    tokenizer.create_char_map(true);
    if let Some(separators) = &separators {
        tokenizer.separators(separators);
    }
    if let Some(dictionary) = &dictionary {
        tokenizer.words_dict(dictionary);
    }
    let mut matcher = MatcherBuilder::new(matching_words, tokenizer.into_tokenizer());
    matcher.crop_marker(format.query.crop_marker.clone());
    matcher.highlight_prefix(format.query.highlight_pre_tag.clone());
    matcher.highlight_suffix(format.query.highlight_post_tag.clone());

    let maker = HitMaker::new(index, rtxn, format, &matcher)?;
    documents_ids.into_iter().zip(document_scores).map(|(id, scores)| maker.make(id, &scores)).collect()
}

/// The places of matches by field.
type Positions = BTreeMap<String, Vec<MatchBounds>>;

struct HitMaker<'a> {
    index: &'a Index,
    rtxn: &'a RoTxn<'a>,
    format: &'a HitFormat<'a>,
    matcher: &'a MatcherBuilder<'a>,
    fields: FieldsIdsMap,
    displayed: BTreeSet<FieldId>,
    retrieved: BTreeSet<FieldId>,
    /// How each field of `_formatted` is made; empty when there is no `_formatted`.
    formatted: BTreeMap<FieldId, FormatOptions>,
    localized: Vec<LocalizedAttributesRule>,
    geo_origin: Option<[f64; 2]>,
    shows_vectors: bool,
}

impl<'a> HitMaker<'a> {
    fn new(
        index: &'a Index,
        rtxn: &'a RoTxn<'a>,
        format: &'a HitFormat<'a>,
        matcher: &'a MatcherBuilder<'a>,
    ) -> Result<Self> {
        let query = format.query;
        let fields = index.fields_ids_map(rtxn)?;
        let displayed: BTreeSet<FieldId> = match index.displayed_fields_ids(rtxn)? {
            Some(ids) => ids.into_iter().collect(),
            None => fields.iter().map(|(id, _)| id).collect(),
        };
        let retrieved = match &query.attributes_to_retrieve {
            Some(names) if !names.iter().any(|name| name == "*") => {
                let ids: BTreeSet<FieldId> = names.iter().filter_map(|name| fields.id(name)).collect();
                ids.intersection(&displayed).copied().collect()
            }
            _ => displayed.clone(),
        };
        let formatted = format_options(query, &fields, &displayed, &retrieved);
        let geo_origin =
            parse_sort(query.sort.as_deref())?.into_iter().flatten().find_map(|rule| match rule {
                AscDesc::Asc(Member::Geo(point)) | AscDesc::Desc(Member::Geo(point)) => Some(point),
                _ => None,
            });
        let hides_vectors = index.displayed_fields(rtxn)?.is_some_and(|names| !names.contains(&"_vectors"));
        let localized = index.localized_attributes_rules(rtxn)?.unwrap_or_default();
        Ok(Self {
            index,
            rtxn,
            format,
            matcher,
            fields,
            displayed,
            retrieved,
            formatted,
            localized,
            geo_origin,
            shows_vectors: query.retrieve_vectors && !hides_vectors,
        })
    }

    fn make(&self, id: DocumentId, scores: &[ScoreDetails]) -> Result<Value> {
        let query = self.format.query;
        let mut document = self.document(id, &self.retrieved)?;
        let vectors_field: BTreeSet<FieldId> = self.fields.id("_vectors").into_iter().collect();
        document.shift_remove("_vectors");
        if self.shows_vectors {
            let stored = self.document(id, &vectors_field)?.shift_remove("_vectors");
            document.insert("_vectors".to_owned(), read::vectors(self.index, self.rtxn, id, stored)?);
        }
        let (formatted, positions) = self.format_fields(id)?;
        if let Some(distance) = self.geo_origin.and_then(|origin| distance(&origin, document.get("_geo"))) {
            document.insert("_geoDistance".to_owned(), json!(distance));
        }
        if let Some(formatted) = formatted {
            document.insert("_formatted".to_owned(), Value::Object(formatted));
        }
        if query.show_matches_position {
            document.insert("_matchesPosition".to_owned(), serde_json::to_value(positions)?);
        }
        if query.show_ranking_score {
            document.insert("_rankingScore".to_owned(), json!(ScoreDetails::global_score(scores.iter())));
        }
        if query.show_ranking_score_details {
            let details = ScoreDetails::to_json_map(scores.iter());
            document.insert("_rankingScoreDetails".to_owned(), Value::Object(details));
        }
        Ok(Value::Object(document))
    }

    /// The document with these fields; a field may be nested, its parents then hold nothing else.
    fn document(&self, id: DocumentId, fields: &BTreeSet<FieldId>) -> Result<Object> {
        let stored = self.index.document(self.rtxn, id)?;
        let top_level: Vec<FieldId> = stored.iter().map(|(field, _)| field).collect();
        let document = obkv_to_json(&top_level, &self.fields, stored)?;
        Ok(json_paths::select(&document, fields.iter().filter_map(|field| self.fields.name(*field))))
    }

    /// `_formatted` if it is wanted, and the places of all matches if they are.
    fn format_fields(&self, id: DocumentId) -> Result<(Option<Object>, Positions)> {
        let mut positions = Positions::new();
        let wants_positions = self.format.query.show_matches_position;
        if self.formatted.is_empty() && !wants_positions {
            return Ok((None, positions));
        }
        let mut document = self.document(id, &self.displayed)?;
        document.shift_remove("_vectors");
        let names: Vec<&str> = self.displayed.iter().filter_map(|field| self.fields.name(*field)).collect();
        json_paths::map_leaves(&mut document, &names, &mut |name, indices, value| {
            let bounds = self.format_leaf(name, indices, value);
            if wants_positions && !bounds.is_empty() {
                // All leaves of one name in a document, as those of an array, share one list.
                positions.entry(name.to_owned()).or_default().extend(bounds);
            }
        });
        if self.formatted.is_empty() {
            return Ok((None, positions));
        }
        let chosen = self.formatted.keys().filter_map(|field| self.fields.name(*field));
        Ok((Some(json_paths::select(&document, chosen)), positions))
    }

    fn format_leaf(&self, name: &str, indices: &[usize], value: &mut Value) -> Vec<MatchBounds> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Vec::new(),
        };
        let options = self
            .formatted
            .iter()
            .filter(|(_, options)| options.should_format())
            .filter(|(field, _)| {
                let field = self.fields.name(**field).unwrap_or_default();
                is_faceted_by(field, name) || is_faceted_by(name, field)
            })
            .map(|(_, options)| *options)
            .reduce(FormatOptions::merge);
        let mut matcher = self.matcher.build(&text, self.locales_of(name));
        let bounds =
            if self.format.query.show_matches_position { matcher.matches(indices) } else { Vec::new() };
        let shown = match options {
            Some(options) => matcher.format(options).into_owned(),
            None => text.clone(),
        };
        *value = Value::String(shown);
        bounds
    }

    /// The request's languages, else those of the first rule for the field.
    fn locales_of(&self, name: &str) -> Option<&[Language]> {
        self.format.locales.or_else(|| {
            let rule = self.localized.iter().find(|rule| rule.match_str(name) == PatternMatch::Match);
            rule.map(LocalizedAttributesRule::locales)
        })
    }
}

/// Which fields `_formatted` has and how each is made: those highlighted or cropped, then all that are retrieved.
fn format_options(
    query: &SearchQuery,
    fields: &FieldsIdsMap,
    displayed: &BTreeSet<FieldId>,
    retrieved: &BTreeSet<FieldId>,
) -> BTreeMap<FieldId, FormatOptions> {
    let matching = |name: &str| -> Vec<FieldId> {
        if name == "*" {
            return displayed.iter().copied().collect();
        }
        fields.id(name).filter(|id| displayed.contains(id)).into_iter().collect()
    };
    let mut options: BTreeMap<FieldId, FormatOptions> = BTreeMap::new();
    for name in query.attributes_to_highlight.iter().flatten() {
        for id in matching(name) {
            options.insert(id, FormatOptions { highlight: true, crop: None });
        }
    }
    for entry in query.attributes_to_crop.iter().flatten() {
        let (name, length) = match entry.rsplit_once(':') {
            Some((name, length)) => (name, length.parse().unwrap_or(query.crop_length)),
            None => (entry.as_str(), query.crop_length),
        };
        for id in matching(name) {
            options.entry(id).or_default().crop = Some(length);
        }
    }
    if !options.is_empty() {
        for id in retrieved {
            options.entry(*id).or_default();
        }
    }
    options
}

/// Whole metres from the origin to a document's `_geo`.
fn distance(origin: &[f64; 2], geo: Option<&Value>) -> Option<u64> {
    let coordinate = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let geo = geo?;
    let point = [coordinate(&geo["lat"])?, coordinate(&geo["lng"])?];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "distances on Earth are small"
    )]
    let metres = distance_between_two_points(origin, &point).round() as u64;
    Some(metres)
}
