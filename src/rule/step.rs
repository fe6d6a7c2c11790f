//! One step: a verb with its fields, and the modifiers that every step can have. The order of steps is in
//! [`super::steps`].

use std::time::Duration;

use super::aliases::{STEP_FIELDS, STEP_WORDS};
use super::each::{self, ForEach, ReadEach};
use super::items::items;
use super::set::{check_name, read_set};
use super::step_shape::{below_the_verb, not_a_step, whole_list};
use crate::action::contract::{Action, CalledRule, FileUse};
use crate::action::{KINDS, kind_of, verbs};
use crate::expr::condition::All;
use crate::expr::condition::read as condition;
use crate::expr::names::Names;
use crate::expr::scope::SetName;
use crate::model::retry::{LONGEST_WAIT, MOST_TRIES, Plan};
use crate::model::saved::ERROR;
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;

/// The default and the maximum timeout for one attempt at a step.
pub const TIMEOUT: Duration = Duration::from_secs(30);
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Several steps under one `if` or `for_each`.
pub const DO: &str = "do";
/// A compiled step.
pub struct Step {
    pub name: Option<String>,
    pub verb: &'static str,
    /// What follows its verb, as it is written in the file.
    pub value: String,
    /// The number shown to people: `2`, `2.1` inside a `do:`, `else 1`.
    pub number: String,
    /// `None` for a `do:`, whose steps follow.
    pub action: Option<Box<dyn Action>>,
    pub condition: All,
    /// Names that exist only in this step, and in the steps inside it.
    pub set: Vec<SetName>,
    pub for_each: Option<ForEach>,
    /// With `for_each`: an element that waits or fails stops the others.
    pub stop_at_first: bool,
    pub plan: Plan,
    pub timeout: Duration,
    pub save_as: Option<String>,
    pub path: Path,
}

/// A step that was read, with the steps inside it.
pub struct Read {
    pub step: Step,
    /// The steps of a `do:`.
    pub inside: Vec<Read>,
    pub on_error: OnErrorRead,
}

/// The `on_error:` of a step.
pub enum OnErrorRead {
    Not,
    Continue,
    Steps(Vec<Read>),
}

/// Where a step is, and what follows from that.
#[derive(Clone)]
pub struct StepContext {
    /// The default number of attempts.
    pub plan: Plan,
    pub inside: Inside,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Inside {
    /// In a list of the rule itself.
    Rule,
    /// In the rule's own `on_error:`.
    RuleError,
    /// In a `do:`, with or without `for_each`.
    Do { each: bool },
    /// In the `on_error:` of a step that is repeated for each element, or not.
    Error { each: bool },
}

impl Inside {
    /// Whether the context provides an `item`.
    fn each(self) -> bool {
        matches!(self, Inside::Do { each: true } | Inside::Error { each: true })
    }
    fn fixes(self) -> bool {
        matches!(self, Inside::RuleError | Inside::Error { .. })
    }
}

impl Step {
    /// Whether it answers the caller.
    pub fn answers(&self) -> bool {
        self.action.as_ref().is_some_and(|a| a.answers())
    }
    /// Whether it calls another app.
    pub fn calls(&self) -> bool {
        kind_of(self.verb).is_some_and(|kind| kind.calls())
    }
    /// Whether the history keeps what it sends and what comes back, whole.
    pub fn keeps_bodies(&self) -> bool {
        self.action.as_ref().is_some_and(|action| action.keeps_bodies())
    }
    /// How long the run waits after it, whatever happens.
    pub fn waits(&self) -> Option<Duration> {
        self.action.as_ref().and_then(|action| action.waits())
    }
    /// The rule that it runs.
    pub fn rule(&self) -> Option<CalledRule<'_>> {
        self.action.as_ref().and_then(|action| action.rule())
    }
    /// The file that it changes, if that is always the same one.
    pub fn file(&self) -> Option<FileUse<'_>> {
        self.action.as_ref().and_then(|action| action.file())
    }
    /// The step's name, or else its verb.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.verb)
    }
}

