//! A time on the command line: a date, a date and time, RFC 3339, or how long ago.

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::settings::length;

pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|d| d.to_datetime(Time::midnight())));
    if let Ok(civil) = civil {
        return civil.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).map_err(|e| e.to_string());
    }
    let ago =
        length(text).map_err(|_| "write for example 2026-11-01, '2026-11-01 10:00' (UTC) or '2 days' (for two days ago)".to_owned())?;
    Timestamp::now().checked_sub(ago).context("this is too long ago").map_err(|e| e.to_string())
}
