//! Text that a spreadsheet program would treat as a formula.

/// Text that no spreadsheet treats as a formula.
pub(super) fn guarded(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_harmless(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
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
    fn text_like_a_formula_gets_an_apostrophe_and_a_phone_number_does_not() {
        for text in ["=1+1", "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "+49-", "-", "+1+1+1+1+1"] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["+49 30 1234567", "+4930123456", "+1 (555) 010-9999", "-5", "-1.50", "plain", "a=b", ""] {
            assert_eq!(guarded(text), text);
        }
    }
}
