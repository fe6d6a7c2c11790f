//! `log: TEXT` writes into Doorbell's log and the run's history; `stop: TEXT` ends the run, well.

use std::fmt;

use super::attempt_context::AttemptContext;
use super::contract::{Action, Effect, Kind, Performing, Seen};
use super::world::Outside;
use crate::expr::field::Field;
use crate::expr::names::Known;
use crate::expr::scope::Scope;
use crate::expr::template::{Place, Template, Unrendered};
use crate::model::outcome::{Note, Outcome};
use crate::text::word::Word;
use crate::yaml::fields::Fields;

pub struct Log;
pub struct Stop;

impl Kind for Log {
    fn verbs(&self) -> &'static [&'static str] {
        &["log"]
    }
    fn does(&self) -> &'static str {
        "writes a line to Doorbell's log and to the history of the run"
    }
    fn words(&self) -> &'static [Word] {
        &[]
    }
    fn example(&self) -> &'static str {
        "log: \"order {{ body.id }} is being looked at\"\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Known) -> Option<Box<dyn Action>> {
        let text = Template::read(&fields.must(verb)?, Place::Line, known)?;
        Some(Box::new(Words { text, stops: false }))
    }
}

impl Kind for Stop {
    fn verbs(&self) -> &'static [&'static str] {
        &["stop"]
    }
    fn does(&self) -> &'static str {
        "ends the run successfully; the remaining steps are skipped"
    }
    fn words(&self) -> &'static [Word] {
        &[]
    }
    fn example(&self) -> &'static str {
        "stop: nothing more to do for {{ body.id }}\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Known) -> Option<Box<dyn Action>> {
        let text = Template::read(&fields.must(verb)?, Place::Line, known)?;
        Some(Box::new(Words { text, stops: true }))
    }
}

struct Words {
    text: Template,
    stops: bool,
}

impl Action for Words {
    fn fields(&self) -> Vec<&Field> {
        self.text.fields().collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let text = self.text.text(scope)?;
        // What goes into a log is struck clean here, where the secrets are known.
        Ok(Box::new(Said { text: scope.vault().strike(&text), stops: self.stops }))
    }
}

struct Said {
    text: String,
    stops: bool,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", if self.stops { "stop" } else { "log" }, self.text)
    }
}

impl Effect for Said {
    fn bytes(&self) -> usize {
        self.text.len()
    }
    fn perform<'a>(self: Box<Self>, _: &'a Outside, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            tracing::info!(event = %context.event, "{}", self.text);
            match self.stops {
                true => Outcome::Stopped(self.text),
                false => Outcome::Done(Note { said: self.text, ..Note::default() }),
            }
        })
    }
    fn seen(&self) -> Seen {
        Seen::new(if self.stops { "stop" } else { "log" }, &self.text)
    }
}
