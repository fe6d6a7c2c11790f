//! How a value is made safe in HTML: between tags, in an attribute, and as a link. [`super::page`] finds the place of each.

/// What a link that is a value may begin with.
const SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

/// Text in which every character stands for itself, between tags and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The scheme of a link that browsers may run instead of opening it.
pub(super) fn refused_scheme(link: &str) -> Option<String> {
    // Browsers ignore these characters.
    let link: String = link.chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(1_000).collect();
    let (scheme, _) = link.split_once(':')?;
    let is_path = scheme.contains(['/', '?', '#']);
    (!is_path && SCHEMES.iter().all(|known| !known.eq_ignore_ascii_case(scheme))).then(|| scheme.chars().take(20).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_pages_are_written() {
        for link in ["https://example.com", "/a:b", "?a:b", "a", "HTTP://x", "mailto:a@example.com", ""] {
            assert_eq!(refused_scheme(link), None, "{link}");
        }
        for (link, scheme) in [("javascript:alert(1)", "javascript"), (" java\nscript:x", "javascript"), ("data:text/html,x", "data")] {
            assert_eq!(refused_scheme(link).as_deref(), Some(scheme), "{link}");
        }
    }
}
