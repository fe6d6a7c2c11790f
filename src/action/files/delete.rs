//! `delete_row: SHEET`: deletes the row of a `.csv`, `.tsv` or `.xlsx` file in which columns have certain values, or all of them.

use std::fmt;

use serde_json::Value;

use super::content::Content;
use super::row::Mode;
use super::spreadsheet::{ALL, IGNORE_CASE, NOT_A_SHEET, SHEET, TITLE_ROW, is_sheet};
use super::wanted::{self, WHERE, Wanted, WantedRow};
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, FileUse, Kind, Performing};
use crate::action::world::World;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::Unrendered;
use crate::model::outcome::Outcome;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Fields;

pub struct DeleteRow;

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
        wanted::schema(verb)
    }
    fn phrase(&self, _: &str) -> &'static str {
        "delete a row of"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let all = fields.may(ALL.name).map_or(Some(false), |item| item.flag());
        let wanted = Wanted::read(verb, Mode::Delete, fields, known)?;
        Some(Box::new(Deleting(wanted.all(all?))))
    }
}

struct Deleting(Wanted);

impl Action for Deleting {
    fn file(&self) -> Option<FileUse<'_>> {
        self.0.fixed_file().map(|name| FileUse { name, replaces: false })
    }
    fn fields(&self) -> Vec<&Field> {
        self.0.fields()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        Ok(Box::new(Deleted(self.0.render(scope)?)))
    }
}

struct Deleted(WantedRow);

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Effect for Deleted {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let WantedRow { file, row, .. } = self.0;
            if !is_sheet(&file) {
                return Outcome::failed(format!("{file}: {NOT_A_SHEET}"));
            }
            world.files.write(&file, Content::Row(row), context).await
        })
    }
    fn view(&self) -> EffectView {
        self.0.view()
    }
}
