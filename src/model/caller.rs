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
