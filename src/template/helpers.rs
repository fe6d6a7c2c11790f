//! The helpers that templates may call: one list, with what each does and an example that a test renders.
//!
//! A helper is a function from values to a value; it knows no event. Numbers are exact decimals of up to 28 digits
//! (`rust_decimal`); dates are read as RFC 3339, as a plain date, or as Unix seconds or milliseconds.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use handlebars::{Context, Handlebars, Helper as Called, HelperDef, Output, RenderContext, RenderError, RenderErrorReason, ScopedJson};
use jiff::{Timestamp, civil, tz::TimeZone};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::spell;

/// One helper, as it is listed in the docs.
pub struct Helper {
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it gives, in one line.
    pub does: &'static str,
    /// A template and what it gives for [`EXAMPLE_BODY`].
    pub example: (&'static str, &'static str),
    /// How many arguments it takes.
    pub(super) takes: RangeInclusive<usize>,
    run: fn(&[Option<&Value>]) -> Given,
}

/// What the examples are rendered with.
pub const EXAMPLE_BODY: &str = r#"{"name": " Ada ", "nick": null, "zip": 7, "tags": ["a", "b"], "amount": 1250, "price": 19.9,
    "paid": "2026-03-14T09:26:53Z", "lines": [{"sku": "A1"}, {"sku": "B2"}]}"#;

/// Why a helper gives nothing.
enum Wrong {
    /// The argument with this index is missing.
    Missing(usize),
    Said(String),
}

const MANY: RangeInclusive<usize> = 2..=16;

