//! What the helpers do with values that people and senders write, and with too long ones.

use serde_json::{Value, json};

use super::dates::{date, gives_date};
use super::encodings::json as as_json_text;
use super::lists::join;
use super::numbers::rounded;
use super::text::{MOST_PARTS, map_text, pad, replace, split};
use crate::body::walk::MAX_VALUES;
use crate::expr::moment::when;
use crate::expr::template::format::MOST_FORMAT;
use crate::expr::template::helper::{Given, Wrong};
use crate::expr::template::length::MAX_RENDERED;
use crate::expr::template::list::HELPERS;
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

/// The result of the helper with this name, as text.
fn called(name: &str, arguments: Value) -> String {
    let helper = HELPERS.iter().find(|h| h.name == name).unwrap();
    match given(helper.run, arguments.as_array().unwrap()) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(said) => format!("error: {said}"),
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
    let as_json = |length: usize| given(as_json_text, &[long(length)]);
    assert_eq!(length(as_json(MAX_RENDERED - 2)), Ok(MAX_RENDERED));
    assert_eq!(as_json(MAX_RENDERED - 1).unwrap_err(), "the value is longer than 10 MB as JSON; use less of it");
    let upper = |length: usize| given(|a| map_text(a, |t| t.to_uppercase()), &[long(length)]);
    assert_eq!(length(upper(MAX_RENDERED)), Ok(MAX_RENDERED));
    assert_eq!(upper(MAX_RENDERED + 1).unwrap_err(), too_long);
    let parts = |commas: usize| given(split, &[",".repeat(commas).into(), ",".into()]);
    assert_eq!(parts(MOST_PARTS - 1).map(|v| v.as_array().map_or(0, Vec::len)), Ok(MOST_PARTS));
    assert_eq!(parts(MOST_PARTS).unwrap_err(), "the text has more than 100000 parts; split shorter text");
    let dated = |length: usize| given(date, &["2026-01-02".into(), format!("%%{}", "x".repeat(length - 2)).into()]);
    assert_eq!(length(dated(MOST_FORMAT)), Ok(MOST_FORMAT - 1));
    assert_eq!(dated(MOST_FORMAT + 1).unwrap_err(), "a date format has at most 1000 characters; use a shorter one");
    let decimals = |places: i64| given(|a| rounded(a, true), &[1.into(), places.into()]);
    assert!(decimals(20).is_ok());
    assert_eq!(decimals(21).unwrap_err(), "a whole number from 0 to 20 is needed, not `21`");
    let padded = |length: usize| given(pad, &["é".into(), length.into(), "é".into()]);
    assert_eq!(length(padded(MAX_RENDERED / 2)), Ok(MAX_RENDERED));
    assert_eq!(padded(MAX_RENDERED / 2 + 1).unwrap_err(), too_long);
}

#[test]
fn dates_are_reckoned_as_a_calendar_does() {
    for (name, arguments, expected) in [
        ("date", json!(["2026-03-14", "%d.%m.%Y", "America/New_York"]), "14.03.2026"),
        ("date", json!(["20260314", "%d.%m.%Y %H:%M", "Pacific/Auckland"]), "14.03.2026 00:00"),
        ("date", json!(["2026-03-14 23:30:00 UTC", "%d.%m.%Y", "Europe/Berlin"]), "15.03.2026"),
        ("date", json!([1773480413]), "2026-03-14"),
        ("parse_date", json!(["14.03.2026", "%d.%m.%Y", "America/New_York"]), "2026-03-14"),
        ("parse_date", json!(["2026-07-01T09:00:00", "%Y-%m-%dT%H:%M:%S", "Europe/Berlin"]), "2026-07-01T09:00:00+02:00"),
        ("parse_date", json!(["01.12.2026 09:00", "%d.%m.%Y %H:%M"]), "2026-12-01T09:00:00Z"),
        ("parse_date", json!(["01.12.2026 09:00 -0500", "%d.%m.%Y %H:%M %z", "Europe/Berlin"]), "2026-12-01T15:00:00+01:00"),
        ("add_days", json!(["2026-12-31", 1]), "2027-01-01"),
        ("add_days", json!(["2026-03-28T12:00:00Z", 1, "Europe/Berlin"]), "2026-03-29T13:00:00+02:00"),
        ("add_days", json!(["2026-03-28T12:00:00Z", -1]), "2026-03-27T12:00:00Z"),
        ("add_months", json!(["2026-01-31", 1]), "2026-02-28"),
        ("add_months", json!(["2028-01-31", 1]), "2028-02-29"),
        ("add_months", json!(["2026-01-31T23:30:00Z", 1, "Europe/Berlin"]), "2026-03-01T00:30:00+01:00"),
        ("add_hours", json!(["2026-03-28T12:00:00Z", 24, "Europe/Berlin"]), "2026-03-29T14:00:00+02:00"),
        ("add_hours", json!(["2026-03-28T12:00:00Z", -0.5]), "2026-03-28T11:30:00Z"),
        ("days_between", json!(["2026-03-01", "2026-04-01"]), "31"),
        ("days_between", json!(["2026-03-29T00:30:00+01:00", "2026-03-30T00:30:00+02:00", "Europe/Berlin"]), "1"),
        ("days_between", json!(["2026-03-14T23:30:00Z", "2026-03-14", "Europe/Berlin"]), "-1"),
        ("start_of", json!(["2026-03-14", "week"]), "2026-03-09"),
        ("start_of", json!(["2026-03-31T23:00:00Z", "month", "Europe/Berlin"]), "2026-04-01T00:00:00+02:00"),
        ("start_of", json!(["2026-03-29T12:00:00Z", "day", "Europe/Berlin"]), "2026-03-29T00:00:00+01:00"),
        ("end_of", json!(["2026-03-14", "week"]), "2026-03-15"),
        ("end_of", json!(["2026-03-29T12:00:00Z", "day", "Europe/Berlin"]), "2026-03-29T23:59:59+02:00"),
        ("weekday", json!(["2026-03-14T23:30:00Z", "Europe/Berlin"]), "sunday"),
        ("weekday", json!(["2026-03-14", "Europe/Berlin"]), "saturday"),
    ] {
        assert_eq!(called(name, arguments.clone()), expected, "{name} {arguments}");
    }
}

