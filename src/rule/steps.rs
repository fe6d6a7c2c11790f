//! Combines the lists of steps of a rule into one flat list, with the graph that gives their order.

use super::items::items;
use super::step::{self, Inside, OnErrorRead, Read, Step, StepContext};
use crate::expr::names::Names;
use crate::model::retry::Plan;
use crate::model::saved::ERROR;
use crate::model::step_graph::{Next, OnError, StepGraph, StepNode};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The lists of a rule, as they were read.
pub struct Lists {
    pub then: Vec<Read>,
    pub otherwise: Vec<Read>,
    pub on_error: Vec<Read>,
}

/// Reads `then:` or `else:`.
pub fn read(items: &[Item], known: &mut Names, plan: &Plan) -> Vec<Read> {
    let context = StepContext { plan: plan.clone(), inside: Inside::Rule };
    let mut read = Vec::new();
    let mut ends = false;
    for item in items {
        if std::mem::take(&mut ends) {
            item.warning("this step never runs, because the step above it always ends the run")
                .label("move it up, or write an `if:` at the step with `stop:`")
                .add();
        }
        if let Some(one) = step::read(item, known, &context) {
            ends = one.step.action.as_ref().is_some_and(|a| a.ends_run()) && one.step.condition.0.is_empty();
            read.push(one);
        }
    }
    read
}

/// Reads the rule's own `on_error:`.
pub fn read_on_error(item: &Item, known: &mut Names) -> Vec<Read> {
    if matches!(item.node, Node::Text(word) if word == "continue") {
        item.problem("a rule cannot continue after its own error").label("write it at the step that may fail").add();
        return Vec::new();
    }
    let plan = Plan { tries: 3, ..Plan::default() };
    let context = StepContext { plan, inside: Inside::RuleError };
    known.named.push(ERROR.to_owned());
    let read = items(item).unwrap_or_default().iter().filter_map(|i| step::read(i, known, &context)).collect();
    known.named.retain(|n| n != ERROR);
    read
}

/// Puts all steps into one flat list, nested steps directly after the step that contains them.
pub fn flatten(lists: Lists) -> (Vec<Step>, StepGraph) {
    let mut row = Flattened::default();
    row.list(lists.then, Next::End, Surrounding::default(), "");
    let mut begin = |list: Vec<Read>, words: &str| {
        let first = row.steps.len() as u32;
        let any = !list.is_empty();
        row.list(list, Next::End, Surrounding::default(), words);
        any.then_some(first)
    };
    let otherwise = begin(lists.otherwise, "else ");
    let on_error = begin(lists.on_error, "on_error ");
    (row.steps, StepGraph { nodes: row.nodes, otherwise, on_error })
}

#[derive(Default)]
struct Flattened {
    steps: Vec<Step>,
    nodes: Vec<StepNode>,
}

/// What surrounds a list of steps.
#[derive(Clone, Copy, Default)]
struct Surrounding {
    each: Option<u32>,
    within: Option<u32>,
    handles: Option<u32>,
}

fn size(read: &Read) -> u32 {
    let on_error = if let OnErrorRead::Steps(steps) = &read.on_error { steps.iter().map(size).sum() } else { 0 };
    1 + read.inside.iter().map(size).sum::<u32>() + on_error
}

impl Flattened {
    fn list(&mut self, list: Vec<Read>, end: Next, surrounding: Surrounding, words: &str) {
        let last = list.len();
        for (n, read) in (1..).zip(list) {
            let at = self.steps.len() as u32;
            let next = if n < last { Next::Step(at + size(&read)) } else { end };
            self.one(read, at, next, surrounding, format!("{words}{n}"));
        }
    }

    fn one(&mut self, read: Read, at: u32, next: Next, surrounding: Surrounding, number: String) {
        let Read { mut step, inside, on_error: read } = read;
        let repeats = step.for_each.is_some();
        let each = if repeats { Some(at) } else { surrounding.each };
        // After the last nested step.
        let back = if repeats { Next::Element(at) } else { next };
        let after_inside = at + 1 + inside.iter().map(size).sum::<u32>();
        let on_error = match &read {
            OnErrorRead::Not => OnError::Not,
            OnErrorRead::Continue => OnError::Continue,
            OnErrorRead::Steps(_) => OnError::Steps(after_inside),
        };
        let stop_at_first = step.stop_at_first;
        step.number = number.clone();
        self.steps.push(step);
        let first_inside = (!inside.is_empty()).then_some(at + 1);
        self.nodes.push(StepNode {
            next,
            each,
            stop_at_first,
            inside: first_inside,
            within: surrounding.within,
            on_error,
            handles: surrounding.handles,
        });
        self.list(inside, back, Surrounding { each, within: Some(at), handles: None }, &format!("{number}."));
        if let OnErrorRead::Steps(steps) = read {
            self.list(steps, back, Surrounding { each, within: None, handles: Some(at) }, &format!("{number} on_error "));
        }
    }
}
