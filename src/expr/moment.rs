//! A date or a time, as senders write it: the one reader for conditions and templates.
//!
//! Only forms that can mean one thing are read, and nothing is guessed: `03/04/2026` is April in one country and March in
//! another. A date without a time is a day, the same in every time zone. A time that names no zone is in UTC.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::text::span;

/// The forms that are read, for messages.
pub const FORMS: &str = "2026-03-14, 20260314, 2026-03-14T09:26:53Z, 2026-03-14 09:26:53 (in UTC, or with +0100 behind it), Sat, 14 Mar 2026 09:26:53 +0000, and Unix times of 10 or 13 digits";

/// The names of zones that RFC 2822 defines; it takes any other name for UTC, which would be a guess.
const MAIL_ZONES: [&str; 12] = ["GMT", "UT", "UTC", "Z", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"];

/// What a date says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A day without a time.
    Day(Date),
    Instant(Timestamp),
}

impl When {
    /// The day in a zone; a day without a time is the same in all of them.
    pub fn day(self, zone: &TimeZone) -> Date {
        match self {
            When::Day(day) => day,
            When::Instant(instant) => zone.to_datetime(instant).date(),
        }
    }
}

/// A date as a point in time, to compare it with others; a day begins at midnight, UTC.
pub fn moment(text: &str) -> Option<Timestamp> {
    match when(text)? {
        When::Day(day) => Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok(),
        When::Instant(instant) => Some(instant),
    }
}

/// Reads a date in one of the [`FORMS`].
pub fn when(text: &str) -> Option<When> {
    let text = text.trim();
    unix(text).map(When::Instant).or_else(|| iso(text)).or_else(|| mail(text).map(When::Instant))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Unix time in seconds (10 digits) or milliseconds (13 digits), maybe with a fraction.
fn unix(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    match whole.len() {
        10 => {
            let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
            Timestamp::new(whole.parse().ok()?, nanoseconds.parse().ok()?).ok()
        }
        13 => Timestamp::from_millisecond(whole.parse().ok()?).ok(),
        _ => None,
    }
}

/// `2026-03-14` or `20260314`, maybe with a time behind a `T` or a space.
fn iso(text: &str) -> Option<When> {
    let length = if text.get(4..5) == Some("-") { 10 } else { 8 };
    let day = day(text.get(..length)?)?;
    let rest = span::from(text, length);
    if rest.is_empty() {
        return Some(When::Day(day));
    }
    if text.ends_with(']') {
        // With the name of a zone: `2026-03-14T10:26:53+01:00[Europe/Berlin]`.
        return text.parse::<Zoned>().ok().map(|zoned| When::Instant(zoned.timestamp()));
    }
    let (time, offset) = time(rest.strip_prefix(['T', 't', ' '])?)?;
    offset.to_timestamp(DateTime::from_parts(day, time)).ok().map(When::Instant)
}

fn day(text: &str) -> Option<Date> {
    let (year, month, of_month) = match text.len() {
        10 => {
            let mut parts = text.split('-');
            (parts.next()?, parts.next()?, parts.next()?)
        }
        _ => (text.get(..4)?, text.get(4..6)?, text.get(6..)?),
    };
    if [(year, 4), (month, 2), (of_month, 2)].iter().any(|(part, length)| part.len() != *length || !digits(part)) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, of_month.parse().ok()?).ok()
}

/// A time, and the zone behind it.
fn time(text: &str) -> Option<(Time, Offset)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let (time, zone) = (span::before(text, end), span::from(text, end));
    // An hour without minutes is not a time that anybody sends.
    if time.len() < 4 {
        return None;
    }
    let zone = zone.strip_prefix(' ').unwrap_or(zone);
    Some((format!("T{time}").parse().ok()?, offset(zone)?))
}