/// The names that the steps of a list save, including nested steps; for detecting names that are used too early.
pub fn saved_names(steps: &[Item]) -> Vec<String> {
    fn gather(node: &Node, out: &mut Vec<String>) {
        let Node::Map(entries) = node else { return };
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("save_as", Node::Text(name)) => out.push(name.clone()),
                (DO | "on_error", Node::List(inner)) => inner.iter().for_each(|n| gather(n, out)),
                _ => {}
            }
        }
    }
    let mut out = Vec::new();
    steps.iter().for_each(|item| gather(item.node, &mut out));
    out
}

/// Reads one step. The names it saves are known to the steps that follow.
pub fn read(item: &Item, known: &mut Names, context: &StepContext) -> Option<Read> {
    let mut fields = match item.node {
        Node::Text(text) => {
            not_a_step(item, text);
            return None;
        }
        _ => item.fields("a step")?,
    };
    let name = fields.may("name").and_then(|i| i.text());
    known.in_each.set(context.inside.each() || each::is_repeated(&fields));
    let ReadEach { is_there: repeats, for_each, stop_at_first } = each::read(&mut fields, known, context.inside.each());
    let each = repeats || context.inside.each();
    known.in_each.set(each);
    let before = known.named.len();
    let set = fields.may("set").map(|i| read_set(&i, known)).unwrap_or_default();
    let own: Vec<String> = known.named.split_off(before);
    known.named.extend(own.iter().cloned());
    let condition = fields.may("if").map(|i| condition::read(&i, known)).unwrap_or_default();
    let plan = read_plan(&mut fields, context.plan.clone());
    let timeout = read_timeout(&mut fields);
    let save_as = fields.may("save_as");
    // A name that is wrong is known as well, so that its uses are not reported, too.
    let wrong_name = match save_as.as_ref().map(|i| i.node) {
        Some(Node::Text(name)) if !known.named.contains(name) => Some(name.clone()),
        _ => None,
    };
    let save_as = save_as.map(|i| read_save_as(&i, known));
    let wrong_name = wrong_name.filter(|_| matches!(save_as, Some(None)));
    let found = find_verb(&mut fields, item);
    let value = match found.map(|verb| fields.key(verb.word()).node) {
        Some(Node::Text(text) | Node::Number(text)) => text.clone(),
        Some(Node::Empty | Node::Braces | Node::Tagged) | None => String::new(),
        Some(other) => other.json().to_string(),
    };
    let mut inside = Some(Vec::new());
    let work = match found {
        None => None,
        Some(Verb::Do) => {
            inside = read_do(&mut fields, known, context, each);
            known.in_each.set(each);
            inside.as_ref().map(|_| (DO, None))
        }
        Some(Verb::Kind(verb, kind)) => match fields.key(verb).node {
            Node::Map(entries) if !kind.takes_any() => {
                below_the_verb(verb, kind.value(), entries, &fields);
                // A step in the wrong place was already reported; its fields would only repeat that.
                fields.rest();
                None
            }
            _ => kind.read(verb, &mut fields, known).map(|action| (verb, Some(action))),
        },
    };
    for key in ["ignore_errors", "continue_on_error", "continue-on-error"] {
        if matches!(fields.key(key).node, Node::Bool(true)) && fields.has(key) && !fields.has("on_error") {
            let draft = fields.key(key).problem(format!("`{key}` is not a valid key in a step")).label("write `on_error: continue`");
            let span = fields.take(key).and_then(|value| value.entry_span());
            draft.change("write on_error: continue", span, "on_error: continue").add();
        }
    }
    let on_error = fields.may("on_error").map_or(Some(OnErrorRead::Not), |i| read_on_error(&i, known, context, each));
    if fields.has("else") {
        fields
            .key("else")
            .problem("a step cannot have an `else:`")
            .label("put it into the rule, or write a second step with the opposite `if:`")
            .add();
        fields.may("else");
    }
    if found.is_some() {
        fields.done(&STEP_FIELDS);
    } else {
        fields.rest();
    }
    if let Some(each) = &for_each {
        whole_list(&condition, &each.field, item);
    }
    known.in_each.set(false);
    known.named.retain(|name| !own.contains(name));
    known.set_in_steps.extend(own);
    known.named.extend(wrong_name);
    if let Some(Some(name)) = &save_as {
        known.named.push(name.clone());
        let parts = if let Some((_, Some(action))) = &work { action.saved_parts() } else { &[] };
        if !parts.is_empty() && (for_each.is_none() || context.inside.each()) {
            known.answers.push((name.clone(), parts));
        }
    }
    let (verb, action) = work?;
    let step = Step {
        name,
        verb,
        value,
        number: String::new(),
        condition,
        set,
        for_each: if repeats { Some(for_each?) } else { None },
        stop_at_first,
        plan: plan?,
        timeout: timeout?,
        save_as: match save_as {
            Some(name) => Some(name?),
            None => action.as_ref().and_then(|action| action.saves()).map(str::to_owned),
        },
        action,
        path: item.path.clone(),
    };
    Some(Read { step, inside: inside?, on_error: on_error? })
}

