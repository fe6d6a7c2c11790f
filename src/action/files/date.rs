//! Dates as they are compared: `2026-05-01` for a day, `2026-05-01T10:30:00` for a time of a day. A cell has no time zone, so
//! none is taken into account.

use jiff::civil::{Date, DateTime, Time, date};
use jiff::{SignedDuration, Span};

/// Precedes a date from a cell, so that text with the same characters is not taken for one.
const MARK: char = '\u{1}';
/// The seconds of a day.
const DAY: f64 = 86_400.0;

/// The date that a text means, with or without a time and an offset; `None` for any other text.
pub(super) fn read(text: &str) -> Option<String> {
    let day: Date = text.get(..10)?.parse().ok()?;
    let time = match text[10..].strip_prefix(['T', 't', ' ']) {
        None if text.len() == 10 => Time::midnight(),
        None => return None,
        Some(time) => time.split(['Z', 'z', '+', '-']).next()?.trim_end().parse().ok()?,
    };
    Some(spelled(day.to_datetime(time)))
}

/// A value from a cell; of a date without its mark.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

fn spelled(moment: DateTime) -> String {
    match moment.time() == Time::midnight() {
        true => format!("{MARK}{}", moment.date()),
        false => format!("{MARK}{}", moment.strftime("%Y-%m-%dT%H:%M:%S")),
    }
}

/// The date that a number in a cell with a date format means (ECMA-376, part 1, 18.17.4.1): days since the last day of 1899,
/// or since 1904-01-01. `None` for numbers that are not dates.
pub(super) fn of_number(days: f64, since_1904: bool) -> Option<String> {
    let first = match since_1904 {
        true => date(1904, 1, 1),
        // Day 60 does not exist: 1900 was not a leap year.
        false if days < 60.0 => date(1899, 12, 31),
        false => date(1899, 12, 30),
    };
    if !(1.0..3_000_000.0).contains(&days) {
        return None;
    }
    let seconds = SignedDuration::from_secs((days.fract() * DAY).round() as i64);
    let day = first.checked_add(Span::new().days(days.trunc() as i64)).ok()?;
    Some(spelled(day.to_datetime(Time::midnight()).checked_add(seconds).ok()?))
}

/// The number that means a date in a cell, and whether it has a time; `None` for text that is no date, and for dates that a
/// workbook cannot hold.
pub(super) fn number(text: &str, since_1904: bool) -> Option<(String, bool)> {
    let read = read(text)?;
    let text = unmarked(&read);
    let has_time = text.len() > 10;
    let moment: DateTime = text.parse().ok().or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(Time::midnight())))?;
    // Days before 1900-03-01 are not numbered in the same way by all programs.
    let (first, earliest) = if since_1904 { (date(1904, 1, 1), date(1904, 1, 2)) } else { (date(1899, 12, 30), date(1900, 3, 1)) };
    if !(earliest..=date(9999, 12, 31)).contains(&moment.date()) {
        return None;
    }
    let days = moment.date().since(first).ok()?.get_days();
    let seconds = moment.time().since(Time::midnight()).ok()?.total(jiff::Unit::Second).ok()?;
    Some(((f64::from(days) + seconds / DAY).to_string(), has_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_spelled_in_one_way() {
        for (text, said) in [
            ("2026-05-01", Some("2026-05-01")),
            ("2026-05-01T00:00:00Z", Some("2026-05-01")),
            ("2026-05-01 10:30", Some("2026-05-01T10:30:00")),
            ("2026-05-01T10:30:05.25+02:00", Some("2026-05-01T10:30:05")),
            ("2026-05-011", None),
            ("2026-13-01", None),
            ("20260501", None),
            ("01.05.2026", None),
            ("ééééé", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref().map(unmarked), said, "{text}");
        }
    }

    #[test]
    fn a_date_is_a_number_that_is_read_back() {
        for (text, since_1904, said) in [
            ("2026-05-01", false, Some(("46143", false))),
            ("2026-05-01T10:30:00+02:00", false, Some(("46143.4375", true))),
            ("2026-05-01T00:00:00Z", false, Some(("46143", false))),
            ("2026-05-01", true, Some(("44681", false))),
            ("1900-03-01", false, Some(("61", false))),
            ("1900-02-28", false, None),
            ("9999-12-31", false, Some(("2958465", false))),
            ("10000-01-01", false, None),
            ("tomorrow", false, None),
        ] {
            let number = number(text, since_1904);
            assert_eq!(number.as_ref().map(|(n, has_time)| (n.as_str(), *has_time)), said, "{text}");
            if let Some((number, _)) = number {
                assert_eq!(of_number(number.parse().unwrap(), since_1904), read(text), "{text}");
            }
        }
    }

    #[test]
    fn a_number_in_a_cell_means_a_date() {
        for (days, since_1904, said) in [
            (46_143.0, false, Some("2026-05-01")),
            (46_143.437_5, false, Some("2026-05-01T10:30:00")),
            (46_143.999_999_99, false, Some("2026-05-02")),
            (44_681.0, true, Some("2026-05-01")),
            (1.0, false, Some("1900-01-01")),
            (61.0, false, Some("1900-03-01")),
            (0.5, false, None),
            (1e300, false, None),
            (f64::NAN, false, None),
        ] {
            assert_eq!(of_number(days, since_1904).as_deref().map(unmarked), said, "{days}");
        }
    }
}
