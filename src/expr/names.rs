//! What a rule may refer to at the place that is being read: its fields, secrets and environment variables.
//!
//! Every field and template is checked against this at load, so that a name that cannot exist is reported with its
//! position, instead of making a run fail in production. Secrets are looked up here, once, and collected for [`Vault`];
//! their source is passed in.

use std::cell::{Cell, RefCell};

use crate::expr::field::part::PathPart;
use crate::expr::field::{Field, ROOTS, Root, spelling};
use crate::expr::field_use::FieldUses;
use crate::model::saved::ERROR;
use crate::schedule::zone::Named;
use crate::secret::{LONGEST, SHORT, Vault};
use crate::text::nearest::nearest;
use crate::text::phrase::joined;
use crate::yaml::fields::Item;
use crate::yaml::reader::ProblemDraft;

/// The placeholder for a secret where rules are loaded without their secrets.
pub fn stand_in(name: &str) -> String {
    format!("secret.{name}")
}

/// The placeholder for a variable in the same case.
pub fn env_stand_in(name: &str) -> String {
    format!("env.{name}")
}

/// Whether some text is only a placeholder for a secret.
pub fn is_stand_in(text: &str) -> bool {
    text.starts_with("secret.")
}

/// Looks up what is outside the rule files, and remembers it for one set of rules.
pub struct Resolver<'a> {
    secret: &'a dyn Fn(&str) -> Option<String>,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Why an address must not be called, if so.
    refuses: &'a dyn Fn(&str) -> Option<String>,
    /// Whether what is stored can be encrypted.
    can_encrypt: bool,
    /// The time zone of rules that name none.
    zone: Named,
    vault: RefCell<Vault>,
    /// What was looked up but is missing: a sentence for each secret or variable.
    missing: RefCell<Vec<String>>,
}

impl<'a> Resolver<'a> {
    pub fn new(
        secret: &'a dyn Fn(&str) -> Option<String>,
        env: &'a dyn Fn(&str) -> Option<String>,
        refuses: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { secret, env, refuses, can_encrypt: true, zone: Named::utc(), vault: RefCell::default(), missing: RefCell::default() }
    }

    /// The same for a Doorbell that has no data key.
    pub fn without_data_key(self) -> Self {
        Self { can_encrypt: false, ..self }
    }

    /// The same, where rules that name no time zone mean this one.
    pub fn in_zone(self, zone: Named) -> Self {
        Self { zone, ..self }
    }

    pub fn zone(&self) -> &Named {
        &self.zone
    }

    /// The same, with nothing looked up yet: for checking the files again.
    pub fn again(&self) -> Self {
        Self { can_encrypt: self.can_encrypt, zone: self.zone.clone(), ..Self::new(self.secret, self.env, self.refuses) }
    }

    pub fn can_encrypt(&self) -> bool {
        self.can_encrypt
    }

    /// Why calls to this address would be refused, if so.
    pub fn refuses(&self, url: &str) -> Option<String> {
        (self.refuses)(url)
    }

    /// Whether a secret exists and is not empty.
    pub fn is_set(&self, name: &str) -> bool {
        (self.secret)(name).is_some_and(|value| !value.is_empty())
    }

    /// What was looked up but is missing, in the order of the lookups.
    pub fn missing(&self) -> Vec<String> {
        self.missing.borrow().clone()
    }

    /// Everything that was found.
    pub fn into_vault(self) -> Vault {
        self.vault.into_inner()
    }

    /// What has been found so far.
    pub fn vault(&self) -> Vault {
        self.vault.borrow().clone()
    }
}

/// The names that a block of a template defines.
#[derive(Debug, Clone, Default)]
pub struct BlockNames {
    /// Whether it is `{{#each}}`, which has `@index` and similar variables.
    pub each: bool,
    /// `as |line n|`.
    pub names: Vec<String>,
}

