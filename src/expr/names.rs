//! What a rule may refer to at the place that is being read: its fields, secrets and environment variables.
//!
//! Every field and template is checked against this at load, so that a name that cannot exist is reported with its
//! position, instead of making a run fail in production. Secrets are looked up here, once, and collected for [`Vault`];
//! their source is passed in.

use std::cell::{Cell, RefCell};

use crate::expr::field::{Field, ROOTS, Root};
use crate::expr::field_use::FieldUses;
use crate::model::saved::ERROR;
use crate::secret::{LONGEST, SHORT, Vault};
use crate::text::nearest::nearest;
use crate::yaml::fields::Item;

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
        Self { secret, env, refuses, can_encrypt: true, vault: RefCell::default(), missing: RefCell::default() }
    }

    /// The same for a Doorbell that has no data key.
    pub fn without_data_key(self) -> Self {
        Self { can_encrypt: false, ..self }
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
}

impl<'a> Names<'a> {
    pub fn new(lookup: &'a Resolver<'a>) -> Self {
        Self {
            lookup,
            named: Vec::new(),
            later: Vec::new(),
            set_in_steps: Vec::new(),
            elsewhere: Vec::new(),
            placeholders: Vec::new(),
            in_each: Cell::new(false),
            blocks: RefCell::default(),
            uses: RefCell::default(),
            disabled: false,
        }
    }

    /// Parses a field and checks that what it begins with can exist at this place. `within` is the part of a longer text
    /// that problems should point at.
    pub fn field(&self, text: &str, item: &Item, within: Option<&str>) -> Option<Field> {
        let point = |message: String| match within {
            Some(letters) => item.problem(message).within(letters),
            None => item.problem(message),
        };
        let field = match Field::read(text) {
            Ok(field) => field,
            Err(no) => {
                point(no.message).label(no.label).add();
                return None;
            }
        };
        match &field.root {
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
                self.unknown(name, &field, point(format!("`{name}` is not defined here")));
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
                    format!("the environment variable {name} is not set"),
                    format!("set {name} before you start Doorbell"),
                    item,
                    within,
                ),
            },
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
                let fix =
                    format!("set the variable {name}, set {name}_FILE to a file that contains it, or put it into /run/secrets/{name}");
                self.missing(format!("the secret {name} {state}"), fix, item, within);
            }
        }
    }

    fn missing(&self, message: String, label: String, item: &Item, within: Option<&str>) {
        self.lookup.missing.borrow_mut().push(message.clone());
        let draft = if self.disabled { item.note(message) } else { item.problem(message) };
        let draft = match within {
            Some(letters) => draft.within(letters),
            None => draft,
        };
        let draft = draft.label(label);
        if self.disabled { draft.note("this rule is switched off, so this is only a note").add() } else { draft.add() }
    }

    fn unknown(&self, name: &str, field: &Field, draft: crate::yaml::reader::ProblemDraft) {
        let (text, rest) = (field.text(), field.rest());
        let foreign = match name {
            "headers" => Some(format!("header{rest}")),
            "payload" | "data" | "json" | "request" | "trigger" | "inputs" | "event_data" if rest.starts_with('.') => {
                let rest = rest.trim_start_matches(".json").trim_start_matches(".body").trim_start_matches(".event");
                Some(format!("body{rest}"))
            }
            "params" => Some(format!("query{rest}")),
            "secrets" => Some(format!("secret{rest}")),
            "vars" => Some(format!("env{rest}")),
            "loop" | "this" | "each" => Some(format!("item{rest}")),
            "timestamp" | "date" | "today" => Some("now".to_owned()),
            "id" => Some("event.id` or `body.id".to_owned()),
            _ => None,
        };
        if name.chars().all(|c| c.is_ascii_digit()) && !rest.is_empty() {
            let bare = rest.trim_start_matches('.').trim_start_matches("body.");
            draft.label(format!("a number before a name is syntax from another tool: write `body.{bare}`")).add();
            return;
        }
        let mine = self.named.iter().map(String::as_str);
        if !self.blocks.borrow().is_empty() && foreign.is_none() {
            draft.label(format!("inside a block write `this.{text}`")).note(format!("fields begin with: this, {}", ROOTS.join(", "))).add();
            return;
        }
        let label = match (foreign, nearest(name, mine), nearest(name, ROOTS)) {
            (Some(ours), ..) => format!("did you mean `{ours}`?"),
            (_, Some(near), _) | (_, None, Some(near)) => format!("did you mean `{near}{rest}`?"),
            _ => format!("did you mean `body.{text}`?"),
        };
        let draft = draft.label(label).note(format!("fields begin with: {}", ROOTS.join(", ")));
        if self.named.is_empty() { draft.add() } else { draft.note(format!("names in this rule: {}", self.named.join(", "))).add() }
    }
}
