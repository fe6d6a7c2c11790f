//! `where:` of the verbs that find rows by the values in their columns, with the file and the sheet that these are in.

use std::fmt;

use serde_json::{Map, Value, json};

use super::row::{Cell, Mode, Row, title};
use super::sheet::{cell_of, value_of};
use super::spreadsheet::{IGNORE_CASE, read_sheet, read_sheet_file, read_title_row, sheet_file_schema};
use crate::action::contract::EffectView;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::budget::weight;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::Fields;

pub(super) const WHERE: Word = Word { name: "where", shape: Shape::Map, does: "the values that the row has, by column title; all of them" };

/// What a JSON Schema says about a step with this verb.
pub(super) fn schema(verb: &str) -> Value {
    json!({ "properties": { verb: sheet_file_schema() }, "required": [WHERE.name] })
}

/// Which rows a step means.
pub(super) struct Wanted {
    verb: &'static str,
    file: Template,
    sheet: Option<Template>,
    cells: Vec<(String, Data)>,
    /// The row without its cells.
    row: Row,
}

impl Wanted {
    /// Reads what follows the verb, and all keys but those that only this verb has.
    pub(super) fn read(verb: &'static str, mode: Mode, fields: &mut Fields, known: &Names) -> Option<Self> {
        let item = fields.must(verb)?;
        let file = read_sheet_file(&item, fields, known)?;
        let sheet = read_sheet(fields, file.as_ref(), known)?;
        let title_row = read_title_row(fields);
        let ignore_case = fields.may(IGNORE_CASE.name).map_or(Some(false), |item| item.flag());
        if let Some(other) = ["columns", "match"].into_iter().find(|word| fields.has(word)).filter(|_| !fields.has(WHERE.name)) {
            let draft = fields.key(other).problem(format!("`{verb}` takes the values that identify the row under `where:`"));
            draft.label("write `where: { Email: \"{{ body.email }}\" }`").add();
            fields.rest();
            return None;
        }
        let wanted = fields.must(WHERE.name)?;
        let (mut cells, entries) = (Vec::new(), wanted.entries("`where:`")?);
        let is_empty = entries.is_empty();
        for (name, value) in entries {
            match value.node {
                Node::List(_) | Node::Map(_) => value.problem("a cell holds one value").label("write text or {{ a field }}").add(),
                _ => cells.push((title(&name), Data::read(&value, Destination::Plain, known))),
            }
        }
        if is_empty {
            wanted
                .problem("without a column it is not known which row is meant")
                .label("write where: { Email: \"{{ body.email }}\" }")
                .add();
            return None;
        }
        let cells = cells.into_iter().map(|(n, d)| Some((n, d?))).collect::<Option<Vec<_>>>().filter(|cells| !cells.is_empty())?;
        let row = Row {
            mode,
            matching: cells.iter().map(|(title, _)| title.clone()).collect(),
            ignore_case: ignore_case?,
            title_row: title_row?,
            guard: true,
            ..Row::default()
        };
        Some(Self { verb, file: file?, sheet, cells, row })
    }

    /// The same, with all rows that match.
    pub(super) fn all(self, all: bool) -> Self {
        Self { row: Row { all, ..self.row }, ..self }
    }

    /// The name of the file, if it is always the same.
    pub(super) fn fixed_file(&self) -> Option<&str> {
        self.file.fixed()
    }

    pub(super) fn fields(&self) -> Vec<&Field> {
        let cells = self.cells.iter().flat_map(|(_, data)| data.fields());
        self.file.fields().chain(self.sheet.iter().flat_map(Template::fields)).chain(cells).collect()
    }

    pub(super) fn render(&self, scope: &Scope) -> Result<WantedRow, Unrendered> {
        let file = self.file.text(scope)?;
        let sheet = self.sheet.as_ref().map(|s| s.text(scope)).transpose()?;
        let cell = |(title, data): &(String, Data)| Ok((title.clone(), cell_of(title, data, data.value(scope)?, scope)?));
        let cells: Vec<(String, Cell)> = self.cells.iter().map(cell).collect::<Result<_, Unrendered>>()?;
        Ok(WantedRow { verb: self.verb, file, row: Row { cells, sheet, ..self.row.clone() } })
    }
}

/// Which rows a step means, for one event.
pub(super) struct WantedRow {
    pub verb: &'static str,
    pub file: String,
    pub row: Row,
}

impl WantedRow {
    pub(super) fn bytes(&self) -> usize {
        self.row.cells.iter().map(|(_, cell)| weight(&value_of(cell))).sum()
    }

    /// `Email is ada@example.com and Shop is 7`.
    pub(super) fn condition(&self) -> String {
        let one = |(title, cell): &(String, Cell)| format!("{title} is {}", spell(&value_of(cell)).unwrap_or_default());
        self.row.cells.iter().map(one).collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn view(&self) -> EffectView {
        let wanted: Map<String, Value> = self.row.cells.iter().map(|(name, cell)| (name.clone(), value_of(cell))).collect();
        let seen = EffectView::new(self.verb, &self.file).with(WHERE.name, Value::Object(wanted));
        match &self.row.sheet {
            Some(sheet) => seen.with("sheet", sheet.as_str().into()),
            None => seen,
        }
    }
}

impl fmt::Display for WantedRow {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.verb, self.file)?;
        if let Some(sheet) = &self.row.sheet {
            write!(f, "  (sheet {sheet})")?;
        }
        let which = match (self.row.mode, self.row.all) {
            (Mode::Find, _) => "rows",
            (_, true) => "all rows",
            (_, false) => "the row",
        };
        write!(f, "\n{which} where {}", self.condition())
    }
}
