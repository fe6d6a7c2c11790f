//! Helpers for text.

use serde_json::Value;

use super::read::{range, text_of, text_or, there, whole};
use crate::expr::template::argument::{Wants, Words};
use crate::expr::template::charge::charge;
use crate::expr::template::helper::{Given, Helper, said, short_enough};
use crate::expr::template::pattern::pattern;

/// The maximum number of parts that text can be split into.
pub const MOST_PARTS: usize = 100_000;
/// The maximum length that can be asked for, in characters.
const MOST_CHARACTERS: i64 = 10 << 20;
/// A position in text.
const POSITION: Wants = Wants::Whole(-MOST_CHARACTERS, MOST_CHARACTERS);
const SIDES: Words = Words { called: "side", all: &["left", "right"] };

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "default",
        usage: "{{ default body.x 'y' }}",
        does: "the value, or the second one if it is missing, null or empty",
        example: ("{{ default body.nick 'friend' }}", "friend"),
        takes: 2..=2,
        wants: &[Wants::Maybe],
        seeded: false,
        run: default,
    },
    Helper {
        name: "text",
        usage: "{{ text body.x }}",
        does: "the value as text, even if it is a number",
        example: ("{{ text body.zip }}", "7"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, str::to_owned),
    },
    Helper {
        name: "upper",
        usage: "{{ upper body.x }}",
        does: "in upper case",
        example: ("{{ upper body.tags[0] }}", "A"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, str::to_uppercase),
    },
    Helper {
        name: "lower",
        usage: "{{ lower body.x }}",
        does: "in lower case",
        example: ("{{ lower 'ABC' }}", "abc"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, str::to_lowercase),
    },
    Helper {
        name: "trim",
        usage: "{{ trim body.x }}",
        does: "without the spaces at both ends",
        example: ("{{ trim body.name }}", "Ada"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| map_text(a, |t| t.trim().to_owned()),
    },
    Helper {
        name: "replace",
        usage: "{{ replace body.x 'a' 'b' }}",
        does: "with every `a` replaced by `b`",
        example: ("{{ replace 'a-b-c' '-' ' ' }}", "a b c"),
        takes: 3..=3,
        wants: &[],
        seeded: false,
        run: replace,
    },
    Helper {
        name: "truncate",
        usage: "{{ truncate body.x 100 }}",
        does: "at most this many characters; shortened text ends in `…`",
        example: ("{{ truncate 'a long story' 7 }}", "a long…"),
        takes: 2..=2,
        wants: &[Wants::Anything, Wants::Whole(1, MOST_CHARACTERS)],
        seeded: false,
        run: truncate,
    },
    Helper {
        name: "split",
        usage: "{{ split body.x ',' }}",
        does: "text as a list, split at every `,`, without the spaces around the parts",
        example: ("{{ join (split 'a, b,c' ',') ' + ' }}", "a + b + c"),
        takes: 2..=2,
        wants: &[],
        seeded: false,
        run: split,
    },
    Helper {
        name: "substring",
        usage: "{{ substring body.x 0 3 }}",
        does: "the characters from the first position (counted from 0) up to the second, or to the end; negative positions count from the end",
        example: ("{{ substring 'DE-1234' 3 }}", "1234"),
        takes: 2..=3,
        wants: &[Wants::Anything, POSITION, POSITION],
        seeded: false,
        run: substring,
    },
    Helper {
        name: "pad",
        usage: "{{ pad body.x 6 '0' 'left' }}",
        does: "filled up to this many characters, at the 'left' (the default) or 'right'",
        example: ("{{ pad body.zip 5 '0' }}", "00007"),
        takes: 3..=4,
        wants: &[Wants::Anything, Wants::Whole(0, MOST_CHARACTERS), Wants::Anything, Wants::Word(&SIDES)],
        seeded: false,
        run: pad,
    },
    Helper {
        name: "match",
        usage: "{{ match body.x '[0-9]+' }}",
        does: "the first part that matches a regular expression: its first group in ( ), or all of it; missing if nothing does",
        example: ("{{ match 'order A-17, paid' 'order ([A-Z]-[0-9]+)' }}", "A-17"),
        takes: 2..=2,
        wants: &[Wants::Anything, Wants::Pattern],
        seeded: false,
        run: matched,
    },
];

pub(super) fn map_text(arguments: &[Option<&Value>], change: fn(&str) -> String) -> Given {
    text_of(arguments, 0).map(|t| Some(Value::String(change(&t))))
}

fn default(arguments: &[Option<&Value>]) -> Given {
    let empty = |v: &Value| v.is_null() || v.as_str() == Some("");
    match arguments[0] {
        Some(value) if !empty(value) => Ok(Some(value.clone())),
        _ => there(arguments, 1).map(|v| Some(v.clone())),
    }
}

pub(super) fn replace(arguments: &[Option<&Value>]) -> Given {
    let (text, what, with) = (text_of(arguments, 0)?, text_of(arguments, 1)?, text_of(arguments, 2)?);
    let times = text.matches(&what).count();
    short_enough((text.len() - times * what.len()).saturating_add(times.saturating_mul(with.len())))?;
    Ok(Some(text.replace(&what, &with).into()))
}

fn truncate(arguments: &[Option<&Value>]) -> Given {
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

fn substring(arguments: &[Option<&Value>]) -> Given {
    let text = text_of(arguments, 0)?;
    let range = range(arguments, text.chars().count())?;
    Ok(Some(text.chars().skip(range.start).take(range.len()).collect::<String>().into()))
}

pub(super) fn pad(arguments: &[Option<&Value>]) -> Given {
    let (text, length, with) = (text_of(arguments, 0)?, whole(arguments, 1, 0, MOST_CHARACTERS)?, text_of(arguments, 2)?);
    let side = text_or(arguments, 3, "left")?;
    if !SIDES.all.contains(&side.as_str()) {
        return Err(said(SIDES.refused(&side)));
    }
    if with.is_empty() {
        return Err(said("write what to fill it up with, such as '0'"));
    }
    let missing = usize::try_from(length).unwrap_or(0).saturating_sub(text.chars().count());
    // A character has at most 4 bytes.
    short_enough(text.len().saturating_add(missing.saturating_mul(4.min(with.len()))))?;
    let filling: String = with.chars().cycle().take(missing).collect();
    Ok(Some(if side == "right" { text + &filling } else { filling + &text }.into()))
}

fn matched(arguments: &[Option<&Value>]) -> Given {
    let (text, wanted) = (text_of(arguments, 0)?, text_of(arguments, 1)?);
    // A pattern may spend more time on each character than a comparison does.
    charge(|budget| budget.steps(text.len() + wanted.len()))?;
    let pattern = pattern(&wanted).map_err(said)?;
    let Some(found) = pattern.captures(&text) else { return Ok(None) };
    let part = found.get(1).or_else(|| found.get(0));
    Ok(part.map(|part| part.as_str().into()))
}