/// The names that are known at one place of a rule.
pub struct Names<'a> {
    pub lookup: &'a Resolver<'a>,
    /// Names from `set:` above, and from `save_as:` of earlier steps.
    pub named: Vec<String>,
    /// Names from `save_as:` whose parts are known, with these: the answer to a call has `status`, `header` and `body`.
    pub answers: Vec<(String, &'static [&'static str])>,
    /// Names that `save_as:` gives to later steps.
    pub later: Vec<String>,
    /// Names from the `set:` of earlier steps, which exist only there.
    pub set_in_steps: Vec<String>,
    /// Names that the steps of `then:` save, when `else:` is read.
    pub elsewhere: Vec<String>,
    /// The placeholders of the rule's address.
    pub placeholders: Vec<String>,
    /// Whether this is in a step with `for_each`.
    pub in_each: Cell<bool>,
    /// The template blocks around the place, with the names that they define.
    pub blocks: RefCell<Vec<BlockNames>>,
    /// Fields whose meaning depends on the address.
    pub uses: RefCell<FieldUses>,
    /// Whether the rule is disabled, so that a missing secret is only a warning.
    pub disabled: bool,
    /// The time zone of the rule.
    pub zone: Named,
    pub started_by: StartedBy,
}

/// Whether other rules start the rule that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartedBy {
    /// No rule does.
    #[default]
    Others,
    /// Nothing else does.
    OnlyRules,
    /// Rules, and something else.
    RulesToo,
}

impl<'a> Names<'a> {
    pub fn new(lookup: &'a Resolver<'a>) -> Self {
        Self {
            lookup,
            named: Vec::new(),
            answers: Vec::new(),
            later: Vec::new(),
            set_in_steps: Vec::new(),
            elsewhere: Vec::new(),
            placeholders: Vec::new(),
            in_each: Cell::new(false),
            blocks: RefCell::default(),
            uses: RefCell::default(),
            disabled: false,
            zone: lookup.zone().clone(),
            started_by: StartedBy::default(),
        }
    }

    /// Parses a field and checks that what it begins with can exist at this place. `within` is the part of a longer text
    /// that problems should point at.
    pub fn field(&self, text: &str, item: &Item, within: Option<&str>) -> Option<Field> {
        let point = |message: String| match within {
            Some(letters) => item.problem(message).within(letters),
            None => item.problem(message),
        };
        // Another field in place of this one, where the problem points at.
        let put = |ours: &str| match within {
            Some(around) if around.len() > text.len() => around.replacen(text, ours, 1),
            _ => ours.to_owned(),
        };
        let field = match Field::read(text) {
            Ok(field) => field,
            Err(no) => {
                let draft = spelling::meant(text).iter().fold(point(no.message), |draft, ours| draft.meant_as(ours, &put(ours)));
                draft.label(no.label).add();
                return None;
            }
        };
        match &field.root {
            Root::Input if self.started_by == StartedBy::Others => {
                point("`input` exists only in a rule that other rules call".into())
                    .label("add `called: true` to its `when:`; what a request sends is `body`")
                    .add();
                return None;
            }
            root if self.started_by == StartedBy::OnlyRules && root.is_of_request() => {
                let word = text.split(['.', '[']).next().unwrap_or(text);
                let draft = point(format!("`{word}` does not exist here, because only other rules start this one"));
                let draft = draft.label("write `input.…`: what the calling rule gives in its `with:`");
                let rest = field.rest();
                match word == "body" && !rest.is_empty() {
                    true => draft.meant_as(&format!("input{rest}"), &put(&format!("input{rest}"))).add(),
                    false => draft.add(),
                }
                return None;
            }
            Root::This if self.blocks.borrow().is_empty() => {
                point("`this` exists only inside {{#each}} and {{#with}}".into())
                    .label("in a step with `for_each` the element is `item`")
                    .add();
                return None;
            }
            Root::Loop(word) if !self.blocks.borrow().iter().any(|b| b.each) => {
                point(format!("`{word}` exists only inside {{{{#each}}}}")).label("in a step with `for_each` write `item_number`").add();
                return None;
            }
            Root::Named(name) if self.blocks.borrow().iter().any(|b| b.names.contains(name)) => {}
            Root::Named(name) if name == ERROR && self.named.contains(name) && !is_part_of_error(&field, &point, &put) => return None,
            Root::Named(name)
                if let Some((_, parts)) = self.answers.iter().find(|(known, _)| known == name)
                    && !is_part_of_answer(&field, parts, &point, &put) =>
            {
                return None;
            }
            Root::Named(name) if self.named.contains(name) => {}
            Root::Named(name) if self.elsewhere.contains(name) => {
                point(format!("`{name}` is saved by a step under `then:`, and those steps do not run here"))
                    .label("save it in a step under `else:` as well")
                    .add();
                return None;
            }
            Root::Named(name) if self.later.contains(name) => {
                point(format!("`{name}` is saved by a later step")).label("move that step above this one").add();
                return None;
            }
            Root::Named(name) if self.set_in_steps.contains(name) => {
                point(format!("`{name}` exists only in the step whose `set:` names it"))
                    .label("move it to the `set:` of the rule, or name it in this step as well")
                    .add();
                return None;
            }
            Root::Named(name) if name == ERROR => {
                point("`error` exists only in steps under `on_error:`".into()).label("move this step there").add();
                return None;
            }
            Root::Named(name) => {
                self.unknown(name, &field, point(format!("`{name}` is not defined here")), &put);
                return None;
            }
            Root::Item | Root::ItemNumber if !self.in_each.get() => {
                point("`item` exists only in a step with `for_each`".into()).label("add `for_each: body.…` to this step").add();
                return None;
            }
            Root::Path
                if !self
                    .placeholders
                    .iter()
                    .any(|p| matches!(field.rest().chars().next(), None | Some('[')) || field.rest().starts_with(&format!(".{p}"))) =>
            {
                let label = match self.placeholders.as_slice() {
                    [] => "the address of this rule has no placeholders, such as {id} in /orders/{id}; the path itself is `address`"
                        .to_owned(),
                    all => format!("its placeholders are: {}", all.join(", ")),
                };
                point(format!("the address has no placeholder for `{}`", field.text())).label(label).add();
                return None;
            }
            Root::Secret(name) => self.secret(name, item, within),
            Root::Env(name) => match (self.lookup.env)(name) {
                Some(value) => self.lookup.vault.borrow_mut().keep_env(name, value),
                None => self.missing(
                    name,
                    format!("the environment variable {name} is not set"),
                    format!("set {name} before you start Doorbell, or write {name}=… into a file and pass it with --env-file"),
                    item,
                    within,
                ),
            },
            Root::Body => doubtful(&field, &point, &put),
            Root::Header(Some(name)) if name.contains('_') && !name.contains('-') => {
                let draft = point(format!("the names of headers have dashes, so `{name}` is probably never there")).warn();
                let ours = text.replace('_', "-");
                draft.meant_as(&ours, &put(&ours)).label("write dashes").add();
            }
            _ => {}
        }
        self.uses.borrow_mut().add(&field, &item.path, within);
        Some(field)
    }

