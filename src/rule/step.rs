//! One step of `then:`: a verb with its fields, and the modifiers that are the same on every step.

use std::time::Duration;

use crate::action::contract::Action;
use crate::action::verbs;
use crate::condition::All;
use crate::condition::read as condition;
use crate::field::{Field, ROOTS};
use crate::known::Known;
use crate::problem::nearest;
use crate::retry::{LONGEST_WAIT, MOST_TRIES, Plan};
use crate::template::HELPERS;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;

/// How long one try of a step may take where nothing else is said, and the most that can be said.
pub const TIMEOUT: Duration = Duration::from_secs(30);
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The most elements that a `for_each` goes through.
pub const MOST_ELEMENTS: usize = 10_000;

const LATER: [&str; 5] = ["update_row", "add_or_update_row", "do", "run_rule", "wait"];
/// Words of other tools that stand where a verb does, and what to write.
const OTHER_WORDS: [(&str, &str); 24] = [
    ("uses", "a step begins with what it does: `post: https://…`"),
    ("action", "a step begins with what it does: `post: https://…`"),
    ("type", "a step begins with what it does: `post: https://…`"),
    ("run", "a step begins with what it does; programs are not run"),
    ("http", "write `post: https://…`"),
    ("http_request", "write `post: https://…`"),
    ("request", "write `post: https://…`"),
    ("call", "write `post: https://…`"),
    ("webhook", "write `post: https://…` to call an address"),
    ("url", "write `post: https://…`"),
    ("send", "write `post: https://…`"),
    ("slack", "write `post: \"{{ secret.SLACK_URL }}\"` with `json: { text: … }`"),
    ("write", "write `append: file.log` with `text:`"),
    ("file", "write `append: file.log` with `text:`"),
    ("append_to_file", "write `append: file.log` with `text:`"),
    ("write_file", "write `append: file.log` with `text:`"),
    ("sheet", "write `add_row: file.xlsx` with `columns:`"),
    ("append_row", "write `add_row: file.xlsx` with `columns:`"),
    ("excel", "write `add_row: file.xlsx` with `columns:`"),
    ("csv", "write `add_row: file.csv` with `columns:`"),
    ("reply", "write `respond: 200`"),
    ("response", "write `respond: 200`"),
    ("print", "write `log: text`"),
    ("echo", "write `log: text`"),
];
const OTHER_FIELDS: [(&str, &str); 14] = [
    ("body", "write `json:`, `form:` or `text:`"),
    ("data", "write `json:`, `form:` or `text:`"),
    ("payload", "write `json:`"),
    ("params", "did you mean `query`?"),
    ("header", "did you mean `headers`?"),
    ("values", "did you mean `columns`?"),
    ("row", "did you mean `columns`?"),
    ("retry", "write `tries: 5`"),
    ("retries", "write `tries: 5`"),
    ("when", "did you mean `if`?"),
    ("foreach", "did you mean `for_each`?"),
    ("loop", "did you mean `for_each`?"),
    ("with", "the fields stand directly in the step"),
    ("id", "did you mean `save_as`?"),
];

/// A compiled step.
pub struct Step {
    pub name: Option<String>,
    pub verb: &'static str,
    pub action: Box<dyn Action>,
    pub condition: All,
    pub for_each: Option<Field>,
    pub plan: Plan,
    pub timeout: Duration,
    pub save_as: Option<String>,
    /// `on_error: continue`.
    pub forgiving: bool,
    pub path: Path,
}

impl Step {
    /// What people call it: its name, or its verb.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.verb)
    }
}

/// The names that the steps of a list save, for those that are used too early.
pub fn saved_names(steps: &[Item]) -> Vec<String> {
    let name = |item: &Item| match item.node {
        Node::Map(entries) => entries.iter().find(|(k, _)| k == "save_as").and_then(|(_, v)| match v {
            Node::Text(t) => Some(t.clone()),
            _ => None,
        }),
        _ => None,
    };
    steps.iter().filter_map(name).collect()
}

