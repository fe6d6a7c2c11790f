//! Writes a sheet without some of its rows, and formulas that refer to it.
//!
//! What is below a deleted row moves up, with all references to it. Where a reference would lose what it refers to, nothing
//! is written, and the error says why.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use quick_xml::escape::{partial_escape, unescape};

use super::super::formula::{Area, copied, references, shifted, without_rows};
use super::super::stale::Cells;
use super::super::xml_reader::attribute;
use super::super::xml_rewriter::{At, Rewriter};
use super::reference::{MAX_ROWS, at_range, letters, range};
use super::scan::{Tag, broken, row_number};

/// The rows that are deleted, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Removed(pub Vec<u32>);

impl Removed {
    pub(crate) fn first(&self) -> u32 {
        self.0.first().copied().unwrap_or(MAX_ROWS)
    }

    pub(crate) fn has(&self, row: u32) -> bool {
        self.0.binary_search(&row).is_ok()
    }

    /// The new number of a row that stays.
    pub(crate) fn row(&self, row: u32) -> u32 {
        row - self.0.partition_point(|gone| *gone < row) as u32
    }

    /// What is left of some rows; `None` if all of them are deleted.
    pub(crate) fn rows(&self, top: u32, bottom: u32) -> Option<(u32, u32)> {
        let first = (top..=bottom).find(|row| !self.has(*row))?;
        // An open end stays open.
        let last = if bottom >= MAX_ROWS { bottom } else { self.row((first..=bottom).rev().find(|row| !self.has(*row))?) };
        Some((self.row(first), last))
    }

    pub(crate) fn area(&self, area: Area) -> Option<Area> {
        let (top, bottom) = self.rows(area.0.1, area.1.1)?;
        Some(((area.0.0, top), (area.1.0, bottom)))
    }
}

/// What is to be written.
pub(crate) struct Removal {
    pub rows: Removed,
    /// The title of the sheet with the rows, and whether it is this one.
    pub title: String,
    pub is_here: bool,
    /// Formulas that cells share: where they are written, by their number.
    pub shared: HashMap<String, ((u32, u32), String)>,
    /// Formulas whose results are not true any more.
    pub stale: Cells,
}

impl Removal {
    /// A formula as it is without the rows; the error says why there is none.
    pub(crate) fn formula(&self, text: &str, is_here: bool) -> Result<String, String> {
        without_rows(text, &self.title, is_here, |top, bottom| self.rows.rows(top, bottom))
            .ok_or_else(|| format!("the formula {text} refers to a row that would be deleted; change the formula first"))
    }
}

/// Copies a sheet without the rows.
pub(crate) fn write(xml: impl BufRead, out: impl Write, removal: &Removal) -> io::Result<()> {
    let cell = Cell { row: 0, column: 0, is_stale: false };
    Writing { xml: Rewriter::new(xml, out)?, removal, cell, formula: None, origin: None, of_rows: false }.all()
}

/// The current cell of the old sheet.
struct Cell {
    row: u32,
    column: u32,
    is_stale: bool,
}

/// A formula that is being read.
struct Formula {
    raw: String,
    /// The text that replaces it, if it shared that of another cell.
    is: Option<String>,
}

struct Writing<'r, R, W> {
    xml: Rewriter<R, W>,
    removal: &'r Removal,
    cell: Cell,
    formula: Option<Formula>,
    /// The first row of the current format or validation, before and after.
    origin: Option<(u32, u32)>,
    /// Whether the current page breaks are those between rows.
    of_rows: bool,
}

