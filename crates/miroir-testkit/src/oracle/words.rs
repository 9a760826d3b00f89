//! The vocabulary of generated worlds: few words, chosen to be hard.
//!
//! Shared prefixes, words one typo apart, accents, compounds of other words, numbers inside text, and the words that a
//! careless shard marker would leak into search.

use super::dice::Dice;

/// Words of texts, the frequent ones first.
#[rustfmt::skip]
pub const WORDS: &[&str] = &[
    "the", "of", "and", "house", "star", "river", "night", "garden", "a", "light", "horse", "mouse", "stone",
    "summer", "winter", "dragon", "queen", "secret", "island", "forest", "starling", "starting", "startle",
    "starboard", "start", "mountain", "mountains", "fountain", "captain", "café", "crème", "brûlée", "naïve",
    "São", "Paulo", "über", "mañana", "éclair", "Zürich", "sun", "flower", "sunflower", "sun-flower", "moon",
    "moonlight", "black", "board", "blackboard", "moose", "goose", "loose", "louse", "lighter", "lightning",
    "bright", "brighter", "fright", "knight", "weight", "history", "historic", "story", "stories", "storm",
    "stormy", "store", "stork", "electric", "electronics", "electron", "election", "selection", "collection",
    "correction", "connection", "adventure", "adventurous", "ancient", "accident", "incident", "president",
    "resident", "wireless", "headphone", "headphones", "telephone", "microphone", "keyboard", "notebook",
    "book", "bookstore", "cookbook", "guide", "guild", "build", "building", "bridge", "fridge", "ridge",
    "cartridge", "7", "42", "007", "2001", "1984", "9000", "3.5", "x200", "mp3", "b2b", "shard", "miroir",
    "mirror", "o'clock", "l'été", "well-known", "state-of-the-art", "C++", "straße", "København",
    "smørrebrød", "extraordinary", "extraordinarily", "ordinary", "communication", "communications",
    "community", "commune", "comet", "comma", "comic", "velvet", "violet", "violent", "silent", "talent",
    "patent", "parent", "apparent", "transparent", "quartz", "zebra", "xylophone", "yesterday", "tomorrow",
    "borrow", "arrow", "narrow", "barrow", "sparrow", "marrow", "harrow", "wizard", "blizzard", "lizard",
    "gizzard", "hazard",
];

/// Genres: few values with many documents each.
pub const GENRES: &[&str] =
    &["adventure", "biography", "comedy", "drama", "essay", "fantasy", "poetry", "science fiction"];

/// Brands: the attribute results are made distinct by.
#[rustfmt::skip]
pub const BRANDS: &[&str] = &[
    "Acme", "Borealis", "Cobalt", "Dynamo", "Élan", "Fjord", "Granit", "Helios", "Indigo", "Juno", "Kestrel",
    "Lumen", "Meridian", "Nimbus", "Orion", "Pélican", "Quasar", "Ridge Line", "Solstice", "Tundra", "Umbra",
    "Vega", "Wren", "Xenon", "Ypsilon", "Zephyr",
];

/// Colours of the nested `info` object.
pub const COLORS: &[&str] = &["black", "blue", "green", "ivory", "red", "violet"];

/// Countries of the nested `info.maker` object.
pub const COUNTRIES: &[&str] = &["Brasil", "Canada", "Côte d'Ivoire", "Danmark", "España", "France"];

macro_rules! stem {
    () => {
        "velvet-arch-"
    };
}

macro_rules! ten {
    () => {
        concat!(stem!(), stem!(), stem!(), stem!(), stem!(), stem!(), stem!(), stem!(), stem!(), stem!())
    };
}

/// A text that begins with 468 bytes; a server keeps no more of a facet value.
macro_rules! long {
    ($end:literal) => {
        concat!(
            ten!(),
            ten!(),
            ten!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            stem!(),
            $end
        )
    };
}

/// Long values, which are one to a server where they begin alike, and two short ones.
pub const LABELS: &[&str] =
    &[long!("one"), long!("two"), long!("Three"), long!(""), "velvet arch", "Violet Arch"];

/// A text of `low` to `high` words.
pub fn text(dice: &mut Dice, low: usize, high: usize) -> String {
    let count = dice.between(low, high);
    let mut text = String::new();
    for position in 0..count {
        if position > 0 {
            // A hard separator (", " or ". ") makes words distant for the proximity rule.
            let separators: &[&str] = if dice.chance(90) { &[" "] } else { &[", ", ". ", " - "] };
            let separator: &str = dice.pick::<&str>(separators);
            text.push_str(separator);
        }
        let word: &str = dice.pick_skewed::<&str>(WORDS);
        text.push_str(word);
    }
    text
}

/// The word with one letter changed, dropped, doubled or swapped with the next.
pub fn misspell(dice: &mut Dice, word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 3 {
        return word.to_owned();
    }
    let place = dice.between(1, letters.len() - 2);
    match dice.between(0, 3) {
        0 => letters[place] = *dice.pick(&['a', 'e', 'o', 'r', 's', 't', 'z']),
        1 => drop(letters.remove(place)),
        2 => letters.insert(place, letters[place]),
        _ => letters.swap(place, place + 1),
    }
    letters.into_iter().collect()
}

/// The first letters of a word, at least one.
pub fn prefix(dice: &mut Dice, word: &str) -> String {
    let letters = word.chars().count();
    word.chars().take(dice.between(1, letters)).collect()
}

/// The word without the accents the vocabulary uses.
pub fn without_accents(word: &str) -> String {
    word.chars()
        .map(|letter| match letter {
            'é' | 'è' | 'ê' => 'e',
            'û' | 'ü' => 'u',
            'ï' => 'i',
            'ã' => 'a',
            'ñ' => 'n',
            'É' => 'E',
            'ô' => 'o',
            other => other,
        })
        .collect()
}
