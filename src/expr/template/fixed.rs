//! The arguments of a helper call that are the same for every event, checked when rules are loaded: what is wrong with them
//! would make the step fail each time.

use serde_json::Value;

use super::argument::{Misfit, Wants};
use super::charge::within;
use super::expression::Expression;
use super::helper::{Helper, Wrong};
use crate::model::budget::{Allowance, Budget, weight};

/// The largest result of a call that is kept to check the call around it.
const MOST_KEPT: usize = 64 << 10;

/// An argument as it is written in the rule.
pub(super) struct Written {
    /// The word or the text, with its quotes; `(…)` for a call.
    pub(super) shown: String,
    /// Its value, if that is the same for every event.
    pub(super) value: Option<Value>,
}

impl Expression<'_, '_> {
    /// Checks the arguments of a call. Returns its result if that is the same for every event, and `None` after a problem.
    pub(super) fn fixed(&self, helper: &Helper, arguments: &[Written]) -> Option<Option<Value>> {
        for (n, argument) in arguments.iter().enumerate() {
            let wants = helper.wants(n);
            match &argument.value {
                Some(value) => {
                    if let Err(misfit) = wants.check(value) {
                        self.misfit(helper, arguments, n, misfit);
                        return None;
                    }
                }
                // Senders must not choose the pattern: compiling one takes long.
                None if wants == Wants::Pattern => {
                    self.wrong(format!("the pattern of `{}` must be written in the rule", helper.name), format!("write {}", helper.usage));
                    return None;
                }
                // `hash 'sha256' body.x`: what must be written in the rule comes from the event, and the value does not.
                None if n > 0
                    && matches!(wants, Wants::Word(_) | Wants::Format | Wants::Reading | Wants::Whole(..))
                    && arguments[0].value.is_some() =>
                {
                    let mut order: Vec<&str> = arguments.iter().map(|a| a.shown.as_str()).collect();
                    order.swap(0, n);
                    let ours = format!("{{{{ {} {} }}}}", helper.name, order.join(" "));
                    let draft = self.item.problem(format!("the arguments of `{}` are in the wrong order", helper.name)).within(self.source);
                    let usage = format!("write {}", helper.usage);
                    draft.label(usage).write(&ours).add();
                    return None;
                }
                None => {}
            }
        }
        let values: Option<Vec<&Value>> = arguments.iter().map(|a| a.value.as_ref()).collect();
        match values {
            Some(values) if !helper.seeded => self.result(helper, &values),
            _ => Some(None),
        }
    }

    /// The result of a call whose arguments are all fixed; one that is missing or large counts as unknown.
    fn result(&self, helper: &Helper, values: &[&Value]) -> Option<Option<Value>> {
        let arguments: Vec<Option<&Value>> = values.iter().map(|v| Some(*v)).collect();
        match within(&Budget::new(Allowance::Small), || (helper.run)(&arguments)) {
            Ok(value) => Some(value.filter(|v| weight(v) <= MOST_KEPT)),
            Err(Wrong::Said(why)) => {
                self.wrong(format!("`{}` fails for every event: {why}", helper.name), format!("write {}", helper.usage));
                None
            }
            Err(Wrong::Missing(_) | Wrong::Spent(_)) => Some(None),
        }
    }

    fn misfit(&self, helper: &Helper, arguments: &[Written], n: usize, misfit: Misfit) {
        let Written { shown, value } = &arguments[n];
        let place = if self.source.contains(shown.as_str()) { self.at(shown) } else { self.source };
        let meant = (n + 1..helper.takes.end() + 1).any(|other| value.as_ref().is_some_and(|v| helper.wants(other).is_meant(v)));
        let draft = match swapped(helper, arguments, n) {
            Some(order) => {
                let draft = self.item.problem(format!("the arguments of `{}` are in the wrong order", helper.name)).within(place);
                let usage = format!("write {}", helper.usage);
                let draft = draft.label(usage);
                // A call inside another one is a part of the braces.
                match self.inner.starts_with(helper.name) && place == self.source {
                    true => draft.write(&order),
                    false => draft.change(format!("write {order}"), self.item.span_within(self.source), order),
                }
            }
            None => {
                let draft = self.item.problem(format!("`{}`: {}", helper.name, misfit.why)).within(place);
                let usage = format!("write {}", helper.usage);
                let draft = draft.label(if meant { usage } else { misfit.instead.unwrap_or(usage) });
                match misfit.meant.filter(|_| !meant) {
                    Some(ours) => {
                        let whole = if place == self.source {
                            self.source.replacen(shown.as_str(), &ours, 1)
                        } else {
                            place.replacen(shown.as_str(), &ours, 1)
                        };
                        draft.propose(format!("did you mean {ours}?"), &whole)
                    }
                    None => draft,
                }
            }
        };
        draft.add();
    }
}

/// The call with two arguments exchanged, if only that order can be right.
fn swapped(helper: &Helper, arguments: &[Written], n: usize) -> Option<String> {
    let value = arguments[n].value.as_ref()?;
    let wanted = helper.wants(n);
    let fits = |other: usize| {
        let there = &arguments[other];
        let back = match &there.value {
            Some(fixed) => wanted.check(fixed).is_ok(),
            None => true,
        };
        let known = helper.wants(other).is_meant(value) || matches!(wanted, Wants::List | Wants::Maybe) && there.value.is_none();
        other != n && back && known && helper.wants(other).check(value).is_ok()
    };
    let other = (0..arguments.len()).find(|other| fits(*other))?;
    let mut order: Vec<&str> = arguments.iter().map(|a| a.shown.as_str()).collect();
    order.swap(n, other);
    Some(format!("{{{{ {} {} }}}}", helper.name, order.join(" ")))
}
