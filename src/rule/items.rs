//! The items of a list of steps, before they are read. [`super::step`] reads each item, and [`super::steps`] puts the
//! steps in order.

use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::layout;
use crate::yaml::place::scalar;

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
            without_dash(item);
            None
        }
        Node::Text(text) => {
            let draft = item.problem("steps are a list, each with a dash").label("write each step on a line of its own: `- log: text`");
            match text.split_once([':', ' ']) {
                Some((verb, rest)) if !rest.trim().is_empty() => draft.write(&format!("[{verb}: {}]", scalar(rest.trim()))).add(),
                _ => draft.add(),
            }
            None
        }
        _ => item.items("a list of steps, each with a dash,"),
    }
}

/// Reports steps without a dash: one step, or lines that begin with another sign.
pub fn without_dash(item: &Item) {
    let mut draft = item.problem("steps must be a list").label("put a dash before each step: `- `");
    let source = item.source();
    if let Some(first) = item.line() {
        let depth = layout::indent(source.line(first));
        let last = (first..=source.lines())
            .take_while(|n| layout::is_blank(source.line(*n)) || layout::indent(source.line(*n)) >= depth)
            .last()
            .unwrap_or(first);
        let with_signs = source.rewritten(first, last, |_, line| {
            let rest = line.trim_start();
            let bare = rest.strip_prefix(['–', '—', '•', '*', '·', '+']).filter(|r| r.starts_with(' '));
            bare.map_or_else(|| line.to_owned(), |bare| format!("{}-{bare}", " ".repeat(layout::indent(line))))
        });
        let one_step = source.rewritten(first, last, |n, line| match n == first {
            true => format!("{}- {}", " ".repeat(depth), line.trim_start()),
            false if line.trim().is_empty() => line.to_owned(),
            false => format!("  {line}"),
        });
        let each = source.rewritten(first, last, |_, line| match layout::indent(line) == depth && !layout::is_blank(line) {
            true => format!("{}- {}", " ".repeat(depth), line.trim_start()),
            false if line.trim().is_empty() => line.to_owned(),
            false => format!("  {line}"),
        });
        for (span, text) in [with_signs, one_step, each].into_iter().flatten() {
            draft = draft.change("put a dash before each step: `- `", Some(span), text);
        }
    }
    draft.add();
}
