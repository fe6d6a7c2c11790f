//! Lists of steps -> one row of them, with the course that leads through it.

use super::items::items;
use super::step::{self, Around, Inside, Mending, Read, Step};
use crate::expr::names::Known;
use crate::model::retry::Plan;
use crate::model::run::ERROR;
use crate::model::step_graph::{Course, Flow, Mend, Next};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The lists of a rule, as they were read.
pub struct Lists {
    pub then: Vec<Read>,
    pub otherwise: Vec<Read>,
    pub on_error: Vec<Read>,
}

/// Reads `then:` or `else:`.
pub fn read(items: &[Item], known: &mut Known, plan: &Plan) -> Vec<Read> {
    let around = Around { plan: plan.clone(), inside: Inside::Rule };
    items.iter().filter_map(|i| step::read(i, known, &around)).collect()
}

/// Reads the rule's own `on_error:`.
pub fn read_on_error(item: &Item, known: &mut Known) -> Vec<Read> {
    if matches!(item.node, Node::Text(word) if word == "continue") {
        item.problem("a rule cannot continue after its own error").label("write `on_error: continue` at the step that may fail").add();
        return Vec::new();
    }
    let plan = Plan { tries: 3, ..Plan::default() };
    let around = Around { plan, inside: Inside::RuleError };
    known.named.push(ERROR.to_owned());
    let read = items(item).unwrap_or_default().iter().filter_map(|i| step::read(i, known, &around)).collect();
    known.named.retain(|n| n != ERROR);
    read
}

/// Puts all steps into one row, those inside others right behind them.
pub fn lay(lists: Lists) -> (Vec<Step>, Course) {
    let mut row = Row::default();
    row.list(lists.then, Next::End, Ground::default(), "");
    let mut begin = |list: Vec<Read>, words: &str| {
        let first = row.steps.len() as u32;
        let any = !list.is_empty();
        row.list(list, Next::End, Ground::default(), words);
        any.then_some(first)
    };
    let otherwise = begin(lists.otherwise, "else ");
    let on_error = begin(lists.on_error, "on_error ");
    (row.steps, Course { flows: row.flows, otherwise, on_error })
}

#[derive(Default)]
struct Row {
    steps: Vec<Step>,
    flows: Vec<Flow>,
}

/// What a list of steps stands in.
#[derive(Clone, Copy, Default)]
struct Ground {
    each: Option<u32>,
    within: Option<u32>,
    mends: Option<u32>,
}

fn size(read: &Read) -> u32 {
    let mending = if let Mending::Steps(steps) = &read.mending { steps.iter().map(size).sum() } else { 0 };
    1 + read.inside.iter().map(size).sum::<u32>() + mending
}

impl Row {
    fn list(&mut self, list: Vec<Read>, end: Next, ground: Ground, words: &str) {
        let last = list.len();
        for (n, read) in (1..).zip(list) {
            let at = self.steps.len() as u32;
            let next = if n < last { Next::Step(at + size(&read)) } else { end };
            self.one(read, at, next, ground, format!("{words}{n}"));
        }
    }

    fn one(&mut self, read: Read, at: u32, next: Next, ground: Ground, number: String) {
        let Read { mut step, inside, mending } = read;
        let repeats = step.for_each.is_some();
        let each = if repeats { Some(at) } else { ground.each };
        // Behind the last step of what stands in it.
        let back = if repeats { Next::Element(at) } else { next };
        let after_inside = at + 1 + inside.iter().map(size).sum::<u32>();
        let mend = match &mending {
            Mending::Not => Mend::Not,
            Mending::Continue => Mend::Continue,
            Mending::Steps(_) => Mend::Steps(after_inside),
        };
        step.number = number.clone();
        self.steps.push(step);
        let first_inside = (!inside.is_empty()).then_some(at + 1);
        self.flows.push(Flow { next, each, inside: first_inside, within: ground.within, mend, mends: ground.mends });
        self.list(inside, back, Ground { each, within: Some(at), mends: None }, &format!("{number}."));
        if let Mending::Steps(steps) = mending {
            self.list(steps, back, Ground { each, within: None, mends: Some(at) }, &format!("{number} on_error "));
        }
    }
}
