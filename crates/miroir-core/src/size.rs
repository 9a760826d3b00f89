//! Sizes as Meilisearch writes them for people to read.

const BINARY: [(&str, u64); 7] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

const DECIMAL: [(&str, u64); 6] = [
    ("EB", 1_000_000_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

fn all_units() -> Vec<(&'static str, u64)> {
    let mut units: Vec<_> = BINARY.into_iter().chain(DECIMAL).collect();
    units.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    units
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn in_largest(bytes: u64, units: &[(&'static str, u64)]) -> (f64, &'static str) {
    let (name, unit) = units.iter().find(|(_, unit)| bytes >= *unit).copied().unwrap_or(("B", 1));
    (bytes as f64 / unit as f64, name)
}

/// `1.5 MiB`: with at most two decimals, as in statistics.
pub fn rounded(bytes: u64) -> String {
    let (size, unit) = in_largest(bytes, &BINARY);
    format!("{} {unit}", (size * 100.0).round() / 100.0)
}

/// `1.52587890625 MiB`: exact, in the largest unit of either kind, as in the details of tasks.
pub fn exact(bytes: u64) -> String {
    let (size, unit) = in_largest(bytes, &all_units());
    format!("{size} {unit}")
}

/// `1536 KiB`: exact, without a fraction, as Meilisearch tells how large its task queue is.
pub fn whole(bytes: u64) -> String {
    let (name, unit) =
        all_units().into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit)).unwrap_or(("B", 1));
    if bytes == 0 { "0 B".to_owned() } else { format!("{} {name}", bytes / unit) }
}

/// The bytes of a size that was written by [`exact`].
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^52, and not below 0"
)]
pub fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok().filter(|number| *number >= 0.0)?;
    let (_, bytes) = all_units().into_iter().find(|(name, _)| *name == unit)?;
    Some((number * bytes as f64).round() as u64)
}

/// The bytes of a size as people write it: `20MiB`, `1.5 mb`, `300`. Units may be in any case; `b` is a byte.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^52, and not below 0"
)]
pub fn parse_given(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = (text[..end].parse::<f64>().ok()?, text[end..].trim());
    let is_named = |name: &str| {
        name.eq_ignore_ascii_case(unit)
            || name.strip_suffix('B').is_some_and(|name| name.eq_ignore_ascii_case(unit))
    };
    let (_, bytes) = all_units().into_iter().find(|(name, _)| is_named(name))?;
    Some((number * bytes as f64).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_fits() {
        assert_eq!(["0 B", "1023 B", "9.77 KiB"].map(str::to_owned), [0, 1023, 10_000].map(rounded));
        assert_eq!(exact(10_000), "9.765625 KiB");
        assert_eq!(exact(1000), "1 KB");
        assert_eq!(exact(2_000_000_000), "1.862645149230957 GiB");
    }

    #[test]
    fn what_was_written_exactly_is_read_back() {
        for bytes in [0, 1, 999, 1000, 1024, 98_304, 123_456_789] {
            assert_eq!(parse(&exact(bytes)), Some(bytes));
        }
        for text in ["", "many", "3 apples", "-1 KB"] {
            assert_eq!(parse(text), None);
        }
    }

    #[test]
    fn a_whole_size_has_no_fraction() {
        assert_eq!([0, 7, 40_960, 1_572_864, 2000].map(whole), ["0 B", "7 B", "40 KiB", "1536 KiB", "2 KB"]);
    }

    #[test]
    fn people_write_sizes_in_many_ways() {
        let written = ["300", "2kb", "2 KiB", "1.5 mib", "1k", "3 b", " 1 Gi "];
        let bytes = [300, 2000, 2048, 1_572_864, 1000, 3, 1 << 30];
        assert_eq!(written.map(parse_given), bytes.map(Some));
        assert_eq!(["", "many", "1 apple", "1.2.3", "-1"].map(parse_given), [None; 5]);
    }
}
