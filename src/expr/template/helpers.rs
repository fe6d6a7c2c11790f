//! The implementation of the helpers: functions from values to a value, independent of any event. Numbers are exact
//! decimals of up to 28 digits (`rust_decimal`); dates are parsed as RFC 3339, as a plain date, or as Unix seconds or
//! milliseconds. The list of helpers is in [`super::list`]; how Handlebars calls them is in [`super::registry`].
//!
//! The result of a helper is charged where it is called, and no text that it takes or returns is longer than
//! [`MAX_RENDERED`]; a helper that can multiply its input computes the length before it creates the text.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::charge::charge;
use super::helper::{Given, Wrong, said};
use super::length::MAX_RENDERED;
use crate::expr::comparison::compare;
use crate::expr::moment::moment;
use crate::expr::spell::spell;

/// The maximum number of parts that text can be split into.
pub const MOST_PARTS: usize = 100_000;
/// The maximum length of a date format, in bytes.
const MOST_FORMAT: usize = 1_000;

pub(super) fn short_enough(length: usize) -> Result<(), Wrong> {
    match length > MAX_RENDERED {
        true => Err(said(format!("text longer than {} MB cannot be processed; use less of it", MAX_RENDERED >> 20))),
        false => Ok(()),
    }
}

fn there<'v>(arguments: &[Option<&'v Value>], n: usize) -> Result<&'v Value, Wrong> {
    arguments[n].ok_or(Wrong::Missing(n))
}

pub(super) fn text_of(arguments: &[Option<&Value>], n: usize) -> Result<String, Wrong> {
    let text = spell(there(arguments, n)?).ok_or_else(|| said("this takes text or a number, not a list or an object"))?;
    short_enough(text.len())?;
    Ok(text.into_owned())
}

pub(super) fn map_text(arguments: &[Option<&Value>], change: fn(&str) -> String) -> Given {
    text_of(arguments, 0).map(|t| Some(Value::String(change(&t))))
}

pub(super) fn default(arguments: &[Option<&Value>]) -> Given {
    let empty = |v: &Value| v.is_null() || v.as_str() == Some("");
    match arguments[0] {
        Some(value) if !empty(value) => Ok(Some(value.clone())),
        _ => there(arguments, 1).map(|v| Some(v.clone())),
    }
}

/// A list's items; a value that is not a list counts as one item, null as none.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

pub(super) fn join(arguments: &[Option<&Value>]) -> Given {
    let between = if arguments.len() > 1 { text_of(arguments, 1)? } else { ", ".to_owned() };
    let texts: Option<Vec<_>> = items(there(arguments, 0)?).iter().map(spell).collect();
    let texts = texts.ok_or_else(|| said("the list contains objects; write which field you want: {{ join body.items[*].sku }}"))?;
    let all: usize = texts.iter().map(|t| t.len()).sum();
    short_enough(all.saturating_add(between.len().saturating_mul(texts.len().saturating_sub(1))))?;
    Ok(Some(Value::String(texts.join(&between))))
}

pub(super) fn end(arguments: &[Option<&Value>], pick: fn(&[Value]) -> Option<&Value>) -> Given {
    Ok(pick(items(there(arguments, 0)?)).cloned())
}

pub(super) fn count(arguments: &[Option<&Value>]) -> Given {
    Ok(Some(items(there(arguments, 0)?).len().into()))
}

pub(super) fn json(arguments: &[Option<&Value>]) -> Given {
    let text = crate::model::budget::json_up_to(there(arguments, 0)?, MAX_RENDERED);
    let long = || said(format!("the value is longer than {} MB as JSON; use less of it", MAX_RENDERED >> 20));
    text.map(|t| Some(Value::String(t))).ok_or_else(long)
}

pub(super) fn replace(arguments: &[Option<&Value>]) -> Given {
    let (text, what, with) = (text_of(arguments, 0)?, text_of(arguments, 1)?, text_of(arguments, 2)?);
    let times = text.matches(&what).count();
    short_enough((text.len() - times * what.len()).saturating_add(times.saturating_mul(with.len())))?;
    Ok(Some(text.replace(&what, &with).into()))
}

pub(super) fn truncate(arguments: &[Option<&Value>]) -> Given {
    let text = text_of(arguments, 0)?;
    let most: usize =
        text_of(arguments, 1)?.parse().ok().filter(|n| *n > 0).ok_or_else(|| said("the length must be a whole number from 1"))?;
    if text.chars().count() <= most {
        return Ok(Some(text.into()));
    }
    let cut: String = text.chars().take(most - 1).collect();
    Ok(Some(format!("{}…", cut.trim_end()).into()))
}