fn read_timeout(fields: &mut Fields) -> Option<Duration> {
    let Some(timeout) = fields.may("timeout") else { return Some(TIMEOUT) };
    let given = timeout.duration()?;
    if given > LONGEST_TIMEOUT || given.is_zero() {
        timeout.problem("the time for one try must be between 1 millisecond and 10 minutes").label("write for example 30 seconds").add();
        return None;
    }
    Some(given)
}

/// The steps of a `do:`.
fn read_do(fields: &mut Fields, known: &mut Names, context: &StepContext, each: bool) -> Option<Vec<Read>> {
    let item = fields.must(DO)?;
    match context.inside {
        Inside::Do { .. } => {
            item.problem("a `do:` cannot be inside another `do:`")
                .at_key()
                .label("put its steps into the outer one, each with its own `if:`")
                .add();
            return None;
        }
        Inside::Error { .. } => {
            item.problem("a `do:` cannot be used under `on_error:`").at_key().label("write its steps directly").add();
            return None;
        }
        Inside::Rule | Inside::RuleError => {}
    }
    for word in ["tries", "first_wait", "timeout", "save_as"] {
        if fields.has(word) {
            fields
                .key(word)
                .problem(format!("`{word}:` can only be used with a verb, not with `do:`"))
                .label("put it into a step inside the `do:`")
                .add();
        }
    }
    let items = items(&item)?;
    let context = StepContext { inside: Inside::Do { each }, ..context.clone() };
    let read: Vec<_> = items.iter().map(|i| read(i, known, &context)).collect();
    read.into_iter().collect()
}

fn read_on_error(item: &Item, known: &mut Names, context: &StepContext, each: bool) -> Option<OnErrorRead> {
    if context.inside.fixes() {
        item.problem("a step under `on_error:` cannot have an `on_error:` of its own")
            .at_key()
            .label("remove it; if this step fails too, the run fails")
            .add();
        return None;
    }
    match item.node {
        Node::Text(word) if word == "continue" => Some(OnErrorRead::Continue),
        Node::List(all) if matches!(all.as_slice(), [Node::Text(word)] if word == "continue") => {
            item.problem("`on_error:` takes `continue` or steps").write("continue").label("write `continue` alone").add();
            None
        }
        Node::List(_) => {
            let items = items(item)?;
            let context = StepContext { inside: Inside::Error { each }, ..context.clone() };
            known.named.push(ERROR.to_owned());
            let read: Vec<_> = items.iter().map(|i| read(i, known, &context)).collect();
            known.named.retain(|n| n != ERROR);
            read.into_iter().collect::<Option<_>>().map(OnErrorRead::Steps)
        }
        Node::Map(_) => {
            super::items::without_dash(item);
            None
        }
        node => {
            let draft = item.problem("`on_error:` takes `continue` or steps");
            let word = match node {
                Node::Text(word) => word.to_lowercase(),
                _ => String::new(),
            };
            if word.starts_with("retry") || word.starts_with("try") {
                draft.label("a step is retried automatically; write `tries: 5` to choose how often").add();
            } else if ["stops", "fails", "aborts", "exits", "breaks"].iter().any(|w| w.trim_end_matches('s') == word.trim_end_matches('s'))
            {
                let line = item.line().filter(|n| item.source().line(*n).trim_start().starts_with("on_error:"));
                let span = line.and_then(|n| item.source().whole_lines(n, n));
                draft
                    .change("remove this line: without it, the run stops and is on the failed list", span, "")
                    .label("without `on_error:` the run stops")
                    .add();
            } else if ["ignore", "skip", "next", "none", "proceed", "resume"].contains(&word.as_str())
                || matches!(node, Node::Null | Node::Bool(_))
            {
                draft.write("continue").label("write `continue`, or steps").add();
            } else {
                draft.label("write `continue` to go on with the next step, or write steps below it").add();
            }
            None
        }
    }
}

