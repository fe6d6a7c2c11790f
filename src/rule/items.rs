//! The items of a list of steps, before they are read. [`super::step`] reads each item, and [`super::steps`] puts the
//! steps in order.

use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The maximum number of steps of one rule, including nested steps.
pub const MAX_STEPS: usize = 200;

/// The items of a list of steps.
pub fn items<'a>(item: &Item<'a>) -> Option<Vec<Item<'a>>> {
    match item.node {
        Node::List(items) if items.is_empty() => {
            item.problem("there are no steps here").label("write at least one, such as `- log: hello`").add();
            None
        }
        Node::List(items) if items.len() > MAX_STEPS => {
            item.problem(format!("a rule can have at most {MAX_STEPS} steps")).label("split it into two rules").add();
            None
        }
        Node::Map(_) => {
            item.problem("steps must be a list").label("put a dash before each step: `- `").add();
            None
        }
        _ => item.items("a list of steps, each with a dash,"),
    }
}
