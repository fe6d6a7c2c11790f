//! Secrets: values that rules can use, but that nobody can see.
//!
//! A [`Secret`] cannot be printed or serialized by accident. [`Vault`] provides the secrets and environment values that
//! rules name, looked up once at load time by a function it is given, and redacts secrets in any text that is shown or
//! stored, including their encoded forms. The caller decides where secrets come from.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;

use crate::text::percent;

/// A value that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
    /// The value itself: only for what is sent or compared, never for what is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

/// The minimum length of the forms of a secret that are searched for, in bytes.
const SHORTEST: usize = 4;

/// What replaces a secret wherever it would be visible.
pub const STRUCK: &str = "***";

/// The secrets and environment values that a set of rules names.
#[derive(Clone, Default)]
pub struct Vault {
    secrets: BTreeMap<String, Secret>,
    env: BTreeMap<String, String>,
    /// Every form of every secret, longest first.
    spellings: Vec<String>,
}

impl Vault {
    /// Stores a secret under its name.
    pub fn keep(&mut self, name: &str, value: String) {
        for spelling in spellings(&value) {
            if !self.spellings.contains(&spelling) {
                self.spellings.push(spelling);
            }
        }
        self.spellings.sort_by_key(|s| std::cmp::Reverse(s.len()));
        self.secrets.insert(name.to_owned(), Secret::new(value));
    }

