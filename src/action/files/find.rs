//! `find_row: SHEET`: looks up the rows of a `.csv`, `.tsv` or `.xlsx` file in which columns have certain values. What was found
//! is saved with the step, so that a later try of the steps after it sees the same.

use std::fmt;

use serde_json::{Map, Value, json};

use super::found::Found;
use super::row::Mode;
use super::spreadsheet::{IGNORE_CASE, NOT_A_SHEET, SHEET, TITLE_ROW, is_sheet};
use super::wanted::{self, WHERE, Wanted, WantedRow};
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Asks, Effect, EffectView, Kind, MockResponse, Performing};
use crate::action::world::World;
use crate::body::number_text;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::Unrendered;
use crate::model::outcome::{Outcome, Success};
use crate::text::count::number;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Fields;

pub struct FindRow;

impl Kind for FindRow {
    fn verbs(&self) -> &'static [&'static str] {
        &["find_row"]
    }
    fn does(&self) -> &'static str {
        "finds rows of a spreadsheet (.csv, .tsv, .xlsx) by the values in their columns"
    }
    fn value(&self) -> &'static str {
        "the file name"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "find a row of"
    }
    fn step_schema(&self, verb: &str) -> Value {
        let schema = wanted::schema(verb);
        json!({ "allOf": [schema, { "required": ["save_as"] }] })
    }
    fn keys(&self) -> &'static [Word] {
        &[WHERE, IGNORE_CASE, SHEET, TITLE_ROW]
    }
    fn expected(&self) -> &'static [Word] {
        &[WHERE, Word { name: "sheet", shape: Shape::Text, does: "the sheet of a workbook" }]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "find_row: orders.xlsx\nwhere: { Number: \"{{ body.id }}\" }\nsave_as: order\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        if !fields.has("save_as") {
            fields.lacks("save_as", "what is found has no name, so no step can use it", "write `save_as: found` below it");
        }
        if fields.has("all") {
            let item = fields.may("all")?;
            item.problem("`find_row` always finds every row that matches").at_key().label("remove it; `name.rows` has all of them").add();
        }
        let wanted = Wanted::read(verb, Mode::Find, fields, known)?;
        Some(Box::new(Finding(wanted.all(true))))
    }
}

struct Finding(Wanted);

impl Action for Finding {
    fn saved_parts(&self) -> &'static [&'static str] {
        &["row", "rows", "count"]
    }
    fn fields(&self) -> Vec<&Field> {
        self.0.fields()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        Ok(Box::new(Search(self.0.render(scope)?)))
    }
}

struct Search(WantedRow);

impl Search {
    fn outcome(&self, found: Found) -> Outcome {
        let file = &self.0.file;
        let said = match found.count {
            0 => format!("found no row in {file} where {}", self.0.condition()),
            count => format!("found {} in {file}", number(count, "row")),
        };
        Outcome::Done(Success { said, output: Some(found.into_value()), ..Success::default() })
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Effect for Search {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, _: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            if !is_sheet(&self.0.file) {
                return Outcome::failed(format!("{}: {NOT_A_SHEET}", self.0.file));
            }
            match world.files.find(&self.0.file, self.0.row.clone()).await {
                Ok(found) => self.outcome(found),
                Err(outcome) => outcome,
            }
        })
    }
    fn view(&self) -> EffectView {
        self.0.view()
    }
    fn asks(&self) -> Option<Asks> {
        Some(Asks::Rows)
    }
    fn answered(&self, said: MockResponse) -> Outcome {
        let given = number_text::parse(&String::from_utf8_lossy(&said.body));
        let rows = match given {
            Ok(Value::Array(rows)) => rows.into_iter().map(as_row).collect(),
            Ok(row) => as_row(row).map(|row| vec![row]),
            Err(_) => None,
        };
        match rows {
            Some(rows) => self.outcome(Found::given(rows)),
            None => Outcome::failed("what is found is given as a list of rows, such as [{ \"Email\": \"ada@example.com\" }]"),
        }
    }
}

fn as_row(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(row) = value { Some(row) } else { None }
}
