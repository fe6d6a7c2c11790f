//! A helper call of a template, for rendering: a Handlebars template over just the values that it needs. [`super::tags`]
//! parses it.

use handlebars::{Context, RenderContext, Renderable, StringOutput, Template as Handlebars};
use serde_json::{Map, Value};

use super::charge::within;
use super::registry::registry;
use crate::body::number_text;
use crate::expr::field::{Field, Values};

/// A compiled helper call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) template: Handlebars,
    /// The values of `v0`, `v1`, …
    pub(super) arguments: Vec<Argument>,
    /// Whether its result is a date in a form that is read again.
    pub(super) gives_date: bool,
}

/// An argument of a helper.
#[derive(Debug, Clone)]
pub(super) enum Argument {
    Field(Field),
    Constant(Value),
}

impl Call {
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.arguments.iter().filter_map(|a| match a {
            Argument::Field(f) => Some(f),
            Argument::Constant(_) => None,
        })
    }

    /// The result of the call, with its type.
    pub(super) fn value(&self, names: &dyn Values) -> Result<Value, String> {
        let mut values = Map::new();
        for (n, argument) in self.arguments.iter().enumerate() {
            let value = match argument {
                Argument::Constant(value) => {
                    names.budget().copy(value)?;
                    Some(value.clone())
                }
                Argument::Field(field) => field.value(names)?,
            };
            if let Some(value) = value {
                values.insert(format!("v{n}"), value);
            }
        }
        let context = Context::from(Value::Object(values));
        let mut out = StringOutput::new();
        let render = || self.template.render(registry(), &context, &mut RenderContext::new(None), &mut out);
        let rendered = within(names.budget(), render);
        rendered.map_err(|e| self.why(e.reason(), names))?;
        let json = out.into_string().map_err(|e| e.to_string())?;
        number_text::parse(&json).map_err(|e| e.to_string())
    }

    fn why(&self, reason: &handlebars::RenderErrorReason, names: &dyn Values) -> String {
        use handlebars::RenderErrorReason as Reason;
        let missing = |name: &str| {
            let argument = name.strip_prefix('v').and_then(|n| n.parse::<usize>().ok()).and_then(|n| self.arguments.get(n));
            match argument {
                Some(Argument::Field(field)) => field.why_missing(names),
                _ => "the inner helper has no result; `default` can replace it".to_owned(),
            }
        };
        match reason {
            Reason::MissingVariable(Some(name)) => missing(name),
            Reason::MissingVariable(None) => missing(""),
            Reason::Other(said) => said.clone(),
            other => other.to_string(),
        }
    }
}
