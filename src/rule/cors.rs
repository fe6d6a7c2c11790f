//! `cors:`: from which web pages a script may call an address. What that means for a request is decided where requests come in.

use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The web pages whose scripts may call an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Cors {
    Any,
    /// Those of these origins: scheme, host and port, as browsers write them.
    Of(Vec<String>),
}

impl Cors {
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Cors::Any => true,
            Cors::Of(origins) => origins.iter().any(|known| known == origin),
        }
    }
}

const EXAMPLE: &str = "write for example https://shop.example.com, or `any`";

/// Reads `cors:`: one origin, a list of them, or `any`.
pub fn read(item: &Item) -> Option<Cors> {
    if matches!(item.node, Node::Text(word) if word == "any") {
        return Some(Cors::Any);
    }
    let origins: Vec<Option<String>> = item.one_or_more(EXAMPLE)?.iter().map(read_origin).collect();
    origins.into_iter().collect::<Option<_>>().map(Cors::Of)
}

fn read_origin(item: &Item) -> Option<String> {
    let text = item.text()?;
    match origin(&text) {
        Ok(()) => return Some(text),
        Err((said, label)) => item.problem(said).label(label).add(),
    }
    None
}

/// Checks that text is an origin exactly as browsers send it; the error is a message, and how to fix it.
fn origin(text: &str) -> Result<(), (String, String)> {
    let no = |said: String, label: String| Err((said, label));
    let not_one = format!("`{text}` is not the origin of a web page");
    match text {
        "*" | "all" => return no(not_one, "write `any`".into()),
        "any" => return no("`any` includes all others".into(), "write `cors: any`, without a list".into()),
        "null" => return no("pages without an origin send `null`, and anyone can make such a page".into(), EXAMPLE.into()),
        _ => {}
    }
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "https" | "http")) else {
        let host = text.split_once("://").map_or(text, |(_, rest)| rest);
        return no(not_one, format!("write https://{}", host.trim_end_matches('/')));
    };
    if rest.contains('*') {
        return no("an origin is one server, without a pattern".into(), "write each origin as an item of a list, or `any`".into());
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !host.is_ascii() {
        return no(not_one, "write the name as browsers send it, beginning with xn--".into());
    }
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '{' | '}' | ',')) {
        return no(not_one, EXAMPLE.into());
    }
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let bare = host.to_ascii_lowercase();
    let bare = bare.strip_suffix(usual).unwrap_or(&bare);
    match *rest == *bare {
        true => Ok(()),
        false => no("browsers send the origin of a page without its path, in lower case".into(), format!("write {scheme}://{bare}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for good in ["https://shop.example.com", "http://localhost:3000", "https://shop.example.com:8443", "http://[::1]:8080"] {
            assert_eq!(origin(good), Ok(()), "{good}");
        }
        for (bad, label) in [
            ("https://Shop.example.com/contact", "write https://shop.example.com"),
            ("https://shop.example.com/", "write https://shop.example.com"),
            ("https://shop.example.com:443", "write https://shop.example.com"),
            ("http://shop.example.com:80/a?b", "write http://shop.example.com"),
            ("shop.example.com", "write https://shop.example.com"),
            ("ftp://shop.example.com/", "write https://shop.example.com"),
            ("*", "write `any`"),
            ("https://*.example.com", "write each origin as an item of a list, or `any`"),
            ("https://", EXAMPLE),
            ("https://a b", EXAMPLE),
            ("null", EXAMPLE),
            ("https://müller.example", "write the name as browsers send it, beginning with xn--"),
        ] {
            assert_eq!(origin(bad).unwrap_err().1, label, "{bad}");
        }
    }
}