    fn secret(&self, name: &str, item: &Item, within: Option<&str>) {
        if self.lookup.vault.borrow().secret(name).is_some() {
            return;
        }
        match (self.lookup.secret)(name) {
            Some(value) if value.len() > LONGEST => {
                let draft = item.problem(format!("the secret {name} has more than {} KB", LONGEST >> 10));
                let draft = match within {
                    Some(letters) => draft.within(letters),
                    None => draft,
                };
                draft.label("check that it is the right file").add();
            }
            Some(value) if !value.is_empty() => {
                if value.len() < SHORT {
                    let draft = item.warning(format!("the secret {name} is shorter than {SHORT} characters"));
                    let draft = match within {
                        Some(letters) => draft.within(letters),
                        None => draft,
                    };
                    draft.label("it can be guessed, and hiding it may hide the same letters elsewhere; use a longer one").add();
                }
                self.lookup.vault.borrow_mut().keep(name, value);
            }
            found => {
                let state = if found.is_some() { "is empty" } else { "is not set" };
                let fix = format!(
                    "set the variable {name}; or write {name}=… into a file and pass it with --env-file; or set {name}_FILE to a file that contains only the secret; or save it as /run/secrets/{name}"
                );
                self.missing(name, format!("the secret {name} {state}"), fix, item, within);
            }
        }
    }

    fn missing(&self, name: &str, message: String, label: String, item: &Item, within: Option<&str>) {
        self.lookup.missing.borrow_mut().push(message.clone());
        let draft = if self.disabled { item.note(message) } else { item.problem(message) };
        let draft = match within {
            Some(letters) => draft.within(letters),
            None => draft,
        };
        let draft = draft.label(label).not_set(name);
        if self.disabled { draft.note("this rule is switched off, so this is only a note").add() } else { draft.add() }
    }

