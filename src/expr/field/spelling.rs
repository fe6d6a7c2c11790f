//! Fields as other tools spell them, in our spelling: `body->status`, `body/status`, `items[].sku`, `$body.x`.

use super::Field;
use crate::text::{span, trigger_path};

/// What could be meant by text that is not a valid field; all of these are valid.
pub fn meant(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(trigger_path::find(text).filter(|(span, _)| *span == (0..text.len())).map(|(_, field)| field));
    let arrows = text.replace("->", ".").replace("::", ".").replace(".[", "[");
    all.push(arrows.replace("[]", "[*]"));
    if !text.starts_with('$') && !text.contains('[') {
        all.push(text.replace(['/', ':'], "."));
    }
    if let Some(bare) = text.strip_prefix(['$', '#', '@']) {
        all.push(bare.trim_matches(['{', '}']).to_owned());
    }
    if let Some((before, name)) = text.rsplit_once('.')
        && name.contains(' ')
        && !name.contains(['=', '<', '>', '|', '+', '*', '/', '^', '%', '?', '&', '\'', '"'])
        && !name
            .split(' ')
            .any(|word| matches!(word, "as" | "in" | "of" | "within" | "is" | "over" | "and" | "or" | "not" | "for" | "contains"))
    {
        all.push(format!("{before}['{name}']"));
    }
    if text.contains("[?") {
        let signs = text.replace(" and ", " && ").replace(" or ", " || ").replace(" AND ", " && ").replace(" OR ", " || ");
        all.push(doubled(&signs));
    }
    all.retain(|candidate| candidate != text && Field::read(candidate).is_ok());
    all
}

/// A single `=` in a filter becomes `==`.
fn doubled(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        let before = span::before(text, at).chars().last();
        let after = span::from(text, at + 1).chars().next();
        out.push(c);
        if c == '=' && !matches!(before, Some('=' | '!' | '<' | '>')) && !matches!(after, Some('=' | '~')) {
            out.push('=');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_understood() {
        for (text, ours) in [
            ("@triggerBody()?['status']", "body.status"),
            ("body->status", "body.status"),
            ("body/status", "body.status"),
            ("$body.status", "body.status"),
            ("env:API_KEY", "env.API_KEY"),
            ("body.items[].sku", "body.items[*].sku"),
            ("body.first name", "body['first name']"),
            ("$.items[?@.qty > 1 and @.sku = 'A']", "$.items[?@.qty > 1 && @.sku == 'A']"),
        ] {
            assert_eq!(meant(text).first().map(String::as_str), Some(ours), "{text}");
        }
        assert!(meant("$..items[?(@.sku=~/A.*/)]").is_empty());
        assert!(meant("body.total over 5 > 3").is_empty());
    }
}
