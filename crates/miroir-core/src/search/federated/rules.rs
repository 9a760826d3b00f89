//! Whether the hits of several queries can be compared: Meilisearch compares them ranking rule by ranking rule, so rules
//! of the same kind must stand at the same places. (Meilisearch 1.50, `search/ranking_rules.rs`.)
//!
//! Nodes check the same, but with the tie rule that they got from Miroir. So a node's refusal says nothing, and the
//! check is done here, with the client's rules and in Meilisearch's words.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::notes::{Note, describe_notes};
use crate::search::SearchKind;
use crate::search::request::{present, strings};

/// How a query ranks, as far as its rules are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// There are no words: text rules have no effect.
    Placeholder,
    /// By words.
    Keyword,
    /// By vectors alone: one of them stands for all text rules.
    Vector,
}

/// What a rule compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relevancy,
    Ascending,
    Descending,
    NearestFirst,
    FarthestFirst,
}

/// Where a rule stands: in the index's settings, in a run of them, or in the query's `sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RulePlace {
    /// In `rankingRules`.
    Rule(usize),
    /// From one to another in `rankingRules`.
    Run(usize, usize),
    /// In `sort`, which stands at `rule` in `rankingRules`.
    Sort {
        /// The place of `sort` itself.
        rule: usize,
        /// The place in the query's list.
        item: usize,
    },
}

/// The rules of one query, without those that have no effect.
#[derive(Debug, Clone, Default)]
pub(super) struct Canonical {
    rules: Vec<String>,
    sort: Vec<String>,
    written_rules: Vec<String>,
    written_sort: Vec<String>,
    notes: Vec<Note>,
}

/// Queries that were found comparable so far; remembers the one with the most rules.
#[derive(Debug, Default)]
pub(super) struct Comparable {
    longest: Option<(Canonical, usize, String)>,
}

const TEXT_RULES: [&str; 7] =
    ["words", "typo", "proximity", "attribute", "attributeRank", "wordPosition", "exactness"];

impl Manner {
    /// What a search body asks for.
    pub(super) fn of(body: &Map<String, Value>) -> Self {
        let text = present(body, "q").and_then(Value::as_str).unwrap_or_default();
        match SearchKind::of(body) {
            Ok(SearchKind::Semantic) => Self::Vector,
            _ if text.trim().is_empty() => Self::Placeholder,
            _ => Self::Keyword,
        }
    }
}

impl Canonical {
    /// The rules of a search over an index with these ranking rules.
    pub(super) fn of(ranking_rules: &[&str], body: &Map<String, Value>) -> Self {
        let sort = strings(body, "sort").ok().flatten();
        let all = present(body, "matchingStrategy").and_then(Value::as_str) == Some("all");
        Reading::new(ranking_rules, sort, all, Manner::of(body)).read()
    }

    fn kinds(&self) -> Vec<(Kind, RulePlace)> {
        let mut kinds: Vec<(Kind, RulePlace)> = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            if rule == "sort" {
                let items = self.sort.iter().enumerate();
                kinds.extend(items.map(|(item, by)| (kind_of_sort(by), RulePlace::Sort { rule: at, item })));
                continue;
            }
            if !TEXT_RULES.contains(&rule.as_str()) {
                kinds.push((kind_of_sort(rule), RulePlace::Rule(at)));
                continue;
            }
            // Neighbouring text rules are compared as one.
            match kinds.last_mut() {
                Some((Kind::Relevancy, place)) => {
                    let (RulePlace::Rule(begin) | RulePlace::Run(begin, _)) = *place else { continue };
                    *place = RulePlace::Run(begin, at);
                }
                _ => kinds.push((Kind::Relevancy, RulePlace::Rule(at))),
            }
        }
        kinds
    }

    fn describe(&self, (kind, place): (Kind, RulePlace), position: usize, uid: &str) -> String {
        let kind = match kind {
            Kind::Relevancy => "relevancy",
            Kind::Ascending => "ascending sort",
            Kind::Descending => "descending sort",
            Kind::NearestFirst => "ascending geo sort",
            Kind::FarthestFirst => "descending geo sort",
        };
        let (source, rules) = match place {
            RulePlace::Rule(at) => {
                (format!("`queries[{position}]`, `{uid}.rankingRules[{at}]`"), self.rules[at].clone())
            }
            RulePlace::Run(begin, end) => {
                let source = format!("`queries[{position}]`, `{uid}.rankingRules[{begin}..={end}]`");
                (source, self.rules[begin..=end].join(", "))
            }
            RulePlace::Sort { rule, item } => {
                let source = format!("`queries[{position}].sort[{item}]`, `{uid}.rankingRules[{rule}]`");
                let field = self.sort[item].rsplit_once(':').map_or("", |(field, _)| field);
                let on = if field.starts_with("_geoPoint(") {
                    "default".to_owned()
                } else {
                    format!("on field `{field}`")
                };
                (source, on)
            }
        };
        format!("{source}: {kind} rule(s) {rules}")
    }

    fn notes(&self) -> String {
        describe_notes(&self.notes, &self.written_rules, &self.written_sort)
    }
}