/// All helpers, in the order of the docs.
pub const HELPERS: &[Helper] = &[
    Helper {
        name: "default",
        usage: "{{ default body.x 'y' }}",
        does: "the value, or the other one where it is missing, null or empty",
        example: ("{{ default body.nick 'friend' }}", "friend"),
        takes: 2..=2,
        run: default,
    },
    Helper {
        name: "text",
        usage: "{{ text body.x }}",
        does: "the value as text, even where it is a number",
        example: ("{{ text body.zip }}", "7"),
        takes: 1..=1,
        run: |a| map_text(a, str::to_owned),
    },
    Helper {
        name: "upper",
        usage: "{{ upper body.x }}",
        does: "in capital letters",
        example: ("{{ upper body.tags[0] }}", "A"),
        takes: 1..=1,
        run: |a| map_text(a, str::to_uppercase),
    },
    Helper {
        name: "lower",
        usage: "{{ lower body.x }}",
        does: "in small letters",
        example: ("{{ lower 'ABC' }}", "abc"),
        takes: 1..=1,
        run: |a| map_text(a, str::to_lowercase),
    },
    Helper {
        name: "trim",
        usage: "{{ trim body.x }}",
        does: "without the spaces at both ends",
        example: ("{{ trim body.name }}", "Ada"),
        takes: 1..=1,
        run: |a| map_text(a, |t| t.trim().to_owned()),
    },
    Helper {
        name: "join",
        usage: "{{ join body.list ', ' }}",
        does: "the items of a list as one text",
        example: ("{{ join body.tags ' and ' }}", "a and b"),
        takes: 1..=2,
        run: join,
    },
    Helper {
        name: "first",
        usage: "{{ first body.list }}",
        does: "the first item of a list",
        example: ("{{ first body.tags }}", "a"),
        takes: 1..=1,
        run: |a| end(a, |l| l.first()),
    },
    Helper {
        name: "last",
        usage: "{{ last body.list }}",
        does: "the last item of a list",
        example: ("{{ last body.lines[*].sku }}", "B2"),
        takes: 1..=1,
        run: |a| end(a, |l| l.last()),
    },
    Helper {
        name: "count",
        usage: "{{ count body.list }}",
        does: "how many items a list has",
        example: ("{{ count body.lines }}", "2"),
        takes: 1..=1,
        run: count,
    },
    Helper {
        name: "date",
        usage: "{{ date body.x '%d.%m.%Y' 'Europe/Berlin' }}",
        does: "a date in another form; the time zone is UTC unless you say which",
        example: ("{{ date body.paid '%d.%m.%Y %H:%M' 'Europe/Berlin' }}", "14.03.2026 10:26"),
        takes: 1..=3,
        run: date,
    },
    Helper {
        name: "json",
        usage: "{{ json body.x }}",
        does: "the value as JSON text",
        example: ("{{ json body.tags }}", r#"["a","b"]"#),
        takes: 1..=1,
        run: json,
    },
    Helper {
        name: "add",
        usage: "{{ add body.x 1 }}",
        does: "the sum",
        example: ("{{ add body.price 0.1 }}", "20.0"),
        takes: MANY,
        run: |a| fold(a, "added", Decimal::checked_add),
    },
    Helper {
        name: "subtract",
        usage: "{{ subtract body.x 1 }}",
        does: "the first less the others",
        example: ("{{ subtract body.amount 50 }}", "1200"),
        takes: MANY,
        run: |a| fold(a, "subtracted", Decimal::checked_sub),
    },
    Helper {
        name: "multiply",
        usage: "{{ multiply body.x 2 }}",
        does: "the product",
        example: ("{{ multiply body.price 3 }}", "59.7"),
        takes: MANY,
        run: |a| fold(a, "multiplied", Decimal::checked_mul),
    },
    Helper {
        name: "divide",
        usage: "{{ divide body.x 100 }}",
        does: "the quotient",
        example: ("{{ divide body.amount 100 }}", "12.5"),
        takes: 2..=2,
        run: divide,
    },
    Helper {
        name: "round",
        usage: "{{ round body.x 2 }}",
        does: "rounded to so many decimals, none if you do not say; a half goes up",
        example: ("{{ round 2.345 2 }}", "2.35"),
        takes: 1..=2,
        run: |a| rounded(a, false),
    },
    Helper {
        name: "decimals",
        usage: "{{ decimals body.x 2 }}",
        does: "with exactly so many decimals",
        example: ("{{ decimals (divide body.amount 100) 2 }}", "12.50"),
        takes: 2..=2,
        run: |a| rounded(a, true),
    },
];

impl Helper {
    /// How many arguments it takes, in words.
    pub(super) fn wants(&self) -> String {
        match (self.takes.start(), self.takes.end()) {
            (1, 1) => "one argument".to_owned(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) if b - a == 1 => format!("{a} or {b} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        }
    }
}

/// The registry that all calls are rendered with.
pub(super) fn registry() -> &'static Handlebars<'static> {
    static REGISTRY: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
        let mut registry = Handlebars::new();
        for (name, helper) in super::tags::by_name() {
            registry.register_helper(name, Box::new(Registered(helper)));
        }
        registry.register_helper("keep", Box::new(keep));
        registry
    });
    &REGISTRY
}

/// A helper as Handlebars calls it.
struct Registered(&'static Helper);

impl HelperDef for Registered {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        called: &Called<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let arguments: Vec<Option<&Value>> = called.params().iter().map(|p| (!p.is_value_missing()).then(|| p.value())).collect();
        match (self.0.run)(&arguments) {
            Ok(Some(value)) => Ok(ScopedJson::Derived(value)),
            Ok(None) => Ok(ScopedJson::Missing),
            Err(Wrong::Missing(n)) => {
                Err(RenderErrorReason::MissingVariable(called.param(n).and_then(|p| p.relative_path().cloned())).into())
            }
            Err(Wrong::Said(said)) => Err(RenderErrorReason::Other(format!("{}: {said}", self.0.name)).into()),
        }
    }
}

/// Writes what a call gave as JSON, so that its type is kept.
fn keep(called: &Called, _: &Handlebars, _: &Context, _: &mut RenderContext, out: &mut dyn Output) -> Result<(), RenderError> {
    let given = called.param(0).filter(|p| !p.is_value_missing());
    let given = given.ok_or(RenderErrorReason::MissingVariable(None))?;
    out.write(&given.value().to_string())?;
    Ok(())
}

type Given = Result<Option<Value>, Wrong>;

fn said(text: impl Into<String>) -> Wrong {
    Wrong::Said(text.into())
}

fn there<'v>(arguments: &[Option<&'v Value>], n: usize) -> Result<&'v Value, Wrong> {
    arguments[n].ok_or(Wrong::Missing(n))
}

fn text_of(arguments: &[Option<&Value>], n: usize) -> Result<String, Wrong> {
    spell(there(arguments, n)?).map(|t| t.into_owned()).ok_or_else(|| said("this takes a text or a number, not a list or an object"))
}

fn map_text(arguments: &[Option<&Value>], change: fn(&str) -> String) -> Given {
    text_of(arguments, 0).map(|t| Some(Value::String(change(&t))))
}

