//! `write: FILE` replaces a file as a whole; nobody ever sees a part of it.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::append::{has_cells, read_file};
use super::bytes::Base64;
use super::content::{Content, Whole};
use super::csv::guard::guarded_line;
use super::folder;
use super::option::FORMULAS;
use crate::action::attempt_context::AttemptContext;
use crate::action::contract::{Action, Effect, EffectView, FileUse, HAS_JSON, Kind, Performing};
use crate::action::option::read_word;
use crate::action::world::World;
use crate::body::number_text;
use crate::expr::doubt;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::Outcome;
use crate::text::count;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::Fields;

pub struct Write;

const CONTENTS: [Word; 3] = [
    Word { name: "text", shape: Shape::Text, does: "what the file contains, as text" },
    Word { name: "json", shape: Shape::Any, does: "what the file contains, as JSON" },
    Word { name: "base64", shape: Shape::Text, does: "what the file contains, in Base64, such as a file that came in a form" },
];

impl Kind for Write {
    fn verbs(&self) -> &'static [&'static str] {
        &["write"]
    }
    fn does(&self) -> &'static str {
        "writes a file as a whole, in place of an existing one"
    }
    fn value(&self) -> &'static str {
        "the file name"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "write"
    }
    fn step_schema(&self, verb: &str) -> Value {
        let is_file = json!({ "pattern": r"^(?!/)(?!([\s\S]*/)?\.\.(/|$))" });
        json!({ "properties": { verb: is_file }, "oneOf": CONTENTS.map(|word| json!({ "required": [word.name] })) })
    }
    fn keys(&self) -> &'static [Word] {
        const KEYS: [Word; 4] = [CONTENTS[0], CONTENTS[1], CONTENTS[2], FORMULAS];
        &KEYS
    }
    fn expected(&self) -> &'static [Word] {
        const EXPECTED: [Word; 4] = [CONTENTS[0], CONTENTS[1], HAS_JSON, CONTENTS[2]];
        &EXPECTED
    }
    fn example(&self) -> &'static str {
        "write: status.json\njson: { last_order: \"{{ body.id }}\" }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let file = read_file(&item, known);
        let is_workbook = file.as_ref().is_some_and(|f| f.ending().to_ascii_lowercase().ends_with(".xlsx"));
        if let Some(columns) = fields.may("columns") {
            let draft = columns.problem("`write` replaces a whole file, which has no columns").at_key();
            draft.label("use `add_row` with a spreadsheet file").add();
            fields.rest();
            return None;
        }
        let (text, json, base64) = (fields.may("text"), fields.may("json"), fields.may("base64"));
        let given = CONTENTS.iter().zip([&text, &json, &base64]).filter_map(|(word, item)| Some((word.name, item.as_ref()?)));
        if let [(first, _), (second, item), ..] = given.collect::<Vec<_>>().as_slice() {
            item.problem(format!("`write` takes either `{first}:` or `{second}:`, not both")).at_key().label("remove one of them").add();
            return None;
        }
        if is_workbook && (text.is_some() || json.is_some()) {
            item.problem("a workbook is not text").label("use `add_row:` with `columns:`, or `base64:` for a workbook that was sent").add();
        }
        let content = match (text, json, base64) {
            (Some(text), ..) => {
                let place = file.as_ref().map_or(Destination::Plain, |file| markup(file.ending()));
                let text = Template::read(&text, place, known);
                if let (Some(file), Some(text)) = (&file, &text)
                    && file.ending().to_ascii_lowercase().ends_with(".json")
                    && text.fixed().is_none()
                {
                    fields
                        .key("text")
                        .problem("JSON cannot be written as text: a quote in a value would break it")
                        .label("use `json:` with names and values")
                        .add();
                }
                text.map(Written::Text)
            }
            (_, Some(json), _) => {
                doubt::json_text(&json);
                Data::read(&json, Destination::Plain, known).map(Written::Json)
            }
            (.., Some(base64)) => Base64::read(&base64, known).map(Written::Base64),
            _ => {
                if !CONTENTS.iter().any(|word| fields.has(word.name)) {
                    let label = "write `text:`, `json:` or `base64:` below it, aligned with `write`";
                    fields.lacks("text", "what to write is missing", label);
                }
                None
            }
        };
        let formulas = read_word(fields, "formulas", "allow");
        Some(Box::new(Writing { file: file?, content: content?, guard: !formulas? }))
    }
}

/// How values are made safe in the text of a file, by the end of its name.
fn markup(file: &str) -> Destination {
    let file = file.to_ascii_lowercase();
    match file.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html" | "htm" | "xhtml" | "svg") => Destination::Html,
        Some("xml") => Destination::Xml,
        _ => Destination::Plain,
    }
}

enum Written {
    Text(Template),
    Json(Data),
    Base64(Base64),
}

struct Writing {
    file: Template,
    content: Written,
    /// Whether no cell of a `.csv` may be a formula.
    guard: bool,
}

impl Action for Writing {
    fn fields(&self) -> Vec<&Field> {
        let content = match &self.content {
            Written::Text(text) => text.fields().collect(),
            Written::Json(data) => data.fields(),
            Written::Base64(base64) => base64.fields(),
        };
        self.file.fields().chain(content).collect()
    }
    fn file(&self) -> Option<FileUse<'_>> {
        self.file.fixed().map(|name| FileUse { name, replaces: true })
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let file = self.file.text(scope)?;
        let bytes = match &self.content {
            Written::Text(text) => {
                let text = text.text(scope)?;
                if self.guard && has_cells(&file) { text.split_inclusive('\n').map(guarded_line).collect::<String>() } else { text }
                    .into_bytes()
            }
            Written::Json(data) => (data.json(scope)? + "\n").into_bytes(),
            Written::Base64(base64) => base64.bytes(scope)?,
        };
        let is_base64 = matches!(self.content, Written::Base64(_));
        Ok(Box::new(WholeFile { file, bytes, is_base64 }))
    }
}

struct WholeFile {
    file: String,
    bytes: Vec<u8>,
    is_base64: bool,
}

impl fmt::Display for WholeFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "write  {}", self.file)?;
        match std::str::from_utf8(&self.bytes).ok().filter(|_| !self.is_base64) {
            Some(text) => f.write_str(text.strip_suffix('\n').unwrap_or(text)),
            None => write!(f, "({})", count::bytes(self.bytes.len() as u64)),
        }
    }
}

impl Effect for WholeFile {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
    fn perform<'a>(self: Box<Self>, world: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            if let Err(why) = folder::check(&self.file) {
                return Outcome::failed(why);
            }
            world.files.write(&self.file, Content::Whole(Whole::Bytes(Arc::from(self.bytes))), context).await
        })
    }
    fn view(&self) -> EffectView {
        use base64::Engine as _;
        let seen = EffectView::new("write", &self.file);
        if self.is_base64 {
            return seen.with("base64", base64::engine::general_purpose::STANDARD.encode(&self.bytes).into());
        }
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        match number_text::parse(&text) {
            Ok(json) => seen.with("text", text.into()).with("json", json),
            Err(_) => seen.with("text", text.into()),
        }
    }
}
