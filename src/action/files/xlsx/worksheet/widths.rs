//! The widths of columns that get dates: a spreadsheet program shows a number that does not fit as `####`, and the usual width
//! is too small for a date. The width of a column that has one stays.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use super::super::xml_reader::attribute;
use super::super::xml_rewriter::{At, Rewriter};
use super::shape::Edits;

/// The columns that get a date, and whether it has a time.
pub(super) struct Widths {
    columns: BTreeMap<u32, bool>,
    /// The last column that has a width.
    last: u32,
    is_done: bool,
}

impl Widths {
    pub(super) fn of(edits: &Edits) -> Self {
        let columns = edits.dates();
        Self { is_done: columns.is_empty(), columns, last: 0 }
    }

    /// Looks at the widths that there are, and adds the missing ones after them.
    pub(super) fn look<R: BufRead, W: Write>(&mut self, xml: &mut Rewriter<R, W>, at: At) -> io::Result<()> {
        if self.is_done {
            return Ok(());
        }
        let number = |name: &str| attribute(&xml.tag(), name).and_then(|n| n.parse::<u32>().ok());
        match xml.local() {
            "col" if at.begins() => self.last = self.last.max(number("max").unwrap_or(u32::MAX)),
            "cols" if at.ends() => {
                self.is_done = true;
                let new = self.written(xml.prefix());
                return if new.is_empty() { Ok(()) } else { xml.append(&new) };
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the widths to a sheet that has none, before its rows.
    pub(super) fn missing<R: BufRead, W: Write>(&mut self, xml: &mut Rewriter<R, W>, prefix: &str) -> io::Result<()> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(());
        }
        xml.insert(&format!("<{prefix}cols>{}</{prefix}cols>", self.written(prefix)))
    }

    /// Those after the last column that has a width: they have to be in order.
    fn written(&self, p: &str) -> String {
        let new = self.columns.iter().filter(|(column, _)| **column > self.last);
        let col = |(column, has_time): (&u32, &bool)| {
            let width = if *has_time { 20 } else { 12 };
            format!("<{p}col min=\"{column}\" max=\"{column}\" width=\"{width}\" customWidth=\"1\"/>")
        };
        new.map(col).collect()
    }
}
