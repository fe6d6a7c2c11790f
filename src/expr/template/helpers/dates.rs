//! Helpers for dates. A day stays a day; a point in time is written as RFC 3339, in the zone that was named or in UTC.

use jiff::civil::{Date, Weekday};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use super::read::{text_of, text_or, there, whole};
use crate::expr::moment::{FORMS, When, when};
use crate::expr::spell::spell;
use crate::expr::template::argument::{self, Wants, Words};
use crate::expr::template::format;
use crate::expr::template::helper::{Given, Helper, Wrong, said};
use crate::schedule::zone;

/// The largest number of days, months or hours that can be added.
const MOST: i64 = 100_000;
const PERIODS: Words = Words { called: "period", all: &["day", "week", "month"] };

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "date",
        usage: "{{ date body.x '%d.%m.%Y' 'Europe/Berlin' }}",
        does: "a date in another format, and in the named time zone, otherwise in UTC; a day without a time is the same everywhere",
        example: ("{{ date body.paid '%d.%m.%Y %H:%M' 'Europe/Berlin' }}", "14.03.2026 10:26"),
        takes: 1..=3,
        wants: &[Wants::Date, Wants::Format, Wants::Zone],
        seeded: false,
        run: date,
    },
    Helper {
        name: "parse_date",
        usage: "{{ parse_date body.x '%d.%m.%Y %H:%M' 'Europe/Berlin' }}",
        does: "a date that is written in this format; the time zone says where its time was meant, UTC by default",
        example: ("{{ parse_date '14.03.2026 10:26' '%d.%m.%Y %H:%M' 'Europe/Berlin' }}", "2026-03-14T10:26:00+01:00"),
        takes: 2..=3,
        wants: &[Wants::Anything, Wants::Reading, Wants::Zone],
        seeded: false,
        run: parse_date,
    },
    Helper {
        name: "add_days",
        usage: "{{ add_days body.x 14 'Europe/Berlin' }}",
        does: "so many days later, or earlier if the number is negative; in the named zone, the time of day stays the same",
        example: ("{{ add_days body.day 14 }}", "2026-04-14"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Whole(-MOST, MOST), Wants::Zone],
        seeded: false,
        run: |a| later(a, "days", |n| Span::new().try_days(n)),
    },
    Helper {
        name: "add_months",
        usage: "{{ add_months body.x 1 'Europe/Berlin' }}",
        does: "so many months later; at the end of a shorter month, its last day",
        example: ("{{ add_months body.day 1 }}", "2026-04-30"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Whole(-MOST, MOST), Wants::Zone],
        seeded: false,
        run: |a| later(a, "months", |n| Span::new().try_months(n)),
    },
    Helper {
        name: "add_hours",
        usage: "{{ add_hours body.x 1.5 'Europe/Berlin' }}",
        does: "so many hours later; the date needs a time",
        example: ("{{ add_hours body.paid 1.5 }}", "2026-03-14T10:56:53Z"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Number, Wants::Zone],
        seeded: false,
        run: add_hours,
    },
    Helper {
        name: "days_between",
        usage: "{{ days_between body.x body.y 'Europe/Berlin' }}",
        does: "how many days later the second date is than the first; times count as their day in the named zone",
        example: ("{{ days_between body.paid body.day }}", "17"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Date, Wants::Zone],
        seeded: false,
        run: days_between,
    },
    Helper {
        name: "start_of",
        usage: "{{ start_of body.x 'month' 'Europe/Berlin' }}",
        does: "when its 'day', 'week' (from Monday) or 'month' begins, in the named zone",
        example: ("{{ start_of body.paid 'month' 'Europe/Berlin' }}", "2026-03-01T00:00:00+01:00"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Word(&PERIODS), Wants::Zone],
        seeded: false,
        run: start_of,
    },
    Helper {
        name: "end_of",
        usage: "{{ end_of body.x 'month' 'Europe/Berlin' }}",
        does: "the last day or second of its 'day', 'week' or 'month'",
        example: ("{{ end_of '2026-02-14' 'month' }}", "2026-02-28"),
        takes: 2..=3,
        wants: &[Wants::Date, Wants::Word(&PERIODS), Wants::Zone],
        seeded: false,
        run: end_of,
    },
    Helper {
        name: "weekday",
        usage: "{{ weekday body.x 'Europe/Berlin' }}",
        does: "its day of the week in the named zone: monday, tuesday, …",
        example: ("{{ weekday body.paid }}", "saturday"),
        takes: 1..=2,
        wants: &[Wants::Date, Wants::Zone],
        seeded: false,
        run: weekday,
    },
];

