//! The pattern that finds a secret in a text, in whatever encoding a program may have written it.
//!
//! Known are: as it is; characters escaped for addresses and forms (`%2F`, `+`), JSON and programming languages (`\/`,
//! `\u0026`, `\x26`), HTML and XML (`&amp;`, `&#38;`, `&#x26;`), also twice; hexadecimal; base64 in both alphabets, alone and
//! inside a longer text such as `user:password`. Of a secret with several lines every longer line is found by itself, too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use regex::{Regex, RegexBuilder};

/// The shortest secret that is redacted as it is, in bytes: redacting shorter ones would tear up every text.
pub const SHORTEST: usize = 4;
/// The shortest line of a secret that is searched for by itself, in bytes.
const SHORTEST_LINE: usize = 8;
/// Long secrets are searched for in pieces of this many characters.
const PIECE: usize = 1000;
/// The fewest characters of base64 that are searched for. Fewer could be part of any word.
const SHORTEST_BASE64: usize = 4;
/// Memory for the compiled pattern of one secret, and for searching with it; a key in 100 lines takes about a tenth of it.
const MOST_COMPILED: usize = 32 << 20;
const MOST_SEARCHING: usize = 1 << 20;

/// `None` if there is nothing to search for.
pub fn of(secret: &str) -> Option<Regex> {
    let pieces = pieces(secret.trim());
    let ways: Vec<String> = pieces.iter().flat_map(|piece| ways(piece)).collect();
    if ways.is_empty() {
        return None;
    }
    // `+`, so that the pieces of one secret are redacted together.
    let pattern = format!("(?:{})+", ways.join("|"));
    let compiled = RegexBuilder::new(&pattern).size_limit(MOST_COMPILED).dfa_size_limit(MOST_SEARCHING).build();
    // A secret of many thousand lines: as it is, at least.
    compiled.or_else(|_| Regex::new(&pieces.iter().map(|piece| regex::escape(piece)).collect::<Vec<_>>().join("|"))).ok()
}

/// The secret, and each of its lines; long ones in pieces. The longest come first, because the first match counts.
fn pieces(secret: &str) -> Vec<String> {
    let lines = secret.split(['\n', '\r']).map(str::trim).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
    let whole = Some(secret).filter(|_| !secret.is_empty() && secret.len() <= PIECE);
    let mut all: Vec<String> = Vec::new();
    for text in whole.into_iter().chain(lines) {
        let letters: Vec<char> = text.chars().collect();
        all.extend(letters.chunks(PIECE).map(|piece| piece.iter().collect::<String>()));
    }
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

/// How one piece may be written.
fn ways(piece: &str) -> Vec<String> {
    let mut ways = Vec::new();
    if piece.len() >= SHORTEST {
        ways.push(piece.chars().map(written).collect());
    }
    if piece.len() >= SHORTEST - 1 {
        ways.push(format!("(?i:{})", piece.bytes().map(|b| format!("{b:02x}")).collect::<String>()));
        ways.extend((0..3).filter_map(|shift| base64_after(piece, shift)));
    }
    ways
}

/// The base64 of the piece behind `shift` other bytes: the characters that belong to it alone, with or without the last ones,
/// which change when something follows.
fn base64_after(piece: &str, shift: usize) -> Option<String> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(piece.as_bytes());
    let text = STANDARD_NO_PAD.encode(&bytes);
    // The characters that are shared with the bytes before.
    let from = if shift == 0 { 0 } else { shift + 1 };
    let whole = (bytes.len() / 3 * 4).max(from);
    let (sure, last) = (text.get(from..whole)?, text.get(whole..)?);
    let written = |text: &str| text.chars().map(base64_character).collect::<String>();
    match (sure.len() >= SHORTEST_BASE64, sure.len() + last.len() >= SHORTEST_BASE64) {
        (true, _) => Some(format!("{}(?:{})?", written(sure), written(last))),
        (false, true) => Some(written(sure) + &written(last)),
        (false, false) => None,
    }
}

fn base64_character(c: char) -> String {
    match c {
        '+' => r"(?:[+\-]|%(?i:2b))".to_owned(),
        '/' => r"(?:\\*/|_|%(?i:2f))".to_owned(),
        c => c.to_string(),
    }
}

