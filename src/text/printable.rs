//! Text from outside, made safe to show: a terminal or a log would obey some characters instead of showing them, could be
//! made to show a line that Doorbell never wrote, or could show letters in an order in which they are not.

use std::borrow::Cow;

/// The text on one line: line breaks and tabs become spaces, other characters without a shape of their own become visible.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let visible = |c: char| if c.is_whitespace() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { picture(c) };
    cleaned(text, visible)
}

/// The same for text of several lines: line breaks and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    cleaned(text, |c| if matches!(c, '\n' | '\t') { c } else { picture(c) })
}

/// The text on one line, cut to this many characters.
pub fn short(text: &str, most: usize) -> String {
    // A text has at least as many bytes as characters.
    match (text.len() > most).then(|| text.char_indices().nth(most)).flatten() {
        None => one_line(text).into_owned(),
        Some(_) => {
            let cut = text.char_indices().nth(most - 1).map_or(text.len(), |(at, _)| at);
            format!("{}…", one_line(text.get(..cut).unwrap_or(text)))
        }
    }
}

/// The text, cut to this many characters.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match (text.len() > most).then(|| text.char_indices().nth(most)).flatten() {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or(text))),
    }
}

/// JSON that shows nothing of what a terminal obeys: such characters are escaped, so that programs still read them. They can
/// only be in its strings, where JSON already escapes the first 32.
pub fn escaped(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_obeyed(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn cleaned(text: &str, visible: impl Fn(char) -> char) -> Cow<'_, str> {
    // Almost all text is of this kind.
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    match !is_plain && text.chars().any(is_obeyed) {
        true => text.chars().map(|c| if is_obeyed(c) { visible(c) } else { c }).collect(),
        false => Cow::Borrowed(text),
    }
}

/// Whether a terminal would do something at this character, or reorder or hide the text around it.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Direction marks and overrides (Unicode Standard Annex 9), line and paragraph separators.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: the byte order mark, annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A visible character in place of one without a shape: `␛` for Escape.
fn picture(c: char) -> char {
    match u32::from(c) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or('�'),
        0x7f => '\u{2421}',
        _ => '�',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let text = "a\u{1b}[31mred\u{7}\r\n2026-01-01 forged\tx\u{7f}\u{9b}5m\u{202e}gnp.exe\u{2066}\u{2028}y";
        assert_eq!(one_line(text), "a␛[31mred␇  2026-01-01 forged x␡�5m�gnp.exe� y");
        assert_eq!(lines(text), "a␛[31mred␇␍\n2026-01-01 forged\tx␡�5m�gnp.exe��y");
        for code in (0..=0x10ffff).filter_map(char::from_u32).filter(|c| is_obeyed(*c)) {
            assert!(one_line(&code.to_string()).chars().all(|c| !is_obeyed(c)), "{code:?}");
        }
        assert!(matches!(one_line("Grüße, 世界 👩‍🚀 מזל"), Cow::Borrowed(_)), "text stays as it is");
    }

    #[test]
    fn json_with_any_character_is_read_back_and_shows_nothing_that_a_terminal_obeys() {
        let text: String = (0..=0x10ffff).filter_map(char::from_u32).filter(|c| is_obeyed(*c)).chain("\"\\é世".chars()).collect();
        let json = serde_json::to_string(&text).unwrap();
        let safe = escaped(&json);
        assert!(!safe.chars().any(is_obeyed) && safe.contains("é世"));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(short("äöü", 3), "äöü");
        assert_eq!(short("äöüß", 3), "äö…");
        assert_eq!(short("a\nb", 3), "a b");
        assert_eq!(short("", 3), "");
    }
}