/// `Z`, `UTC`, `+01:00`, `+0100`, `+01`, or nothing for UTC.
fn offset(text: &str) -> Option<Offset> {
    if ["", "Z", "z", "UTC"].contains(&text) {
        return Some(Offset::UTC);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let rest = span::from(text, 1);
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if rest.len() == 4 => (span::before(rest, 2), span::from(rest, 2)),
        None => (rest, "00"),
    };
    if hours.len() != 2 || !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// RFC 2822, as in mails: `Sat, 14 Mar 2026 09:26:53 +0000`.
fn mail(text: &str) -> Option<Timestamp> {
    let zone = text.split_whitespace().next_back()?;
    if !zone.starts_with(['+', '-']) && !MAIL_ZONES.contains(&zone) {
        return None;
    }
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// What to write in place of a date that cannot be read: with points, as in `14.03.2026`, the day always comes first.
pub fn day_of(text: &str) -> Option<String> {
    let text = text.trim();
    let part = |text: &str| digits(text).then(|| text.parse::<i16>().ok()).flatten();
    let (year, month, day) = match text.contains('.') {
        true => {
            let parts: Vec<&str> = text.split('.').collect();
            let [day, month, year] = parts.as_slice() else { return None };
            (*year, *month, *day)
        }
        false => {
            let parts: Vec<&str> = text.split(['-', '/']).collect();
            let [year, month, day] = parts.as_slice() else { return None };
            (*year, *month, *day)
        }
    };
    if year.len() != 4 {
        return None;
    }
    let date = Date::new(part(year)?, part(month)?.try_into().ok()?, part(day)?.try_into().ok()?).ok()?;
    Some(date.to_string())
}

/// How dates are written, as a sentence.
pub const DATE_EXAMPLE: &str = "write for example 2026-03-14 or 2026-03-14T09:30:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match when(text) {
            Some(When::Day(day)) => day.to_string(),
            Some(When::Instant(instant)) => instant.to_string(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn every_form_of_a_date_is_read() {
        for (text, expected) in [
            ("2026-03-14", "2026-03-14"),
            (" 20260314 ", "2026-03-14"),
            ("2024-02-29", "2024-02-29"),
            ("2026-03-14T09:26:53Z", "2026-03-14T09:26:53Z"),
            ("2026-03-14t09:26:53.5z", "2026-03-14T09:26:53.5Z"),
            ("2026-03-14T10:26:53+01:00", "2026-03-14T09:26:53Z"),
            ("2026-03-14T10:26:53+01:00[Europe/Berlin]", "2026-03-14T09:26:53Z"),
            ("2026-03-14T09:26", "2026-03-14T09:26:00Z"),
            ("20260314T092653Z", "2026-03-14T09:26:53Z"),
            ("2026-03-14 09:26:53", "2026-03-14T09:26:53Z"),
            ("2026-03-14 09:26:53 UTC", "2026-03-14T09:26:53Z"),
            ("2026-03-14 09:26:53UTC", "2026-03-14T09:26:53Z"),
            ("2026-03-14 10:26:53 +0100", "2026-03-14T09:26:53Z"),
            ("2026-03-14 10:26:53+01", "2026-03-14T09:26:53Z"),
            ("2026-03-13 23:56:53.25 -0930", "2026-03-14T09:26:53.25Z"),
            ("Sat, 14 Mar 2026 09:26:53 +0000", "2026-03-14T09:26:53Z"),
            ("Sat, 14 Mar 2026 09:26:53 GMT", "2026-03-14T09:26:53Z"),
            ("14 Mar 2026 10:26 +0100", "2026-03-14T09:26:00Z"),
            ("1773480413", "2026-03-14T09:26:53Z"),
            ("1773480413.000200", "2026-03-14T09:26:53.0002Z"),
            ("1773480413123", "2026-03-14T09:26:53.123Z"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for text in [
            "",
            "14.03.2026",
            "03/04/2026",
            "2026-3-14",
            "2026-02-30",
            "2026-03",
            "2026",
            "202603141",
            "20261314",
            "177348041",
            "17734804130",
            "-1773480413",
            "1.773480413e9",
            "2026-03-14T",
            "2026-03-14T09",
            "2026-03-14x09:26",
            "2026-03-14 25:00:00",
            "2026-03-14 09:26:53 CEST",
            "2026-03-14 09:26:53 +1",
            "2026-03-14 09:26:53 +01:0",
            "2026-03-14 09:26:53 +99:00",
            "Sat, 14 Mar 2026 09:26:53 CEST",
            "Sun, 14 Mar 2026 09:26:53 +0000",
            "soon",
            "é026-03-14",
            "2026-03-é",
            "２０２６-03-14",
        ] {
            assert_eq!(read(text), "-", "{text}");
        }
    }

    #[test]
    fn a_day_is_the_same_in_every_zone_and_a_time_is_not() {
        let new_york = TimeZone::get("America/New_York").unwrap();
        let day = |text: &str| when(text).unwrap().day(&new_york).to_string();
        assert_eq!((day("2026-03-14"), day("2026-03-14T03:00:00Z")), ("2026-03-14".to_owned(), "2026-03-13".to_owned()));
    }
}
