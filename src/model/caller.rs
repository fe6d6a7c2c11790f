//! A run that has called others, and how it takes up again what waited for them. The rest of its way is in
//! [`super::transition`].

use jiff::Timestamp;

use super::called;
use super::place::Place;
use super::run::Run;
use super::saved::{ERROR, save};
use super::step_graph::StepGraph;
use super::unfinished::Element;

impl Run {
    /// The run when it goes on because a rule has ended that it called: at the element whose call that was, if elements of a list
    /// wait for several. One that waits for another try waits on.
    pub fn opened(mut self, graph: &StepGraph, now: Timestamp) -> Run {
        let Some(each) = graph.each(self.place.step) else { return self };
        let is_early = self.unfinished.at(self.place).is_some_and(|waits| waits.due_in(self.replays) > now);
        if !is_early || called::ended_at(&self.saved, self.place).is_some() {
            return self;
        }
        if let Some((element, waits)) = self.ended_element(each) {
            self.place = Place { step: waits.step, element };
            (self.tried, self.due) = (0, now);
            if let Some(error) = waits.error {
                self.unsaved.push(save(&mut self.saved, ERROR, error, false));
            }
        }
        self
    }

    /// The call at its place has ended, if there was one. The run goes on in it if it is replayed after a failure.
    pub(super) fn call_has_ended(&mut self, has_failed: bool) {
        if let Some(gone) = called::forget_end(&mut self.saved, self.place) {
            self.unsaved.push(gone);
            if !has_failed {
                self.unsaved.extend(called::forget_wait(&mut self.saved, self.place));
            }
        }
    }

    /// An element whose call has ended.
    pub(super) fn ended_element(&self, each: u32) -> Option<(u32, Element)> {
        called::ended(&self.saved).find_map(|place| {
            let waits = self.unfinished.get(each, place.element).filter(|waits| waits.step == place.step)?;
            Some((place.element, waits.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::called::{CallEnd, How, NEVER, ended_name};
    use crate::model::event::EventId;
    use crate::model::outcome::Outcome;
    use crate::model::retry::Plan;
    use crate::model::run::{State, StepFacts};
    use crate::model::step_graph::{Next, OnError, StepNode};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// One step, which calls a rule for each element of a list of three.
    fn graph() -> StepGraph {
        let node = StepNode {
            next: Next::End,
            each: Some(0),
            stop_at_first: false,
            inside: None,
            within: None,
            on_error: OnError::Not,
            handles: None,
        };
        StepGraph { nodes: vec![node], ..StepGraph::default() }
    }

    fn after(run: Run, mut outcome: Outcome, now: i64) -> Run {
        let (plan, graph) = (Plan::default(), graph());
        let facts = StepFacts { plan: &plan, title: "run_rule", save_as: None, elements: Some(3), graph: &graph };
        run.after(&mut outcome, &facts, at(now), 0.0)
    }

    fn ends(run: &mut Run, element: u32, how: How) {
        run.saved.insert(ended_name(Place { step: 0, element }), CallEnd { rule: "b".into(), how }.value());
        run.due = at(0);
    }

    #[test]
    fn elements_wait_for_their_calls_side_by_side_and_are_taken_up_as_these_end() {
        let mut run = Run::begin(1, EventId::new(at(0), [0; 10]), "a".into(), "".into(), 0, at(0));
        for element in 0..3 {
            assert_eq!((run.place.element, run.rests(at(0))), (element, false));
            run = after(run, Outcome::Awaits("b".into()), 0);
        }
        assert_eq!((run.state, run.due), (State::Waiting, NEVER));
        // The second one ends first: its element is taken, wherever the run is.
        ends(&mut run, 1, How::Returned(None));
        let opened = run.opened(&graph(), at(5));
        assert_eq!((opened.place.element, opened.rests(at(5))), (1, false));
        let run = after(opened, Outcome::Done(Default::default()), 5);
        assert_eq!((run.due, called::is_waiting(&run.saved)), (NEVER, true));
        assert!(called::ended_at(&run.saved, Place { step: 0, element: 1 }).is_none(), "it is forgotten");
        // The failed one keeps its call, in which a replay goes on; the others do not.
        let mut run = run;
        ends(&mut run, 0, How::Failed("no".into()));
        let run = run.opened(&graph(), at(6));
        let mut run = after(run, Outcome::failed("no"), 6);
        ends(&mut run, 2, How::Returned(None));
        let run = run.opened(&graph(), at(7));
        assert_eq!(run.place.element, 2);
        let run = after(run, Outcome::Done(Default::default()), 7);
        assert_eq!((run.state, run.place.element), (State::Failed, 0));
        assert_eq!(called::awaited_at(&run.saved, Place { step: 0, element: 0 }), Some("b"));
        assert_eq!(run.saved.keys().filter(|name| name.contains('@')).count(), 1);
    }
}
