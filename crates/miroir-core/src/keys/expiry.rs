//! Until when a key is good.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

/// A date as clients may write one: RFC 3339, or without its zone, or without its time; UTC where nothing else is said.
/// `None` for what is no date, and for one that is not after `now`.
pub(super) fn parse_expiry(text: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
    parse_date(text).filter(|date| *date > now)
}

fn parse_date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(date) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(date);
    }
    let with_t = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let with_blank = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    if let Ok(date) =
        PrimitiveDateTime::parse(text, with_t).or_else(|_| PrimitiveDateTime::parse(text, with_blank))
    {
        return Some(date.assume_utc());
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    Some(day.with_time(Time::MIDNIGHT).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    #[test]
    fn four_forms_are_read_and_the_zone_is_kept() {
        let expiry = |text| parse_expiry(text, NOW);
        assert_eq!(expiry("2098-01-01"), Some(datetime!(2098-01-01 00:00 UTC)));
        assert_eq!(expiry("2098-01-01 10:00:00"), Some(datetime!(2098-01-01 10:00 UTC)));
        assert_eq!(expiry("2098-01-01T10:00:00"), Some(datetime!(2098-01-01 10:00 UTC)));
        let zoned = expiry("2098-01-01T10:00:00+02:00").unwrap();
        assert_eq!(zoned.format(&Rfc3339).unwrap(), "2098-01-01T10:00:00+02:00");
    }

    #[test]
    fn the_past_and_nonsense_are_refused() {
        for wrong in ["2026-01-02T03:04:05Z", "2001-01-01", "tomorrow", "", "2098-13-01", "2098-01-01T10:00"]
        {
            assert_eq!(parse_expiry(wrong, NOW), None, "{wrong}");
        }
    }
}
