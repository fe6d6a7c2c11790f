//! `add_row`, `update_row`, `add_or_update_row: SHEET`: rows of a `.csv`, `.tsv` or `.xlsx` file, with values by the header
//! of their column.

use std::fmt;

use serde_json::{Map, Value, json};

use super::content::Content;
use super::option::FORMULAS;
use super::row::{Cell, Mode, Row, title};
use super::search::{is_exact, plain};
use super::spreadsheet::{
    ALL, IGNORE_CASE, NOT_A_SHEET, SHEET, TITLE_ROW, is_sheet, read_sheet, read_sheet_file, read_title_row, sheet_file_schema,
};
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, FileUse, Kind, Performing};
use crate::action::option::read_word;
use crate::action::world::World;
use crate::body::number_text;
use crate::expr::field::{Field, Found};
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::spell::spell;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::budget::weight;
use crate::model::outcome::Outcome;
use crate::text::nearest::nearest;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::Fields;
use crate::yaml::place::scalar;

pub struct SheetRow;

impl Kind for SheetRow {
    fn verbs(&self) -> &'static [&'static str] {
        &["add_row", "update_row", "add_or_update_row"]
    }
    fn does(&self) -> &'static str {
        "adds a row to a spreadsheet (.csv, .tsv, .xlsx), or changes an existing one"
    }
    fn value(&self) -> &'static str {
        "the file name"
    }
    fn phrase(&self, verb: &str) -> &'static str {
        match verb {
            "add_row" => "add a row to",
            "update_row" => "update a row in",
            _ => "add or update a row in",
        }
    }
    fn step_schema(&self, verb: &str) -> Value {
        let needed: &[&str] = if verb == "add_row" { &["columns"] } else { &["columns", "match"] };
        let of_a_row: &[&str] = if verb == "add_row" { &["match", "newer_than"] } else { &[] };
        let excluded: Vec<Value> = of_a_row.iter().map(|word| json!({ "required": [word] })).collect();
        let schema = json!({ "properties": { verb: sheet_file_schema() }, "required": needed });
        match excluded.is_empty() {
            true => schema,
            false => json!({ "allOf": [schema, { "not": { "anyOf": excluded } }] }),
        }
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "columns", shape: Shape::Map, does: "the values, by column title" },
            SHEET,
            Word { name: "new_sheet", shape: Shape::One(&["add"]), does: "`add` adds the sheet if it does not exist" },
            TITLE_ROW,
            FORMULAS,
            Word { name: "new_columns", shape: Shape::One(&["add"]), does: "`add` adds missing columns at the end" },
            Word { name: "match", shape: Shape::List, does: "the column or columns that identify the row" },
            IGNORE_CASE,
            ALL,
            Word { name: "newer_than", shape: Shape::Text, does: "the column whose new value must be later for the row to change" },
            Word { name: "skip_missing", shape: Shape::Flag, does: "whether a cell keeps its value if its field is missing" },
            Word { name: "skip_empty", shape: Shape::Flag, does: "whether a cell keeps its value if its field is missing, null or \"\"" },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &[
            Word { name: "columns", shape: Shape::Map, does: "all columns and their values" },
            Word { name: "sheet", shape: Shape::Text, does: "the sheet of a workbook" },
            Word { name: "match", shape: Shape::List, does: "all columns that identify the row" },
        ]
    }
    fn example(&self) -> &'static str {
        "add_row: orders.xlsx\ncolumns: { Number: \"{{ body.id }}\", Total: \"{{ body.total }}\" }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let file = read_sheet_file(&item, fields, known)?;
        let sheet = read_sheet(fields, file.as_ref(), known)?;
        let new_sheet = read_word(fields, "new_sheet", "add");
        if sheet.is_none() && new_sheet == Some(true) {
            fields.key("new_sheet").problem("`new_sheet` adds the sheet that `sheet` names").label("write `sheet: Orders`, too").add();
        }
        let title_row = read_title_row(fields);
        let formulas = read_word(fields, "formulas", "allow");
        let new_columns = read_word(fields, "new_columns", "add");
        let columns = fields.must("columns")?;
        let (mut cells, entries) = (Vec::new(), columns.entries("`columns:`")?);
        // Titles without values have been reported.
        let is_empty = *columns.node == Node::Map(Vec::new());
        for (name, value) in entries {
            match value.node {
                Node::List(_) | Node::Map(_) => {
                    value.problem("a cell holds one value").label("write text or {{ a field }}; {{ join … }} turns a list into text").add();
                }
                _ => {
                    let data = Data::read(&value, Destination::Plain, known);
                    if let Some(Data::Template(template)) = &data
                        && let Some(field) = template.lone_field().filter(|field| !field.is_single())
                    {
                        let draft = value.problem(format!("{} is a list, and a cell holds one value", field.text()));
                        draft
                            .label("write `join` before it, or an index: [0]")
                            .write(&format!("\"{{{{ join {} ', ' }}}}\"", field.text()))
                            .add();
                    }
                    cells.push((title(&name), data));
                }
            }
        }
        if is_empty {
            columns.problem("a row needs at least one column").label("write columns: { Name: \"{{ body.name }}\" }").add();
            return None;
        }
        let mode = match verb {
            "update_row" => Mode::Update,
            "add_or_update_row" => Mode::AddOrUpdate,
            _ => Mode::Add,
        };
        let matching = read_match(fields, verb, mode, &cells)?;
        let ignore_case = matching_flag(fields, "ignore_case", mode);
        let all = matching_flag(fields, "all", mode);
        let skip_missing = matching_flag(fields, "skip_missing", mode);
        let skip_empty = matching_flag(fields, "skip_empty", mode);
        let newer_than = read_newer_than(fields, mode, &cells);
        let cells = cells.into_iter().map(|(n, d)| Some((n, d?))).collect::<Option<Vec<_>>>()?;
        let row = Row {
            guard: !formulas?,
            mode,
            matching,
            ignore_case: ignore_case?,
            all: all?,
            new_columns: new_columns?,
            new_sheet: new_sheet?,
            title_row: title_row?,
            newer_than: newer_than?,
            ..Row::default()
        };
        Some(Box::new(Writing { verb, file: file?, sheet, cells, skip_missing: skip_missing?, skip_empty: skip_empty?, row }))
    }
}