pub(super) fn split(arguments: &[Option<&Value>]) -> Given {
    let (text, at) = (text_of(arguments, 0)?, text_of(arguments, 1)?);
    if at.is_empty() {
        return Err(said("write where to split the text, such as ','"));
    }
    if text.is_empty() {
        return Ok(Some(Value::Array(Vec::new())));
    }
    if text.matches(&at).count() >= MOST_PARTS {
        return Err(said(format!("the text has more than {MOST_PARTS} parts; split shorter text")));
    }
    Ok(Some(text.split(&at).map(|part| Value::from(part.trim())).collect()))
}

pub(super) fn hash(arguments: &[Option<&Value>]) -> Given {
    let text = text_of(arguments, 0)?;
    let algorithm = match arguments.len() {
        1 => "sha256".to_owned(),
        _ => text_of(arguments, 1)?,
    };
    let algorithm = match algorithm.as_str() {
        "sha256" => &ring::digest::SHA256,
        "sha512" => &ring::digest::SHA512,
        "sha1" => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        other => return Err(said(format!("`{other}` is not a known hash; use sha256, sha512 or sha1"))),
    };
    let digest = ring::digest::digest(algorithm, text.as_bytes());
    Ok(Some(digest.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>().into()))
}

/// A UUID derived from the seed, so that every attempt of a step has the same.
pub(super) fn uuid(arguments: &[Option<&Value>]) -> Given {
    let seed = text_of(arguments, 0)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    Ok(Some(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string().into()))
}

/// Whether one of a list's values, or the value itself, passes.
pub(super) fn any(found: &Value, passes: impl Fn(&Value) -> bool) -> bool {
    match found {
        Value::Array(list) => list.iter().any(passes),
        one => passes(one),
    }
}

/// Compares two values; the result is false if one of them is missing.
pub(super) fn both(arguments: &[Option<&Value>], test: impl Fn(&Value, &Value) -> bool) -> Given {
    let (Some(found), Some(wanted)) = (arguments[0], arguments[1]) else { return Ok(Some(false.into())) };
    // Each element of one is compared with each element of the other.
    let each = |value: &Value| value.as_array().map_or(1, Vec::len);
    charge(|budget| budget.steps(each(found).saturating_mul(each(wanted))))?;
    Ok(Some(test(found, wanted).into()))
}

pub(super) fn ordered(arguments: &[Option<&Value>], orders: &[Ordering]) -> Given {
    both(arguments, |found, wanted| any(found, |f| compare(f, wanted).is_some_and(|o| orders.contains(&o))))
}

fn decimal(arguments: &[Option<&Value>], n: usize) -> Result<Decimal, Wrong> {
    let text = text_of(arguments, n)?;
    let text = text.trim();
    let read = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
    match read {
        Ok(number) => Ok(number),
        Err(_) if crate::yaml::is_json_number(text) => {
            Err(said(format!("`{text}` has too many digits to calculate with; 28 is the limit")))
        }
        Err(_) => Err(said(format!("`{text}` is not a number"))),
    }
}

fn number(value: Decimal) -> Given {
    serde_json::from_str(&value.to_string()).map(Some).map_err(|e| said(e.to_string()))
}

pub(super) fn fold(arguments: &[Option<&Value>], done: &str, with: fn(Decimal, Decimal) -> Option<Decimal>) -> Given {
    let mut total = decimal(arguments, 0)?;
    for n in 1..arguments.len() {
        total = with(total, decimal(arguments, n)?).ok_or_else(|| said(format!("the numbers are too large to be {done}")))?;
    }
    number(total)
}

pub(super) fn divide(arguments: &[Option<&Value>]) -> Given {
    let (a, b) = (decimal(arguments, 0)?, decimal(arguments, 1)?);
    if b.is_zero() {
        return Err(said("a number cannot be divided by 0"));
    }
    number(a.checked_div(b).ok_or_else(|| said("the numbers are too large to be divided"))?.normalize())
}