/// Whether the result of a call is a date in one of the forms that are read again, so that a sheet can show it as a date.
pub(crate) fn gives_date(helper: &str, arguments: usize) -> bool {
    match helper {
        "date" => arguments == 1,
        "parse_date" | "add_days" | "add_months" | "add_hours" | "start_of" | "end_of" => true,
        _ => false,
    }
}

fn date_of(arguments: &[Option<&Value>], n: usize) -> Result<When, Wrong> {
    let text = text_of(arguments, n)?;
    when(&text)
        .ok_or_else(|| said(format!("`{text}` is not a date in a form that can be read; these can: {FORMS}; others with `parse_date`")))
}

/// The zone that was named, or UTC.
fn zone_of(arguments: &[Option<&Value>], n: usize) -> Result<TimeZone, Wrong> {
    zone::zone(&text_or(arguments, n, "UTC")?).map_err(|no| said(format!("{}; {}", no.why, no.instead())))
}

/// A format that was checked when the rules were loaded, or comes from the event.
fn format_of(arguments: &[Option<&Value>], check: fn(&str) -> Result<(), format::BadFormat>) -> Result<String, Wrong> {
    let format = text_or(arguments, 1, "%Y-%m-%d")?;
    check(&format).map_err(|bad| said(format!("{}; {}", bad.why, bad.instead())))?;
    Ok(format)
}

/// Years have at most four digits.
fn too_far<E>(_: E) -> Wrong {
    said("the date would be too far away")
}

/// A point in time as RFC 3339.
fn written(instant: Timestamp, zone: &TimeZone) -> Given {
    let offset = zone.to_offset(instant);
    let text = if offset.is_zero() { instant.to_string() } else { instant.display_with_offset(offset).to_string() };
    Ok(Some(text.into()))
}

pub(super) fn date(arguments: &[Option<&Value>]) -> Given {
    let (when, format, zone) = (date_of(arguments, 0)?, format_of(arguments, format::check)?, zone_of(arguments, 2)?);
    let text = match when {
        When::Day(day) => strtime::format(&format, day.at(0, 0, 0, 0)),
        When::Instant(instant) => strtime::format(&format, &instant.to_zoned(zone)),
    };
    let why = match when {
        When::Day(day) => format!("{day} is a day without a time, so it cannot be written as `{format}`"),
        When::Instant(_) => format!("`{format}` is not a date format; write for example '%Y-%m-%d %H:%M'"),
    };
    text.map(|text| Some(text.into())).map_err(|_| said(why))
}

fn parse_date(arguments: &[Option<&Value>]) -> Given {
    let (text, format, zone) = (text_of(arguments, 0)?, format_of(arguments, format::check_reading)?, zone_of(arguments, 2)?);
    let wrong = || said(format!("`{text}` is not a date that is written as `{format}`"));
    let parts = strtime::parse(&format, text.trim()).map_err(|_| wrong())?;
    if parts.timestamp().is_none() && parts.hour().is_none() {
        return parts.to_date().map(|day| Some(day.to_string().into())).map_err(|_| wrong());
    }
    if parts.timestamp().is_some() || parts.offset().is_some() {
        return written(parts.to_timestamp().map_err(|_| wrong())?, &zone);
    }
    let local = parts.to_datetime().map_err(|_| wrong())?;
    written(zone.to_timestamp(local).map_err(|_| wrong())?, &zone)
}