impl Comparable {
    /// Whether [`Comparable::admit`] would take this one.
    pub(super) fn compares_with(&self, rules: &Canonical) -> bool {
        self.longest.as_ref().is_none_or(|(before, ..)| {
            before.kinds().iter().zip(rules.kinds()).all(|(theirs, ours)| theirs.0 == ours.0)
        })
    }

    /// Takes one more query in; `Err` is Meilisearch's message when its hits can't be compared with the others'.
    pub(super) fn admit(&mut self, rules: Canonical, position: usize, uid: &str) -> Result<(), String> {
        let Some((before, earlier, earlier_uid)) = self.longest.take() else {
            self.longest = Some((rules, position, uid.to_owned()));
            return Ok(());
        };
        let (ours, theirs) = (rules.kinds(), before.kinds());
        if let Some((theirs, ours)) = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs.0 != ours.0) {
            let first = before.describe(*theirs, earlier, &earlier_uid);
            let second = rules.describe(*ours, position, uid);
            let reason = reason(theirs.0, ours.0);
            let mut message = format!(
                "The results of queries #{earlier} and #{position} are incompatible: \n  1. {first}\n  2. {second}\n  - {reason}\n"
            );
            for (query, notes) in [(earlier, before.notes()), (position, rules.notes())] {
                if !notes.is_empty() {
                    let _infallible = write!(
                        message,
                        "  - note: The ranking rules of query #{query} were modified during canonicalization:\n{notes}"
                    );
                }
            }
            return Err(message);
        }
        let keeps = theirs.len() > ours.len();
        self.longest =
            Some(if keeps { (before, earlier, earlier_uid) } else { (rules, position, uid.to_owned()) });
        Ok(())
    }
}

fn kind_of_sort(rule: &str) -> Kind {
    let (field, direction) = rule.rsplit_once(':').unwrap_or((rule, ""));
    let by_distance = field.starts_with("_geoPoint(") || field == "_geo";
    match (by_distance, direction == "desc") {
        (false, false) => Kind::Ascending,
        (false, true) => Kind::Descending,
        (true, false) => Kind::NearestFirst,
        (true, true) => Kind::FarthestFirst,
    }
}

fn reason(a: Kind, b: Kind) -> &'static str {
    use Kind as K;
    match (a, b) {
        (K::Relevancy, K::Ascending | K::Descending) | (K::Ascending | K::Descending, K::Relevancy) => {
            "cannot compare a relevancy rule with a sort rule"
        }
        (K::Relevancy, _) | (_, K::Relevancy) => "cannot compare a relevancy rule with a geosort rule",
        (K::Ascending | K::Descending, K::Ascending | K::Descending) => {
            "cannot compare two sort rules in opposite directions"
        }
        (K::NearestFirst | K::FarthestFirst, K::NearestFirst | K::FarthestFirst) => {
            "cannot compare two geosort rules in opposite directions"
        }
        _ => "cannot compare a sort rule with a geosort rule",
    }
}

/// Whether `words` is among the rules yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Absent,
    /// It was put in front of the first text rule.
    PutInFront,
    /// It stands here in the settings.
    At(usize),
}

/// The rules of a query while they are read.
struct Reading {
    manner: Manner,
    all: bool,
    sort: Option<Vec<String>>,
    canonical: Canonical,
    seen: HashMap<String, RulePlace>,
    sorted: HashMap<String, RulePlace>,
    words: Words,
}

impl Reading {
    fn new(rules: &[&str], sort: Option<Vec<String>>, all: bool, manner: Manner) -> Self {
        let canonical = Canonical {
            written_rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            written_sort: sort.clone().unwrap_or_default(),
            ..Canonical::default()
        };
        Self {
            manner,
            all,
            sort,
            canonical,
            seen: HashMap::new(),
            sorted: HashMap::new(),
            words: Words::Absent,
        }
    }