    fn unknown(&self, name: &str, field: &Field, draft: ProblemDraft, put: &dyn Fn(&str) -> String) {
        let (text, rest) = (field.text(), field.rest());
        let foreign = match name {
            "headers" => Some(format!("header{rest}")),
            "payload" | "data" | "json" | "request" | "trigger" | "inputs" | "event_data" if rest.starts_with('.') => {
                let rest = rest.trim_start_matches(".json").trim_start_matches(".body").trim_start_matches(".event");
                Some(format!("body{rest}"))
            }
            "webhook" | "req" | "context" | "ctx" | "msg" | "message" | "hook" | "http" | "steps" | "github"
                if [".body.", ".payload.", ".event."].iter().any(|part| rest.contains(part)) =>
            {
                let after = [".body.", ".payload.", ".event."].iter().find_map(|part| rest.split_once(part)).map_or("", |(_, after)| after);
                Some(format!("body.{after}"))
            }
            "params" => Some(format!("query{rest}")),
            "process" | "environ" if rest.starts_with(".env.") => Some(rest.trim_start_matches('.').to_owned()),
            "secrets" => Some(format!("secret{rest}")),
            "vars" => Some(format!("env{rest}")),
            "loop" | "this" | "each" => Some(format!("item{rest}")),
            "timestamp" | "date" | "today" => Some("now".to_owned()),
            "X-GitHub-Event" | "Authorization" => Some(format!("header.{text}")),
            _ => None,
        };
        if name.chars().all(|c| c.is_ascii_digit()) && !rest.is_empty() {
            let bare = rest.trim_start_matches('.').trim_start_matches("body.");
            draft
                .label("a number before a name is syntax from another tool")
                .propose(format!("write body.{bare}"), &put(&format!("body.{bare}")))
                .add();
            return;
        }
        let mine = self.named.iter().map(String::as_str);
        if !self.blocks.borrow().is_empty() && foreign.is_none() {
            draft
                .propose(format!("write this.{text}"), &put(&format!("this.{text}")))
                .label("a field of the element begins with `this.`")
                .note(format!("fields begin with: this, {}", ROOTS.join(", ")))
                .add();
            return;
        }
        let is_constant = name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        fn mean<'p>(draft: ProblemDraft<'p>, ours: String, put: &dyn Fn(&str) -> String) -> ProblemDraft<'p> {
            draft.meant_as(&ours, &put(&ours))
        }
        let draft = match (foreign, nearest(name, mine), nearest(name, ROOTS)) {
            (Some(ours), ..) => mean(draft, ours, put),
            // All in capital letters, as secrets and variables are.
            _ if is_constant && rest.is_empty() && text.contains('_') => mean(draft, format!("secret.{text}"), put),
            (_, Some(near), _) => mean(draft, format!("{near}{rest}"), put),
            (_, None, Some(near)) => mean(mean(draft, format!("{near}{rest}"), put), format!("body.{text}"), put),
            // In a step that is repeated, other tools give the element a name.
            _ if self.in_each.get() && !rest.is_empty() => mean(draft, format!("item{rest}"), put),
            _ if text.starts_with(|c: char| c.is_ascii_digit()) => draft,
            _ if text.starts_with("X-") => mean(draft, format!("header.{text}"), put),
            _ => mean(draft, format!("body.{text}"), put),
        };
        let draft = draft.label("choose where the value comes from").note(format!("fields begin with: {}", ROOTS.join(", ")));
        if self.named.is_empty() { draft.add() } else { draft.note(format!("names in this rule: {}", self.named.join(", "))).add() }
    }
}

