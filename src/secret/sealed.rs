//! Text that is stored with the names of secrets in place of the secrets.
//!
//! The encodings that can be named are here; what is redacted without a way back is in [`super::pattern`].

use base64::Engine as _;

use super::pattern::SHORTEST;
use super::vault::Vault;

impl Vault {
    /// The text with secrets replaced by their names; `None` if one occurs in an encoding that cannot be named.
    pub fn seal(&self, text: &str) -> Option<SealedText> {
        let mut parts = vec![Piece::Text(text.to_owned())];
        for (name, known) in &self.secrets {
            for spelling in Spelling::ALL {
                let Some(word) = spelling.of(known.secret.reveal()).filter(|word| word.len() >= SHORTEST) else { continue };
                parts = parts.into_iter().flat_map(|part| part.split(&word, name, spelling)).collect();
            }
        }
        let is_clear = |part: &Piece| matches!(part, Piece::Text(text) if self.contains_secret(text));
        (!parts.iter().any(is_clear)).then_some(SealedText(parts))
    }

    /// A sealed text with the current values of the secrets; `None` if one is missing.
    pub fn unseal(&self, text: &SealedText) -> Option<String> {
        let part = |part: &Piece| match part {
            Piece::Text(text) => Some(text.clone()),
            Piece::Secret(name, spelling) => spelling.of(self.secret(name)?.reveal()),
        };
        text.0.iter().map(part).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // In a spelling that cannot be named: nothing is stored.
        assert_eq!(vault.seal("p%40ss%2Fw%22ord%20%26%2012"), None);
        // Text sent by somebody else cannot name a secret.
        let sent = r#"[{"Secret":["KEY","Plain"]}]"#;
        assert_eq!(vault.unseal(&vault.seal(sent).unwrap()).as_deref(), Some(sent));
    }
}
