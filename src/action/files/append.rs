//! `append: FILE` adds one line to a file, including the line end.

use std::fmt;

use serde_json::{Value, json};

use super::content::Content;
use super::csv::guard::guarded_line;
use super::folder;
use super::option::FORMULAS;
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, FileUse, HAS_JSON, Kind, Performing};
use crate::action::option::read_word;
use crate::action::world::World;
use crate::body::number_text;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::Outcome;
use crate::text::word::{Shape, Word};
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};

pub struct Append;

impl Kind for Append {
    fn verbs(&self) -> &'static [&'static str] {
        &["append"]
    }
    fn does(&self) -> &'static str {
        "adds one line to a file"
    }
    fn value(&self) -> &'static str {
        "the file name"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "add a line to"
    }
    fn step_schema(&self, verb: &str) -> Value {
        let is_line_file = json!({ "pattern": r"^(?!/)(?!([\s\S]*/)?\.\.(/|$))(?![^{]*\.[xX][lL][sS][xX]$)" });
        json!({ "properties": { verb: is_line_file }, "anyOf": [{ "required": ["text"] }, { "required": ["json"] }] })
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "text", shape: Shape::Text, does: "the line" },
            Word { name: "json", shape: Shape::Any, does: "the line, as JSON" },
            FORMULAS,
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &[
            Word { name: "text", shape: Shape::Text, does: "the line" },
            Word { name: "json", shape: Shape::Any, does: "the line, as JSON" },
            HAS_JSON,
        ]
    }
    fn example(&self) -> &'static str {
        "append: orders.log\ntext: \"{{ now }} {{ body.id }}\"\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let file = read_file(&item, known);
        if file.as_ref().is_some_and(|f| f.fixed().is_some_and(|n| n.to_ascii_lowercase().ends_with(".xlsx"))) {
            item.problem("a workbook has rows, not lines").label("use `add_row:` with `columns:`").add();
        }
        if fields.has("columns") {
            let draft = fields.key("append").problem("`append` writes lines, which have no columns");
            draft.meant("add_row").label("use `add_row` with a spreadsheet file").add();
            fields.rest();
            return None;
        }
        let (text, json) = (fields.may("text"), fields.may("json"));
        let line = match (text, json) {
            (Some(text), None) => Template::read(&text, Destination::Line, known).map(Line::Text),
            (None, Some(json)) => Data::read(&json, Destination::Plain, known).map(Line::Json),
            (Some(text), Some(_)) => {
                text.problem("`append` takes either `text:` or `json:`, not both").at_key().label("remove one of them").add();
                None
            }
            (None, None) => {
                if !fields.has("text") && !fields.has("json") {
                    fields.lacks("text", "the line to write is missing", "write `text:` below it, aligned with `append`");
                }
                None
            }
        };
        let formulas = read_word(fields, "formulas", "allow");
        Some(Box::new(Appending { file: file?, line: line?, guard: !formulas? }))
    }
}

/// Reads a file name, which must stay in the output folder.
pub fn read_file(item: &Item, known: &Names) -> Option<Template> {
    if is_with_backslashes(item) {
        return None;
    }
    let template = Template::read(item, Destination::File, known)?;
    let wrong = match template.fixed() {
        Some(name) => folder::check(name).err(),
        // The constant part at the beginning shows which folder the name leads to.
        None if template.beginning().is_empty() => None,
        None => folder::check(&format!("{}x", template.beginning())).err(),
    };
    match wrong {
        Some(why) => {
            item.problem(why).label("write a name below the output folder, such as orders/today.csv").add();
            None
        }
        None => Some(template),
    }
}

/// Whether folders are separated by `\`, as on Windows; in double quotes, some of these have become other characters. Reported.
fn is_with_backslashes(item: &Item) -> bool {
    let Node::Text(text) = item.node else { return false };
    // Finding out how it is written costs a walk through the file.
    if !text.contains(|c: char| c == '\\' || c.is_control()) {
        return false;
    }
    let Some(raw) = item.raw().filter(|raw| raw.contains('\\') && !raw.contains("{{")) else { return false };
    let message = match text.chars().any(char::is_control) {
        true => "in double quotes, `\\` and the character after it are one special character",
        false if text.contains('\\') => "folders in a file name are separated by `/`, not by `\\`",
        false => return false,
    };
    let ours = raw.trim_matches(['"', '\'']).replace("\\\\", "/").replace('\\', "/");
    item.problem(message).label("write a name below the output folder, such as orders/today.csv").write(&ours).add();
    true
}

enum Line {
    Text(Template),
    Json(Data),
}

struct Appending {
    file: Template,
    line: Line,
    /// Whether no cell of a line in a `.csv` may be a formula.
    guard: bool,
}

impl Action for Appending {
    fn file(&self) -> Option<FileUse<'_>> {
        self.file.fixed().map(|name| FileUse { name, replaces: false })
    }
    fn fields(&self) -> Vec<&Field> {
        let line = match &self.line {
            Line::Text(text) => text.fields().collect(),
            Line::Json(data) => data.fields(),
        };
        self.file.fields().chain(line).collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let file = self.file.text(scope)?;
        let line = match &self.line {
            Line::Text(text) => {
                let mut line = text.text(scope)?;
                line.truncate(line.trim_end_matches(['\n', '\r']).len());
                if self.guard && has_cells(&file) { guarded_line(&line) } else { line }
            }
            Line::Json(data) => data.json(scope)?,
        };
        Ok(Box::new(Appended { file, line }))
    }
}

/// Whether a spreadsheet program takes the lines of this file for rows.
pub(super) fn has_cells(file: &str) -> bool {
    let name = file.to_ascii_lowercase();
    name.ends_with(".csv") || name.ends_with(".tsv")
}

struct Appended {
    file: String,
    line: String,
}

impl fmt::Display for Appended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "append  {}\n{}", self.file, self.line)
    }
}

impl Effect for Appended {
    fn bytes(&self) -> usize {
        self.line.len()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            if let Err(why) = folder::check(&self.file) {
                return Outcome::failed(why);
            }
            world.files.write(&self.file, Content::Line(self.line), context).await
        })
    }
    fn view(&self) -> EffectView {
        let seen = EffectView::new("append", &self.file).with("text", self.line.as_str().into());
        match number_text::parse(&self.line) {
            Ok(json) => seen.with("json", json),
            Err(_) => seen,
        }
    }
}