/// Reports a path that is valid and probably finds nothing: `items.0`, `$.body.items`, `items.length`.
fn doubtful<'p>(field: &Field, point: &impl Fn(String) -> ProblemDraft<'p>, put: &dyn Fn(&str) -> String) {
    let text = field.text();
    if text.starts_with("$.body.") || text.starts_with("$['body']") {
        let ours = format!("${}", text.trim_start_matches("$.body").trim_start_matches("$['body']"));
        let draft = point("`$` is already the body, so this looks for a field called `body` in it".to_owned()).warn();
        return draft.meant_as(&ours, &put(&ours)).label("remove `body` after the `$`").add();
    }
    if let Some((value, word)) = text.rsplit_once('.')
        && let Some(helper) = match word {
            "upper" | "toUpperCase" => Some("upper"),
            "lower" | "toLowerCase" => Some("lower"),
            "trim" => Some("trim"),
            _ => None,
        }
    {
        let draft = point(format!("`{text}` looks for a field called `{word}`; a helper comes first")).warn();
        let ours = format!("{helper} {value}");
        return draft.meant_as(&ours, &put(&ours)).label("write the helper, then the field: {{ upper body.x }}").add();
    }
    let is_index = |name: &str| !name.is_empty() && name.len() <= 4 && name.chars().all(|c| c.is_ascii_digit());
    let names: Vec<&str> = text.split('.').collect();
    if names.iter().skip(2).any(|name| is_index(name)) && !text.contains(['\'', '"']) {
        let ours = names.iter().fold(String::new(), |out, name| match (out.is_empty(), is_index(name)) {
            (true, _) => (*name).to_owned(),
            (_, true) => format!("{out}[{name}]"),
            (_, false) => format!("{out}.{name}"),
        });
        let draft = point(format!("`{text}` looks for a name that is a number; an element of a list is written in brackets")).warn();
        return draft.meant_as(&ours, &put(&ours)).label("write the number in brackets: [0]").add();
    }
    if let Some((list, word)) = text.rsplit_once('.')
        && matches!(word, "length" | "size" | "count")
        && list.rsplit('.').next().is_some_and(|name| name.ends_with('s') && !name.ends_with("ss") && name != "body")
    {
        let draft = point(format!("a list has no `{word}` in Doorbell: `{text}` looks for a field of that name")).warn();
        let ours = format!("count {list}");
        draft.meant_as(&ours, &put(&ours)).meant_as(&format!("({ours})"), &put(&format!("({ours})"))).label("use `count`").add();
    }
}

/// Whether a part of an answer exists; the others are reported.
fn is_part_of_answer<'p>(
    field: &Field,
    parts: &[&'static str],
    point: &impl Fn(String) -> ProblemDraft<'p>,
    put: &dyn Fn(&str) -> String,
) -> bool {
    let (text, rest) = (field.text(), field.rest());
    let Some(PathPart::Name(part)) = field.parts().first() else { return true };
    if parts.contains(&part.as_str()) {
        return true;
    }
    let name = text.strip_suffix(rest).unwrap_or(text);
    // What was meant is in the part that holds the content.
    let inner = if parts.contains(&"body") { "body" } else { parts.first().copied().unwrap_or_default() };
    let rest = match rest.strip_prefix(".headers") {
        Some(rest) if parts.contains(&"header") => format!(".header{rest}"),
        _ if inner == "body" => format!(".body{rest}"),
        _ => format!(".{inner}{}", rest.strip_prefix(".body").unwrap_or(rest)),
    };
    let known: Vec<String> = parts.iter().map(|part| format!("`{part}`")).collect();
    point(format!("the answer `{name}` has {}, but no `{part}`", joined(&known)))
        .meant_as(&format!("{name}{rest}"), &put(&format!("{name}{rest}")))
        .label("write one of them after the name")
        .add();
    false
}

/// Whether a part of `error` exists; the others are reported.
fn is_part_of_error<'p>(field: &Field, point: &impl Fn(String) -> ProblemDraft<'p>, put: &dyn Fn(&str) -> String) -> bool {
    const PARTS: [&str; 4] = ["message", "status", "tries", "step"];
    let Some(PathPart::Name(part)) = field.parts().first() else { return true };
    if PARTS.contains(&part.as_str()) {
        return true;
    }
    let draft = point(format!("`error` has no `{part}`")).label("write error.message, error.status, error.tries or error.step");
    let near = nearest(part, PARTS).or_else(|| matches!(part.as_str(), "text" | "msg" | "reason" | "description").then_some("message"));
    match near.map(|near| format!("error.{near}")) {
        Some(ours) => draft.meant_as(&ours, &put(&ours)).add(),
        None => draft.add(),
    }
    false
}
