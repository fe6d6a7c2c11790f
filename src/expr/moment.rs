//! A time, parsed from the formats that senders use. The code that displays it formats it.

use jiff::{Timestamp, civil, tz::TimeZone};

use crate::expr::number;

/// Parses a time from RFC 3339, a date, a date and time (taken as UTC), or Unix seconds or milliseconds.
pub fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if number::is_plain(text) {
        let seconds: f64 = text.parse().ok()?;
        // A number too large to be seconds in the next 3000 years is in milliseconds.
        let millis = if seconds.abs() >= 1e11 { seconds } else { seconds * 1000.0 };
        return Timestamp::from_millisecond(millis as i64).ok();
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let plain = text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(|d| d.at(0, 0, 0, 0))).ok()?;
        plain.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })
}
