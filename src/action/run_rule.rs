//! `run_rule: NAME` runs another rule, and `return: VALUE` gives its caller a result. Which rule that is, and whether it runs, is
//! found out by whoever performs the step: rules are not known here.

use std::fmt;

use serde_json::{Map, Value, json};

use super::attempt_context::AttemptContext;
use super::contract::{Action, CalledRule, Effect, EffectView, Kind, Performing};
use super::world::World;
use crate::expr::field::{Field, Root, Values};
use crate::expr::names::{Names, StartedBy};
use crate::expr::scope::Scope;
use crate::expr::template::data::Data;
use crate::expr::template::{Destination, Unrendered};
use crate::model::called::{LARGEST, RuleCall, brief, shown};
use crate::model::outcome::Outcome;
use crate::text::word::{Shape, Word};
use crate::yaml::fields::{Fields, Item};
use crate::yaml::locate::Path;

const RUN_RULE: &str = "run_rule";
const RETURN: &str = "return";

pub struct RunRule;
pub struct Return;

impl Kind for RunRule {
    fn verbs(&self) -> &'static [&'static str] {
        &[RUN_RULE]
    }
    fn does(&self) -> &'static str {
        "runs another rule, exactly once, and goes on with what it returns, as name.value of its `save_as`"
    }
    fn value(&self) -> &'static str {
        "the name of the rule"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "run the rule"
    }
    fn step_schema(&self, _: &str) -> Value {
        let refused = ["tries", "first_wait", "timeout"].map(|word| json!({ "required": [word] }));
        let waits = json!({ "if": { "required": ["and_wait"], "properties": { "and_wait": { "const": false } } },
            "then": { "not": { "required": ["save_as"] } } });
        json!({ "allOf": [{ "not": { "anyOf": refused } }, waits] })
    }
    fn keys(&self) -> &'static [Word] {
        &[
            Word { name: "with", shape: Shape::Map, does: "values for the rule, which it reads as input.NAME" },
            Word { name: "and_wait", shape: Shape::Flag, does: "false: go on at once, without waiting for the rule and its result" },
        ]
    }
    fn expected(&self) -> &'static [Word] {
        &[Word { name: "with", shape: Shape::Any, does: "the values that are given to the rule" }]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "run_rule: Ship an order\nwith: { number: \"{{ body.id }}\" }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        for key in ["tries", "first_wait", "timeout"] {
            if fields.has(key) {
                let draft = fields.key(key).problem(format!("`{key}:` has no effect here: the steps of the other rule have their own"));
                draft.at_key().label("remove it, or write it at a step of that rule").add();
            }
        }
        let input = match fields.may("with") {
            None => Some(Data::Map(Vec::new())),
            Some(with) => read_values(&with, known),
        };
        let is_awaited = fields.may("and_wait").map_or(Some(true), |item| item.flag());
        if is_awaited == Some(false) && fields.has("save_as") {
            let draft = fields.key("save_as").problem("there is no result yet, because this step does not wait for the rule").at_key();
            draft.label("remove it, or remove `and_wait: false`").add();
        }
        let item = fields.must(verb)?;
        let name = item.text()?;
        if name.contains("{{") {
            item.problem("the name of a rule cannot be a template")
                .label("write the name, and use an `if:` at each of several steps")
                .add();
            return None;
        }
        Some(Box::new(Running { name, path: item.path.clone(), input: input?, is_awaited: is_awaited? }))
    }
}

/// Reads `with:`.
fn read_values(item: &Item, known: &Names) -> Option<Data> {
    item.entries("`with:`")?;
    let data = Data::read(item, Destination::Plain, known)?;
    no_secret(item, &data, "given to another rule")?;
    Some(data)
}

fn no_secret(item: &Item, data: &Data, what: &str) -> Option<()> {
    if !data.fields().iter().any(|field| matches!(field.root, Root::Secret(_))) {
        return Some(());
    }
    let draft = item.problem(format!("secrets are not {what}: they would be stored, and shown in the history"));
    draft.label("write the secret where it is needed").add();
    None
}

/// A value for one event, within its limits.
fn value_of(data: &Data, scope: &Scope, what: &str, path: &Path) -> Result<Value, Unrendered> {
    let wrong = |message: String| Unrendered { message, path: path.clone() };
    let value = data.value(scope)?;
    if scope.vault().strike_value(value.clone()) != value {
        return Err(wrong(format!("it contains a secret, and secrets are not {what}")));
    }
    if value.to_string().len() > LARGEST {
        return Err(wrong(format!("it is larger than {} MB, and larger values are not {what}", LARGEST / 1_000_000)));
    }
    Ok(value)
}