    fn read(mut self) -> Canonical {
        let rules = self.canonical.written_rules.clone();
        for (at, rule) in rules.iter().enumerate() {
            let goes_on = match rule.as_str() {
                "sort" => self.read_sort(at),
                text if TEXT_RULES.contains(&text) => match self.manner {
                    Manner::Placeholder => self.note(Note::WithoutWords(RulePlace::Rule(at))),
                    Manner::Vector => self.read_for_vector(at, text),
                    Manner::Keyword => self.read_for_words(at, text),
                },
                custom => self.read_custom(at, custom),
            };
            if !goes_on {
                break;
            }
        }
        self.canonical
    }

    fn note(&mut self, note: Note) -> bool {
        self.canonical.notes.push(note);
        true
    }

    fn keep(&mut self, rule: &str) -> bool {
        self.canonical.rules.push(rule.to_owned());
        true
    }

    /// Keeps the first of several equal rules.
    fn keep_once(&mut self, at: usize, rule: &str) -> bool {
        if let Some(earlier) = self.seen.get(rule).copied() {
            return self.note(Note::Duplicate { earlier, removed: RulePlace::Rule(at) });
        }
        self.seen.insert(rule.to_owned(), RulePlace::Rule(at));
        self.keep(rule)
    }

    fn read_for_vector(&mut self, at: usize, rule: &str) -> bool {
        match self.seen.get("vector").copied() {
            None => {
                self.seen.insert("vector".to_owned(), RulePlace::Rule(at));
                self.keep(rule)
            }
            Some(vector) if self.sorted.is_empty() => {
                self.note(Note::VectorStands { vector, removed: RulePlace::Rule(at) })
            }
            Some(vector) => {
                self.note(Note::CutByVector { vector, from: RulePlace::Rule(at) });
                false
            }
        }
    }

    fn read_for_words(&mut self, at: usize, rule: &str) -> bool {
        if rule != "words" {
            if !self.all && self.words == Words::Absent {
                self.words = Words::PutInFront;
                self.note(Note::WordsInFront(RulePlace::Rule(at)));
                self.keep("words");
            }
            return self.keep_once(at, rule);
        }
        if self.all {
            return self.note(Note::WordsOfNoEffect(RulePlace::Rule(at)));
        }
        match self.words {
            Words::At(earlier) => {
                return self.note(Note::Duplicate {
                    earlier: RulePlace::Rule(earlier),
                    removed: RulePlace::Rule(at),
                });
            }
            Words::PutInFront => {
                self.note(Note::WordsAlreadyInFront(RulePlace::Rule(at)));
            }
            Words::Absent => {}
        }
        self.words = Words::At(at);
        self.keep("words")
    }

    fn read_custom(&mut self, at: usize, rule: &str) -> bool {
        let field = rule.rsplit_once(':').map_or(rule, |(field, _)| field);
        if let Some(earlier) = self.sorted.get(field).copied() {
            return self.note(Note::Duplicate { earlier, removed: RulePlace::Rule(at) });
        }
        self.sorted.insert(field.to_owned(), RulePlace::Rule(at));
        self.keep(rule)
    }

    fn read_sort(&mut self, at: usize) -> bool {
        if let Some(earlier) = self.seen.get("sort").copied() {
            return self.note(Note::Duplicate { earlier, removed: RulePlace::Rule(at) });
        }
        let Some(sort) = self.sort.clone() else {
            return self.note(Note::NothingToSort(RulePlace::Rule(at)));
        };
        self.seen.insert("sort".to_owned(), RulePlace::Rule(at));
        self.keep("sort");
        let mut distance = None;
        for (item, by) in sort.into_iter().enumerate() {
            let place = RulePlace::Sort { rule: at, item };
            let field = by.rsplit_once(':').map_or(by.as_str(), |(field, _)| field);
            let earlier = if field.starts_with("_geoPoint(") {
                distance.replace(distance.unwrap_or(place))
            } else {
                self.sorted.get(field).copied()
            };
            if let Some(earlier) = earlier {
                self.note(Note::Duplicate { earlier, removed: place });
                continue;
            }
            if !field.starts_with("_geoPoint(") {
                self.sorted.insert(field.to_owned(), place);
            }
            self.canonical.sort.push(by);
        }
        true
    }
}
