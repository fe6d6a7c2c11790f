//! The number formats of a workbook (ECMA-376, part 1, 18.8.30): which cells show a date, and styles for new dates.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::package::{damaged, each_tag};
use super::xml_reader::attribute;
use super::xml_rewriter::{At, rewrite};
use crate::action::files::folder::Unwritten;

pub(super) const STYLES: &str = "xl/styles.xml";

/// How dates are shown in a column that shows no dates yet: without a time, and with one.
const FORMATS: [&str; 2] = ["yyyy\\-mm\\-dd", "yyyy\\-mm\\-dd\\ hh:mm:ss"];
/// The first number of a format that is not built in.
const FIRST_FORMAT: u32 = 164;

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

/// The styles of cells with a new date: that of the cells next to it if it shows dates, else the same with a date format.
#[derive(Default)]
pub(super) struct DateStyles {
    dates: BTreeSet<usize>,
    /// How many styles there are.
    count: usize,
    /// The styles that are added, by the style that they are made from and whether they show a time.
    made: BTreeMap<(usize, bool), usize>,
}

impl DateStyles {
    pub(super) fn of(styles: &str) -> Result<Self, Unwritten> {
        let mut count = 0;
        each_xf(styles, |_| count += 1)?;
        Ok(Self { dates: dates(styles)?, count, made: BTreeMap::new() })
    }

    /// The style for a date in a cell that would have this style.
    pub(super) fn style(&mut self, style: &str, has_time: bool) -> String {
        let number = style.parse().ok().filter(|number| *number < self.count).unwrap_or(0);
        if self.dates.contains(&number) {
            return number.to_string();
        }
        let next = self.count + self.made.len();
        self.made.entry((number, has_time)).or_insert(next).to_string()
    }

    /// The styles of the workbook with those that are added.
    pub(super) fn added(&self, styles: &str) -> Result<String, Unwritten> {
        let mut last = FIRST_FORMAT - 1;
        each_tag(styles, "numFmt", |tag| last = last.max(attribute(tag, "numFmtId").and_then(|n| n.parse().ok()).unwrap_or(0)))?;
        let format = |has_time: bool| last + 1 + u32::from(has_time);
        let olds = xfs(styles)?;
        let mut new: Vec<_> = self.made.iter().collect();
        new.sort_by_key(|(_, number)| **number);
        let mut added = String::new();
        for ((old, has_time), _) in new {
            let xf = olds.get(*old).map_or("<xf/>", String::as_str);
            let xf = rewrite(xf, |xml, at| {
                if xml.depth() == 0 && at.begins() {
                    xml.set("numFmtId", &format(*has_time).to_string())?;
                    xml.set("applyNumberFormat", "1")?;
                }
                Ok(())
            });
            added.push_str(&xf.map_err(damaged)?);
        }
        let formats = |p: &str| {
            let format = |has_time: bool| {
                format!("<{p}numFmt numFmtId=\"{}\" formatCode=\"{}\"/>", format(has_time), FORMATS[usize::from(has_time)])
            };
            [false, true].map(format).concat()
        };
        let (mut has_formats, mut is_first) = (false, true);
        each_tag(styles, "numFmts", |_| has_formats = true)?;
        let new = rewrite(styles, |xml, at| {
            match xml.local() {
                "numFmts" | "cellXfs" if at.begins() && xml.depth() == 1 => {
                    let more = if xml.local() == "numFmts" { FORMATS.len() } else { self.made.len() };
                    if let Some(count) = attribute(&xml.tag(), "count").and_then(|n| n.parse::<usize>().ok()) {
                        xml.set("count", &(count + more).to_string())?;
                    }
                }
                _ => {}
            }
            // Formats come first.
            if !has_formats && at.begins() && xml.depth() == 1 && std::mem::take(&mut is_first) {
                let p = xml.prefix().to_owned();
                xml.insert(&format!("<{p}numFmts count=\"{}\">{}</{p}numFmts>", FORMATS.len(), formats(&p)))?;
            }
            match xml.local() {
                "numFmts" if at.ends() => xml.append(&formats(xml.prefix())),
                "cellXfs" if at.ends() => xml.append(&added),
                _ => Ok(()),
            }
        });
        new.map_err(damaged)
    }
}

/// Whether there are styles of cells.
pub(super) fn has_any(styles: &str) -> Result<bool, Unwritten> {
    let mut is_there = false;
    each_xf(styles, |_| is_there = true)?;
    Ok(is_there)
}

/// The styles of cells, as they are written.
fn xfs(styles: &str) -> Result<Vec<String>, Unwritten> {
    let (mut is_inside, mut all, mut depth): (bool, Vec<String>, usize) = (false, Vec::new(), 0);
    let read = rewrite(styles, |xml, at| {
        if xml.local() == "cellXfs" {
            is_inside = at == At::Start;
            depth = xml.depth() + 1;
            return Ok(());
        }
        match is_inside {
            true if at.begins() && xml.depth() == depth => all.push(xml.text().to_owned()),
            true if xml.depth() >= depth => {
                if let Some(last) = all.last_mut() {
                    last.push_str(xml.text());
                }
            }
            _ => {}
        }
        Ok(())
    });
    read.map_err(damaged)?;
    Ok(all)
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

    #[test]
    fn a_new_date_gets_the_style_of_its_column_or_the_same_with_a_date_format() {
        let xml = r#"<x:styleSheet xmlns:x="m"><x:numFmts count="1"><x:numFmt numFmtId="170" formatCode="dd.mm.yyyy"/></x:numFmts><x:cellXfs count="3"><x:xf numFmtId="0"/><x:xf numFmtId="170"/><x:xf numFmtId="2" fontId="1"> <x:alignment/></x:xf></x:cellXfs><x:dxfs/></x:styleSheet>"#;
        let mut styles = DateStyles::of(xml).unwrap();
        let chosen = [("1", true), ("2", false), ("", true), ("2", false), ("99", true)].map(|(style, time)| styles.style(style, time));
        assert_eq!(chosen, ["1", "3", "4", "3", "4"]);
        let new = styles.added(xml).unwrap();
        let expected = r#"<x:numFmts count="3"><x:numFmt numFmtId="170" formatCode="dd.mm.yyyy"/><x:numFmt numFmtId="171" formatCode="yyyy\-mm\-dd"/><x:numFmt numFmtId="172" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/></x:numFmts><x:cellXfs count="5"><x:xf numFmtId="0"/><x:xf numFmtId="170"/><x:xf numFmtId="2" fontId="1"> <x:alignment/></x:xf><x:xf numFmtId="171" fontId="1" applyNumberFormat="1"> <x:alignment/></x:xf><x:xf numFmtId="172" applyNumberFormat="1"/></x:cellXfs>"#;
        assert!(new.contains(expected), "{new}");
        assert_eq!(dates(&new).unwrap(), BTreeSet::from([1, 3, 4]));
        let without = "<styleSheet><fonts/><cellXfs><xf/></cellXfs></styleSheet>";
        let mut styles = DateStyles::of(without).unwrap();
        styles.style("", false);
        assert!(styles.added(without).unwrap().starts_with("<styleSheet><numFmts count=\"2\"><numFmt numFmtId=\"164\""));
    }
}
