//! `log: TEXT` writes to Doorbell's log and the run's history; `stop: TEXT` ends the run successfully.

use std::fmt;

use super::attempt_context::AttemptContext;
use super::contract::{Action, Effect, EffectView, Kind, Performing};
use super::world::World;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::text::printable::one_line;
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
    fn value(&self) -> &'static str {
        "the text"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "log"
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "log: \"order {{ body.id }} is being looked at\"\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let text = Template::read(&fields.must(verb)?, Destination::Line, known)?;
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
    fn value(&self) -> &'static str {
        "the text"
    }
    fn phrase(&self, _: &str) -> &'static str {
        "stop with"
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "stop: nothing more to do for {{ body.id }}\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let text = Template::read(&fields.must(verb)?, Destination::Line, known)?;
        Some(Box::new(Words { text, stops: true }))
    }
}

struct Words {
    text: Template,
    stops: bool,
}

impl Action for Words {
    fn ends_run(&self) -> bool {
        self.stops
    }
    fn fields(&self) -> Vec<&Field> {
        self.text.fields().collect()
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let text = self.text.text(scope)?;
        // Secrets are removed from log text here, where they are known.
        let text = one_line(&scope.vault().strike(&text)).into_owned();
        Ok(Box::new(Said { text, stops: self.stops }))
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
    fn perform<'a>(self: Box<Self>, _: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            tracing::info!(event = %context.event, "{}", self.text);
            match self.stops {
                true => Outcome::Stopped(self.text),
                false => Outcome::Done(Success { said: self.text, ..Success::default() }),
            }
        })
    }
    fn assumed(&self) -> Outcome {
        match self.stops {
            true => Outcome::Stopped(self.text.clone()),
            false => Outcome::Done(Success::default()),
        }
    }
    fn view(&self) -> EffectView {
        EffectView::new(if self.stops { "stop" } else { "log" }, &self.text)
    }
}
