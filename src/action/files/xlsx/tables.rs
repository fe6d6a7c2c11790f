//! The tables of a sheet (ECMA-376, part 1, 18.5): which one a row belongs to, and how it grows.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use quick_xml::escape::unescape;
use zip::ZipArchive;

use super::package::{Relation, damaged, each_tag, relations, text_of};
use super::worksheet::cell::spelled_out;
use super::worksheet::reference::{self, at_range};
use super::xml_reader::attribute;
use super::xml_rewriter::{At, attribute_value, rewrite};
use crate::action::files::folder::Unwritten;
use crate::action::files::row::{Row, title};

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub part: String,
    pub name: String,
    /// The first and the last cell, as column and row.
    pub from: (u32, u32),
    pub to: (u32, u32),
    has_titles: bool,
    pub has_totals: bool,
    titles: Vec<String>,
    /// The formulas of calculated columns.
    pub calculated: BTreeMap<u32, String>,
}

impl Table {
    /// The last row that is neither titles nor totals.
    pub(super) fn last_data(&self) -> u32 {
        self.to.1 - u32::from(self.has_totals)
    }

    pub(super) fn has_column(&self, column: u32) -> bool {
        (self.from.0..=self.to.0).contains(&column)
    }

    /// Whether all titles that rows use are titles of this table.
    pub(super) fn has_all_titles(&self, rows: &[&Row]) -> bool {
        let mut titles = rows.iter().flat_map(|row| row.cells.iter().map(|(wanted, _)| wanted.trim()));
        titles.all(|wanted| self.titles.iter().any(|t| t == wanted))
    }
}

/// The links of a sheet to other parts.
pub(super) fn links<R: Read + Seek>(archive: &mut ZipArchive<R>, sheet: &str) -> Result<Vec<Relation>, Unwritten> {
    let (folder, file) = sheet.rsplit_once('/').unwrap_or(("", sheet));
    let part = format!("{folder}/_rels/{file}.rels");
    match archive.index_for_name(&part) {
        Some(_) => relations(&text_of(archive, &part)?, folder),
        None => Ok(Vec::new()),
    }
}

/// The tables of a sheet that have titles.
pub(super) fn of_sheet<R: Read + Seek>(archive: &mut ZipArchive<R>, sheet: &str) -> Result<Vec<Table>, Unwritten> {
    let mut found = Vec::new();
    for link in links(archive, sheet)? {
        if !link.kind.ends_with("/table") {
            continue;
        }
        let xml = text_of(archive, &link.target)?;
        let mut table = Table { part: link.target, ..Table::default() };
        let mut range = String::new();
        each_tag(&xml, "table", |tag| {
            let get = |name| attribute(tag, name).unwrap_or_default();
            range = get("ref");
            table.name = attribute(tag, "displayName").unwrap_or_else(|| get("name"));
            table.has_titles = get("headerRowCount") != "0";
            table.has_totals = !matches!(get("totalsRowCount").as_str(), "" | "0");
        })?;
        let Some((from, to)) = at_range(&range) else { continue };
        (table.from, table.to) = (from, to);
        each_tag(&xml, "tableColumn", |tag| table.titles.push(title(&read_out(&attribute(tag, "name").unwrap_or_default()))))?;
        table.calculated = calculated(&xml, from.0)?;
        if table.has_titles && to.1 > from.1 && to.0 >= from.0 {
            found.push(table);
        }
    }
    Ok(found)
}

/// The formulas of calculated columns, by column.
fn calculated(xml: &str, first: u32) -> Result<BTreeMap<u32, String>, Unwritten> {
    let (mut column, mut formula, mut found) = (first, None::<String>, BTreeMap::new());
    let (mut is_first, mut end) = (true, Ok(()));
    let read = rewrite(xml, |xml, at| {
        match (xml.local(), &mut formula) {
            ("tableColumn", _) if at.begins() => column += u32::from(!std::mem::take(&mut is_first)),
            ("calculatedColumnFormula", None) if at == At::Start => formula = Some(String::new()),
            ("calculatedColumnFormula", Some(text)) => {
                match unescape(text) {
                    Ok(text) => drop(found.insert(column, text.into_owned())),
                    Err(e) => end = Err(damaged(e)),
                }
                formula = None;
            }
            (_, Some(text)) => text.push_str(xml.text()),
            _ => {}
        }
        Ok(())
    });
    read.map_err(damaged)?;
    end.map(|()| found)
}

/// The text of a title, in which line ends are written as `_x000a_`.
fn read_out(title: &str) -> String {
    ["_x000a_", "_x000A_"].iter().fold(title.to_owned(), |title, code| title.replace(code, "\n"))
}

/// A table with more rows and columns: the last row of its data, and titles of columns that are added to it.
pub(super) fn grown<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    table: &Table,
    last_data: u32,
    titles: &[(u32, String)],
) -> Result<Option<(String, String)>, Unwritten> {
    // New columns belong to the table if they are next to it.
    let wider = titles.first().is_some_and(|(c, _)| *c == table.to.0 + 1);
    let by = last_data.saturating_sub(table.last_data());
    if by == 0 && !wider {
        return Ok(None);
    }
    let xml = text_of(archive, &table.part)?;
    let (from, to, totals) = (table.from, table.to, table.has_totals);
    let longer = |to: (u32, u32)| reference::range(from, (if wider { to.0 + titles.len() as u32 } else { to.0 }, to.1 + by));
    // The filter ends above the totals.
    let above = (to.0, to.1 - 1);
    let ends = |range: String| at_range(&range).filter(|r| r.0 == from && (r.1 == to || totals && r.1 == above)).map(|r| r.1);
    let (count, columns) = if wider { more_columns(&xml, titles)? } else { (0, Vec::new()) };
    let mut is_listed = !wider;
    let new = rewrite(&xml, |xml, at| {
        match xml.local() {
            "table" | "autoFilter" | "sortState" | "sortCondition" if at.begins() => {
                if let Some(to) = attribute(&xml.tag(), "ref").and_then(ends) {
                    xml.set("ref", &longer(to))?;
                }
            }
            "tableColumns" if wider => {
                if at.begins() {
                    xml.set("count", &count.to_string())?;
                }
                if at.ends() {
                    is_listed = true;
                    let p = xml.prefix();
                    let column = |(id, title): &(u32, String)| format!("<{p}tableColumn id=\"{id}\" name=\"{}\"/>", attribute_value(title));
                    let columns = columns.iter().map(column).collect::<String>();
                    xml.append(&columns)?;
                }
            }
            _ => {}
        }
        Ok(())
    });
    let new = new.map_err(damaged)?;
    if !is_listed {
        return Err(damaged(format!("{} lists no columns", table.part)));
    }
    Ok(Some((table.part.clone(), new)))
}

/// The number of columns of a table after some are added at its end, and the ids and titles of the new ones.
fn more_columns(table: &str, titles: &[(u32, String)]) -> Result<(usize, Vec<(u32, String)>), Unwritten> {
    let (mut highest, mut count) = (0u32, titles.len());
    each_tag(table, "tableColumn", |tag| {
        count += 1;
        highest = attribute(tag, "id").and_then(|id| id.parse().ok()).unwrap_or(0).max(highest);
    })?;
    Ok((count, (highest.saturating_add(1)..).zip(titles).map(|(id, (_, title))| (id, spelled_out(title))).collect()))
}