/// `match:` - the columns used to find the row.
fn read_match(fields: &mut Fields, verb: &str, mode: Mode, cells: &[(String, Option<Data>)]) -> Option<Vec<String>> {
    if mode == Mode::Add {
        if fields.has("match") {
            fields
                .key("match")
                .problem("`add_row` always adds a row, so it has nothing to match")
                .change("did you mean `add_or_update_row`?", fields.key("add_row").key_span(), "add_or_update_row")
                .label("remove it, or use `add_or_update_row`")
                .add();
            fields.may("match");
        }
        return Some(Vec::new());
    }
    if !fields.has("match") {
        let first = cells.first().map_or("Email", |(title, _)| title.as_str());
        let message = format!("`{verb}` needs to know which row to change");
        let label = format!("write `match:` below it, with the column that identifies the row, such as {first}");
        fields.lacks("match", &message, &label);
        return None;
    }
    let mut titles = Vec::new();
    let item = fields.may("match")?;
    if let Node::Map(entries) = item.node {
        let title = entries.first().map_or("Email", |(title, _)| title.as_str());
        item.problem("`match:` takes the title of a column; the value goes under `columns:`")
            .label("write the title of the column alone")
            .write(&scalar(title))
            .add();
        return None;
    }
    for one in item.one_or_many() {
        let title = one.text()?;
        if !cells.iter().any(|(t, _)| *t == self::title(&title)) {
            let draft = one.problem(format!("the column `{title}` has no value here, so it cannot identify a row"));
            let draft = draft.label("write it under `columns:` as well, with the value to look for");
            match nearest(&title, cells.iter().map(|(t, _)| t.as_str())) {
                Some(near) => draft.meant(near).add(),
                None => draft.add(),
            }
            return None;
        }
        titles.push(self::title(&title));
    }
    Some(titles)
}

/// `newer_than:` - the column that says which of two versions of a row is the later one.
fn read_newer_than(fields: &mut Fields, mode: Mode, cells: &[(String, Option<Data>)]) -> Option<Option<String>> {
    let Some(item) = fields.may("newer_than") else { return Some(None) };
    let title = item.text()?;
    if mode == Mode::Add {
        item.problem("`newer_than` can only be used with `update_row` and `add_or_update_row`").at_key().label("remove it").add();
        return None;
    }
    if !cells.iter().any(|(t, _)| *t == self::title(&title)) {
        let label = format!("write {title} under `columns:` as well, with the new value");
        item.problem(format!("the column `{title}` has no value here, so it cannot be compared")).label(label).add();
        return None;
    }
    Some(Some(self::title(&title)))
}

fn matching_flag(fields: &mut Fields, key: &'static str, mode: Mode) -> Option<bool> {
    let Some(item) = fields.may(key) else { return Some(false) };
    if mode == Mode::Add {
        item.problem(format!("`{key}` can only be used with `update_row` and `add_or_update_row`")).at_key().label("remove it").add();
        return None;
    }
    item.flag()
}

