//! Helpers for lists.

use std::cmp::Ordering;
use std::collections::HashSet;

use rust_decimal::Decimal;
use serde_json::Value;

use super::numbers::{decimal_of, number};
use super::read::{items, range, text_or, there};
use crate::expr::comparison::compare;
use crate::expr::number::canonical;
use crate::expr::spell::spell;
use crate::expr::template::argument::Wants;
use crate::expr::template::charge::charge;
use crate::expr::template::helper::{Given, Helper, Wrong, said, short_enough};

/// A position in a list.
const POSITION: Wants = Wants::Whole(-1_000_000, 1_000_000);

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "join",
        usage: "{{ join body.list ', ' }}",
        does: "the items of a list, joined into text",
        example: ("{{ join body.tags ' and ' }}", "a and b"),
        takes: 1..=2,
        wants: &[Wants::List],
        seeded: false,
        run: join,
    },
    Helper {
        name: "first",
        usage: "{{ first body.list }}",
        does: "the first item of a list",
        example: ("{{ first body.tags }}", "a"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| end(a, |l| l.first()),
    },
    Helper {
        name: "last",
        usage: "{{ last body.list }}",
        does: "the last item of a list",
        example: ("{{ last body.lines[*].sku }}", "B2"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| end(a, |l| l.last()),
    },
    Helper {
        name: "count",
        usage: "{{ count body.list }}",
        does: "how many items a list has",
        example: ("{{ count body.lines }}", "2"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: count,
    },
    Helper {
        name: "sum",
        usage: "{{ sum body.list }}",
        does: "the sum of the numbers in a list; 0 if it is empty",
        example: ("{{ sum body.prices }}", "32.5"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: sum,
    },
    Helper {
        name: "min",
        usage: "{{ min body.list }}",
        does: "the smallest number in a list; missing if it is empty",
        example: ("{{ min body.prices }}", "3"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: |a| extreme(a, Ordering::Less),
    },
    Helper {
        name: "max",
        usage: "{{ max body.list }}",
        does: "the largest number in a list; missing if it is empty",
        example: ("{{ max body.prices }}", "20"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: |a| extreme(a, Ordering::Greater),
    },
    Helper {
        name: "average",
        usage: "{{ average body.list }}",
        does: "the average of the numbers in a list; missing if it is empty",
        example: ("{{ round (average body.prices) 2 }}", "10.83"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: average,
    },
    Helper {
        name: "sort",
        usage: "{{ sort body.list }}",
        does: "the items in order: by value if all are numbers, otherwise by the alphabet",
        example: ("{{ join (sort body.prices) ', ' }}", "3, 9.5, 20"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: sort,
    },
    Helper {
        name: "unique",
        usage: "{{ unique body.list }}",
        does: "without the items that are there already",
        example: ("{{ join (unique (split 'b,a,b' ',')) ', ' }}", "b, a"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: unique,
    },
    Helper {
        name: "reverse",
        usage: "{{ reverse body.list }}",
        does: "the items in the opposite order",
        example: ("{{ join (reverse (sort body.prices)) ', ' }}", "20, 9.5, 3"),
        takes: 1..=1,
        wants: &[Wants::List],
        seeded: false,
        run: reverse,
    },
    Helper {
        name: "slice",
        usage: "{{ slice body.list 0 3 }}",
        does: "the items from the first position (counted from 0) up to the second, or to the end; negative positions count from the end",
        example: ("{{ join (slice body.prices -2) ', ' }}", "20, 3"),
        takes: 2..=3,
        wants: &[Wants::List, POSITION, POSITION],
        seeded: false,
        run: slice,
    },
];

pub(super) fn join(arguments: &[Option<&Value>]) -> Given {
    let between = text_or(arguments, 1, ", ")?;
    let texts: Option<Vec<_>> = items(there(arguments, 0)?).iter().map(spell).collect();
    let texts = texts.ok_or_else(|| said("the list contains objects; write which field you want: {{ join body.items[*].sku }}"))?;
    let all: usize = texts.iter().map(|t| t.len()).sum();
    short_enough(all.saturating_add(between.len().saturating_mul(texts.len().saturating_sub(1))))?;
    Ok(Some(Value::String(texts.join(&between))))
}

fn end(arguments: &[Option<&Value>], pick: fn(&[Value]) -> Option<&Value>) -> Given {
    Ok(pick(items(there(arguments, 0)?)).cloned())
}

fn count(arguments: &[Option<&Value>]) -> Given {
    Ok(Some(items(there(arguments, 0)?).len().into()))
}

/// The items of the first argument, charged as one step each.
fn list<'v>(arguments: &[Option<&'v Value>]) -> Result<&'v [Value], Wrong> {
    let list = items(there(arguments, 0)?);
    charge(|budget| budget.steps(list.len()))?;
    Ok(list)
}

fn total(list: &[Value]) -> Result<Decimal, Wrong> {
    let mut total = Decimal::ZERO;
    for item in list {
        total = total.checked_add(decimal_of(item)?).ok_or_else(|| said("the numbers are too large to be added"))?;
    }
    Ok(total)
}

fn sum(arguments: &[Option<&Value>]) -> Given {
    number(total(list(arguments)?)?)
}

fn average(arguments: &[Option<&Value>]) -> Given {
    let list = list(arguments)?;
    if list.is_empty() {
        return Ok(None);
    }
    let average = total(list)?.checked_div(Decimal::from(list.len()));
    number(average.ok_or_else(|| said("the numbers are too large to be divided"))?.normalize())
}

/// The item that is less or greater than all others.
fn extreme(arguments: &[Option<&Value>], wanted: Ordering) -> Given {
    let mut best: Option<&Value> = None;
    for item in list(arguments)? {
        let Some(order) = compare(item, best.unwrap_or(item)) else {
            return Err(said(format!("`{}` is not a number", text(item)?)));
        };
        if best.is_none() || order == wanted {
            best = Some(item);
        }
    }
    Ok(best.cloned())
}

fn sort(arguments: &[Option<&Value>]) -> Given {
    let list = list(arguments)?;
    // Sorting compares each item with some of the others.
    charge(|budget| budget.steps(list.len().saturating_mul(list.len().checked_ilog2().unwrap_or(0) as usize)))?;
    let mut items = list.to_vec();
    if list.iter().all(|item| compare(item, item).is_some()) {
        items.sort_by(|a, b| compare(a, b).unwrap_or(Ordering::Equal));
        return Ok(Some(Value::Array(items)));
    }
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        keyed.push(((text(&item)?.to_lowercase(), text(&item)?), item));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Some(keyed.into_iter().map(|(_, item)| item).collect()))
}

/// An item that has to be a single value.
fn text(item: &Value) -> Result<String, Wrong> {
    let objects = || said("the list contains lists or objects; write which field you want, as in body.items[*].price");
    spell(item).map(|text| text.into_owned()).ok_or_else(objects)
}

/// Equal numbers count as the same, however they are written.
fn unique(arguments: &[Option<&Value>]) -> Given {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in list(arguments)? {
        let key = match item {
            Value::Number(number) => canonical(&number.to_string()),
            _ => None,
        };
        let key = key.unwrap_or_else(|| item.to_string());
        charge(|budget| budget.made(key.len()))?;
        if seen.insert(key) {
            kept.push(item.clone());
        }
    }
    Ok(Some(Value::Array(kept)))
}

fn reverse(arguments: &[Option<&Value>]) -> Given {
    Ok(Some(list(arguments)?.iter().rev().cloned().collect()))
}

fn slice(arguments: &[Option<&Value>]) -> Given {
    let list = list(arguments)?;
    Ok(Some(list.get(range(arguments, list.len())?).unwrap_or_default().into()))
}