/// The ways in which one character may be written. Letters and digits are not escaped by anybody.
fn written(c: char) -> String {
    if c.is_ascii_alphanumeric() {
        return c.to_string();
    }
    let code = u32::from(c);
    let mut utf8 = [0; 4];
    let percent = |bytes: &[u8]| format!("(?i:{})", bytes.iter().map(|b| format!("%(?:25)*{b:02x}")).collect::<String>());
    let utf16: String = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!(r"\\+u(?i:{unit:04x})")).collect();
    let plain = regex::escape(&c.to_string());
    let mut ways = match c {
        '\\' => vec![r"\\+".to_owned()],
        // A line break may have become a space.
        '\n' => vec![r"\s+".to_owned(), r"(?:\\+r)?\\+n".to_owned(), r"\+".to_owned()],
        '\r' => vec![r"\s*".to_owned(), r"\\+r".to_owned()],
        '\t' => vec![r"\s".to_owned(), r"\\+t".to_owned(), r"\+".to_owned()],
        ' ' => vec![plain, r"\+".to_owned()],
        '\u{8}' => vec![plain, r"\\+b".to_owned()],
        '\u{c}' => vec![plain, r"\\+f".to_owned()],
        _ => vec![format!(r"\\*{plain}")],
    };
    ways.extend([percent(c.encode_utf8(&mut utf8).as_bytes()), utf16]);
    ways.push(format!("&(?:amp;)*#(?:0*{code}|[xX]0*(?i:{code:x}));"));
    if let Ok(byte) = u8::try_from(code) {
        ways.push(format!(r"\\+x(?i:{byte:02x})"));
        ways.push(percent(&[byte]));
    }
    let name = match c {
        '&' => "amp",
        '<' => "lt",
        '>' => "gt",
        '"' => "quot",
        '\'' => "apos",
        _ => "",
    };
    if !name.is_empty() {
        // Before the plain character, which may be the beginning of this.
        ways.insert(0, format!("&(?:amp;)*{name};"));
    }
    format!("(?:{})", ways.join("|"))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;
    use crate::secret::{STRUCK, Vault};

    fn struck(secret: &str, text: &str) -> String {
        let mut vault = Vault::default();
        vault.keep("KEY", secret.into());
        vault.strike(&format!("<{text}>"))
    }

    #[test]
    fn a_secret_is_redacted_in_every_encoding() {
        let secret = "p@ss/w\"ord 12<é&>";
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        for text in [
            secret,
            "p%40ss%2Fw%22ord%2012%3C%C3%A9%26%3E",
            "p%40ss%2fw%22ord+12%3c%e9%26%3e",
            "p%2540ss%252Fw%2522ord%252012%253C%25C3%25A9%2526%253E",
            r#"p@ss/w\"ord 12<é&>"#,
            r#"p@ss\/w\"ord 12\u003cé\u0026\u003e"#,
            r#"p@ss\\\/w\\\"ord 12\\u003C\\u00e9\\u0026\\u003E"#,
            r#"p@ss/w\x22ord 12<\xe9\x26>"#,
            "p@ss/w&quot;ord 12&lt;é&amp;&gt;",
            "p@ss/w&#34;ord 12&#60;&#233;&#38;&#62;",
            "p@ss&#x2F;w&#x22;ord 12&#x3C;&#xE9;&#x26;&#x3e;",
            "p@ss/w&amp;quot;ord 12&amp;lt;&amp;#233;&amp;amp;&amp;gt;",
            &hex,
            &hex.to_uppercase(),
        ] {
            assert_eq!(struck(secret, text), "<***>", "{text}");
        }
        for (before, after) in [("", ""), ("u:", ""), ("user:", ""), ("", "!"), ("a", "bc"), ("ab", ":x")] {
            let text = format!("{before}{secret}{after}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text), STANDARD.encode(&text).replace('/', "%2F")] {
                assert!(struck(secret, &encoded).contains(STRUCK), "{text}");
            }
        }
    }

    #[test]
    fn short_secrets_are_found_in_base64_and_hexadecimal() {
        for secret in ["abc", "hunter2", "p\u{e9}4", "12345678"] {
            for user in ["", "u", "me", "you", "user"] {
                let encoded = STANDARD.encode(format!("{user}:{secret}"));
                assert!(struck(secret, &encoded).contains(STRUCK), "{user}:{secret}");
            }
            assert!(struck(secret, &secret.bytes().map(|b| format!("{b:02X}")).collect::<String>()).contains(STRUCK));
        }
        assert_eq!(struck("abc", "abc"), "<abc>", "shorter than four bytes");
        assert_eq!(struck("abcd", "abcd"), "<***>");
        assert_eq!(struck("", "abcd"), "<abcd>");
    }

    #[test]
    fn a_secret_of_several_lines_is_found_whole_and_line_by_line() {
        let secret = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\nab\n-----END KEY-----\n";
        assert_eq!(struck(secret, secret.trim()), "<***>");
        assert_eq!(struck(secret, &secret.trim().replace("\r\n", "\n").replace('\n', " ")), "<***>");
        assert_eq!(struck(secret, &serde_json::to_string(secret.trim()).unwrap()), "<\"***\">");
        assert_eq!(struck(secret, "-----BEGIN KEY-----, MIIEvQIBADANBgkq, ab"), "<-----BEGIN KEY-----, ***, ab>");
    }

    #[test]
    fn long_secrets_are_found_in_pieces() {
        let secret: String = (0..500).map(|n| format!("{n:04}-{:x};", n * 7919)).collect();
        assert_eq!(struck(&secret, &secret), "<***>");
        assert_eq!(struck(&secret, &secret[..PIECE]), "<***>", "an answer that was cut off");
        let lines: String = (0..400).map(|n| format!("{:064x}\n", n * 7919)).collect();
        assert!(!struck(&lines, &lines).contains("7919"));
    }

    proptest! {
        #[test]
        fn any_secret_is_redacted(secret in "[^\\s\u{0}]\\PC{6,40}[^\\s\u{0}]", before in "\\PC{0,9}") {
            let json = serde_json::to_string(&secret).unwrap();
            let percent = percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string();
            let xml = quick_xml::escape::escape(secret.as_str()).into_owned();
            for text in [secret.clone(), json[1..json.len() - 1].to_owned(), percent, xml] {
                let struck = struck(&secret, &format!("{before}{text}"));
                prop_assert!(struck.contains(STRUCK) && !struck.contains(&text), "{secret:?} {struck}");
            }
        }
    }
}
