//! Helpers for numbers, which are exact decimals of up to 28 digits.

use std::ops::RangeInclusive;

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::read::{text_of, text_or, there, whole};
use crate::expr::number::{LANGUAGES, localized};
use crate::expr::spell::spell;
use crate::expr::template::argument::{self, Wants, Words};
use crate::expr::template::helper::{Given, Helper, Wrong, said, short_enough};

const MANY: RangeInclusive<usize> = 2..=16;
/// The maximum number of decimals that can be asked for.
const MOST_DECIMALS: i64 = 20;
static WRITTEN_IN: Words = Words { called: "language", all: &LANGUAGES };

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "number",
        usage: "{{ number body.x 'de' }}",
        does: "text as a number; with a language, as it is written there",
        example: ("{{ number '1.234,50' 'de' }}", "1234.50"),
        takes: 1..=2,
        wants: &[Wants::Anything, Wants::Word(&WRITTEN_IN)],
        seeded: false,
        run: read,
    },
    Helper {
        name: "add",
        usage: "{{ add body.x 1 }}",
        does: "the sum",
        example: ("{{ add body.price 0.1 }}", "20.0"),
        takes: MANY,
        wants: &[Wants::Number; 16],
        seeded: false,
        run: |a| fold(a, "added", Decimal::checked_add),
    },
    Helper {
        name: "subtract",
        usage: "{{ subtract body.x 1 }}",
        does: "the first number minus the others",
        example: ("{{ subtract body.amount 50 }}", "1200"),
        takes: MANY,
        wants: &[Wants::Number; 16],
        seeded: false,
        run: |a| fold(a, "subtracted", Decimal::checked_sub),
    },
    Helper {
        name: "multiply",
        usage: "{{ multiply body.x 2 }}",
        does: "the product",
        example: ("{{ multiply body.price 3 }}", "59.7"),
        takes: MANY,
        wants: &[Wants::Number; 16],
        seeded: false,
        run: |a| fold(a, "multiplied", Decimal::checked_mul),
    },
    Helper {
        name: "divide",
        usage: "{{ divide body.x 100 }}",
        does: "the quotient",
        example: ("{{ divide body.amount 100 }}", "12.5"),
        takes: 2..=2,
        wants: &[Wants::Number, Wants::Divisor],
        seeded: false,
        run: divide,
    },
    Helper {
        name: "round",
        usage: "{{ round body.x 2 }}",
        does: "rounded to this many decimals, 0 by default; halves are rounded up",
        example: ("{{ round 2.345 2 }}", "2.35"),
        takes: 1..=2,
        wants: &[Wants::Number, Wants::Whole(0, MOST_DECIMALS)],
        seeded: false,
        run: |a| rounded(a, false),
    },
    Helper {
        name: "decimals",
        usage: "{{ decimals body.x 2 }}",
        does: "with exactly this many decimals",
        example: ("{{ decimals (divide body.amount 100) 2 }}", "12.50"),
        takes: 2..=2,
        wants: &[Wants::Number, Wants::Whole(0, MOST_DECIMALS)],
        seeded: false,
        run: |a| rounded(a, true),
    },
];

fn decimal(arguments: &[Option<&Value>], n: usize) -> Result<Decimal, Wrong> {
    decimal_of(there(arguments, n)?)
}

/// A value as a number; an item of a list, for example.
pub(super) fn decimal_of(value: &Value) -> Result<Decimal, Wrong> {
    let text = spell(value).ok_or_else(|| said("this takes text or a number, not a list or an object"))?;
    short_enough(text.len())?;
    argument::decimal(&text).map_err(said)
}

pub(super) fn number(value: Decimal) -> Given {
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
        return Err(said("a number cannot be divided by 0"));
    }
    number(a.checked_div(b).ok_or_else(|| said("the numbers are too large to be divided"))?.normalize())
}

pub(super) fn rounded(arguments: &[Option<&Value>], exactly: bool) -> Given {
    let value = decimal(arguments, 0)?;
    let places = if arguments.len() > 1 { whole(arguments, 1, 0, MOST_DECIMALS)? } else { 0 };
    let places = u32::try_from(places).unwrap_or(0);
    let mut value = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    if exactly {
        value.rescale(places);
    } else {
        value = value.normalize();
    }
    number(value)
}

/// Text as a number; a number stays as it is.
fn read(arguments: &[Option<&Value>]) -> Given {
    let value = there(arguments, 0)?;
    if value.is_number() {
        return Ok(Some(value.clone()));
    }
    let (text, language) = (text_of(arguments, 0)?, text_or(arguments, 1, "")?);
    if arguments.len() > 1 && !LANGUAGES.contains(&language.as_str()) {
        return Err(said(WRITTEN_IN.refused(&language)));
    }
    let how =
        if language.is_empty() { "; name the language in which it is written, as in 'de'".to_owned() } else { format!(" in '{language}'") };
    let digits = localized(&text, &language).ok_or_else(|| said(format!("`{text}` is not a number{how}")))?;
    serde_json::from_str(&digits).map(Some).map_err(|e| said(e.to_string()))
}
