//! The list of helpers: what each is called, how it is written, what it gives, with an example that a test renders. What
//! they do is in [`super::helpers`].

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use base64::Engine as _;
use rust_decimal::Decimal;
use serde_json::Value;

use super::helpers::{
    Given, any, both, count, date, default, divide, end, fold, hash, join, json, map_text, ordered, replace, rounded, split, truncate, uuid,
};
use crate::comparison::{is_truthy, same};

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
    /// Whether it is handed what tells this step of this event from all others, before its own arguments.
    pub(super) seeded: bool,
    pub(super) run: fn(&[Option<&Value>]) -> Given,
}

/// What the examples are rendered with.
pub const EXAMPLE_BODY: &str = r#"{"name": " Ada ", "nick": null, "zip": 7, "tags": ["a", "b"], "amount": 1250, "price": 19.9,
    "paid": "2026-03-14T09:26:53Z", "lines": [{"sku": "A1"}, {"sku": "B2"}]}"#;

const MANY: RangeInclusive<usize> = 2..=16;

/// All helpers, in the order of the docs.
pub const HELPERS: &[Helper] = &[
    Helper {
        name: "default",
        usage: "{{ default body.x 'y' }}",
        does: "the value, or the other one where it is missing, null or empty",
        example: ("{{ default body.nick 'friend' }}", "friend"),
        takes: 2..=2,
        seeded: false,
        run: default,
    },
    Helper {
        name: "text",
        usage: "{{ text body.x }}",
        does: "the value as text, even where it is a number",
        example: ("{{ text body.zip }}", "7"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, str::to_owned),
    },
    Helper {
        name: "upper",
        usage: "{{ upper body.x }}",
        does: "in capital letters",
        example: ("{{ upper body.tags[0] }}", "A"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, str::to_uppercase),
    },
    Helper {
        name: "lower",
        usage: "{{ lower body.x }}",
        does: "in small letters",
        example: ("{{ lower 'ABC' }}", "abc"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, str::to_lowercase),
    },
    Helper {
        name: "trim",
        usage: "{{ trim body.x }}",
        does: "without the spaces at both ends",
        example: ("{{ trim body.name }}", "Ada"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, |t| t.trim().to_owned()),
    },
    Helper {
        name: "replace",
        usage: "{{ replace body.x 'a' 'b' }}",
        does: "with every `a` replaced by `b`",
        example: ("{{ replace 'a-b-c' '-' ' ' }}", "a b c"),
        takes: 3..=3,
        seeded: false,
        run: replace,
    },
    Helper {
        name: "truncate",
        usage: "{{ truncate body.x 100 }}",
        does: "at most so many letters; what is cut ends in `…`",
        example: ("{{ truncate 'a long story' 7 }}", "a long…"),
        takes: 2..=2,
        seeded: false,
        run: truncate,
    },
    Helper {
        name: "split",
        usage: "{{ split body.x ',' }}",
        does: "a text as a list, cut at every `,`, without the spaces around",
        example: ("{{ join (split 'a, b,c' ',') ' + ' }}", "a + b + c"),
        takes: 2..=2,
        seeded: false,
        run: split,
    },
    Helper {
        name: "join",
        usage: "{{ join body.list ', ' }}",
        does: "the items of a list as one text",
        example: ("{{ join body.tags ' and ' }}", "a and b"),
        takes: 1..=2,
        seeded: false,
        run: join,
    },
    Helper {
        name: "first",
        usage: "{{ first body.list }}",
        does: "the first item of a list",
        example: ("{{ first body.tags }}", "a"),
        takes: 1..=1,
        seeded: false,
        run: |a| end(a, |l| l.first()),
    },
    Helper {
        name: "last",
        usage: "{{ last body.list }}",
        does: "the last item of a list",
        example: ("{{ last body.lines[*].sku }}", "B2"),
        takes: 1..=1,
        seeded: false,
        run: |a| end(a, |l| l.last()),
    },
    Helper {
        name: "count",
        usage: "{{ count body.list }}",
        does: "how many items a list has",
        example: ("{{ count body.lines }}", "2"),
        takes: 1..=1,
        seeded: false,
        run: count,
    },
    Helper {
        name: "date",
        usage: "{{ date body.x '%d.%m.%Y' 'Europe/Berlin' }}",
        does: "a date in another form; the time zone is UTC unless you say which",
        example: ("{{ date body.paid '%d.%m.%Y %H:%M' 'Europe/Berlin' }}", "14.03.2026 10:26"),
        takes: 1..=3,
        seeded: false,
        run: date,
    },
    Helper {
        name: "json",
        usage: "{{ json body.x }}",
        does: "the value as JSON text",
        example: ("{{ json body.tags }}", r#"["a","b"]"#),
        takes: 1..=1,
        seeded: false,
        run: json,
    },
    Helper {
        name: "url",
        usage: "{{ url body.x }}",
        does: "percent-encoded; needed only where a text holds an address, in `post:` it is done by itself",
        example: ("{{ url 'a b&c' }}", "a%20b%26c"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, |t| percent_encoding::utf8_percent_encode(t, crate::percent::QUERY).to_string()),
    },
    Helper {
        name: "base64",
        usage: "{{ base64 body.x }}",
        does: "in Base64",
        example: ("{{ base64 'user:word' }}", "dXNlcjp3b3Jk"),
        takes: 1..=1,
        seeded: false,
        run: |a| map_text(a, |t| base64::engine::general_purpose::STANDARD.encode(t)),
    },
    Helper {
        name: "hash",
        usage: "{{ hash body.x }}",
        does: "a fingerprint: SHA-256, in hexadecimal; 'sha1' and 'sha512' behind it choose another",
        example: ("{{ truncate (hash 'abc') 9 }}", "ba7816bf…"),
        takes: 1..=2,
        seeded: false,
        run: hash,
    },
    Helper {
        name: "uuid",
        usage: "{{ uuid }}",
        does: "an id of its own for every step, the same for every try of it",
        example: ("{{ count (uuid) }}", "1"),
        takes: 0..=0,
        seeded: true,
        run: uuid,
    },
    Helper {
        name: "add",
        usage: "{{ add body.x 1 }}",
        does: "the sum",
        example: ("{{ add body.price 0.1 }}", "20.0"),
        takes: MANY,
        seeded: false,
        run: |a| fold(a, "added", Decimal::checked_add),
    },
    Helper {
        name: "subtract",
        usage: "{{ subtract body.x 1 }}",
        does: "the first less the others",
        example: ("{{ subtract body.amount 50 }}", "1200"),
        takes: MANY,
        seeded: false,
        run: |a| fold(a, "subtracted", Decimal::checked_sub),
    },
    Helper {
        name: "multiply",
        usage: "{{ multiply body.x 2 }}",
        does: "the product",
        example: ("{{ multiply body.price 3 }}", "59.7"),
        takes: MANY,
        seeded: false,
        run: |a| fold(a, "multiplied", Decimal::checked_mul),
    },
    Helper {
        name: "divide",
        usage: "{{ divide body.x 100 }}",
        does: "the quotient",
        example: ("{{ divide body.amount 100 }}", "12.5"),
        takes: 2..=2,
        seeded: false,
        run: divide,
    },
    Helper {
        name: "round",
        usage: "{{ round body.x 2 }}",
        does: "rounded to so many decimals, none if you do not say; a half goes up",
        example: ("{{ round 2.345 2 }}", "2.35"),
        takes: 1..=2,
        seeded: false,
        run: |a| rounded(a, false),
    },
    Helper {
        name: "decimals",
        usage: "{{ decimals body.x 2 }}",
        does: "with exactly so many decimals",
        example: ("{{ decimals (divide body.amount 100) 2 }}", "12.50"),
        takes: 2..=2,
        seeded: false,
        run: |a| rounded(a, true),
    },
    Helper {
        name: "eq",
        usage: "{{#if (eq body.x 'y')}}…{{/if}}",
        does: "whether both are the same, as `is:` compares",
        example: ("{{#if (eq body.zip 7)}}yes{{else}}no{{/if}}", "yes"),
        takes: 2..=2,
        seeded: false,
        run: |a| both(a, |found, wanted| any(found, |f| same(wanted, f, false))),
    },
    Helper {
        name: "ne",
        usage: "{{#if (ne body.x 'y')}}…{{/if}}",
        does: "whether they differ; a missing one does not",
        example: ("{{#if (ne body.tags 'a')}}yes{{else}}no{{/if}}", "no"),
        takes: 2..=2,
        seeded: false,
        run: |a| both(a, |found, wanted| !any(found, |f| same(wanted, f, false))),
    },
    Helper {
        name: "gt",
        usage: "{{#if (gt body.x 5)}}…{{/if}}",
        does: "whether the first number is over the second",
        example: ("{{#if (gt body.amount 1000)}}big{{/if}}", "big"),
        takes: 2..=2,
        seeded: false,
        run: |a| ordered(a, &[Ordering::Greater]),
    },
    Helper {
        name: "gte",
        usage: "{{#if (gte body.x 5)}}…{{/if}}",
        does: "whether it is at least the second",
        example: ("{{#if (gte body.zip 7)}}yes{{/if}}", "yes"),
        takes: 2..=2,
        seeded: false,
        run: |a| ordered(a, &[Ordering::Greater, Ordering::Equal]),
    },
    Helper {
        name: "lt",
        usage: "{{#if (lt body.x 5)}}…{{/if}}",
        does: "whether the first number is under the second",
        example: ("{{#if (lt body.zip 7)}}yes{{else}}no{{/if}}", "no"),
        takes: 2..=2,
        seeded: false,
        run: |a| ordered(a, &[Ordering::Less]),
    },
    Helper {
        name: "lte",
        usage: "{{#if (lte body.x 5)}}…{{/if}}",
        does: "whether it is at most the second",
        example: ("{{#if (lte body.zip 7)}}yes{{/if}}", "yes"),
        takes: 2..=2,
        seeded: false,
        run: |a| ordered(a, &[Ordering::Less, Ordering::Equal]),
    },
    Helper {
        name: "and",
        usage: "{{#if (and body.x body.y)}}…{{/if}}",
        does: "whether all are there and not empty, null, false or 0",
        example: ("{{#if (and body.zip body.nick)}}yes{{else}}no{{/if}}", "no"),
        takes: MANY,
        seeded: false,
        run: |a| Ok(Some(a.iter().all(|v| is_truthy(*v)).into())),
    },
    Helper {
        name: "or",
        usage: "{{#if (or body.x body.y)}}…{{/if}}",
        does: "whether one of them is",
        example: ("{{#if (or body.zip body.nick)}}yes{{/if}}", "yes"),
        takes: MANY,
        seeded: false,
        run: |a| Ok(Some(a.iter().any(|v| is_truthy(*v)).into())),
    },
    Helper {
        name: "not",
        usage: "{{#if (not body.x)}}…{{/if}}",
        does: "whether it is missing, empty, null, false or 0",
        example: ("{{#if (not body.nick)}}nobody{{/if}}", "nobody"),
        takes: 1..=1,
        seeded: false,
        run: |a| Ok(Some((!is_truthy(a[0])).into())),
    },
];

impl Helper {
    /// How many arguments it takes, in words.
    pub(super) fn wants(&self) -> String {
        match (self.takes.start(), self.takes.end()) {
            (0, 0) => "no argument".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) if b - a == 1 => format!("{a} or {b} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        }
    }
}
