//! Bytes that a rule gives as text: Base64, as files in forms and answers have it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::expr::field::{Field, Values};
use crate::expr::names::Names;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Unrendered};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// Base64 as people send it: padded or not.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Compiled `base64:`.
pub struct Base64(Data);

impl Base64 {
    pub fn read(item: &Item, known: &Names) -> Option<Self> {
        if let Node::List(_) | Node::Map(_) = item.node {
            item.problem("`base64:` takes one text").label("write for example \"{{ body.photo.base64 }}\"").add();
            return None;
        }
        let data = Data::read(item, Destination::Plain, known)?;
        if let Data::Fixed(fixed) = &data
            && fixed.as_str().and_then(decoded).is_none()
        {
            item.problem("this is not Base64").label("write for example \"{{ body.photo.base64 }}\", or use `text:`").add();
            return None;
        }
        Some(Self(data))
    }

    pub fn fields(&self) -> Vec<&Field> {
        self.0.fields()
    }

    /// The bytes for one event.
    pub fn bytes(&self, names: &dyn Values) -> Result<Vec<u8>, Unrendered> {
        let wrong = |message: String| {
            let path = if let Data::Template(template) = &self.0 { template.path().clone() } else { Vec::new() };
            Unrendered { message, path }
        };
        let field = || self.0.lone_field().map_or("this", |field| field.text());
        match self.0.value(names)? {
            Value::String(text) => decoded(&text).ok_or_else(|| wrong(format!("{} is not Base64", field()))),
            Value::Object(file) if file.contains_key("base64") => {
                Err(wrong(format!("{0} is a file; write its content: {{{{ {0}.base64 }}}}", field())))
            }
            _ => Err(wrong(format!("{} is not text, so it is not Base64", field()))),
        }
    }
}

/// Base64 with both alphabets, padded or not, in one line or several; also in an address such as `data:image/png;base64,…`.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let content = match text.strip_prefix("data:") {
        Some(address) => address.split_once(";base64,")?.1,
        None => text,
    };
    let is_space = |c: char| c.is_ascii_whitespace();
    let content = if content.contains(is_space) { Cow::from(content.replace(is_space, "")) } else { Cow::from(content) };
    let alphabet = if content.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&alphabet, LENIENT).decode(content.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_people_send_it() {
        for text in ["+/8B", "-_8B", "+/ 8\r\nB", "data:image/png;base64,+/8B"] {
            assert_eq!(decoded(text), Some(vec![0xfb, 0xff, 1]), "{text}");
        }
        assert_eq!((decoded("YQ=="), decoded("YQ"), decoded("")), (Some(vec![b'a']), Some(vec![b'a']), Some(Vec::new())));
        for text in ["a", "YQ==x", "data:image/png,+/8B", "+_8B", "ä"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
