//! Converts XML to the value that rules see: attributes as `_name`, text next to them as `_text`, repeated elements as a list.
//!
//! Names lose their prefix (`soap:Body` becomes `Body`), and namespace declarations are not included in the attributes.
//! Entities other than XML's own are refused, so that no document can grow while it is parsed.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::{Map, Value};

use super::limits::{MAX_ATTRIBUTES, MAX_DEPTH};
use crate::body::walk::MAX_VALUES;
use crate::model::event::gather;

/// An element that is being parsed.
struct Open {
    name: String,
    fields: Map<String, Value>,
    text: String,
}

/// Parses a document; the error describes what is wrong with it.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Open { name: String::new(), fields: Map::new(), text: String::new() }];
    // Each element and attribute is a name and a value.
    let mut left = MAX_VALUES;
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(tag) => {
                if open.len() > MAX_DEPTH {
                    return Err(format!("elements are nested more than {MAX_DEPTH} levels deep"));
                }
                open.push(begin(&tag, &mut left)?);
            }
            Event::Empty(tag) => {
                let element = begin(&tag, &mut left)?;
                close(&mut open, element);
            }
            Event::End(_) => match open.pop() {
                Some(element) if !open.is_empty() => close(&mut open, element),
                _ => return Err("an end tag has no start tag".into()),
            },
            Event::Text(t) => top(&mut open).text.push_str(&t.xml10_content()),
            Event::CData(t) => top(&mut open).text.push_str(&t.xml10_content()),
            Event::GeneralRef(name) => {
                let entity = format!("&{};", name.as_ref());
                let letters = quick_xml::escape::unescape(&entity).map_err(|_| format!("the entity {entity} is unknown"))?;
                top(&mut open).text.push_str(&letters);
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::DocType(_) | Event::PI(_) => {}
        }
    }
    match open.pop() {
        Some(root) if open.is_empty() && root.text.trim().is_empty() && !root.fields.is_empty() => Ok(Value::Object(root.fields)),
        Some(root) if open.is_empty() && root.fields.is_empty() => Err("it has no element".into()),
        Some(_) if open.is_empty() => Err("there is text outside all elements".into()),
        _ => Err("an element is never closed".into()),
    }
}

fn top(open: &mut [Open]) -> &mut Open {
    let last = open.len() - 1;
    &mut open[last]
}

fn begin(tag: &BytesStart, left: &mut usize) -> Result<Open, String> {
    let mut one_more = || {
        *left = left.checked_sub(2).ok_or_else(|| format!("it has more than {MAX_VALUES} values and names; send less at a time"))?;
        Ok::<(), String>(())
    };
    one_more()?;
    let mut fields = Map::new();
    for (n, attribute) in tag.attributes().enumerate() {
        one_more()?;
        // To find duplicates, each attribute is compared with all before it.
        if n == MAX_ATTRIBUTES {
            return Err(format!("an element has more than {MAX_ATTRIBUTES} attributes"));
        }
        let attribute = attribute.map_err(|e| e.to_string())?;
        let key = attribute.key;
        if key.as_ref() == "xmlns" || key.prefix().is_some_and(|p| p.as_ref() == "xmlns") {
            continue;
        }
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|e| e.to_string())?;
        gather(&mut fields, &format!("_{}", key.local_name().as_ref()), Value::from(value.into_owned()));
    }
    Ok(Open { name: tag.local_name().as_ref().to_owned(), fields, text: String::new() })
}

/// Adds a completed element to the one around it.
fn close(open: &mut [Open], element: Open) {
    let Open { name, mut fields, text } = element;
    let text = text.trim();
    let value = match (fields.is_empty(), text.is_empty()) {
        (true, true) => Value::Null,
        (true, false) => Value::from(text),
        (false, true) => Value::Object(fields),
        (false, false) => {
            gather(&mut fields, "_text", Value::from(text));
            Value::Object(fields)
        }
    };
    gather(&mut top(open).fields, &name, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_attributes_and_text_become_values() {
        let xml = r#"<?xml version="1.0"?><!-- x --><o:order xmlns:o="urn:o" id="7" o:kind="a&amp;b">
            <line n="1">Mug &lt;big&gt;</line><line>Desk<![CDATA[ & chair]]></line><note/><empty></empty><c><d>1</d></c>mixed</o:order>"#;
        let expected = json!({"order": {"_id": "7", "_kind": "a&b", "line": [{"_n": "1", "_text": "Mug <big>"}, "Desk & chair"],
            "note": null, "empty": null, "c": {"d": "1"}, "_text": "mixed"}});
        assert_eq!(read(xml), Ok(expected));
    }

    #[test]
    fn invalid_xml_is_explained() {
        for (xml, said) in [
            ("<a><b></a>", "expected `</b>`, but `</a>` was found"),
            ("<a>", "an element is never closed"),
            ("hello", "it has no element"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "the entity &b; is unknown"),
        ] {
            let found = read(xml).unwrap_err();
            assert!(found.contains(said), "{xml}: {found}");
        }
        assert_eq!(read(&"<a>".repeat(200)).unwrap_err(), "elements are nested more than 128 levels deep");
    }
}
