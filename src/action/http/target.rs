//! `hosts:`: the servers that a call may go to when its address comes from the event, or when it is redirected.
//!
//! An entry means HTTPS at the default port, unless it says otherwise: `hooks.slack.com`, `"*.myshopify.com"`,
//! `http://nas.example:8080`.

use reqwest::Url;
use serde_json::{Value, json};

use crate::yaml::fields::Item;

/// One entry of `hosts:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    is_https: bool,
    /// As in a parsed URL: in lower case, international names encoded.
    host: String,
    /// Whether it stands for every name that ends with `.host`.
    is_parent: bool,
    port: u16,
}

impl Target {
    /// `None` if the text is anything more or less than a server.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (is_parent, name) = rest.strip_prefix("*.").map_or((false, rest), |name| (true, name));
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
        if !matches!(scheme, "http" | "https") || name.is_empty() || !name.chars().all(is_plain) {
            return None;
        }
        let url = Url::parse(&format!("{scheme}://{name}/")).ok()?;
        let is_name = matches!(url.host()?, url::Host::Domain(_));
        let host = url.host_str()?.to_owned();
        (is_name || !is_parent).then_some(Self { is_https: scheme == "https", host, is_parent, port: url.port_or_known_default()? })
    }

    /// Whether a call to this address goes to this server.
    pub fn fits(&self, url: &Url) -> bool {
        let is_host = |host: &str| match self.is_parent {
            true => host.strip_suffix(self.host.as_str()).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
            false => host == self.host,
        };
        self.allows_scheme_and_port(url) && url.host_str().is_some_and(is_host)
    }

    /// Whether the address has this scheme and port, whatever its server is.
    pub fn allows_scheme_and_port(&self, url: &Url) -> bool {
        (url.scheme() == "https") == self.is_https && url.port_or_known_default() == Some(self.port)
    }

    /// The entry in its shortest form.
    pub fn name(&self) -> String {
        let scheme = if self.is_https { "" } else { "http://" };
        let usual = if self.is_https { 443 } else { 80 };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}{}{}{port}", if self.is_parent { "*." } else { "" }, self.host)
    }

    /// The entry as it would be written with the scheme and port of this address.
    fn written_for(&self, url: &Url) -> String {
        let scheme = if url.scheme() == "https" { "" } else { "http://" };
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{scheme}{}{}{port}", if self.is_parent { "*." } else { "" }, self.host)
    }
}

/// The server of an address, as messages show it.
pub fn server_of(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let scheme = if url.scheme() == "https" { "" } else { "http://" };
    format!("{scheme}{}{port}", url.host_str().unwrap_or(""))
}

/// Reads `hosts:`.
pub fn read_targets(item: &Item) -> Option<Vec<Target>> {
    let mut out = Vec::new();
    for one in item.one_or_many() {
        let text = one.text()?;
        let Some(target) = Target::parse(&text) else {
            one.problem(format!("`{text}` is not a server"))
                .label("write for example hooks.slack.com, \"*.myshopify.com\" or http://nas.example:8080")
                .add();
            return None;
        };
        out.push(target);
    }
    Some(out)
}

/// Checks that the scheme and port of an address are allowed by at least one entry.
pub fn check_scheme_and_port(url: &Url, targets: &[Target], item: &Item) {
    if let Some(first) = targets.first()
        && !targets.iter().any(|target| target.allows_scheme_and_port(url))
    {
        item.problem("no entry of `hosts:` allows the scheme and port of this address")
            .label(format!("write the entry as `{}`", first.written_for(url)))
            .note("an entry without them means https at its default port")
            .add();
    }
}

/// What a JSON Schema says about a step with this verb.
pub fn schema(verb: &str) -> Value {
    // No spaces but in braces.
    let is_url = r"^(?=[hH][tT][tT][pP][sS]?://[^/\s]|\{\{)(\{\{((?!\}\})[\s\S])*\}\}\}?|[^\s{]|\{(?!\{))*$";
    let bodies = ["json", "form", "text", "xml"];
    let pairs = (0..bodies.len()).flat_map(|a| bodies.iter().skip(a + 1).map(move |b| json!({ "required": [bodies[a], b] })));
    json!({ "properties": { verb: { "pattern": is_url } }, "not": { "anyOf": pairs.collect::<Vec<_>>() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_means_https_at_the_default_port_unless_it_says_otherwise() {
        let fits = |entry: &str, url: &str| Target::parse(entry).unwrap().fits(&Url::parse(url).unwrap());
        for (entry, url) in [
            ("hooks.slack.com", "https://hooks.slack.com/x"),
            ("Hooks.Slack.com", "https://HOOKS.slack.com:443/x"),
            ("https://a.example", "https://a.example/"),
            ("*.shops.example", "https://a.b.shops.example/"),
            ("a.example:8443", "https://a.example:8443/"),
            ("http://a.example", "http://a.example/"),
            ("http://*.a.example:81", "http://b.a.example:81/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("http://127.0.0.1:81", "http://0x7f.1:81/"),
            ("[::1]:82", "https://[::1]:82/"),
        ] {
            assert!(fits(entry, url), "{entry} {url}");
        }
        for (entry, url) in [
            ("a.example", "http://a.example/"),
            ("a.example", "https://a.example:8443/"),
            ("a.example", "https://b.a.example/"),
            ("*.a.example", "https://a.example/"),
            ("*.a.example", "https://evila.example/"),
            ("http://a.example", "https://a.example/"),
            ("http://a.example:81", "http://a.example/"),
        ] {
            assert!(!fits(entry, url), "{entry} {url}");
        }
    }

    #[test]
    fn anything_but_a_server_is_not_an_entry() {
        for text in [
            "",
            "x#",
            "x/y",
            "x?y",
            "x y",
            "u@x",
            "u:p@x",
            "*",
            "*.",
            "a.*",
            "ftp://x",
            "x\\y",
            "x:port",
            "x:99999",
            "*.127.0.0.1",
            "x\t",
            "{{ a }}",
        ] {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