/// What a step does.
#[derive(Clone, Copy)]
enum Verb {
    Do,
    Kind(&'static str, &'static dyn crate::action::contract::Kind),
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Do => DO,
            Verb::Kind(verb, _) => verb,
        }
    }
}

/// Whether some verb can have this key next to it.
fn is_field(key: &str) -> bool {
    KINDS.iter().any(|kind| kind.keys().iter().any(|word| word.name == key))
}

fn find_verb(fields: &mut Fields, item: &Item) -> Option<Verb> {
    let mut present = Vec::new();
    let left: Vec<&str> = fields.left().collect();
    for key in &left {
        if let Some((verb, kind)) = verbs().find(|(v, _)| v == key) {
            present.push(Verb::Kind(verb, kind));
        } else if *key == DO {
            present.push(Verb::Do);
        }
    }
    match present.as_slice() {
        [one] => return Some(*one),
        [] => {}
        [first, second, ..] => {
            fields
                .key(second.word())
                .problem(format!("this step contains both `{}` and `{}`", first.word(), second.word()))
                .label("begin each step with a dash: `- `")
                .add();
            return None;
        }
    }
    let all: Vec<&str> = verbs().map(|(v, _)| v).chain([DO]).collect();
    let list = format!("verbs: {}", all.join(", "));
    if fields.has("then") {
        item.problem("a step cannot have a `then:` of its own")
            .label("put `if:` into the step itself, aligned with its verb; to use one `if:` for several steps, put them under `do:`")
            .note(list)
            .add();
        return None;
    }
    // A field of the verb is not reported as a misspelled verb.
    let left: Vec<&str> = left.into_iter().filter(|k| !is_field(k)).collect();
    for key in &left {
        if let Some((_, ours)) = STEP_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)) {
            let draft = fields.key(key).problem(format!("there is no verb called `{key}`"));
            let verb = all.iter().find(|verb| *verb == ours || ours.starts_with(&format!("write `{verb}:")));
            let draft = draft.label(if all.contains(ours) { "begin the step with a verb" } else { ours });
            match verb {
                Some(verb) => draft.meant(verb).note(list).add(),
                None => draft.note(list).add(),
            }
            return None;
        }
        if let Some(near) = nearest(key, all.iter().copied()) {
            let draft = fields.key(key).problem(format!("there is no verb called `{key}`"));
            draft.meant(near).label("begin the step with a verb").note(list).add();
            return None;
        }
    }
    match left.first() {
        Some(key) => {
            fields.key(key).problem(format!("there is no verb called `{key}`")).label("begin the step with a verb").note(list).add();
        }
        _ => item
            .problem("this step does nothing, because its verb is missing")
            .label("begin the step with a verb, such as `post: https://…`")
            .note(list)
            .add(),
    }
    None
}

fn read_plan(fields: &mut Fields, mut plan: Plan) -> Option<Plan> {
    let tries = fields.may("tries").map(|i| i.whole(1, MOST_TRIES));
    let wait = fields.may("first_wait").map(|i| {
        let wait = i.duration()?;
        if wait > LONGEST_WAIT || wait.is_zero() {
            i.problem("the first pause must be between 1 millisecond and 6 hours").add();
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

fn read_save_as(item: &Item, known: &Names) -> Option<String> {
    let name = item.text()?;
    check_name(&name, item)?;
    if known.named.contains(&name) {
        item.problem(format!("`{name}` is already used as a name")).label("choose another name").add();
        return None;
    }
    Some(name)
}
