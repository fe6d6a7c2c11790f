//! Any bytes as a body of any content type, compressed or not: it is read or rejected with a message, and a partial parse finds
//! the same as a full one. The first line is the content type, the second the encoding.
#![no_main]

use doorbell::body;
use doorbell::body::packed::unpack;
use doorbell::expr::field::{Field, Root, Values};
use doorbell::expr::projection::Projection;
use doorbell::model::budget::Budget;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::borrow::Cow;

const LIMIT: usize = 1 << 20;
const FIELDS: [&str; 5] = ["body.a", "body.b.c", "body.a[0].b", "body.c[*].a", "body.b[*]"];

#[derive(Default)]
struct Body {
    value: Value,
    budget: Budget,
}

impl Values for Body {
    fn budget(&self) -> &Budget {
        &self.budget
    }
    fn root(&self, _: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        Ok(Some(Cow::Borrowed(&self.value)))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.splitn(3, |b| *b == b'\n');
    let (kind, encoding, raw) = (lines.next().unwrap_or(b""), lines.next().unwrap_or(b""), lines.next().unwrap_or(b""));
    let (kind, encoding) = (String::from_utf8_lossy(kind), String::from_utf8_lossy(encoding));
    let unpacked = match encoding.as_ref() {
        "" => raw.to_vec().into(),
        packed => match unpack(packed, &raw.to_vec().into(), LIMIT) {
            Ok(unpacked) => unpacked,
            Err(_) => return,
        },
    };
    assert!(encoding.is_empty() || unpacked.len() <= LIMIT);
    let read = body::read(Some(&kind), &unpacked);
    if let Err(malformed) = &read {
        assert!(malformed.why.ends_with('.'), "{}", malformed.why);
    }
    // A partial parse of JSON finds the same as a full one.
    let fields: Vec<Field> = FIELDS.iter().filter_map(|f| Field::read(f).ok()).collect();
    let Some(parts) = Projection::of(&fields).read(&unpacked) else { return };
    let whole = body::read(Some("application/json"), &unpacked).expect("a body that can be parsed in part can be parsed in full");
    let (parts, whole) = (Body { value: parts, ..Body::default() }, Body { value: whole, ..Body::default() });
    for field in &fields {
        assert_eq!(field.find(&parts), field.find(&whole), "{}", field.text());
    }
});
