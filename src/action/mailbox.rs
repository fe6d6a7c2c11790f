//! Addresses of e-mail: `ada@example.com`, or `Ada Lovelace <ada@example.com>`. Exactly one at a time, so that a value cannot add
//! another one.

/// Whether a text is one address, with or without a name.
pub fn is_one(text: &str) -> bool {
    parts(text).is_some()
}

/// The name and the address.
pub fn parts(text: &str) -> Option<(Option<String>, &str)> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return None;
    }
    let Some(inner) = text.strip_suffix('>') else { return is_address(text).then_some((None, text)) };
    let (name, address) = inner.rsplit_once('<')?;
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
    // What a name must not contain is what would end it.
    let is_name = !name.contains(['<', '>', '"', '\\', '@']);
    (is_name && is_address(address)).then(|| (Some(name.to_owned()).filter(|name| !name.is_empty()), address))
}

/// Whether this may be an address: the server decides whether it exists.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_part =
        |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c));
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    is_part(local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && is_part(domain)
        && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_read_with_or_without_its_name() {
        for (text, name, address) in [
            ("ada@example.com", None, "ada@example.com"),
            (" Ada Lovelace <a.b+c@example.com> ", Some("Ada Lovelace"), "a.b+c@example.com"),
            ("\"Lovelace, Ada\" <ada@example.com>", Some("Lovelace, Ada"), "ada@example.com"),
            ("<ada@localhost>", None, "ada@localhost"),
            ("jörg@bücher.example", None, "jörg@bücher.example"),
        ] {
            assert_eq!(parts(text), Some((name.map(str::to_owned), address)), "{text}");
        }
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a@x, b@y",
            "a@x; b@y",
            "a@x b@y",
            "Eve <eve@evil.example> <ada@example.com>",
            "Ada <a@x>, Eve <e@y>",
            "a@x\r\nBcc: e@y",
            "Ada\n<a@x>",
            "\"a\" b@x",
            "a@x>",
            "a@-x",
            "a..b@x",
            "a@x..y",
            "eve@evil.example\" <a@x>",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