/// Adds days or months as a calendar does.
fn later(arguments: &[Option<&Value>], called: &str, span: fn(i64) -> Result<Span, jiff::Error>) -> Given {
    let (when, zone) = (date_of(arguments, 0)?, zone_of(arguments, 2)?);
    let number = whole(arguments, 1, -MOST, MOST)?;
    let span = span(number).map_err(|_| said(format!("{number} {called} are too many")))?;
    match when {
        When::Day(day) => Ok(Some(day.checked_add(span).map_err(too_far)?.to_string().into())),
        When::Instant(instant) => {
            let moved = instant.to_zoned(zone.clone()).checked_add(span).map_err(too_far)?;
            written(moved.timestamp(), &zone)
        }
    }
}

fn add_hours(arguments: &[Option<&Value>]) -> Given {
    let (when, zone) = (date_of(arguments, 0)?, zone_of(arguments, 2)?);
    let hours = spell(there(arguments, 1)?).ok_or_else(|| said("this takes a number of hours"))?;
    let hours = argument::decimal(&hours).map_err(said)?;
    if hours.abs() > Decimal::from(MOST) {
        return Err(said(format!("at most {MOST} hours can be added")));
    }
    let milliseconds = hours.checked_mul(Decimal::from(3_600_000)).and_then(|m| m.round().to_i64()).ok_or_else(|| too_far(()))?;
    match when {
        When::Day(day) => Err(said(format!("{day} is a day without a time; use `add_days`"))),
        When::Instant(instant) => written(instant.checked_add(SignedDuration::from_millis(milliseconds)).map_err(too_far)?, &zone),
    }
}

fn days_between(arguments: &[Option<&Value>]) -> Given {
    let zone = zone_of(arguments, 2)?;
    let (from, to) = (date_of(arguments, 0)?.day(&zone), date_of(arguments, 1)?.day(&zone));
    Ok(Some(from.duration_until(to).as_hours().div_euclid(24).into()))
}

fn weekday(arguments: &[Option<&Value>]) -> Given {
    let day = date_of(arguments, 0)?.day(&zone_of(arguments, 1)?);
    let name = match day.weekday() {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    };
    Ok(Some(name.into()))
}

/// The first day of the period around a day, and the first day after it.
fn period(day: Date, arguments: &[Option<&Value>]) -> Result<(Date, Date), Wrong> {
    let name = text_of(arguments, 1)?;
    let (first, length) = match name.as_str() {
        "day" => (Ok(day), Span::new().days(1)),
        "week" => (day.checked_sub(Span::new().days(day.weekday().to_monday_zero_offset())), Span::new().weeks(1)),
        "month" => (Ok(day.first_of_month()), Span::new().months(1)),
        other => return Err(said(PERIODS.refused(other))),
    };
    let first = first.map_err(too_far)?;
    Ok((first, first.checked_add(length).map_err(too_far)?))
}

/// When a day begins in a zone; where clocks change at midnight, this is later.
fn midnight(day: Date, zone: &TimeZone) -> Result<Timestamp, Wrong> {
    Ok(day.to_zoned(zone.clone()).and_then(|zoned| zoned.start_of_day()).map_err(too_far)?.timestamp())
}

fn start_of(arguments: &[Option<&Value>]) -> Given {
    let (when, zone) = (date_of(arguments, 0)?, zone_of(arguments, 2)?);
    let (first, _) = period(when.day(&zone), arguments)?;
    match when {
        When::Day(_) => Ok(Some(first.to_string().into())),
        When::Instant(_) => written(midnight(first, &zone)?, &zone),
    }
}

fn end_of(arguments: &[Option<&Value>]) -> Given {
    let (when, zone) = (date_of(arguments, 0)?, zone_of(arguments, 2)?);
    let (_, next) = period(when.day(&zone), arguments)?;
    match when {
        When::Day(_) => Ok(Some(next.yesterday().map_err(too_far)?.to_string().into())),
        When::Instant(_) => {
            let end = midnight(next, &zone)?.checked_sub(SignedDuration::from_secs(1)).map_err(too_far)?;
            written(end, &zone)
        }
    }
}
