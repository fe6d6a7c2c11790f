//! The number formats of a workbook (ECMA-376, part 1, 18.8.30): which cells show a date.

use std::collections::{BTreeSet, HashSet};

use super::package::{damaged, each_tag};
use super::xml_reader::attribute;
use super::xml_rewriter::{At, rewrite};
use crate::action::files::folder::Unwritten;

/// The numbers of the cell styles that show a number as a date.
pub(super) fn dates(styles: &str) -> Result<BTreeSet<usize>, Unwritten> {
    let mut formats = HashSet::new();
    each_tag(styles, "numFmt", |tag| {
        let number = attribute(tag, "numFmtId").and_then(|n| n.parse::<u32>().ok());
        if is_date(&attribute(tag, "formatCode").unwrap_or_default()) {
            formats.extend(number);
        }
    })?;
    let is_built_in = |format: u32| matches!(format, 14..=17 | 22 | 27..=36 | 50..=58);
    let (mut found, mut number) = (BTreeSet::new(), 0);
    each_xf(styles, |format| {
        if is_built_in(format) || formats.contains(&format) {
            found.insert(number);
        }
        number += 1;
    })?;
    Ok(found)
}

/// Visits the number format of each style of cells, which are in `cellXfs`; those in `cellStyleXfs` are something else.
fn each_xf(styles: &str, mut look: impl FnMut(u32)) -> Result<(), Unwritten> {
    let mut is_inside = false;
    let read = rewrite(styles, |xml, at| {
        match xml.local() {
            "cellXfs" => is_inside = at == At::Start,
            "xf" if is_inside && at.begins() => look(attribute(&xml.tag(), "numFmtId").and_then(|n| n.parse().ok()).unwrap_or(0)),
            _ => {}
        }
        Ok(())
    });
    read.map(drop).map_err(damaged)
}

/// Whether a format code shows days, months or years; quoted and escaped characters stand for themselves.
fn is_date(code: &str) -> bool {
    let (mut quoted, mut escaped, mut in_brackets) = (false, false, false);
    code.chars().any(|c| {
        match c {
            _ if escaped => escaped = false,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '\\' | '_' | '*' => escaped = true,
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            'd' | 'D' | 'y' | 'Y' if !in_brackets => return true,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_that_show_a_date_are_known() {
        let xml = r#"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="dd.mm.yyyy"/><numFmt numFmtId="165" formatCode="[Red]0&quot; day&quot;"/></numFmts>
            <cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>"#;
        assert_eq!(dates(xml).unwrap(), BTreeSet::from([1, 2]));
    }
}
