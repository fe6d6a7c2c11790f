//! The XML of one cell.

use quick_xml::escape::{escape, partial_escape};

use super::reference::letters;
use super::shape::NewCell;
use crate::action::files::row::Cell;

pub(super) fn cell_xml(p: &str, column: u32, row: u32, cell: &NewCell, style: &str) -> String {
    let at = format!("{}{row}", letters(column));
    let style = if style.is_empty() { String::new() } else { format!(" s=\"{}\"", escape(style)) };
    match cell {
        NewCell::Formula(text) => format!("<{p}c r=\"{at}\"{style}><{p}f>{}</{p}f></{p}c>", partial_escape(text.as_str())),
        NewCell::Value(Cell::Empty) => format!("<{p}c r=\"{at}\"{style}/>"),
        NewCell::Value(Cell::Number(n)) | NewCell::Date(n, _) => format!("<{p}c r=\"{at}\"{style}><{p}v>{n}</{p}v></{p}c>"),
        NewCell::Value(Cell::Bool(b)) => format!("<{p}c r=\"{at}\"{style} t=\"b\"><{p}v>{}</{p}v></{p}c>", u8::from(*b)),
        NewCell::Value(Cell::Text(t) | Cell::Date(t)) => {
            let text = partial_escape(spelled_out(t));
            format!("<{p}c r=\"{at}\"{style} t=\"inlineStr\"><{p}is><{p}t xml:space=\"preserve\">{text}</{p}t></{p}is></{p}c>")
        }
    }
}

/// Encodes text for a cell or a title, still to be escaped: characters that XML cannot contain become `_x0001_` (ECMA-376,
/// 22.9.2.19).
pub(crate) fn spelled_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let code = c as u32;
        match c {
            '\t' | '\n' => out.push(c),
            '\r' => out.push_str("_x000D_"),
            '_' if text[at + 1..].starts_with('x') && text.as_bytes().get(at + 6) == Some(&b'_') => out.push_str("_x005F_"),
            _ if code < 0x20 || code == 0xfffe || code == 0xffff => out.push_str(&format!("_x{code:04X}_")),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_cannot_contain_are_escaped() {
        assert_eq!(spelled_out("a\u{1}b_x0001_<"), "a_x0001_b_x005F_x0001_<");
    }
}
