//! The order in which a rule's steps are walked: what follows each, inside `do:`, after an error, in `else:`.
//!
//! A rule's steps stand in one row, those inside others behind them; a [`Course`] knows for each where to go from it. It
//! is worked out once, when the rule is read. Which step is done, and how that went, is for [`crate::model::run`].

use crate::model::place::Place;

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Step(u32),
    /// The next element of the step with this number; behind the last one, what follows that step.
    Element(u32),
    End,
}

/// What happens when a step has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mend {
    /// The run fails, or what the step stands in mends it.
    #[default]
    Not,
    /// `on_error: continue`.
    Continue,
    /// The first of the steps under `on_error:`.
    Steps(u32),
}

/// One step's place in the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub next: Next,
    /// The step whose `for_each` gives this one its `item`: itself, or what it stands in.
    pub each: Option<u32>,
    /// The first step inside, for a `do:`.
    pub inside: Option<u32>,
    /// The `do:` that it stands in.
    pub within: Option<u32>,
    pub mend: Mend,
    /// The step that it mends, for one under `on_error:`.
    pub mends: Option<u32>,
}

/// Where to go from every step of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    pub flows: Vec<Flow>,
    /// The first step of `else:`.
    pub otherwise: Option<u32>,
    /// The first step of the rule's own `on_error:`.
    pub on_error: Option<u32>,
}

impl Course {
    /// The step at a place; nothing if the rule has no such step.
    pub fn flow(&self, step: u32) -> Option<&Flow> {
        self.flows.get(step as usize)
    }

    fn each(&self, step: u32) -> Option<u32> {
        self.flow(step).and_then(|f| f.each)
    }

    /// From one step to another: the element goes along where both belong to the same `for_each`.
    pub fn to(&self, from: Place, step: u32) -> Place {
        let same = self.each(from.step).is_some() && self.each(from.step) == self.each(step);
        Place { step, element: if same { from.element } else { 0 } }
    }

    /// The place that follows, with so many elements in the `for_each` at hand; nothing at the end.
    pub fn after(&self, from: Place, elements: Option<u32>) -> Option<Place> {
        let flow = self.flow(from.step)?;
        match flow.each {
            Some(each) if each == from.step => self.element_after(each, from, elements),
            _ => self.follow(flow.next, from, elements),
        }
    }

    fn follow(&self, next: Next, from: Place, elements: Option<u32>) -> Option<Place> {
        match next {
            Next::Step(step) => Some(self.to(from, step)),
            Next::Element(each) => self.element_after(each, from, elements),
            Next::End => None,
        }
    }

    fn element_after(&self, each: u32, from: Place, elements: Option<u32>) -> Option<Place> {
        if from.element + 1 < elements.unwrap_or(0) {
            return Some(Place { step: each, element: from.element + 1 });
        }
        match self.flow(each)?.next {
            Next::Step(step) => Some(Place { step, element: 0 }),
            _ => None,
        }
    }

    /// Who mends an error at a step: itself or the `do:` around it, and how. Nobody mends a step that mends.
    pub fn mender(&self, step: u32) -> Option<(u32, Mend)> {
        let flow = self.flow(step)?;
        if flow.mends.is_some() {
            return None;
        }
        match flow.mend {
            Mend::Not => {
                let around = flow.within?;
                let mend = self.flow(around)?.mend;
                (mend != Mend::Not).then_some((around, mend))
            }
            mend => Some((step, mend)),
        }
    }

    /// Where a step's failure stands: a step that mends fails what it was to mend.
    pub fn blame(&self, at: Place) -> Place {
        self.flow(at.step).and_then(|f| f.mends).map_or(at, |owner| self.to(at, owner))
    }
}
