//! Text that a spreadsheet program would treat as a formula.

/// What a formula begins with, also in full width and as a typographic minus, which some programs read in the same way.
const SIGNS: [char; 9] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '−'];

/// Text that no spreadsheet treats as a formula.
pub(super) fn guarded(text: &str) -> String {
    match is_formula(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn is_formula(text: &str) -> bool {
    // Programs skip what cannot be seen before it.
    let seen = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let is_tab = text.starts_with(['\t', '\r', '\n']) && !seen.is_empty();
    (seen.starts_with(SIGNS) || is_tab) && !is_harmless(seen)
}

/// A line of a `.csv` or `.tsv` file in which no cell is treated as a formula, whichever sign separates the cells.
pub fn guarded_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for cell in line.split_inclusive([',', ';', '\t', '|']) {
        // A quote belongs to the notation, not to the cell.
        let text = cell.trim_start_matches([' ', '"']);
        let content = text.trim_end_matches([',', ';', '\t', '|', '"', ' ']);
        out.push_str(cell.strip_suffix(text).unwrap_or(""));
        if is_formula(content) {
            out.push('\'');
        }
        out.push_str(text);
    }
    out
}

/// A plain number, or a phone number: `+49 (30) 123-45`.
fn is_harmless(text: &str) -> bool {
    if crate::expr::number::is_plain(text) {
        return true;
    }
    let Some(rest) = text.strip_prefix('+') else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    rest.starts_with(|c: char| c.is_ascii_digit() || c == '(')
        && (5..=20).contains(&digits)
        && rest.bytes().all(|b| b.is_ascii_digit() || b" ()-/.".contains(&b))
        && !rest.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_a_line_is_guarded() {
        for (line, expected) in [
            ("a,b;c", "a,b;c"),
            ("=1,x", "'=1,x"),
            ("x,=1+1", "x,'=1+1"),
            ("x; =cmd|' /C calc'!A0", "x; '=cmd|' /C calc'!A0"),
            ("\"=1\",\"-5\",\"a=b\"", "\"'=1\",\"-5\",\"a=b\""),
            ("a\t@SUM(A1)\t+49 30 12345", "a\t'@SUM(A1)\t+49 30 12345"),
            ("", ""),
        ] {
            assert_eq!(guarded_line(line), expected);
        }
    }

    #[test]
    fn text_like_a_formula_gets_an_apostrophe_and_a_phone_number_does_not() {
        for text in [
            "=1+1",
            "+cmd|'/c calc'!A0",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "+49-",
            "-",
            "+1+1+1+1+1",
            " =1",
            "\u{b}=1",
            "\u{2028}=1",
            "＝1",
            "−1+1",
            "\u{0}@x",
        ] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["+49 30 1234567", "+4930123456", "+1 (555) 010-9999", "-5", "-1.50", "plain", "a=b", ""] {
            assert_eq!(guarded(text), text);
        }
    }
}