impl<R: BufRead, W: Write> Writing<'_, R, W> {
    fn all(&mut self) -> io::Result<()> {
        let mut in_data = false;
        while let Some(at) = self.xml.next()? {
            if self.formula.is_some() && !at.begins() && !at.ends() {
                self.formula_text()?;
                continue;
            }
            match self.xml.local() {
                "sheetData" => in_data = at == At::Start,
                "row" if in_data && at.begins() => self.row()?,
                "c" if in_data && at.begins() => self.cell()?,
                "v" if in_data && at.begins() && self.cell.is_stale => self.xml.discard()?,
                "f" if in_data => self.formula(at)?,
                _ if in_data => {}
                _ => self.around(at)?,
            }
        }
        Ok(())
    }

    fn row(&mut self) -> io::Result<()> {
        self.cell.row = row_number(&self.xml.tag(), self.cell.row)?;
        self.cell.column = 0;
        if !self.removal.is_here {
            return Ok(());
        }
        if self.removal.rows.has(self.cell.row) {
            return self.xml.discard();
        }
        let number = self.removal.rows.row(self.cell.row);
        if number == self.cell.row { Ok(()) } else { self.xml.set("r", &number.to_string()) }
    }

    fn cell(&mut self) -> io::Result<()> {
        let Cell { row, column, .. } = self.cell;
        self.cell.column = Tag::read(&self.xml.tag(), column)?.column;
        self.cell.is_stale = self.removal.stale.get(&row).is_some_and(|columns| columns.contains(&self.cell.column));
        if self.cell.is_stale {
            // The kind of the result that is dropped.
            self.xml.remove("t");
        }
        let number = self.removal.rows.row(row);
        if !self.removal.is_here || number == row {
            return Ok(());
        }
        self.xml.set("r", &format!("{}{number}", letters(self.cell.column)))
    }

    fn formula(&mut self, at: At) -> io::Result<()> {
        if at.begins() {
            let tag = self.xml.tag();
            let number = attribute(&tag, "si").filter(|_| attribute(&tag, "t").as_deref() == Some("shared"));
            let own = number.map(|number| self.own_text(&number)).transpose()?;
            if at == At::Empty {
                let Some(own) = own else { return Ok(()) };
                let p = self.xml.prefix().to_owned();
                let new = self.changed(&own)?;
                self.xml.insert(&format!("<{p}f>{}</{p}f>", partial_escape(&new)))?;
                return self.xml.discard();
            }
            if own.is_some() {
                // Each cell has its own formula from now on.
                ["t", "si", "ref"].iter().for_each(|name| self.xml.remove(name));
            }
            self.formula = Some(Formula { raw: String::new(), is: own });
            return Ok(());
        }
        let Some(Formula { raw, is }) = self.formula.take() else { return Ok(()) };
        let text = match is {
            Some(text) => text,
            None => unescape(&raw).map_err(broken)?.into_owned(),
        };
        let new = self.changed(&text)?;
        // What does not change keeps its spelling.
        let is_same = unescape(&raw).is_ok_and(|old| old == new);
        if is_same { self.xml.insert(&raw) } else { self.xml.insert(&partial_escape(&new)) }
    }

    /// The formula of the current cell, which shares it with others.
    fn own_text(&self, number: &str) -> io::Result<String> {
        let Some(((column, row), text)) = self.removal.shared.get(number) else { return Err(broken("a shared formula is missing")) };
        let rows = i64::from(self.cell.row) - i64::from(*row);
        let columns = i64::from(self.cell.column) - i64::from(*column);
        copied(text, rows, columns).ok_or_else(|| broken("a shared formula leaves the sheet"))
    }

    fn changed(&self, text: &str) -> io::Result<String> {
        self.removal.formula(text, self.removal.is_here).map_err(io::Error::other)
    }

    fn formula_text(&mut self) -> io::Result<()> {
        if let Some(formula) = &mut self.formula {
            formula.raw.push_str(self.xml.text());
            self.xml.discard()?;
        }
        Ok(())
    }

    /// What is not a row, but refers to rows.
    fn around(&mut self, at: At) -> io::Result<()> {
        let is_here = self.removal.is_here;
        match self.xml.local() {
            "formula" | "formula1" | "formula2" | "f" if at == At::Start => {
                self.formula = Some(Formula { raw: String::new(), is: None });
                Ok(())
            }
            "formula" | "formula1" | "formula2" | "f" if at == At::End => self.format_formula(),
            "cfvo" if at.begins() => self.threshold(),
            _ if !is_here => Ok(()),
            "rowBreaks" => {
                self.of_rows = at == At::Start;
                Ok(())
            }
            "brk" if self.of_rows && at.begins() => {
                let row = attribute(&self.xml.tag(), "id").and_then(|id| id.parse::<u32>().ok());
                row.map_or(Ok(()), |row| self.xml.set("id", &self.removal.rows.row(row).to_string()))
            }
            "dataValidations" if at.begins() => {
                // The count is optional, and may be wrong now.
                self.xml.remove("count");
                Ok(())
            }
            "dimension" | "autoFilter" | "sortState" | "sortCondition" | "mergeCell" | "hyperlink" if at.begins() => self.reference(at),
            "conditionalFormatting" | "dataValidation" | "ignoredError" | "protectedRange" if at.begins() => {
                let areas = attribute(&self.xml.tag(), "sqref").unwrap_or_default();
                let new = self.listed(&areas);
                if new.is_empty() && !areas.is_empty() {
                    return self.xml.discard();
                }
                let top = |areas: &str| areas.split_ascii_whitespace().filter_map(at_range).map(|area| area.0.1).min();
                self.origin = top(&areas).zip(top(&new));
                if new == areas { Ok(()) } else { self.xml.set("sqref", &new) }
            }
            "conditionalFormatting" | "dataValidation" => {
                self.origin = None;
                Ok(())
            }
            // Formats and validations of newer programs have their ranges as text.
            "sqref" if at == At::Start => {
                let at = self.xml.next()?.ok_or_else(|| broken("a range is never closed"))?;
                let areas = self.xml.text().to_owned();
                match at == At::Text && self.listed(&areas) != areas {
                    true => Err(io::Error::other(format!(
                        "a format or a validation in {areas} is written in a way that cannot be changed; delete it in your spreadsheet program"
                    ))),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// A formula that is about the first cell of its range.
    fn format_formula(&mut self) -> io::Result<()> {
        let Some(Formula { raw, .. }) = self.formula.take() else { return Ok(()) };
        let text = unescape(&raw).map_err(broken)?;
        let new = match self.origin {
            Some((before, after)) => {
                let by = i64::from(after) - i64::from(before);
                shifted(&text, &self.removal.title, by, |top, bottom| self.removal.rows.rows(top, bottom))
                    .ok_or_else(|| io::Error::other(format!("the format or validation {text} refers to a row that would be deleted")))?
            }
            None => self.changed(&text)?,
        };
        if new == text { self.xml.insert(&raw) } else { self.xml.insert(&partial_escape(&new)) }
    }

    /// The limit of a colour scale, which may be a formula.
    fn threshold(&mut self) -> io::Result<()> {
        let Some(value) = attribute(&self.xml.tag(), "val") else { return Ok(()) };
        match self.changed(&value)? == value {
            true => Ok(()),
            false => Err(io::Error::other(format!("a colour scale refers to {value}, which would move; write its limit as a number"))),
        }
    }

    fn reference(&mut self, at: At) -> io::Result<()> {
        let Some(old) = attribute(&self.xml.tag(), "ref").and_then(|r| at_range(&r)) else { return Ok(()) };
        match self.removal.rows.area(old) {
            Some(new) if new != old => self.xml.set("ref", &spelled(new)),
            None if self.xml.local() == "hyperlink" && at.begins() => self.xml.discard(),
            _ => Ok(()),
        }
    }

    /// What is left of a list of ranges; what does not change keeps its spelling.
    fn listed(&self, areas: &str) -> String {
        let new = areas.split_ascii_whitespace().filter_map(|text| match at_range(text) {
            Some(old) => self.removal.rows.area(old).map(|new| if new == old { text.to_owned() } else { spelled(new) }),
            None => Some(text.to_owned()),
        });
        new.collect::<Vec<_>>().join(" ")
    }
}

fn spelled(area: Area) -> String {
    if area.0 == area.1 { format!("{}{}", letters(area.0.0), area.0.1) } else { range(area.0, area.1) }
}

/// Whether a formula refers to rows of a sheet from this one on.
pub(crate) fn refers(formula: &str, title: &str, is_here: bool, from: u32) -> bool {
    references(formula).any(|reference| {
        let ((_, _), (_, bottom)) = reference.area();
        (reference.is_to(title) || is_here && reference.sheet.is_none()) && (from..MAX_ROWS).contains(&bottom)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(rows: &[u32]) -> Removal {
        Removal { rows: Removed(rows.to_vec()), title: "S".into(), is_here: true, shared: HashMap::new(), stale: Cells::new() }
    }

    #[test]
    fn references_follow_the_rows_that_stay() {
        let removal = removal(&[3, 4, 7]);
        for (text, said) in [
            ("A2+A5", Some("A2+A3")),
            ("SUM(B2:B7)", Some("SUM(B2:B4)")),
            ("SUM(B3:B7)", Some("SUM(B3:B4)")),
            ("SUM(B7:B3)", Some("SUM(B4:B3)")),
            ("SUM(B:B)+$C$8+S!D8+Other!D8", Some("SUM(B:B)+$C$5+S!D5+Other!D8")),
            ("SUM(5:6)", Some("SUM(3:4)")),
            ("SUM(B5:B1048576)", Some("SUM(B3:B1048576)")),
            ("A4*2", None),
            ("SUM(B3:B4)", None),
        ] {
            assert_eq!(removal.formula(text, true).ok().as_deref(), said, "{text}");
        }
        assert_eq!(removal.formula("A4+S!A5", false).as_deref(), Ok("A4+S!A3"));
    }

    #[test]
    fn a_sheet_without_some_rows_keeps_everything_else() {
        let mut removal = removal(&[3]);
        removal.shared.insert("0".into(), ((2, 2), "A2*2".into()));
        removal.stale.entry(5).or_default().insert(2);
        let xml = r#"<worksheet><dimension ref="A1:B5"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="B2"><f t="shared" ref="B2:B4" si="0">A2*2</f><v>1</v></c></row><row r="3"><c r="B3"><f t="shared" si="0"/></c></row><row r="4" ht="20"><c r="B4"><f t="shared" si="0"/><v>2</v></c></row><row r="5"><c r="B5" t="str"><f>SUM(B2:B4)</f><v>3</v></c></row></sheetData><autoFilter ref="A1:B4"/><mergeCells><mergeCell ref="A5:B5"/></mergeCells><conditionalFormatting sqref="A3"><cfRule><formula>A3&gt;1</formula></cfRule></conditionalFormatting><conditionalFormatting sqref="A4:A5 B2:B3"><cfRule><formula>A4&gt;$A$5</formula></cfRule></conditionalFormatting><hyperlinks><hyperlink ref="A3"/><hyperlink ref="A4"/></hyperlinks></worksheet>"#;
        let mut out = Vec::new();
        write(xml.as_bytes(), &mut out, &removal).unwrap();
        let expected = r#"<worksheet><dimension ref="A1:B4"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="B2"><f>A2*2</f><v>1</v></c></row><row r="3" ht="20"><c r="B3"><f>A3*2</f><v>2</v></c></row><row r="4"><c r="B4"><f>SUM(B2:B3)</f></c></row></sheetData><autoFilter ref="A1:B3"/><mergeCells><mergeCell ref="A4:B4"/></mergeCells><conditionalFormatting sqref="A3:A4 B2"><cfRule><formula>A4&gt;$A$4</formula></cfRule></conditionalFormatting><hyperlinks><hyperlink ref="A3"/></hyperlinks></worksheet>"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