    pub fn keep_env(&mut self, name: &str, value: String) {
        self.env.insert(name.to_owned(), value);
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// The names of all secrets.
    pub fn names(&self) -> Vec<String> {
        self.secrets.keys().cloned().collect()
    }

    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// The text with every secret redacted.
    pub fn strike(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for spelling in &self.spellings {
            if out.contains(spelling.as_str()) {
                out = out.replace(spelling.as_str(), STRUCK);
            }
        }
        out
    }

    /// The text with secrets replaced by their names; `None` if one occurs in a form that cannot be named.
    pub fn seal(&self, text: &str) -> Option<SealedText> {
        let mut parts = vec![Piece::Text(text.to_owned())];
        for (name, secret) in &self.secrets {
            for spelling in Spelling::ALL {
                let Some(word) = spelling.of(secret.reveal()).filter(|word| word.len() >= SHORTEST) else { continue };
                parts = parts.into_iter().flat_map(|part| part.split(&word, name, spelling)).collect();
            }
        }
        let is_clear = |part: &Piece| matches!(part, Piece::Text(text) if self.spellings.iter().any(|s| text.contains(s.as_str())));
        (!parts.iter().any(is_clear)).then_some(SealedText(parts))
    }

    /// A sealed text with the current values of the secrets; `None` if one is missing.
    pub fn unseal(&self, text: &SealedText) -> Option<String> {
        let part = |part: &Piece| match part {
            Piece::Text(text) => Some(text.clone()),
            Piece::Secret(name, spelling) => spelling.of(self.secrets.get(name)?.reveal()),
        };
        text.0.iter().map(part).collect()
    }

    /// Adds another vault's secrets, so that both are redacted.
    pub fn join(&mut self, other: &Vault) {
        for (name, secret) in &other.secrets {
            if !self.secrets.contains_key(name) {
                self.keep(name, secret.reveal().to_owned());
            }
        }
    }
}

/// Text in which secrets are stored by name.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SealedText(Vec<Piece>);

impl SealedText {
    /// Text without secrets.
    pub fn clear(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
enum Piece {
    Text(String),
    Secret(String, Spelling),
}

impl Piece {
    /// Splits the text at a secret's occurrences, and puts its name in their place.
    fn split(self, word: &str, name: &str, spelling: Spelling) -> Vec<Piece> {
        let Piece::Text(text) = self else { return vec![self] };
        let mut parts = Vec::new();
        for (n, piece) in text.split(word).enumerate() {
            if n > 0 {
                parts.push(Piece::Secret(name.to_owned(), spelling));
            }
            if !piece.is_empty() {
                parts.push(Piece::Text(piece.to_owned()));
            }
        }
        parts
    }
}

/// How a secret is encoded when a rule writes it into text, JSON, XML or base64.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
enum Spelling {
    Plain,
    Json,
    Xml,
    Base64,
}

impl Spelling {
    const ALL: [Spelling; 4] = [Spelling::Plain, Spelling::Json, Spelling::Xml, Spelling::Base64];

    fn of(self, secret: &str) -> Option<String> {
        match self {
            Spelling::Plain => Some(secret.to_owned()),
            Spelling::Json => serde_json::to_string(secret).ok().map(|text| text[1..text.len() - 1].to_owned()),
            Spelling::Xml => Some(quick_xml::escape::escape(secret).into_owned()),
            Spelling::Base64 => Some(base64::engine::general_purpose::STANDARD.encode(secret)),
        }
    }
}

/// How a secret may appear: as it is, percent-encoded, inside JSON, in base64 (also after `user:`), in HTML. Very short
/// secrets are ignored: redacting them would make most text unreadable.
fn spellings(value: &str) -> Vec<String> {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let mut all = vec![value.to_owned(), value.trim().to_owned()];
    all.push(percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string());
    all.push(percent_encoding::utf8_percent_encode(value, percent::SEGMENT).to_string());
    all.push(percent_encoding::utf8_percent_encode(value, percent::QUERY).to_string());
    // Forms encode a space as `+`.
    all.push(all[4].replace("%20", "+"));
    for encoded in all.clone() {
        all.push(lower_escapes(&encoded));
    }
    if let Ok(json) = serde_json::to_string(value) {
        all.push(json[1..json.len() - 1].to_owned());
        all.push(json[1..json.len() - 1].replace('/', "\\/"));
    }
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        all.push(engine.encode(value));
    }
    // A secret inside a longer base64 text begins at one of three positions in a group of four characters; the characters
    // that it shares with its neighbours are left out.
    if value.len() >= 9 {
        for shift in 0..3usize {
            let mut padded = vec![0u8; shift];
            padded.extend_from_slice(value.as_bytes());
            let text = STANDARD_NO_PAD.encode(&padded);
            let from = if shift == 0 { 0 } else { shift + 1 };
            let whole = padded.len() / 3 * 4;
            all.push(text[from..whole].to_owned());
            all.push(text[from..whole].replace('+', "-").replace('/', "_"));
        }
    }
    all.retain(|s| s.len() >= SHORTEST);
    all.sort();
    all.dedup();
    all
}

/// Percent escapes in lower case (`%2f`), as some programs write them.
fn lower_escapes(text: &str) -> String {
    let mut since_percent = 3;
    let lower = |c: char| {
        since_percent = if c == '%' { 0 } else { since_percent + 1 };
        if since_percent <= 2 { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_struck_out_in_every_spelling() {
        let mut vault = Vault::default();
        vault.keep("KEY", "p@ss/w\"ord 12".into());
        let base64 = base64::engine::general_purpose::STANDARD.encode("user:p@ss/w\"ord 12");
        for text in ["p@ss/w\"ord 12", "p%40ss%2Fw%22ord%2012", "p%40ss%2fw%22ord%2012", "p%40ss%2Fw%22ord+12", "p@ss/w\\\"ord 12", &base64]
        {
            let struck = vault.strike(&format!("<{text}>"));
            assert!(struck.contains(STRUCK) && !struck.contains("ord"), "{struck}");
        }
        assert_eq!(format!("{:?}", vault.secret("KEY").unwrap()), "***");
    }

    #[test]
    fn a_text_is_stored_with_secrets_named_and_opened_with_those_of_then() {
        let mut vault = Vault::default();
        vault.keep("KEY", "p@ss/w\"ord & 12".into());
        vault.keep("LONG", "p@ss/w\"ord & 12 and more".into());
        for text in [
            "no secret",
            "",
            "<p@ss/w\"ord & 12>",
            "p@ss/w\\\"ord & 12 twice p@ss/w\"ord & 12",
            "p@ss/w&quot;ord &amp; 12",
            "x p@ss/w\"ord & 12 and more",
        ] {
            let sealed = vault.seal(text).unwrap();
            let stored = serde_json::to_string(&sealed).unwrap();
            assert!(!stored.contains("p@ss"), "{stored}");
            assert_eq!(vault.unseal(&serde_json::from_str(&stored).unwrap()).as_deref(), Some(text));
        }
        let sealed = vault.seal("<p@ss/w\"ord & 12>").unwrap();
        let mut changed = Vault::default();
        assert_eq!(changed.unseal(&sealed), None, "there is no such secret any more");
        changed.keep("KEY", "another".into());
        assert_eq!(changed.unseal(&sealed).as_deref(), Some("<another>"));
        // In a form that cannot be named: nothing is stored.
        assert_eq!(vault.seal("p%40ss%2Fw%22ord%20%26%2012"), None);
        // Text sent by somebody else cannot name a secret.
        let sent = r#"[{"Secret":["KEY","Plain"]}]"#;
        assert_eq!(vault.unseal(&vault.seal(sent).unwrap()).as_deref(), Some(sent));
    }
}