/// Reads one step. What it saves is known to the steps that follow.
pub fn read(item: &Item, known: &mut Known) -> Option<Step> {
    let mut fields = match item.node {
        Node::Text(text) => {
            let word = text.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or("");
            let rest = text[word.len()..].trim_start_matches(':').trim();
            let told = item.problem("a step is a verb with a colon and a space behind it");
            match verbs().find(|(v, _)| *v == word) {
                Some((verb, _)) => told.label(format!("write `{verb}: {rest}`")).add(),
                None => told.label("write for example `log: text`").add(),
            }
            return None;
        }
        _ => item.fields("a step")?,
    };
    let name = fields.may("name").and_then(|i| i.text());
    known.in_each.set(fields.has("for_each"));
    let for_each = fields.may("for_each").map(|i| read_for_each(&i, known));
    known.in_each.set(for_each.is_some());
    let condition = fields.may("if").map(|i| condition::read(&i, known)).unwrap_or_default();
    let plan = read_plan(&mut fields);
    let timeout = match fields.may("timeout") {
        Some(timeout) => match timeout.duration() {
            Some(d) if d > LONGEST_TIMEOUT || d.is_zero() => {
                timeout.problem("a try may take up to 10 minutes").add();
                None
            }
            other => other,
        },
        None => Some(TIMEOUT),
    };
    let save_as = fields.may("save_as").map(|i| read_save_as(&i, known));
    let forgiving = match fields.may("on_error") {
        None => false,
        Some(on_error) => match on_error.node {
            Node::Text(word) if word == "continue" => true,
            Node::List(_) => {
                on_error
                    .problem("steps under `on_error:` are not available yet")
                    .at_key()
                    .label("write `on_error: continue` to go on all the same")
                    .add();
                false
            }
            _ => {
                on_error.problem("`on_error:` takes the word `continue`").label("write `on_error: continue`").add();
                false
            }
        },
    };
    let found = find_verb(&mut fields, item);
    let action = match found {
        None => None,
        Some((verb, kind)) => {
            let value = fields.key(verb);
            match value.node {
                Node::Map(entries) => {
                    let inner = entries
                        .iter()
                        .find(|(k, _)| matches!(k.as_str(), "url" | "to" | "file" | "path" | "status" | "text"))
                        .map(|(_, v)| v);
                    let shown = match inner {
                        Some(Node::Text(t)) => format!("write `{verb}: {t}`, and the other lines below it in line with `{verb}`"),
                        _ => format!("write the value directly behind `{verb}:`, and the other lines below it in line with `{verb}`"),
                    };
                    let what = match verb {
                        "append" | "add_row" => "the file's name",
                        "respond" => "the status",
                        "log" | "stop" => "the text",
                        _ => "the address",
                    };
                    value.problem(format!("{what} stands directly behind `{verb}:`")).label(shown).add();
                    None
                }
                _ => kind.read(verb, &mut fields, known).map(|action| (verb, action)),
            }
        }
    };
    if found.is_some() && action.is_none() && matches!(fields.key(found.map_or("", |f| f.0)).node, Node::Map(_)) {
        // What stands at the wrong place has been told; its fields would only repeat it.
        fields.rest();
    }
    if fields.has("else") {
        fields
            .key("else")
            .problem("a step has no `else:`")
            .label("put it at the rule, or write a second step with the opposite `if:`")
            .add();
        fields.may("else");
    }
    if found.is_some() {
        fields.done(&OTHER_FIELDS, &["new_columns", "match", "ignore_case", "skip_missing", "xml"]);
    } else {
        fields.rest();
    }
    known.in_each.set(false);
    if let Some(Some(name)) = &save_as {
        known.named.push(name.clone());
    }
    let (verb, action) = action?;
    Some(Step {
        name,
        verb,
        action,
        condition,
        for_each: for_each.map_or(Some(None), |f| f.map(Some))?,
        plan: plan?,
        timeout: timeout?,
        save_as: save_as.map_or(Some(None), |s| s.map(Some))?,
        forgiving,
        path: item.path.clone(),
    })
}

