//! Helpers that compare values as `if:` does, and combine the results.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::expr::comparison::{compare, is_truthy, same};
use crate::expr::template::argument::Wants;
use crate::expr::template::charge::charge;
use crate::expr::template::helper::{Given, Helper};

const MANY: RangeInclusive<usize> = 2..=16;

/// In the order of the docs.
pub(crate) const HELPERS: &[Helper] = &[
    Helper {
        name: "eq",
        usage: "{{#if (eq body.x 'y')}}…{{/if}}",
        does: "whether both are the same, compared as `is:` does",
        example: ("{{#if (eq body.zip 7)}}yes{{else}}no{{/if}}", "yes"),
        takes: 2..=2,
        wants: &[],
        seeded: false,
        run: |a| both(a, |found, wanted| any(found, |f| same(wanted, f, false))),
    },
    Helper {
        name: "ne",
        usage: "{{#if (ne body.x 'y')}}…{{/if}}",
        does: "whether both exist and differ",
        example: ("{{#if (ne body.tags 'a')}}yes{{else}}no{{/if}}", "no"),
        takes: 2..=2,
        wants: &[],
        seeded: false,
        run: |a| both(a, |found, wanted| !any(found, |f| same(wanted, f, false))),
    },
    Helper {
        name: "gt",
        usage: "{{#if (gt body.x 5)}}…{{/if}}",
        does: "whether the first number is greater than the second",
        example: ("{{#if (gt body.amount 1000)}}big{{/if}}", "big"),
        takes: 2..=2,
        wants: &[Wants::Comparable; 2],
        seeded: false,
        run: |a| ordered(a, &[Ordering::Greater]),
    },
    Helper {
        name: "gte",
        usage: "{{#if (gte body.x 5)}}…{{/if}}",
        does: "whether the first number is at least the second",
        example: ("{{#if (gte body.zip 7)}}yes{{/if}}", "yes"),
        takes: 2..=2,
        wants: &[Wants::Comparable; 2],
        seeded: false,
        run: |a| ordered(a, &[Ordering::Greater, Ordering::Equal]),
    },
    Helper {
        name: "lt",
        usage: "{{#if (lt body.x 5)}}…{{/if}}",
        does: "whether the first number is less than the second",
        example: ("{{#if (lt body.zip 7)}}yes{{else}}no{{/if}}", "no"),
        takes: 2..=2,
        wants: &[Wants::Comparable; 2],
        seeded: false,
        run: |a| ordered(a, &[Ordering::Less]),
    },
    Helper {
        name: "lte",
        usage: "{{#if (lte body.x 5)}}…{{/if}}",
        does: "whether the first number is at most the second",
        example: ("{{#if (lte body.zip 7)}}yes{{/if}}", "yes"),
        takes: 2..=2,
        wants: &[Wants::Comparable; 2],
        seeded: false,
        run: |a| ordered(a, &[Ordering::Less, Ordering::Equal]),
    },
    Helper {
        name: "and",
        usage: "{{#if (and body.x body.y)}}…{{/if}}",
        does: "whether none is missing, empty, null, false or 0",
        example: ("{{#if (and body.zip body.nick)}}yes{{else}}no{{/if}}", "no"),
        takes: MANY,
        wants: &[],
        seeded: false,
        run: |a| Ok(Some(a.iter().all(|v| is_truthy(*v)).into())),
    },
    Helper {
        name: "or",
        usage: "{{#if (or body.x body.y)}}…{{/if}}",
        does: "whether at least one is not missing, empty, null, false or 0",
        example: ("{{#if (or body.zip body.nick)}}yes{{/if}}", "yes"),
        takes: MANY,
        wants: &[],
        seeded: false,
        run: |a| Ok(Some(a.iter().any(|v| is_truthy(*v)).into())),
    },
    Helper {
        name: "not",
        usage: "{{#if (not body.x)}}…{{/if}}",
        does: "whether it is missing, empty, null, false or 0",
        example: ("{{#if (not body.nick)}}nobody{{/if}}", "nobody"),
        takes: 1..=1,
        wants: &[],
        seeded: false,
        run: |a| Ok(Some((!is_truthy(a[0])).into())),
    },
];

/// Whether one of a list's values, or the value itself, passes.
fn any(found: &Value, passes: impl Fn(&Value) -> bool) -> bool {
    match found {
        Value::Array(list) => list.iter().any(passes),
        one => passes(one),
    }
}

/// Compares two values; the result is false if one of them is missing.
fn both(arguments: &[Option<&Value>], test: impl Fn(&Value, &Value) -> bool) -> Given {
    let (Some(found), Some(wanted)) = (arguments[0], arguments[1]) else { return Ok(Some(false.into())) };
    // Each element of one is compared with each element of the other.
    let each = |value: &Value| value.as_array().map_or(1, Vec::len);
    charge(|budget| budget.steps(each(found).saturating_mul(each(wanted))))?;
    Ok(Some(test(found, wanted).into()))
}

fn ordered(arguments: &[Option<&Value>], orders: &[Ordering]) -> Given {
    both(arguments, |found, wanted| any(found, |f| compare(f, wanted).is_some_and(|o| orders.contains(&o))))
}