pub(super) fn rounded(arguments: &[Option<&Value>], exactly: bool) -> Given {
    let value = decimal(arguments, 0)?;
    let places = match arguments.len() {
        1 => 0,
        _ => text_of(arguments, 1)?
            .parse()
            .ok()
            .filter(|p| *p <= 20)
            .ok_or_else(|| said("the number of decimals must be between 0 and 20"))?,
    };
    let mut value = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    if exactly {
        value.rescale(places);
    } else {
        value = value.normalize();
    }
    number(value)
}

pub(super) fn date(arguments: &[Option<&Value>]) -> Given {
    let given = text_of(arguments, 0)?;
    let moment = moment(&given).ok_or_else(|| said(format!("`{given}` is not a date")))?;
    let format = if arguments.len() > 1 { text_of(arguments, 1)? } else { "%Y-%m-%d".to_owned() };
    // Each character of it may expand to hundreds.
    if format.len() > MOST_FORMAT {
        return Err(said(format!("a date format has at most {MOST_FORMAT} characters")));
    }
    let zone = match arguments.len() {
        3 => {
            let name = text_of(arguments, 2)?;
            TimeZone::get(&name).map_err(|_| said(format!("there is no time zone called `{name}`; write for example 'Europe/Berlin'")))?
        }
        _ => TimeZone::UTC,
    };
    let text = jiff::fmt::strtime::format(&format, &moment.to_zoned(zone));
    text.map(|t| Some(Value::String(t))).map_err(|_| said(format!("`{format}` is not a date format; write for example '%Y-%m-%d %H:%M'")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expr::template::registry::charged;

    /// The result of a helper for these arguments, or its error message.
    fn given(helper: fn(&[Option<&Value>]) -> Given, arguments: &[Value]) -> Result<Value, String> {
        let arguments: Vec<Option<&Value>> = arguments.iter().map(Some).collect();
        match helper(&arguments).and_then(charged) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(Wrong::Said(said)) => Err(said),
            Err(Wrong::Spent(spent)) => Err(spent.to_string()),
            Err(Wrong::Missing(n)) => Err(format!("{n} is missing")),
        }
    }

    fn long(length: usize) -> Value {
        "x".repeat(length).into()
    }

    #[test]
    fn each_helper_returns_at_most_as_much_as_its_limit() {
        let too_long = "text longer than 10 MB cannot be processed; use less of it";
        let length = |given: Result<Value, String>| given.map(|v| v.as_str().map_or(0, str::len));
        let half = MAX_RENDERED / 2;
        let replaced = |length: usize| given(replace, &[long(length), "x".into(), "yy".into()]);
        assert_eq!(length(replaced(half)), Ok(MAX_RENDERED));
        assert_eq!(replaced(half + 1).unwrap_err(), too_long);
        let joined = |between: usize| given(join, &[json!(["a", "b"]), long(between)]);
        assert_eq!(length(joined(MAX_RENDERED - 2)), Ok(MAX_RENDERED));
        assert_eq!(joined(MAX_RENDERED - 1).unwrap_err(), too_long);
        let as_json = |length: usize| given(json, &[long(length)]);
        assert_eq!(length(as_json(MAX_RENDERED - 2)), Ok(MAX_RENDERED));
        assert_eq!(as_json(MAX_RENDERED - 1).unwrap_err(), "the value is longer than 10 MB as JSON; use less of it");
        let upper = |length: usize| given(|a| map_text(a, |t| t.to_uppercase()), &[long(length)]);
        assert_eq!(length(upper(MAX_RENDERED)), Ok(MAX_RENDERED));
        assert_eq!(upper(MAX_RENDERED + 1).unwrap_err(), too_long);
        let parts = |commas: usize| given(split, &[",".repeat(commas).into(), ",".into()]);
        assert_eq!(parts(MOST_PARTS - 1).map(|v| v.as_array().map_or(0, Vec::len)), Ok(MOST_PARTS));
        assert_eq!(parts(MOST_PARTS).unwrap_err(), "the text has more than 100000 parts; split shorter text");
        let dated = |length: usize| given(date, &["2026-01-02".into(), long(length)]);
        assert_eq!(length(dated(MOST_FORMAT)), Ok(MOST_FORMAT));
        assert_eq!(dated(MOST_FORMAT + 1).unwrap_err(), "a date format has at most 1000 characters");
        let decimals = |places: i64| given(|a| rounded(a, true), &[1.into(), places.into()]);
        assert!(decimals(20).is_ok());
        assert_eq!(decimals(21).unwrap_err(), "the number of decimals must be between 0 and 20");
    }
}
