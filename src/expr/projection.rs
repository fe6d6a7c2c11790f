//! The parts of a JSON body that rules need, so that the rest is checked but not built.
//!
//! Building a whole body costs more than matching and rendering together, and most rules use only a few fields. A
//! projection is computed at load from every field that the rules of an address name; if one of them needs the whole
//! body, or something that only a search can find (`..`, filters), everything below that place is built. The rest is only
//! checked for valid JSON: an event that was accepted can always be parsed completely later.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::body::form_names::FormName;
use crate::body::number_text;
use crate::body::opened::{self, ENVELOPES, Envelope};
use crate::body::walk::{self, MAX_VALUES, Walk};
use crate::expr::field::Field;
use crate::expr::field::part::PathPart;

/// What is needed of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    /// Everything.
    all: bool,
    /// These members of an object.
    names: BTreeMap<String, Projection>,
    /// This part of every item of a list.
    items: Option<Box<Projection>>,
}

impl Projection {
    /// What these fields need of the body.
    pub fn of<'f>(fields: impl IntoIterator<Item = &'f Field>) -> Self {
        let mut all = Self::default();
        for parts in fields.into_iter().flat_map(Field::needs_of_body) {
            // A search continues below its parts, in everything that is there.
            all.want(parts);
            all.want_form_name(parts);
            ENVELOPES.iter().for_each(|envelope| all.want_envelope(envelope, parts));
        }
        all
    }

    /// A name may be the one that the sender of a form used, which is looked up part by part.
    fn want_form_name(&mut self, parts: &[PathPart]) {
        for (n, part) in parts.iter().enumerate() {
            if let PathPart::Name(name) = part
                && let Some(name) = FormName::read(name)
            {
                let first = PathPart::Name(name.parts[0].to_owned());
                self.want(&[&parts[..n], &[first]].concat());
            }
        }
    }

    /// If these parts lead to or into the text of an envelope, all of it is needed, and what shows that it is one.
    fn want_envelope(&mut self, envelope: &Envelope, parts: &[PathPart]) {
        let each = parts.iter().take_while(|p| **p == PathPart::Each).count();
        let mut both = parts[each..].iter().zip(envelope.text);
        if !both.all(|(part, name)| matches!(part, PathPart::Name(n) if n == name)) {
            return;
        }
        for path in [envelope.text].iter().chain(envelope.marks) {
            let names = path.iter().map(|name| PathPart::Name((*name).to_owned()));
            self.want(&parts[..each].iter().cloned().chain(names).collect::<Vec<_>>());
        }
    }

    /// What these pointers (RFC 6901) refer to; `*` is every item of a list.
    pub fn at<'p>(pointers: impl IntoIterator<Item = &'p str>) -> Self {
        let part = |part: &str| if part == "*" { PathPart::Each } else { PathPart::Name(part.to_owned()) };
        let mut all = Self::default();
        for pointer in pointers {
            all.want(&pointer.split('/').skip(1).map(part).collect::<Vec<_>>());
        }
        all
    }

    fn want(&mut self, parts: &[PathPart]) {
        if self.all {
            return;
        }
        match parts {
            [] => *self = Self { all: true, ..Self::default() },
            [PathPart::Name(name), rest @ ..] => self.names.entry(name.clone()).or_default().want(rest),
            [PathPart::Index(_) | PathPart::Each, rest @ ..] => self.items.get_or_insert_default().want(rest),
        }
        // There may be an object instead of a list, which then counts as a list of one item: both cases would have to be
        // built.
        if self.items.is_some() && !self.names.is_empty() {
            *self = Self { all: true, ..Self::default() };
        }
    }

    /// Reads what is needed, if this body can be read in parts; otherwise all of it has to be parsed, which also gives the
    /// error message for an invalid body.
    pub fn read(&self, raw: &[u8]) -> Option<Value> {
        if self.all {
            return None;
        }
        let mut value = self.read_at_most(raw, MAX_VALUES)?;
        opened::open(&mut value, raw);
        Some(value)
    }

    /// The same for a sender that is not authenticated yet: also `None` if more than `most` values would have to be built.
    pub fn read_at_most(&self, raw: &[u8], most: usize) -> Option<Value> {
        let mut walk = Walk::new(std::str::from_utf8(raw).ok()?);
        let mut left = most;
        let value = self.build(&mut walk, &mut left)?;
        walk.is_at_end().then_some(value)
    }

    /// Builds the part of the current value that is needed. A single value where a list or object was expected counts as
    /// null: a lookup below it finds nothing either way.
    fn build(&self, walk: &mut Walk, left: &mut usize) -> Option<Value> {
        *left = left.checked_sub(1)?;
        match walk.first()? {
            _ if self.all => whole(walk, left),
            b'{' => {
                // An object instead of a list counts as a list of one item.
                let mut wanted = self;
                while let (true, Some(items)) = (wanted.names.is_empty(), wanted.items.as_deref()) {
                    wanted = items;
                }
                if wanted.all {
                    return whole(walk, left);
                }
                let mut out = Map::with_capacity(wanted.names.len());
                walk.members(|walk, spelled| {
                    let name = walk::name(spelled);
                    match wanted.names.get(name.as_ref()) {
                        Some(part) => {
                            let value = part.build(walk, left)?;
                            out.insert(name.into_owned(), value);
                        }
                        None => {
                            walk.skip()?;
                        }
                    }
                    Some(())
                })?;
                Some(Value::Object(out))
            }
            b'[' => {
                let mut out = Vec::new();
                walk.items(|walk| {
                    match &self.items {
                        Some(items) => out.push(items.build(walk, left)?),
                        None => {
                            walk.skip()?;
                        }
                    }
                    Some(())
                })?;
                Some(Value::Array(out))
            }
            _ => walk.skip().map(|_| Value::Null),
        }
    }
}