fn find_verb(fields: &mut Fields, item: &Item) -> Option<(&'static str, &'static dyn crate::action::contract::Kind)> {
    let mut present = Vec::new();
    let left: Vec<&str> = fields.left().collect();
    for key in &left {
        if let Some(found) = verbs().find(|(v, _)| v == key) {
            present.push(found);
        } else if LATER.contains(key) {
            fields.key(key).problem(format!("`{key}:` is not available yet")).label("take this step out for now").add();
            return None;
        }
    }
    match present.as_slice() {
        [one] => return Some(*one),
        [] => {}
        [first, second, ..] => {
            fields
                .key(second.0)
                .problem(format!("`{}` and `{}` stand in one step", first.0, second.0))
                .label("begin each step with a dash: `- `")
                .add();
            return None;
        }
    }
    let all: Vec<&str> = verbs().map(|(v, _)| v).collect();
    let list = format!("verbs: {}", all.join(", "));
    if fields.has("then") {
        item.problem("steps have no steps of their own").label("put `if:` into the step itself, in line with its verb").note(list).add();
        return None;
    }
    for key in &left {
        if let Some((_, ours)) = OTHER_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)) {
            fields.key(key).problem(format!("no verb is called `{key}`")).label(*ours).note(list).add();
            return None;
        }
        if let Some(near) = nearest(key, all.iter().copied()) {
            fields.key(key).problem(format!("no verb is called `{key}`")).label(format!("did you mean `{near}`?")).note(list).add();
            return None;
        }
    }
    match left.first() {
        Some(key) if !matches!(*key, "text" | "json" | "columns" | "headers") => {
            fields.key(key).problem(format!("no verb is called `{key}`")).label("a step begins with what it does").note(list).add();
        }
        _ => item
            .problem("this step does nothing: its verb is missing")
            .label("a step begins with what it does, such as `post: https://…`")
            .note(list)
            .add(),
    }
    None
}

fn read_for_each(item: &Item, known: &Known) -> Option<Field> {
    known.in_each.set(false);
    let text = item.text()?;
    if text.contains("{{") {
        let bare = text.replace("{{", "").replace("}}", "");
        item.problem("a list is named here without braces").label(format!("write for_each: {}", bare.trim())).add();
        return None;
    }
    known.field(&text, item, None)
}

fn read_plan(fields: &mut Fields) -> Option<Plan> {
    let mut plan = Plan::default();
    let tries = fields.may("tries").map(|i| i.whole(1, MOST_TRIES));
    let wait = fields.may("first_wait").map(|i| {
        let wait = i.duration()?;
        if wait > LONGEST_WAIT || wait.is_zero() {
            i.problem("the first pause goes from 1 millisecond to 6 hours").add();
            return None;
        }
        Some(wait)
    });
    if let Some(tries) = tries {
        plan.tries = tries? as u32;
    }
    if let Some(wait) = wait {
        plan.first_wait = wait?;
    }
    Some(plan)
}

fn read_save_as(item: &Item, known: &Known) -> Option<String> {
    let name = item.text()?;
    check_name(&name, item)?;
    if known.named.contains(&name) {
        item.problem(format!("`{name}` is a name already")).label("choose another one").add();
        return None;
    }
    Some(name)
}

/// Whether people may use this word for a value of their own.
pub fn check_name(name: &str, item: &Item) -> Option<()> {
    let ours = ROOTS.contains(&name)
        || HELPERS.iter().any(|h| h.name == name)
        || matches!(name, "any" | "all" | "none" | "input" | "error" | "true" | "false" | "null" | "this");
    if ours {
        item.problem(format!("`{name}` is a word of ours")).label(format!("choose another one, such as my_{name}")).add();
        return None;
    }
    let good =
        name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !good {
        let mend: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        item.problem(format!("`{name}` cannot be a name"))
            .label(format!("use letters, digits and _, such as {}", mend.trim_start_matches(|c: char| c.is_ascii_digit())))
            .add();
        return None;
    }
    Some(())
}
