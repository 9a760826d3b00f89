//! Bodies of documents, made before the clock runs.

use serde_json::{Value, json};

use crate::oracle::Dice;

/// Words of a description: 300 bytes, as in a catalogue of films.
const DESCRIPTION: (usize, usize) = (30, 60);
const LONG_DESCRIPTION: (usize, usize) = (120, 180);
const TITLE: (usize, usize) = (2, 6);
/// Different words, chosen as skewed as in a language.
const VOCABULARY: usize = 20_000;
const SYLLABLES: &[&str] = &[
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta", "ve",
    "wi", "xo", "zu", "bra", "cle", "dri", "flo", "gru", "sta", "tre", "pli",
];
const GENRES: &[&str] = &["adventure", "biography", "comedy", "drama", "essay", "fantasy", "poetry"];

/// A source of documents that gives the same ones for the same seed.
#[derive(Debug)]
pub(crate) struct Source {
    dice: Dice,
    words: Vec<String>,
    description: (usize, usize),
    next: usize,
}

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self::described(seed, DESCRIPTION)
    }

    /// Of documents of about a kilobyte.
    pub(crate) fn of_kilobytes(seed: u64) -> Self {
        Self::described(seed, LONG_DESCRIPTION)
    }

    fn described(seed: u64, description: (usize, usize)) -> Self {
        let mut dice = Dice::new(seed);
        let mut word = || {
            let count = dice.between(1, 4);
            (0..count).map(|_| *dice.pick(SYLLABLES)).collect::<String>()
        };
        let words = (0..VOCABULARY).map(|_| word()).collect();
        Self { dice, words, description, next: 0 }
    }

    /// A JSON array of so many documents.
    pub(crate) fn batch(&mut self, documents: usize) -> Vec<u8> {
        let batch: Vec<Value> = (0..documents).map(|_| self.document()).collect();
        json!(batch).to_string().into_bytes()
    }

    /// A JSON array of about so many bytes, and the number of its documents.
    pub(crate) fn body(&mut self, bytes: usize) -> (Vec<u8>, usize) {
        let mut body = Vec::with_capacity(bytes);
        let mut count = 0;
        body.push(b'[');
        loop {
            let document = self.document().to_string();
            if body.len() + document.len() + 2 > bytes {
                break;
            }
            if count > 0 {
                body.push(b',');
            }
            body.extend_from_slice(document.as_bytes());
            count += 1;
        }
        body.push(b']');
        (body, count)
    }

    fn document(&mut self) -> Value {
        let id = self.next;
        self.next += 1;
        json!({
            "id": id,
            "title": self.text(TITLE),
            "description": self.text(self.description),
            "genre": *self.dice.pick(GENRES),
            "year": self.dice.between(1900, 2030),
            "rating": self.dice.between(0, 100),
        })
    }

    fn text(&mut self, (low, high): (usize, usize)) -> String {
        let count = self.dice.between(low, high);
        let words: Vec<&str> = (0..count).map(|_| self.dice.pick_skewed(&self.words).as_str()).collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_documents_and_a_body_is_as_large_as_asked() {
        assert_eq!(Source::new(3).batch(5), Source::new(3).batch(5));
        assert_ne!(Source::new(3).batch(5), Source::new(4).batch(5));
        let (body, count) = Source::new(1).body(20_000);
        let documents: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(documents.len(), count);
        assert!((19_000..=20_000).contains(&body.len()), "{}", body.len());
    }
}
