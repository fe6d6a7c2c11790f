//! `delete_row: SHEET`: deletes the row of a `.csv`, `.tsv` or `.xlsx` file in which columns have certain values, or all of them.

use std::fmt;

use serde_json::{Map, Value, json};

use super::content::Content;
use super::row::{Cell, Mode, Row, title};
use super::sheet::{cell_of, value_of};
use super::spreadsheet::{ALL, IGNORE_CASE, SHEET, TITLE_ROW, is_sheet, read_sheet, read_sheet_file, read_title_row, sheet_file_schema};
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, Kind, Performing};
use crate::action::world::World;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::budget::weight;
use crate::model::outcome::Outcome;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::Fields;

pub struct DeleteRow;

const WHERE: Word = Word { name: "where", shape: Shape::Map, does: "the values that the row has, by column title; all of them" };

impl Kind for DeleteRow {
    fn verbs(&self) -> &'static [&'static str] {
        &["delete_row"]
    }
    fn does(&self) -> &'static str {
        "deletes a row of a spreadsheet (.csv, .tsv, .xlsx)"
    }
    fn value(&self) -> &'static str {
        "the file name"
    }
    fn keys(&self) -> &'static [Word] {
        &[WHERE, ALL, IGNORE_CASE, SHEET, TITLE_ROW]
    }
    fn expected(&self) -> &'static [Word] {
        &[WHERE, Word { name: "sheet", shape: Shape::Text, does: "the sheet of a workbook" }]
    }
    fn example(&self) -> &'static str {
        "delete_row: orders.xlsx\nwhere: { Number: \"{{ body.id }}\" }\n"
    }
    fn step_schema(&self, verb: &str) -> Value {
        json!({ "properties": { verb: sheet_file_schema() }, "required": [WHERE.name] })
    }
    fn phrase(&self, _: &str) -> &'static str {
        "delete a row of"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let file = read_sheet_file(&item, fields, known)?;
        let sheet = read_sheet(fields, file.as_ref(), known)?;
        let title_row = read_title_row(fields);
        let mut flag = |key: &'static str| fields.may(key).map_or(Some(false), |item| item.flag());
        let (all, ignore_case) = (flag(ALL.name), flag(IGNORE_CASE.name));
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
            mode: Mode::Delete,
            matching: cells.iter().map(|(title, _)| title.clone()).collect(),
            all: all?,
            ignore_case: ignore_case?,
            title_row: title_row?,
            guard: true,
            ..Row::default()
        };
        Some(Box::new(Deleting { verb, file: file?, sheet, cells, row }))
    }
}

struct Deleting {
    verb: &'static str,
    file: Template,
    sheet: Option<Template>,
    cells: Vec<(String, Data)>,
    /// The row without its cells.
    row: Row,
}

impl Action for Deleting {
    fn fields(&self) -> Vec<&Field> {
        let cells = self.cells.iter().flat_map(|(_, data)| data.fields());
        self.file.fields().chain(self.sheet.iter().flat_map(Template::fields)).chain(cells).collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let file = self.file.text(scope)?;
        let sheet = self.sheet.as_ref().map(|s| s.text(scope)).transpose()?;
        let cell = |(title, data): &(String, Data)| Ok((title.clone(), cell_of(title, data, data.value(scope)?, scope)?));
        let cells: Vec<(String, Cell)> = self.cells.iter().map(cell).collect::<Result<_, Unrendered>>()?;
        Ok(Box::new(Deleted { verb: self.verb, file, row: Row { cells, sheet, ..self.row.clone() } }))
    }
}

struct Deleted {
    verb: &'static str,
    file: String,
    row: Row,
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.verb, self.file)?;
        if let Some(sheet) = &self.row.sheet {
            write!(f, "  (sheet {sheet})")?;
        }
        let which = if self.row.all { "all rows" } else { "the row" };
        write!(f, "\n{which} where")?;
        for (n, (title, cell)) in self.row.cells.iter().enumerate() {
            let and = if n > 0 { " and" } else { "" };
            write!(f, "{and} {title} is {}", spell(&value_of(cell)).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Effect for Deleted {
    fn bytes(&self) -> usize {
        self.row.cells.iter().map(|(_, cell)| weight(&value_of(cell))).sum()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            if !is_sheet(&self.file) {
                return Outcome::failed(format!("{}: the name of a spreadsheet file ends in .csv, .tsv or .xlsx", self.file));
            }
            world.files.write(&self.file, Content::Row(self.row), context).await
        })
    }
    fn view(&self) -> EffectView {
        let wanted: Map<String, Value> = self.row.cells.iter().map(|(name, cell)| (name.clone(), value_of(cell))).collect();
        let seen = EffectView::new(self.verb, &self.file).with(WHERE.name, Value::Object(wanted));
        match &self.row.sheet {
            Some(sheet) => seen.with("sheet", sheet.as_str().into()),
            None => seen,
        }
    }
}
