//! How Handlebars calls the helpers, and how their results are charged. What they do is in [`super::helpers`].

use std::sync::LazyLock;

use handlebars::{Context, Handlebars, Helper as Called, HelperDef, Output, RenderContext, RenderError, RenderErrorReason, ScopedJson};
use serde_json::Value;

use super::charge::charge;
use super::helper::{Given, Helper, Wrong, short_enough};
use super::list::HELPERS;
use crate::model::budget::weight;

/// The registry that all calls are rendered with.
pub(super) fn registry() -> &'static Handlebars<'static> {
    static REGISTRY: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
        let mut registry = Handlebars::new();
        for helper in HELPERS.iter() {
            registry.register_helper(helper.name, Box::new(Registered(helper)));
        }
        registry.register_helper("keep", Box::new(keep));
        registry
    });
    &REGISTRY
}

/// Adapts a helper to Handlebars.
struct Registered(&'static Helper);

impl HelperDef for Registered {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        called: &Called<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let arguments: Vec<Option<&Value>> = called.params().iter().map(|p| (!p.is_value_missing()).then(|| p.value())).collect();
        match (self.0.run)(&arguments).and_then(charged) {
            Ok(Some(value)) => Ok(ScopedJson::Derived(value)),
            Ok(None) => Ok(ScopedJson::Missing),
            Err(Wrong::Missing(n)) => {
                Err(RenderErrorReason::MissingVariable(called.param(n).and_then(|p| p.relative_path().cloned())).into())
            }
            Err(Wrong::Spent(spent)) => Err(RenderErrorReason::Other(spent.to_string()).into()),
            Err(Wrong::Said(said)) => Err(RenderErrorReason::Other(format!("{}: {said}", self.0.name)).into()),
        }
    }
}

/// The result of a helper, once it is charged.
pub(super) fn charged(given: Option<Value>) -> Given {
    if let Some(value) = &given {
        short_enough(value.as_str().map_or(0, str::len))?;
        charge(|budget| budget.made(weight(value)))?;
    }
    Ok(given)
}

/// Writes the result of a call as JSON, so that its type is preserved.
fn keep(called: &Called, _: &Handlebars, _: &Context, _: &mut RenderContext, out: &mut dyn Output) -> Result<(), RenderError> {
    let given = called.param(0).filter(|p| !p.is_value_missing());
    let given = given.ok_or(RenderErrorReason::MissingVariable(None))?;
    let json = charge(|budget| budget.json(given.value())).map_err(|spent| RenderErrorReason::Other(spent.to_string()))?;
    out.write(&json)?;
    Ok(())
}
