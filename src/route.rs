//! A compiled webhook address: `/orders`, `/shop/{shop}/orders`, `/files/{*rest}`.
//!
//! Paths are compared segment by segment after percent-decoding; a trailing slash makes no difference. [`Routes`] finds
//! equal or overlapping addresses among many. The ruleset decides which rules listen at an address.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use crate::text::span;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `{name}`: exactly one segment, with any content.
    One(String),
    /// `{*name}`: the rest of the path, at least one segment.
    Rest(String),
}

/// A compiled address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    text: String,
    segments: Vec<Segment>,
    /// The same text for all ways to write the same address; see [`Routes`].
    key: u64,
    has_placeholders: bool,
}

/// Why some text is not an address.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAnAddress {
    pub message: &'static str,
    /// What to do, in a sentence.
    pub label: &'static str,
    /// The address that is probably meant.
    pub meant: Option<String>,
}

/// Addresses reserved for Doorbell itself.
pub const RESERVED: [&str; 2] = ["/health", "/_doorbell"];
/// The longest path that is accepted, in bytes.
pub const MAX_PATH: usize = 8 << 10;

/// `{{ id }}` in an address: what is before it, its name, and what is after it.
fn doubled(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    let name = name.trim();
    let name = name.rsplit('.').next().unwrap_or(name);
    (!name.is_empty()).then_some((before, name, after))
}

