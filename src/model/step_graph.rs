//! The order in which a rule's steps are visited: what follows each one, inside `do:`, after an error, in `else:`.
//!
//! A rule's steps are in one list, with nested steps after the steps that contain them; a [`StepGraph`] knows where to go
//! from each of them. It is built once, when the rule is read. [`crate::model::run`] records which step was done, and
//! with which outcome.

use crate::model::place::Place;

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Step(u32),
    /// The current element of the step with this number is finished; after the last one, what follows that step.
    Element(u32),
    End,
}

/// What happens when a step has failed permanently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The run fails, or the enclosing `do:` handles it.
    #[default]
    Not,
    /// `on_error: continue`.
    Continue,
    /// The first of the steps under `on_error:`.
    Steps(u32),
}

/// One step's position in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNode {
    pub next: Next,
    /// The step whose `for_each` provides `item` for this one: itself, or the one around it.
    pub each: Option<u32>,
    /// For a step with `for_each`: whether an element that waits or fails stops the others.
    pub stop_at_first: bool,
    /// The first step inside, for a `do:`.
    pub inside: Option<u32>,
    /// The `do:` that contains it.
    pub within: Option<u32>,
    pub on_error: OnError,
    /// The step whose error it handles, for a step under `on_error:`.
    pub handles: Option<u32>,
}

/// Where to go from every step of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepGraph {
    pub nodes: Vec<StepNode>,
    /// The first step of `else:`.
    pub otherwise: Option<u32>,
    /// The first step of the rule's own `on_error:`.
    pub on_error: Option<u32>,
}

impl StepGraph {
    /// The step at a place; `None` if the rule has no such step.
    pub fn node(&self, step: u32) -> Option<&StepNode> {
        self.nodes.get(step as usize)
    }

    /// The step whose `for_each` provides `item` for this one.
    pub fn each(&self, step: u32) -> Option<u32> {
        self.node(step).and_then(|f| f.each)
    }

    /// From one step to another: the element is kept if both belong to the same `for_each`.
    pub fn to(&self, from: Place, step: u32) -> Place {
        let same = self.each(from.step).is_some() && self.each(from.step) == self.each(step);
        Place { step, element: if same { from.element } else { 0 } }
    }

    /// What follows a step that is done, or that its element skips.
    pub fn after(&self, from: Place) -> Option<Next> {
        let node = self.node(from.step)?;
        Some(if node.each == Some(from.step) { Next::Element(from.step) } else { node.next })
    }

    /// Which step handles an error of a step, and how: itself or the `do:` around it. Nothing handles the errors of an
    /// `on_error:`.
    pub fn handler(&self, step: u32) -> Option<(u32, OnError)> {
        let node = self.node(step)?;
        if node.handles.is_some() {
            return None;
        }
        match node.on_error {
            OnError::Not => {
                let around = node.within?;
                let on_error = self.node(around)?.on_error;
                (on_error != OnError::Not).then_some((around, on_error))
            }
            on_error => Some((step, on_error)),
        }
    }
}
