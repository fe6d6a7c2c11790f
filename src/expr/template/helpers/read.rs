//! Reads the arguments of a helper.

use serde_json::Value;

use crate::expr::spell::spell;
use crate::expr::template::helper::{Wrong, said, short_enough};

pub(super) fn there<'v>(arguments: &[Option<&'v Value>], n: usize) -> Result<&'v Value, Wrong> {
    arguments.get(n).copied().flatten().ok_or(Wrong::Missing(n))
}

pub(super) fn text_of(arguments: &[Option<&Value>], n: usize) -> Result<String, Wrong> {
    let text = spell(there(arguments, n)?).ok_or_else(|| said("this takes text or a number, not a list or an object"))?;
    short_enough(text.len())?;
    Ok(text.into_owned())
}

/// An argument that may be left out.
pub(super) fn text_or(arguments: &[Option<&Value>], n: usize, default: &str) -> Result<String, Wrong> {
    if arguments.len() > n { text_of(arguments, n) } else { Ok(default.to_owned()) }
}

/// A whole number from `least` to `most`.
pub(super) fn whole(arguments: &[Option<&Value>], n: usize, least: i64, most: i64) -> Result<i64, Wrong> {
    let text = text_of(arguments, n)?;
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| said(format!("a whole number from {least} to {most} is needed, not `{text}`")))
}

/// A list's items; a value that is not a list counts as one item, null as none.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// The positions between which something of this length is cut: from the first, and up to but not including the second.
/// Negative ones count from the end.
pub(super) fn range(arguments: &[Option<&Value>], length: usize) -> Result<std::ops::Range<usize>, Wrong> {
    let most = i64::from(u32::MAX);
    let position = |n: usize| {
        let position = whole(arguments, n, -most, most)?;
        let places = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        Ok::<usize, Wrong>(if position < 0 { length.saturating_sub(places) } else { places.min(length) })
    };
    let from = position(1)?;
    let to = if arguments.len() > 2 { position(2)? } else { length };
    Ok(from..to.max(from))
}
