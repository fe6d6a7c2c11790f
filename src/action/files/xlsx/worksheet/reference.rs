//! Cell references: `C7`, and `A1:C7` for all cells between two corners (ECMA-376, part 1, 18.18).

use std::borrow::Cow;

/// The maximum number of columns and rows of a sheet.
pub(crate) const MAX_COLUMNS: u32 = 16_384;
pub(crate) const MAX_ROWS: u32 = 1_048_576;

/// `C` for 3.
pub(crate) fn letters(mut column: u32) -> String {
    let mut out = Vec::new();
    while column > 0 {
        column -= 1;
        out.push(b'A' + (column % 26) as u8);
        column /= 26;
    }
    out.reverse();
    String::from_utf8(out).unwrap_or_default()
}

/// Column and row of `C7`, with or without dollar signs.
pub(crate) fn at_cell(name: &str) -> Option<(u32, u32)> {
    let name = if name.contains('$') { name.replace('$', "").into() } else { Cow::Borrowed(name) };
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let column = name[..digits]
        .bytes()
        .try_fold(0u32, |n, b| b.is_ascii_uppercase().then(|| n * 26 + u32::from(b - b'A') + 1).filter(|c| *c <= MAX_COLUMNS))?;
    Some((column, name[digits..].parse().ok().filter(|row| *row > 0)?))
}

/// The corners of `A1:C7`, or of the single cell `A1`.
pub(crate) fn at_range(range: &str) -> Option<((u32, u32), (u32, u32))> {
    let (from, to) = range.split_once(':').unwrap_or((range, range));
    Some((at_cell(from)?, at_cell(to)?))
}

pub(crate) fn range(from: (u32, u32), to: (u32, u32)) -> String {
    format!("{}{}:{}{}", letters(from.0), from.1, letters(to.0), to.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        for (number, text) in [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA"), (16_384, "XFD")] {
            assert_eq!(letters(number), text);
            assert_eq!(at_cell(&format!("${text}$9")), Some((number, 9)));
        }
        assert_eq!((at_cell("XFE1"), at_cell(&format!("{}1", "Z".repeat(50)))), (None, None));
    }
}