impl Route {
    /// Parses an address.
    pub fn read(text: &str) -> Result<Self, NotAnAddress> {
        let no = |message, label, meant: Option<String>| Err(NotAnAddress { message, label, meant });
        if let Some((_, rest)) = text.split_once("://") {
            let path = rest.find('/').map_or("/", |n| span::from(rest, n));
            return no("an address is only the path, without https:// and the host name", "write only the path", Some(path.to_owned()));
        }
        if text.starts_with('^') || text.contains(".*") || text.ends_with('$') || text.contains('\\') {
            return no("an address is not a pattern", "write {name} for one part, or {*rest} for the rest of the path", None);
        }
        let Some(below) = text.strip_prefix('/') else {
            return no("an address begins with a slash", "write a slash before it", Some(format!("/{text}")));
        };
        if text.contains(['?', '#']) {
            let path = text.split(['?', '#']).next().unwrap_or("/");
            let message =
                if text.contains('?') { "the part after `?` does not belong to the address" } else { "the part after `#` is never sent" };
            return no(message, "write only the path; what is after a `?` is `query.…` under `if:`", Some(path.to_owned()));
        }
        if text.split_once(" {").is_some_and(|(_, rest)| rest.contains(' ')) {
            return no("a colon is missing after the address", "write a colon and a space after it", None);
        }
        if let Some((before, name, after)) = doubled(text) {
            return no("a placeholder has one brace on each side", "write {name}", Some(format!("{before}{{{name}}}{after}")));
        }
        if text.contains(char::is_whitespace) {
            return no(
                "an address cannot contain spaces",
                "write a dash instead",
                Some(text.split_whitespace().collect::<Vec<_>>().join("-")),
            );
        }
        if text.contains('<') && text.contains('>') {
            return no("a placeholder is written in braces", "write {name}", Some(text.replace('<', "{").replace('>', "}")));
        }
        if text.contains('*') && !text.contains("{*") {
            let rest =
                text.strip_suffix('*').map(|start| format!("{}{{*rest}}", start.trim_end_matches('*'))).filter(|t| !t.contains("/*"));
            return no("a `*` alone has no meaning here", "write {name} for one part, or {*rest} for the rest of the path", rest);
        }
        if text.contains("//") || below.split('/').any(|part| part == "." || part == "..") {
            let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
            let meant = (!parts.iter().any(|part| part.starts_with('.'))).then(|| format!("/{}", parts.join("/")));
            return no("an address has no empty parts, and none that consist of dots", "write the path as it is called", meant);
        }
        if RESERVED.iter().any(|r| text == *r || text.starts_with(&format!("{r}/"))) {
            return no(
                "this address is reserved for Doorbell",
                "choose another address",
                Some(format!("/hooks{text}")).filter(|_| text == "/health"),
            );
        }
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let parts: Vec<&str> = below.strip_suffix('/').unwrap_or(below).split('/').collect();
        for (n, part) in parts.iter().enumerate() {
            if let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                let (rest, name) = inner.strip_prefix('*').map_or((false, inner), |r| (true, r));
                if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
                    return no("a placeholder's name consists of letters, digits, _ and -", "write {shop} or {*rest}", None);
                }
                if names.contains(&name) {
                    return no("two placeholders have the same name", "rename the second one", None);
                }
                if rest && n + 1 < parts.len() {
                    return no(
                        "{*…} matches the rest of the path, so it must come last",
                        "write {name} for one part",
                        Some(text.replace("{*", "{")),
                    );
                }
                names.push(name);
                segments.push(if rest { Segment::Rest(name.to_owned()) } else { Segment::One(name.to_owned()) });
            } else if part.contains(['{', '}']) {
                return no("a placeholder must fill the whole part between two slashes", "write for example /orders/{id}/paid", None);
            } else if let Some(name) = part.strip_prefix(':') {
                let meant = text.replace(&format!(":{name}"), &format!("{{{name}}}"));
                return no("`:name` is syntax from another tool", "write {name}", Some(meant));
            } else {
                segments.push(Segment::Literal(decode(part)));
            }
        }
        let has_placeholders = segments.iter().any(|s| !matches!(s, Segment::Literal(_)));
        let mut key = DefaultHasher::new();
        for segment in &segments {
            match segment {
                Segment::Literal(text) => (0, text.as_str()),
                Segment::One(_) => (1, ""),
                Segment::Rest(_) => (2, ""),
            }
            .hash(&mut key);
        }
        Ok(Self { text: text.to_owned(), segments, key: key.finish(), has_placeholders })
    }

    /// The address as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its path, if it has no placeholders; to be compared with the result of [`normal`].
    pub fn literal(&self) -> Option<String> {
        let mut out = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => {
                    out.push('/');
                    out.push_str(text);
                }
                _ => return None,
            }
        }
        Some(out)
    }

    /// The names of its placeholders.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|s| match s {
            Segment::Literal(_) => None,
            Segment::One(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// The values of the placeholders in a decoded path; `None` if the path does not match.
    pub fn fit(&self, path: &str) -> Option<Map<String, Value>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/');
        let mut found = Map::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) if parts.next()? == text => {}
                Segment::Literal(_) => return None,
                Segment::One(name) => {
                    let part = parts.next().filter(|p| !p.is_empty())?;
                    found.insert(name.clone(), Value::from(part));
                }
                Segment::Rest(name) => {
                    let rest = parts.by_ref().collect::<Vec<_>>().join("/");
                    if rest.is_empty() {
                        return None;
                    }
                    found.insert(name.clone(), Value::from(rest));
                }
            }
        }
        parts.next().is_none().then_some(found)
    }

    /// Whether some path matches both.
    pub fn meets(&self, other: &Route) -> bool {
        if !self.has_placeholders && !other.has_placeholders {
            return self.same(other);
        }
        let (mut a, mut b) = (self.segments.iter(), other.segments.iter());
        loop {
            return match (a.next(), b.next()) {
                (None, None) => true,
                (Some(Segment::Rest(_)), Some(_)) | (Some(_), Some(Segment::Rest(_))) => true,
                (Some(Segment::Literal(x)), Some(Segment::Literal(y))) if x != y => false,
                (Some(_), Some(_)) => continue,
                _ => false,
            };
        }
    }

    /// Whether the other is the same address: equal except for the names of placeholders and a trailing slash.
    pub fn same(&self, other: &Route) -> bool {
        self.key == other.key
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| match (a, b) {
                (Segment::Literal(x), Segment::Literal(y)) => x == y,
                (Segment::One(_), Segment::One(_)) | (Segment::Rest(_), Segment::Rest(_)) => true,
                _ => false,
            })
    }
}

/// Many addresses, each with a value: finds equal ones without comparing all of them.
#[derive(Debug)]
pub struct Routes<T> {
    all: Vec<(Route, T)>,
    by_key: HashMap<u64, Vec<usize>>,
    /// Addresses with placeholders: they can match the paths of any other address, too.
    patterns: Vec<usize>,
}