#[test]
fn what_counts_as_a_date_is_read_as_one() {
    let mut count = 0;
    for helper in HELPERS.iter().filter(|h| gives_date(h.name, *h.takes.start())) {
        let result = if helper.name == "date" { "2026-03-14" } else { helper.example.1 };
        assert!(when(result).is_some(), "{} gives {result}", helper.name);
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn a_date_that_cannot_be_reckoned_with_is_explained() {
    for (name, arguments, expected) in [
        ("date", json!(["14.03.2026"]), "`14.03.2026` is not a date in a form that can be read; these can: 2026-03-14, 20260314, "),
        ("date", json!(["2026-03-14", "%z"]), "2026-03-14 is a day without a time, so it cannot be written as `%z`"),
        ("date", json!(["2026-03-14", "YYYY"]), "`YYYY` has no `%`, so it is not a date format; write '%Y'"),
        ("date", json!(["2026-03-14", "%Y", "Berlin"]), "there is no time zone called `Berlin`; did you mean 'Europe/Berlin'?"),
        ("parse_date", json!(["2026-03-14", "%d.%m.%Y"]), "`2026-03-14` is not a date that is written as `%d.%m.%Y`"),
        ("parse_date", json!(["31.02.2026", "%d.%m.%Y"]), "`31.02.2026` is not a date that is written as `%d.%m.%Y`"),
        ("add_hours", json!(["2026-03-14", 1]), "2026-03-14 is a day without a time; use `add_days`"),
        ("add_days", json!(["2026-03-14", 1.5]), "a whole number from -100000 to 100000 is needed, not `1.5`"),
        ("add_months", json!(["2026-03-14", 100000]), "the date would be too far away"),
        ("start_of", json!(["2026-03-14", "months"]), "`months` is not a known period; use 'day', 'week' or 'month'"),
        ("end_of", json!(["9999-12-31", "month"]), "the date would be too far away"),
    ] {
        let said = called(name, arguments.clone());
        assert!(said.starts_with(&format!("error: {expected}")), "{name} {arguments}: {said}");
    }
}

#[test]
fn helpers_for_lists_and_text_do_what_they_say() {
    for (name, arguments, expected) in [
        ("sum", json!([[1.5, "2", 3]]), "6.5"),
        ("sum", json!([[]]), "0"),
        ("sum", json!([["a"]]), "error: `a` is not a number"),
        ("sum", json!([[[1]]]), "error: this takes text or a number, not a list or an object"),
        ("min", json!([["10", 9, 9.5]]), "9"),
        ("max", json!([[9007199254740993u64, 9007199254740992u64]]), "9007199254740993"),
        ("max", json!([[]]), "null"),
        ("max", json!([["x"]]), "error: `x` is not a number"),
        ("average", json!([[1, 2]]), "1.5"),
        ("average", json!([[]]), "null"),
        ("sort", json!([[10, 9, "1"]]), r#"["1",9,10]"#),
        ("sort", json!([["b", "A", "a", 1]]), r#"[1,"A","a","b"]"#),
        ("sort", json!([[{}]]), "error: the list contains lists or objects; write which field you want, as in body.items[*].price"),
        ("unique", json!([[1, "1", 1.0, {"a": 1}, {"a": 1}, null]]), r#"[1,"1",{"a":1},null]"#),
        ("reverse", json!([[1, 2]]), "[2,1]"),
        ("slice", json!([[1, 2, 3], 1]), "[2,3]"),
        ("slice", json!([[1, 2, 3], -2, -1]), "[2]"),
        ("slice", json!([[1, 2, 3], 2, 1]), "[]"),
        ("slice", json!([[1, 2, 3], 7, 9]), "[]"),
        ("substring", json!(["Größe", 2, 4]), "öß"),
        ("substring", json!(["abc", -2]), "bc"),
        ("substring", json!(["abc", 1.5]), "error: a whole number from -4294967295 to 4294967295 is needed, not `1.5`"),
        ("pad", json!([42, 6, "0"]), "000042"),
        ("pad", json!(["ab", 5, ".-", "right"]), "ab.-."),
        ("pad", json!(["abcdef", 3, "0"]), "abcdef"),
        ("pad", json!(["a", 3, ""]), "error: write what to fill it up with, such as '0'"),
        ("pad", json!(["a", 3, "0", "top"]), "error: `top` is not a known side; use 'left' or 'right'"),
        ("match", json!(["order A-17", "[A-Z]-([0-9]+)"]), "17"),
        ("match", json!(["order", "[0-9]+"]), "null"),
        ("number", json!(["1.234,50", "de"]), "1234.50"),
        ("number", json!([12345678901234567890u64, "de"]), "12345678901234567890"),
        ("number", json!(["1.234,50"]), "error: `1.234,50` is not a number; name the language in which it is written, as in 'de'"),
        ("number", json!(["1", "xx"]), "error: `xx` is not a known language; use 'de', 'en', "),
    ] {
        let said = called(name, arguments.clone());
        assert!(said == expected || expected.ends_with(", ") && said.starts_with(expected), "{name} {arguments}: {said}");
    }
}

#[test]
fn other_spellings_of_a_value_are_read_and_written() {
    for (name, arguments, expected) in [
        ("parse_json", json!([r#"{"a": [1.10]}"#]), r#"{"a":[1.10]}"#),
        ("parse_json", json!(["{"]), "error: this text cannot be read as JSON: EOF while parsing an object, at line 1 column 1"),
        ("parse_xml", json!(["<a x='1'>b</a>"]), r#"{"a":{"_x":"1","_text":"b"}}"#),
        ("parse_xml", json!(["<a>"]), "error: this text cannot be read as XML: an element is never closed"),
        ("html", json!(["<a href='x'>&\""]), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"),
        ("from_base64", json!(["R3LDvMOfZQ=="]), "Grüße"),
        ("from_base64", json!(["R3LD\nvMOfZQ"]), "Grüße"),
        ("from_base64", json!(["__8"]), "error: what is in this Base64 is not text"),
        ("from_base64", json!(["%"]), "error: this is not Base64"),
        ("hash", json!(["abc", "sha1"]), "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("hash", json!(["abc", "md5"]), "error: `md5` is not a known hash; use 'sha256', 'sha512' or 'sha1'"),
        // RFC 4231 and RFC 2202, test case 2.
        ("hmac", json!(["what do ya want for nothing?", "Jefe"]), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ("hmac", json!(["what do ya want for nothing?", "Jefe", "sha1"]), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("hmac", json!(["what do ya want for nothing?", "Jefe", "sha1", "base64"]), "7/zfauXrL6LSdBbV8YTfnCWafHk="),
        ("hmac", json!(["x", ""]), "error: the key is empty, so anyone could make the same signature"),
    ] {
        assert_eq!(called(name, arguments.clone()), expected, "{name} {arguments}");
    }
}

#[test]
fn parsed_text_has_the_limits_of_a_body() {
    let deep = |levels: usize| called("parse_json", json!([format!("{}{}", "[".repeat(levels), "]".repeat(levels))]));
    assert!(deep(127).starts_with("[[") && deep(129).starts_with("error: this text cannot be read as JSON: recursion limit exceeded"));
    let xml = called("parse_xml", json!(["<a>".repeat(200)]));
    assert_eq!(xml, "error: this text cannot be read as XML: elements are nested more than 128 levels deep");
    let many = called("parse_json", json!([format!("[{}0]", "0,".repeat(MAX_VALUES))]));
    assert!(many.starts_with("error: this text cannot be read as JSON: The body has more than 1000000 values"), "{many}");
}