struct Running {
    name: String,
    path: Path,
    input: Data,
    is_awaited: bool,
}

impl Running {
    /// In a dry run: what it gives that depends on answers which are not known.
    fn unknown(&self, scope: &Scope) -> Vec<(String, String)> {
        let Data::Map(entries) = &self.input else { return Vec::new() };
        let depends_on = |data: &Data| data.value(scope).ok().and_then(|_| scope.take_unknown());
        entries.iter().filter_map(|(name, data)| Some((name.clone(), depends_on(data)?))).collect()
    }
}

impl Action for Running {
    fn fields(&self) -> Vec<&Field> {
        self.input.fields()
    }
    fn saved_parts(&self) -> &'static [&'static str] {
        &["value"]
    }
    fn rule(&self) -> Option<CalledRule<'_>> {
        Some(CalledRule { name: &self.name, path: &self.path })
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let input = value_of(&self.input, scope, "given to another rule", &self.path)?;
        let unknown = if scope.take_unknown().is_some() { self.unknown(scope) } else { Vec::new() };
        Ok(Box::new(Called(RuleCall { rule: self.name.clone(), input, is_awaited: self.is_awaited, unknown })))
    }
}

/// A rule that is about to be called.
struct Called(RuleCall);

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{RUN_RULE}  {}", self.0.rule)?;
        let no_input = Map::new();
        self.0.input.as_object().unwrap_or(&no_input).iter().try_for_each(|(name, value)| write!(f, "\n{name}: {}", shown(value)))
    }
}

impl Effect for Called {
    fn bytes(&self) -> usize {
        crate::model::budget::weight(&self.0.input)
    }
    fn perform<'a>(self: Box<Self>, _: &'a World, _: AttemptContext) -> Performing<'a> {
        Box::pin(async move { Outcome::Calls(Box::new(self.0)) })
    }
    fn assumed(&self) -> Outcome {
        Outcome::Calls(Box::new(self.0.clone()))
    }
    fn view(&self) -> EffectView {
        EffectView::new(RUN_RULE, &self.0.rule).with("with", self.0.input.clone())
    }
}

impl Kind for Return {
    fn verbs(&self) -> &'static [&'static str] {
        &[RETURN]
    }
    fn does(&self) -> &'static str {
        "ends a rule that another rule called, successfully, and gives that one a value of any type"
    }
    fn value(&self) -> &'static str {
        "the value"
    }
    fn takes_any(&self) -> bool {
        true
    }
    fn phrase(&self, _: &str) -> &'static str {
        "return"
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "return: { price: 20, unit: EUR }\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        if known.started_by == StartedBy::Others {
            let draft = item.problem("`return:` has no effect here, because no other rule can call this one").at_key();
            draft.label("to end the run, write `stop:` and why; to answer the caller, write `respond: 200`").add();
            return None;
        }
        let value = Data::read(&item, Destination::Plain, known)?;
        no_secret(&item, &value, "returned")?;
        Some(Box::new(Returning { value, path: item.path.clone() }))
    }
}

struct Returning {
    value: Data,
    path: Path,
}

impl Action for Returning {
    fn ends_run(&self) -> bool {
        true
    }
    fn fields(&self) -> Vec<&Field> {
        self.value.fields()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        Ok(Box::new(Returned(value_of(&self.value, scope, "returned", &self.path)?)))
    }
}

/// A value that is about to be returned.
struct Returned(Value);

impl Returned {
    fn outcome(&self) -> Outcome {
        let said = format!("returned {}", brief(&self.0));
        Outcome::Returned { said, value: self.0.clone() }
    }
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{RETURN}  {}", shown(&self.0))
    }
}

impl Effect for Returned {
    fn bytes(&self) -> usize {
        crate::model::budget::weight(&self.0)
    }
    fn perform<'a>(self: Box<Self>, _: &'a World, _: AttemptContext) -> Performing<'a> {
        Box::pin(async move { self.outcome() })
    }
    fn assumed(&self) -> Outcome {
        self.outcome()
    }
    fn view(&self) -> EffectView {
        EffectView::new(RETURN, shown(&self.0))
    }
}