impl<T> Routes<T> {
    pub fn add(&mut self, route: Route, it: T) {
        let n = self.all.len();
        self.by_key.entry(route.key).or_default().push(n);
        if route.has_placeholders {
            self.patterns.push(n);
        }
        self.all.push((route, it));
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &(Route, T)> {
        self.all.iter()
    }

    /// The values of this address.
    pub fn same(&self, route: &Route) -> impl Iterator<Item = &T> {
        let alike = self.by_key.get(&route.key).into_iter().flatten().map(|n| &self.all[*n]);
        alike.filter(|(r, _)| r.same(route)).map(|(_, it)| it)
    }

    /// Those that share a path with this address, in the order in which they were added.
    pub fn meeting(&self, route: &Route) -> Vec<&(Route, T)> {
        let mut near: Vec<usize> = match route.has_placeholders {
            true => (0..self.all.len()).collect(),
            false => self.patterns.iter().chain(self.by_key.get(&route.key).into_iter().flatten()).copied().collect(),
        };
        near.sort_unstable();
        near.into_iter().map(|n| &self.all[n]).filter(|(r, _)| r.meets(route)).collect()
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { all: Vec::new(), by_key: HashMap::new(), patterns: Vec::new() }
    }
}

impl<T> FromIterator<(Route, T)> for Routes<T> {
    fn from_iter<I: IntoIterator<Item = (Route, T)>>(all: I) -> Self {
        let mut routes = Self::default();
        all.into_iter().for_each(|(route, it)| routes.add(route, it));
        routes
    }
}

/// A path, percent-decoded. An encoded slash stays encoded, so that it never separates segments.
pub fn decode(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    let kept = path.replace("%2f", "%252F").replace("%2F", "%252F");
    percent_encoding::percent_decode_str(&kept).decode_utf8_lossy().into_owned()
}

/// A decoded path without its trailing slash: how literal addresses are looked up.
pub fn normal(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(short) if !short.is_empty() => short,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fit(route: &str, path: &str) -> Option<Value> {
        Route::read(route).unwrap().fit(&decode(path)).map(Value::Object)
    }

    #[test]
    fn paths_are_matched_segment_by_segment() {
        for (route, path, expected) in [
            ("/orders", "/orders", Some(json!({}))),
            ("/orders", "/orders/", Some(json!({}))),
            ("/orders/", "/orders", Some(json!({}))),
            ("/orders", "/Orders", None),
            ("/orders", "/orders/1", None),
            ("/orders", "/order%73", Some(json!({}))),
            ("/", "/", Some(json!({}))),
            ("/shop/{shop}/orders", "/shop/b%C3%BCro/orders", Some(json!({"shop": "büro"}))),
            ("/shop/{shop}/orders", "/shop//orders", None),
            ("/shop/{shop}", "/shop/a%2Fb", Some(json!({"shop": "a%2Fb"}))),
            ("/files/{*rest}", "/files/a/b.txt", Some(json!({"rest": "a/b.txt"}))),
            ("/files/{*rest}", "/files/", None),
        ] {
            assert_eq!(fit(route, path), expected, "{route} {path}");
        }
    }

    #[test]
    fn addresses_that_match_the_same_path_are_found() {
        let meets = |a: &str, b: &str| Route::read(a).unwrap().meets(&Route::read(b).unwrap());
        assert!(meets("/shop/{a}", "/shop/x") && meets("/{*rest}", "/a/b") && meets("/a/", "/a"));
        assert!(!meets("/shop/{a}", "/shop/x/y") && !meets("/a", "/b"));
    }

    #[test]
    fn the_index_of_routes_finds_the_same_as_a_full_scan() {
        let texts = ["/a", "/b/", "/a/", "/{x}", "/a/b", "/a/{y}", "/{x}/b", "/{*all}", "/a/{z}", "/c/d/e", "/a/b"];
        let all: Vec<Route> = texts.iter().map(|t| Route::read(t).unwrap()).collect();
        let routes: Routes<usize> = all.iter().cloned().zip(0..).collect();
        for route in &all {
            let looked = |fits: &dyn Fn(&Route) -> bool| -> Vec<usize> { (0..all.len()).filter(|n| fits(&all[*n])).collect() };
            assert_eq!(routes.same(route).copied().collect::<Vec<_>>(), looked(&|r| r.same(route)), "{}", route.text());
            let met: Vec<usize> = routes.meeting(route).iter().map(|(_, n)| *n).collect();
            assert_eq!(met, looked(&|r| r.meets(route)), "{}", route.text());
        }
    }

    #[test]
    fn an_invalid_address_gets_a_suggestion() {
        for (text, meant) in [
            ("https://x.example/orders", "/orders"),
            ("orders", "/orders"),
            ("/orders?x=1", "/orders"),
            ("/orders/:id", "/orders/{id}"),
            ("/orders/{{ id }}", "/orders/{id}"),
            ("/orders/<id>", "/orders/{id}"),
            ("/orders/*", "/orders/{*rest}"),
            ("//orders", "/orders"),
            ("/my orders", "/my-orders"),
            ("/health", "/hooks/health"),
        ] {
            assert_eq!(Route::read(text).unwrap_err().meant.as_deref(), Some(meant), "{text}");
            assert!(Route::read(meant).is_ok(), "{meant}");
        }
        for text in ["/orders/../x", "^/orders/.*$", "/_doorbell/x"] {
            assert_eq!(Route::read(text).unwrap_err().meant, None, "{text}");
        }
    }
}
