//! Deletes rows of a sheet. Everything that refers to rows below them follows: formulas, names, tables, charts, formats. What
//! cannot follow is a reason not to write anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufReader, Read, Seek, Write};

use quick_xml::escape::{partial_escape, unescape};
use quick_xml::events::Event;
use zip::ZipArchive;

use super::formula::Area;
use super::package::{CHAIN, MAX_PART, WORKBOOK, damaged, each_tag, each_text, recalculated, stamp, text_of, unsigned, without_chain};
use super::repack::{NewPart, repack};
use super::sheets::{SheetPart, no_sheet, position, sheets};
use super::tables::{self, Table, links};
use super::worksheet::find::each_formula;
use super::worksheet::reference::{MAX_COLUMNS, MAX_ROWS, at_cell, at_range, letters, range};
use super::worksheet::remove::{Removal, Removed, refers};
use super::worksheet::scan::{Tag, row_number};
use super::worksheet::shape::{Block, Shape};
use super::xml_reader::{XmlReader, attribute, malformed};
use super::xml_rewriter::{At, rewrite};
use super::{plan, stale};
use crate::action::files::changes;
use crate::action::files::folder::Unwritten;
use crate::action::files::row::{Cell, NotWritten, Row};
use crate::action::files::search::Search;

/// Copies the workbook without the rows that are described, all of one sheet. Returns for each why it is not deleted.
pub(super) fn remove<R: Read + Seek, W: Write + Seek>(
    mut archive: ZipArchive<R>,
    out: W,
    name: &str,
    rows: &[&Row],
    batch: &str,
) -> Result<Vec<Option<NotWritten>>, Unwritten> {
    let names: Vec<String> = archive.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect();
    unsigned(&names)?;
    let sheets = sheets(&mut archive)?;
    let wanted = rows.first().and_then(|row| row.sheet.as_deref());
    let Some(sheet) = position(&sheets, wanted) else {
        let why = no_sheet(name, wanted, &sheets);
        return Ok(vec![Some(why.into()); rows.len()]);
    };
    let tables = tables::of_sheet(&mut archive, &sheets[sheet].part)?;
    let title_row = rows.iter().find_map(|row| row.title_row);
    let (block, table, shape) = plan::inspect(&mut archive, &sheets[sheet].part, &tables, title_row, rows)?;
    if !shape.has_content {
        let why = NotWritten::NotNeeded(format!("{name} has no rows, so nothing is deleted"));
        return Ok(vec![Some(why); rows.len()]);
    }
    let mut refused: Vec<Option<NotWritten>> = rows.iter().map(|row| plan::other_row(row, &shape, name).map(NotWritten::Refused)).collect();
    let fit = |_: &Row, title: &str, cell: &Cell| plan::fit(name, title, cell);
    let mine: Vec<usize> = (0..rows.len()).filter(|n| refused[*n].is_none()).collect();
    let wanted: Vec<&Row> = mine.iter().map(|n| rows[*n]).collect();
    let search = Search::new(&shape.header, wanted.iter().copied(), &fit);
    let (search, seen) = plan::find(&mut archive, &sheets[sheet].part, &shape, &block, search)?;
    if let Some(cell) = seen.uncalculated {
        let why = plan::uncalculated(name, cell);
        return Ok(vec![Some(why.into()); rows.len()]);
    }
    let mut planned = changes::Sheet {
        name,
        header: shape.header.clone(),
        next_column: shape.last_column + 1,
        most_columns: MAX_COLUMNS,
        locked: &|_, _| None,
        others: shape.others.clone(),
        fit: &fit,
    };
    let (changes, why) = changes::plan(&mut planned, search, &wanted);
    mine.iter().zip(why).for_each(|(n, why)| refused[*n] = why);
    if changes.deleted.is_empty() {
        return Ok(refused);
    }
    let removed = Removed(changes.deleted.into_iter().collect());
    let book = Book { names: &names, sheets: &sheets, sheet, shape: &shape, block: &block, tables: &tables, table, removed: &removed };
    match book.write(&mut archive, out, batch) {
        Ok(()) => Ok(refused),
        Err(Unwritten::Never(why)) => {
            let why = |old: Option<NotWritten>| old.or(Some(format!("{name}: {why}").into()));
            Ok(refused.into_iter().map(why).collect())
        }
        Err(again) => Err(again),
    }
}

