//! What a helper's arguments must be, and the check of those that are fixed text or numbers in the rule: whatever is wrong
//! with them is wrong for every event, so it is a problem when rules are loaded.

use rust_decimal::Decimal;
use serde_json::Value;

use super::format::{self, BadFormat};
use super::pattern::pattern;
use crate::expr::comparison::{compare, spelled};
use crate::expr::field::ROOTS;
use crate::expr::moment::{DATE_EXAMPLE, day_of, when};
use crate::schedule::zone::{EXAMPLE, zone};
use crate::text::nearest::nearest;

/// What one argument must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wants {
    /// Anything; what does not fit is noticed for each event.
    Anything,
    /// A value that may be missing: a fixed one never is.
    Maybe,
    List,
    Number,
    /// A number to compare with, however long.
    Comparable,
    /// A number other than 0.
    Divisor,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    Date,
    /// A format for printing a date.
    Format,
    /// A format for reading a date.
    Reading,
    Zone,
    Pattern,
    /// One of these words.
    Word(&'static Words),
}

/// The words that an argument can be.
#[derive(Debug, PartialEq)]
pub(super) struct Words {
    /// What they are called, as in "`md5` is not a known …".
    pub(super) called: &'static str,
    pub(super) all: &'static [&'static str],
}

/// Why a fixed argument does not fit, and what to write instead, if that is known.
pub(super) struct Misfit {
    pub(super) why: String,
    /// A sentence.
    pub(super) instead: Option<String>,
    /// The argument that is probably meant, as it is written.
    pub(super) meant: Option<String>,
}

impl Words {
    /// All of them, for a message.
    fn listed(&self) -> String {
        let (last, others) = self.all.split_last().unwrap_or((&"", &[]));
        if others.is_empty() { format!("'{last}'") } else { format!("'{}' or '{last}'", others.join("', '")) }
    }

    /// Why a word is not one of them, in a sentence.
    pub(super) fn refused(&self, word: &str) -> String {
        format!("`{word}` is not a known {}; use {}", self.called, self.listed())
    }

    fn misfit(&self, word: &str) -> Misfit {
        let meant = nearest(word, self.all.iter().copied()).map(|near| format!("'{near}'"));
        Misfit { why: format!("`{word}` is not a known {}", self.called), instead: Some(format!("write {}", self.listed())), meant }
    }
}

fn misfit(why: impl Into<String>, instead: Option<String>) -> Result<(), Misfit> {
    Err(Misfit { why: why.into(), instead, meant: None })
}

fn bad_format(bad: BadFormat) -> Misfit {
    Misfit { why: bad.why, instead: Some(bad.instead.to_owned()), meant: bad.meant.map(|format| format!("'{format}'")) }
}

impl Wants {
    /// Checks a fixed argument.
    pub(super) fn check(self, value: &Value) -> Result<(), Misfit> {
        if self == Wants::Anything {
            return Ok(());
        }
        let Some(text) = spelled(value) else { return Ok(()) };
        match self {
            Wants::Anything => Ok(()),
            Wants::Maybe if value.is_null() || text.is_empty() => Ok(()),
            Wants::Maybe => misfit("the first value is fixed and never missing, so the second one is never used", None),
            Wants::List if value.is_null() => Ok(()),
            Wants::List => Err(field_meant(format!("a list is needed here, not {}", shown(value)), &text)),
            Wants::Number => number(value, &text).map(|_| ()),
            Wants::Comparable if compare(value, value).is_some() => Ok(()),
            Wants::Comparable => {
                let misfit = field_meant(format!("a number is needed here, not {}", shown(value)), &text);
                let dates = when(&text).map(|_| "compare dates with `before` and `after`, under `if:`".to_owned());
                Err(Misfit { instead: misfit.instead.or(dates), ..misfit })
            }
            Wants::Divisor if number(value, &text)?.is_zero() => misfit("a number cannot be divided by 0", None),
            Wants::Divisor => Ok(()),
            Wants::Whole(least, most) => match text.trim().parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                Ok(_) => misfit(format!("a whole number from {least} to {most} is needed here, not {text}"), None),
                Err(_) => Err(field_meant(format!("a whole number is needed here, not {}", shown(value)), &text)),
            },
            Wants::Date if when(&text).is_some() => Ok(()),
            Wants::Date => {
                let misfit = field_meant(format!("{} is not a date in a form that can be read", shown(value)), &text);
                let day = day_of(&text).map(|day| format!("'{day}'"));
                Err(Misfit { instead: misfit.instead.or(Some(DATE_EXAMPLE.to_owned())), meant: misfit.meant.or(day), ..misfit })
            }
            Wants::Format => format::check(&text).map_err(bad_format),
            Wants::Reading => format::check_reading(&text).map_err(bad_format),
            Wants::Zone => zone(&text).map(|_| ()).map_err(|no| Misfit { why: no.why, instead: Some(EXAMPLE.to_owned()), meant: no.meant }),
            Wants::Pattern => pattern(&text).map(|_| ()).map_err(|why| Misfit { why, instead: None, meant: None }),
            Wants::Word(words) if words.all.contains(&text.as_ref()) => Ok(()),
            Wants::Word(words) => Err(words.misfit(&text)),
        }
    }

    /// Whether a fixed text must be meant for this argument, because hardly any other text fits.
    pub(super) fn is_meant(self, value: &Value) -> bool {
        let Value::String(text) = value else { return false };
        match self {
            Wants::Format | Wants::Reading => text.contains('%') && self.check(value).is_ok(),
            Wants::Zone => text.contains('/') && self.check(value).is_ok(),
            Wants::Word(words) => words.all.contains(&text.as_str()),
            _ => false,
        }
    }
}

/// A number for calculations, of at most 28 digits; the error is a message for people.
pub(super) fn decimal(text: &str) -> Result<Decimal, String> {
    let text = text.trim();
    let read = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
    read.map_err(|_| match crate::yaml::is_json_number(text) {
        true => format!("`{text}` has too many digits to calculate with; 28 is the limit"),
        false => format!("`{text}` is not a number"),
    })
}

fn number(value: &Value, text: &str) -> Result<Decimal, Misfit> {
    decimal(text).map_err(|why| match value {
        Value::Number(_) => Misfit { why, instead: None, meant: None },
        _ => field_meant(format!("a number is needed here, not {}", shown(value)), text),
    })
}

/// A fixed argument, for a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text '{text}'"),
        other => other.to_string(),
    }
}

/// A misfit, maybe because somebody put the name of a field in quotes.
fn field_meant(why: String, text: &str) -> Misfit {
    let root = text.split(['.', '[']).next().unwrap_or("");
    let is_field = root.len() < text.len() && ROOTS.contains(&root);
    let instead = is_field.then(|| "a field is written without quotes".to_owned());
    Misfit { why, instead, meant: is_field.then(|| text.to_owned()) }
}