struct Writing {
    verb: &'static str,
    file: Template,
    sheet: Option<Template>,
    cells: Vec<(String, Data)>,
    /// A cell whose field is missing is left unchanged.
    skip_missing: bool,
    /// The same if its field is missing, null or "".
    skip_empty: bool,
    /// The row without its cells.
    row: Row,
}

impl Action for Writing {
    fn file(&self) -> Option<FileUse<'_>> {
        self.file.fixed().map(|name| FileUse { name, replaces: false })
    }
    fn fields(&self) -> Vec<&Field> {
        let cells = self.cells.iter().flat_map(|(_, data)| data.fields());
        self.file.fields().chain(self.sheet.iter().flat_map(Template::fields)).chain(cells).collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let file = self.file.text(scope)?;
        let sheet = self.sheet.as_ref().map(|s| s.text(scope)).transpose()?;
        let mut cells = Vec::with_capacity(self.cells.len());
        let missing = |field: &Field| matches!(field.find(scope), Ok(Found::Missing));
        for (name, data) in &self.cells {
            let can_skip = !self.row.matching.contains(name);
            if can_skip && (self.skip_missing || self.skip_empty) && data.fields().into_iter().any(missing) {
                continue;
            }
            let value = data.value(scope)?;
            if can_skip && self.skip_empty && (value.is_null() || value.as_str() == Some("")) {
                continue;
            }
            let cell = cell_of(name, data, value, scope)?;
            cells.push((name.clone(), cell));
        }
        let row = Row { cells, sheet, ..self.row.clone() };
        Ok(Box::new(Written { verb: self.verb, file, row }))
    }
}

/// The cell for a value under a title.
pub(super) fn cell_of(title: &str, data: &Data, value: Value, scope: &Scope) -> Result<Cell, Unrendered> {
    Ok(match value {
        Value::Null => Cell::Empty,
        Value::Bool(b) => Cell::Bool(b),
        Value::Number(n) => Cell::Number(n.to_string()),
        Value::String(s) if scope.gives_date(data) => Cell::Date(s),
        Value::String(s) => Cell::Text(s),
        list => {
            let path = match data {
                Data::Template(t) => t.path().clone(),
                _ => Vec::new(),
            };
            let message = match (&list, data.lone_field()) {
                (Value::Object(all), Some(field)) if let Some(part) = all.keys().find(|name| is_plain_name(name)) => {
                    format!("the column {title} would contain an object; choose a part of it, such as {{{{ {}.{part} }}}}", field.text())
                }
                (Value::Object(_), _) => format!("the column {title} would contain an object; choose a part of it"),
                _ => format!("the column {title} would contain a list; {{{{ join … }}}} turns it into text"),
            };
            return Err(Unrendered { message, path });
        }
    })
}

/// Whether a name can follow a dot in a field.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Written {
    verb: &'static str,
    file: String,
    row: Row,
}

pub(super) fn value_of(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Bool(b) => Value::Bool(*b),
        Cell::Number(n) => number_text::number(n).map_or(Value::Null, Value::Number),
        Cell::Text(t) | Cell::Date(t) => Value::String(t.clone()),
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.verb, self.file)?;
        if let Some(sheet) = &self.row.sheet {
            write!(f, "  (sheet {sheet})")?;
        }
        if !self.row.matching.is_empty() {
            write!(f, "  (row matched by {})", self.row.matching.join(" and "))?;
        }
        let is_workbook = self.file.to_ascii_lowercase().ends_with(".xlsx");
        for (name, cell) in &self.row.cells {
            let value = value_of(cell);
            let shown = match (cell, &value) {
                (_, Value::Null) => "(empty)".into(),
                // A workbook stores the value of a number, but not how it was spelled.
                (Cell::Number(n), _) if is_workbook && is_exact(n) => plain(n).into(),
                (_, other) => spell(other).unwrap_or_default(),
            };
            write!(f, "\n{name}: {shown}")?;
        }
        Ok(())
    }
}

impl Effect for Written {
    fn bytes(&self) -> usize {
        self.row.cells.iter().map(|(_, cell)| weight(&value_of(cell))).sum()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            if !is_sheet(&self.file) {
                return Outcome::failed(format!("{}: {NOT_A_SHEET}", self.file));
            }
            world.files.write(&self.file, Content::Row(self.row), context).await
        })
    }
    fn view(&self) -> EffectView {
        let columns: Map<String, Value> = self.row.cells.iter().map(|(name, cell)| (name.clone(), value_of(cell))).collect();
        let seen = EffectView::new(self.verb, &self.file).with("columns", Value::Object(columns));
        let seen = match &self.row.sheet {
            Some(sheet) => seen.with("sheet", sheet.as_str().into()),
            None => seen,
        };
        if self.row.matching.is_empty() { seen } else { seen.with("match", self.row.matching.as_slice().into()) }
    }
}