fn whole(walk: &mut Walk, left: &mut usize) -> Option<Value> {
    let before = walk.count();
    let text = walk.skip()?;
    *left = left.checked_sub(walk.count() - before)?;
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(letters) if !letters.contains('\\') => Some(Value::from(letters)),
        _ => number_text::parse(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::field::{Root, Values};
    use crate::model::budget::Budget;
    use proptest::prelude::*;
    use std::borrow::Cow;

    struct Body(Value, Budget);
    impl Values for Body {
        fn budget(&self) -> &Budget {
            &self.1
        }
        fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String> {
            Ok(Some(match root {
                Root::Body => Cow::Borrowed(&self.0),
                _ => Cow::Owned(serde_json::json!([1, "a", {"b": 2}])),
            }))
        }
    }

    fn find(field: &Field, body: &Value) -> Option<Value> {
        field.value(&Body(body.clone(), Budget::default())).unwrap()
    }

    const FIELDS: [&str; 21] = [
        "body.a",
        "body.b.c",
        "body.b.a[0]",
        "body.c[*].a",
        "body.c[*].b.c",
        "$.a[?@.b]",
        "$.b..c",
        "body[0].a",
        "$.c[*].a",
        "body[*].a",
        "body[*][*].b",
        "$.a[?@ != $.b.c]",
        "$.a[?@.b == $.c[0] || $.b]",
        "body['a[b]']",
        "body['a[b][0]']",
        "body.b['c[]']",
        "body.Message.a",
        "body[*].Message.b.c",
        "body.message.data[0]",
        "body.message",
        "header.a[?@ == $.b]",
    ];

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..100u32).prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect()));
            prop_oneof![list, map]
        })
    }

    /// A body as text: as it is, in an envelope, or with something that only reading all of it can repair.
    fn spelled(body: &Value, way: usize) -> Vec<u8> {
        let text = body.to_string();
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text);
        match way {
            0 => text.into_bytes(),
            1 => serde_json::json!({"TopicArn": "t", "MessageId": "1", "Message": text, "a": body}).to_string().into_bytes(),
            2 => serde_json::json!({"TopicArn": "t", "Message": text, "b": body}).to_string().into_bytes(),
            3 => serde_json::json!({"message": {"data": base64, "messageId": "1"}, "subscription": "s"}).to_string().into_bytes(),
            4 => format!("{{\"a\": \"\\ud83d\", \"b\": {text}}}").into_bytes(),
            5 => [b"{\"a\": \"\xff\", \"c\": ", text.as_bytes(), b"}"].concat(),
            6 => format!("{{\"a\": {text}}}\n{{\"b\": {text}}}").into_bytes(),
            _ => format!("{{\"a\": {text}, \"c\": 1, \"a\": [{text}]}}").into_bytes(),
        }
    }

    proptest! {
        #[test]
        fn a_body_that_is_read_in_parts_is_the_one_that_is_read_whole(
            body in json(),
            way in 0..8usize,
            first in 0..FIELDS.len(),
            second in 0..FIELDS.len(),
        ) {
            let raw = spelled(&body, way);
            let fields: Vec<Field> = [first, second].iter().map(|n| Field::read(FIELDS[*n]).unwrap()).collect();
            let whole = crate::body::read(Some("application/json"), &raw).unwrap();
            if let Some(parts) = Projection::of(&fields).read(&raw) {
                for field in &fields {
                    prop_assert_eq!(find(field, &parts), find(field, &whole), "{} in {} as {}", field.text(), whole, parts);
                }
            }
        }

        #[test]
        fn a_field_finds_the_same_in_the_parts_as_in_the_whole(body in json(), first in 0..FIELDS.len(), second in 0..FIELDS.len()) {
            let fields: Vec<Field> = [first, second].iter().map(|n| Field::read(FIELDS[*n]).unwrap()).collect();
            let projection = Projection::of(&fields);
            let text = body.to_string();
            if let Some(parts) = projection.read(text.as_bytes()) {
                for field in &fields {
                    prop_assert_eq!(find(field, &parts), find(field, &body), "{} in {} as {}", field.text(), text, parts);
                }
            }
        }
    }

    #[test]
    fn only_a_limited_number_of_values_is_built_for_an_unverified_sender() {
        let wanted = Projection::at(["/items/*/id", "/name"]);
        let read = |text: &str, most| wanted.read_at_most(text.as_bytes(), most).map(|v| v.to_string());
        let text = r#"{"name": "x", "other": [1, 2, 3], "items": [{"id": 1, "y": {}}, {"id": [2, 3]}]}"#;
        let built = r#"{"name":"x","items":[{"id":1},{"id":[2,3]}]}"#;
        let cost = (1..).find(|most| read(text, *most).is_some());
        assert_eq!((read(text, cost.unwrap()).as_deref(), cost < Some(20)), (Some(built), true), "{cost:?}");
        assert_eq!(read(&format!("{{\"items\": [{}0]}}", "0,".repeat(100)), 100), None);
        assert_eq!(read(&format!("{{\"name\": [{}0]}}", "0,".repeat(100)), 100), None);
    }

    #[test]
    fn a_search_that_looks_elsewhere_gets_what_it_looks_at() {
        let fields = [Field::read("$.items[?@.price > $.limit].id").unwrap()];
        let text = r#"{"limit": 5, "other": [1], "items": [{"id": 1, "price": 9}, {"id": 2, "price": 3}]}"#;
        let parts = Projection::of(&fields).read(text.as_bytes()).unwrap();
        assert_eq!(parts.get("other"), None);
        assert_eq!(find(&fields[0], &parts), Some(serde_json::json!([1])));
    }

    #[test]
    fn unused_values_are_left_out_and_still_validated() {
        let fields = [Field::read("body.a.b").unwrap()];
        let projection = Projection::of(&fields);
        let read = |text: &str| projection.read(text.as_bytes()).map(|v| v.to_string());
        assert_eq!(read(r#"{"x": [1, {"y": 2}], "a": {"b": 1.10, "c": 3}}"#), Some(r#"{"a":{"b":1.10}}"#.into()));
        assert_eq!(read(r#"{"a": {"b": 1}, "a": {"b": 2}}"#), Some(r#"{"a":{"b":2}}"#.into()));
        for bad in [
            r#"{"x": [1, }"#,
            r#"{"a": {"b": 1}} x"#,
            r#"{"x": tru}"#,
            r#"{"x": "\ud800"}"#,
            &format!("{{\"x\": {}{}}}", "[".repeat(200), "]".repeat(200)),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