fn default(arguments: &[Option<&Value>]) -> Given {
    let empty = |v: &Value| v.is_null() || v.as_str() == Some("");
    match arguments[0] {
        Some(value) if !empty(value) => Ok(Some(value.clone())),
        _ => there(arguments, 1).map(|v| Some(v.clone())),
    }
}

/// A list's items; what is no list counts as one, null as none.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

fn join(arguments: &[Option<&Value>]) -> Given {
    let between = if arguments.len() > 1 { text_of(arguments, 1)? } else { ", ".to_owned() };
    let texts: Option<Vec<_>> = items(there(arguments, 0)?).iter().map(spell).collect();
    let texts = texts.ok_or_else(|| said("the list holds objects; name what you want of them: {{ join body.items[*].sku }}"))?;
    Ok(Some(Value::String(texts.join(&between))))
}

fn end(arguments: &[Option<&Value>], pick: fn(&[Value]) -> Option<&Value>) -> Given {
    Ok(pick(items(there(arguments, 0)?)).cloned())
}

fn count(arguments: &[Option<&Value>]) -> Given {
    Ok(Some(items(there(arguments, 0)?).len().into()))
}

fn json(arguments: &[Option<&Value>]) -> Given {
    Ok(Some(Value::String(there(arguments, 0)?.to_string())))
}

fn decimal(arguments: &[Option<&Value>], n: usize) -> Result<Decimal, Wrong> {
    let text = text_of(arguments, n)?;
    let text = text.trim();
    let read = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
    match read {
        Ok(number) => Ok(number),
        Err(_) if crate::yaml::is_json_number(text) => Err(said(format!("`{text}` has more digits than can be counted with (28)"))),
        Err(_) => Err(said(format!("`{text}` is not a number"))),
    }
}

fn number(value: Decimal) -> Given {
    serde_json::from_str(&value.to_string()).map(Some).map_err(|e| said(e.to_string()))
}

fn fold(arguments: &[Option<&Value>], done: &str, with: fn(Decimal, Decimal) -> Option<Decimal>) -> Given {
    let mut total = decimal(arguments, 0)?;
    for n in 1..arguments.len() {
        total = with(total, decimal(arguments, n)?).ok_or_else(|| said(format!("the numbers are too large to be {done}")))?;
    }
    number(total)
}

fn divide(arguments: &[Option<&Value>]) -> Given {
    let (a, b) = (decimal(arguments, 0)?, decimal(arguments, 1)?);
    if b.is_zero() {
        return Err(said("nothing can be divided by 0"));
    }
    number(a.checked_div(b).ok_or_else(|| said("the numbers are too large to be divided"))?.normalize())
}

fn rounded(arguments: &[Option<&Value>], exactly: bool) -> Given {
    let value = decimal(arguments, 0)?;
    let places = match arguments.len() {
        1 => 0,
        _ => text_of(arguments, 1)?.parse().ok().filter(|p| *p <= 20).ok_or_else(|| said("the number of decimals goes from 0 to 20"))?,
    };
    let mut value = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    if exactly {
        value.rescale(places);
    } else {
        value = value.normalize();
    }
    number(value)
}

fn date(arguments: &[Option<&Value>]) -> Given {
    let given = text_of(arguments, 0)?;
    let moment = moment(&given).ok_or_else(|| said(format!("`{given}` is not a date")))?;
    let format = if arguments.len() > 1 { text_of(arguments, 1)? } else { "%Y-%m-%d".to_owned() };
    let zone = match arguments.len() {
        3 => {
            let name = text_of(arguments, 2)?;
            TimeZone::get(&name).map_err(|_| said(format!("no time zone is called `{name}`; write for example 'Europe/Berlin'")))?
        }
        _ => TimeZone::UTC,
    };
    let text = jiff::fmt::strtime::format(&format, &moment.to_zoned(zone));
    text.map(|t| Some(Value::String(t))).map_err(|_| said(format!("`{format}` is no form of a date; write for example '%Y-%m-%d %H:%M'")))
}

/// A moment from RFC 3339, a date, a date and time (taken as UTC), or Unix seconds or milliseconds.
pub fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if crate::number::is_plain(text) {
        let seconds: f64 = text.parse().ok()?;
        // What is too large for seconds of the next three thousand years is milliseconds.
        let millis = if seconds.abs() >= 1e11 { seconds } else { seconds * 1000.0 };
        return Timestamp::from_millisecond(millis as i64).ok();
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let plain = text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(|d| d.at(0, 0, 0, 0))).ok()?;
        plain.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })
}