/// A workbook, and the rows that are deleted in one of its sheets.
struct Book<'b> {
    names: &'b [String],
    sheets: &'b [SheetPart],
    sheet: usize,
    shape: &'b Shape,
    block: &'b Block,
    tables: &'b [Table],
    table: Option<&'b Table>,
    removed: &'b Removed,
}

impl Book<'_> {
    fn write<R: Read + Seek, W: Write + Seek>(&self, archive: &mut ZipArchive<R>, out: W, batch: &str) -> Result<(), Unwritten> {
        self.can_move()?;
        self.is_alone(archive)?;
        self.is_unmarked(archive)?;
        let mut replaced: BTreeMap<String, NewPart> = BTreeMap::new();
        let mut texts = BTreeMap::new();
        let (first, title) = (self.removed.first(), &self.sheets[self.sheet].title);
        let below: Area = ((1, first), (MAX_COLUMNS, MAX_ROWS));
        let mut stale = stale::stale(archive, self.sheets, &BTreeSet::new(), &[(self.sheet, below)], &[])?;
        for (n, sheet) in self.sheets.iter().enumerate() {
            let (is_here, mut shared, mut is_affected) = (n == self.sheet, HashMap::new(), n == self.sheet || stale.contains_key(&n));
            let part = archive.by_name(&sheet.part).map_err(damaged)?.take(MAX_PART);
            each_formula(BufReader::new(part), |at, attributes, text| {
                // The cells that share a formula may refer to rows further down.
                is_affected |= refers(text, title, is_here, if attributes.shared.is_some() { 1 } else { first });
                if let Some(number) = attributes.shared.as_ref().filter(|_| !text.is_empty()) {
                    shared.insert(number.clone(), (at, text.to_owned()));
                }
            })
            .map_err(damaged)?;
            if is_affected || self.is_referred_to(archive, &sheet.part)? {
                let (rows, title, stale) = (self.removed.clone(), title.clone(), stale.remove(&n).unwrap_or_default());
                replaced.insert(sheet.part.clone(), NewPart::Shorter(Box::new(Removal { rows, title, is_here, shared, stale })));
            }
        }
        for table in self.tables {
            if let Some(text) = self.shorter(archive, table)? {
                replaced.insert(table.part.clone(), NewPart::Text(text));
            }
        }
        for part in self.names.iter().filter(|name| name.starts_with("xl/charts/") && name.ends_with(".xml")) {
            replaced.insert(part.clone(), NewPart::Text(self.with_texts(&text_of(archive, part)?, "f")?));
        }
        for part in self.names.iter().filter(|name| name.starts_with("xl/pivotCache/pivotCacheDefinition")) {
            replaced.insert(part.clone(), NewPart::Text(self.with_source(&text_of(archive, part)?)?));
        }
        let drop_chain = self.names.iter().any(|n| n == CHAIN);
        if drop_chain {
            without_chain(archive, &mut texts)?;
        }
        stamp(archive, self.names, batch, &mut texts)?;
        recalculated(archive, &mut texts)?;
        let workbook = texts.get(WORKBOOK).cloned().map_or_else(|| text_of(archive, WORKBOOK), Ok)?;
        texts.insert(WORKBOOK.to_owned(), self.with_texts(&workbook, "definedName")?);
        replaced.extend(texts.into_iter().map(|(part, text)| (part, NewPart::Text(text))));
        repack(archive, out, replaced, drop_chain.then_some(CHAIN), false)
    }

    /// Whether a format or a validation of another sheet refers to rows that move.
    fn is_referred_to<R: Read + Seek>(&self, archive: &mut ZipArchive<R>, sheet: &str) -> Result<bool, Unwritten> {
        let part = archive.by_name(sheet).map_err(damaged)?.take(MAX_PART);
        let mut reader = XmlReader::new(BufReader::new(part)).map_err(damaged)?;
        let (mut buffer, mut formula, mut in_data) = (Vec::new(), None::<String>, false);
        let (first, title) = (self.removed.first(), &self.sheets[self.sheet].title);
        loop {
            match reader.read(&mut buffer).map_err(damaged)? {
                Event::Start(tag) if tag.local_name().as_ref() == "sheetData" => in_data = true,
                Event::Start(tag) if !in_data => {
                    formula = matches!(tag.local_name().as_ref(), "formula" | "formula1" | "formula2" | "f").then(String::new);
                }
                Event::Text(text) => {
                    if let Some(formula) = &mut formula {
                        formula.push_str(&text.xml10_content());
                    }
                }
                Event::GeneralRef(name) => {
                    if let Some(formula) = &mut formula {
                        formula.push_str(&unescape(&format!("&{};", name.as_ref())).map_err(damaged)?);
                    }
                }
                Event::End(tag) => {
                    in_data &= tag.local_name().as_ref() != "sheetData";
                    if formula.take().is_some_and(|formula| refers(&formula, title, false, first)) {
                        return Ok(true);
                    }
                }
                Event::Eof => return Ok(false),
                _ => {}
            }
        }
    }

    fn refuse<T>(why: String) -> Result<T, Unwritten> {
        Err(Unwritten::Never(why))
    }

    fn has_any(&self, from: u32, to: u32) -> bool {
        self.removed.0.iter().any(|row| (from..=to).contains(row))
    }

    /// Whether what is merged, calculated together or in a table can do without the rows.
    fn can_move(&self) -> Result<(), Unwritten> {
        let first = self.removed.first();
        if let Some(merged) = self.shape.merged.iter().find(|area| area.0.1 < area.1.1 && self.has_any(area.0.1, area.1.1)) {
            let at = range(merged.0, merged.1);
            return Self::refuse(format!(
                "{at} are merged into one cell; split it in your spreadsheet program, so that a row can be deleted"
            ));
        }
        if let Some(array) = self.shape.arrays.iter().find(|area| area.1.1 >= first) {
            let at = range(array.0, array.1);
            return Self::refuse(format!("the array formula in {at} would have to move; write it above row {first}"));
        }
        if let Some(table) = self.table
            && table.last_data().saturating_sub(self.removed.0.len() as u32) <= table.from.1
        {
            return Self::refuse(format!("the table {} would have no row any more, which a table cannot be without", table.name));
        }
        let beside = self.tables.iter().filter(|table| Some(*table) != self.table).find(|table| self.has_any(table.from.1, table.to.1));
        match beside {
            Some(table) => {
                let at = range(table.from, table.to);
                Self::refuse(format!("the table {} in {at} has cells in the same row; move it to another sheet", table.name))
            }
            None => Ok(()),
        }
    }

    /// Whole rows are deleted, so nothing else may be in them.
    fn is_alone<R: Read + Seek>(&self, archive: &mut ZipArchive<R>) -> Result<(), Unwritten> {
        if self.table.is_none() {
            return Ok(());
        }
        let part = archive.by_name(&self.sheets[self.sheet].part).map_err(damaged)?.take(MAX_PART);
        let mut reader = XmlReader::new(BufReader::new(part)).map_err(damaged)?;
        let (mut buffer, mut row, mut column, mut in_data) = (Vec::new(), 0, 0, false);
        loop {
            match reader.read(&mut buffer).map_err(damaged)? {
                Event::Start(tag) => match tag.local_name().as_ref() {
                    "sheetData" => in_data = true,
                    "row" if in_data => (row, column) = (row_number(&tag, row).map_err(damaged)?, 0),
                    "c" if in_data => {
                        column = Tag::read(&tag, column).map_err(damaged)?.column;
                        if self.removed.has(row) && !self.block.has(column) {
                            let at = format!("{}{row}", letters(column));
                            return Self::refuse(format!("{at} next to the table would be deleted, too; move it to another sheet"));
                        }
                    }
                    _ => {}
                },
                Event::Empty(tag) => match tag.local_name().as_ref() {
                    "row" if in_data => (row, column) = (row_number(&tag, row).map_err(damaged)?, 0),
                    "c" if in_data => column = Tag::read(&tag, column).map_err(damaged)?.column,
                    _ => {}
                },
                Event::End(tag) if tag.local_name().as_ref() == "sheetData" => return Ok(()),
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }

    /// Notes and pictures are in parts of their own, which are not changed.
    fn is_unmarked<R: Read + Seek>(&self, archive: &mut ZipArchive<R>) -> Result<(), Unwritten> {
        let first = self.removed.first();
        for link in links(archive, &self.sheets[self.sheet].part)? {
            if link.kind.ends_with("/comments") {
                let mut noted = None;
                each_tag(&text_of(archive, &link.target)?, "comment", |tag| {
                    let at = attribute(tag, "ref").filter(|at| at_cell(at).is_some_and(|(_, row)| row >= first));
                    noted = noted.take().or(at);
                })?;
                if let Some(at) = noted {
                    return Self::refuse(format!("the note at {at} cannot be moved; delete the note in your spreadsheet program"));
                }
            }
            if link.kind.ends_with("/drawing") {
                let mut lowest = 0;
                // Rows of anchors are counted from 0.
                each_text(&text_of(archive, &link.target)?, "row", |_, text| {
                    lowest = lowest.max(text.trim().parse::<u32>().unwrap_or(0) + 1)
                })?;
                if lowest >= first {
                    let why = "a picture or a chart cannot be moved; move it to another sheet";
                    return Self::refuse(format!("row {lowest}, where {why}"));
                }
            }
        }
        Ok(())
    }

    /// A table with fewer rows, or further up.
    fn shorter<R: Read + Seek>(&self, archive: &mut ZipArchive<R>, table: &Table) -> Result<Option<String>, Unwritten> {
        if table.to.1 < self.removed.first() {
            return Ok(None);
        }
        let text = text_of(archive, &table.part)?;
        let new = rewrite(&text, |xml, at| {
            if at.begins() && matches!(xml.local(), "table" | "autoFilter" | "sortState" | "sortCondition") {
                let old = attribute(&xml.tag(), "ref").and_then(|r| at_range(&r));
                if let Some(new) = old.and_then(|old| self.removed.area(old)) {
                    xml.set("ref", &range(new.0, new.1))?;
                }
            }
            Ok(())
        });
        new.map(Some).map_err(damaged)
    }

    /// A part whose elements of this name contain formulas.
    fn with_texts(&self, text: &str, element: &str) -> Result<String, Unwritten> {
        let title = self.sheets[self.sheet].title.clone();
        let removal = Removal { rows: self.removed.clone(), title, is_here: false, shared: HashMap::new(), stale: BTreeMap::new() };
        let (mut reading, mut wrong): (Option<(String, bool)>, Option<String>) = (None, None);
        let new = rewrite(text, |xml, at| {
            if at == At::Start && xml.local() == element {
                // Names that begin so are those of print areas and filters; they may lose what they refer to.
                let may_fail = attribute(&xml.tag(), "name").is_some_and(|name| name.starts_with("_xlnm."));
                reading = Some((String::new(), may_fail));
            } else if at.begins() || at.ends() {
                let Some((raw, may_fail)) = reading.take() else { return Ok(()) };
                let old = unescape(&raw).map_err(malformed)?;
                match removal.formula(&old, false) {
                    Ok(new) if new != old => xml.insert(&partial_escape(&new))?,
                    Err(why) if !may_fail => {
                        wrong.get_or_insert(why);
                        xml.insert(&raw)?;
                    }
                    _ => xml.insert(&raw)?,
                }
            } else if let Some((raw, _)) = &mut reading {
                raw.push_str(xml.text());
                xml.discard()?;
            }
            Ok(())
        });
        match wrong {
            Some(why) => Self::refuse(why),
            None => new.map_err(damaged),
        }
    }

    /// The source of a pivot table.
    fn with_source(&self, text: &str) -> Result<String, Unwritten> {
        let title = self.sheets[self.sheet].title.to_lowercase();
        let new = rewrite(text, |xml, at| {
            if at.begins() && xml.local() == "worksheetSource" {
                let is_here = attribute(&xml.tag(), "sheet").is_some_and(|sheet| sheet.to_lowercase() == title);
                let old = attribute(&xml.tag(), "ref").filter(|_| is_here).and_then(|r| at_range(&r));
                if let Some(new) = old.and_then(|old| self.removed.area(old)) {
                    xml.set("ref", &range(new.0, new.1))?;
                }
            }
            Ok(())
        });
        new.map_err(damaged)
    }
}
