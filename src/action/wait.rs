//! `wait: 10 minutes` and `wait_until: MOMENT`: what follows in the run, or for the element of its list, begins later. The run
//! waits in the store meanwhile; how it goes on is decided in [`crate::model::transition`].

use std::fmt;
use std::time::Duration;

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::attempt_context::AttemptContext;
use super::contract::{Action, Effect, EffectView, Kind, Performing};
use super::world::World;
use crate::expr::field::Field;
use crate::expr::moment::{self, When};
use crate::expr::names::Names;
use crate::expr::scope::Scope;
use crate::expr::template::{Destination, Template, Unrendered};
use crate::model::outcome::{Outcome, Success};
use crate::model::saved::NOW;
use crate::schedule::zone::Named;
use crate::schedule::{self, clock};
use crate::text::word::Word;
use crate::yaml::Node;
use crate::yaml::duration;
use crate::yaml::fields::{Fields, Item};

const WAIT: &str = "wait";
const UNTIL: &str = "wait_until";
/// The longest that a run waits.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

pub struct Wait;

impl Kind for Wait {
    fn verbs(&self) -> &'static [&'static str] {
        &[WAIT, UNTIL]
    }
    fn does(&self) -> &'static str {
        "goes on with the next step later; the run waits on disk, also while Doorbell does not run"
    }
    fn value(&self) -> &'static str {
        "how long, such as `10 minutes`, or until when"
    }
    fn phrase(&self, verb: &str) -> &'static str {
        if verb == WAIT { "wait" } else { "wait until" }
    }
    fn keys(&self) -> &'static [Word] {
        &[]
    }
    fn is_quiet(&self) -> bool {
        true
    }
    fn example(&self) -> &'static str {
        "wait: 10 minutes\n"
    }
    fn read(&self, verb: &'static str, fields: &mut Fields, known: &Names) -> Option<Box<dyn Action>> {
        let item = fields.must(verb)?;
        let zone = known.zone.clone();
        let has_template = matches!(item.node, Node::Text(text) if text.contains("{{"));
        let until = match (verb == WAIT, has_template) {
            (true, false) => Until::Passed(item.duration()?),
            (false, false) => read_moment(&item, &zone)?,
            (_, true) => Until::Template(Template::read(&item, Destination::Line, known)?),
        };
        Some(Box::new(Waiting { verb, until, zone }))
    }
}

/// A moment that is written out.
fn read_moment(item: &Item, zone: &Named) -> Option<Until> {
    let text = item.text()?;
    match until(&text, zone) {
        Some(moment) => Some(Until::Moment(moment)),
        None => {
            let draft = item.problem(format!("`{text}` is neither a time of day nor a date"));
            let draft = draft.label("write for example \"08:00\", 2026-12-01, or a field such as \"{{ body.starts }}\"");
            match (clock::read(&text).err().and_then(|no| no.meant), duration::read(&text)) {
                (Some(meant), _) => draft.write(&format!("\"{}\"", clock::spell(meant))).add(),
                (None, Ok(_)) => draft.label("for a length of time, write `wait:`").add(),
                _ => draft.add(),
            }
            None
        }
    }
}

/// A length of time whose number is not known when the rule is written: `1 days` is a day, too.
fn counted(text: &str) -> Result<Duration, duration::NotADuration> {
    let one = || duration::read(text.strip_suffix('s').unwrap_or(text));
    duration::read(text).or_else(|no| one().or_else(|_| duration::read(&format!("{text}s"))).map_err(|_| no))
}

/// A time of day, or a date.
fn until(text: &str, zone: &Named) -> Option<Moment> {
    if let Ok(time) = clock::read(text) {
        return Some(Moment::Next(time));
    }
    let at = match moment::when(text)? {
        When::Day(day) => schedule::moment(day, Time::midnight(), &zone.zone)?,
        When::Instant(at) => at,
    };
    Some(Moment::At(at))
}

#[derive(Debug, Clone, Copy)]
enum Moment {
    At(Timestamp),
    /// The next time that it is this time of day.
    Next(Time),
}

enum Until {
    Passed(Duration),
    Moment(Moment),
    Template(Template),
}

struct Waiting {
    verb: &'static str,
    until: Until,
    zone: Named,
}

impl Action for Waiting {
    fn fields(&self) -> Vec<&Field> {
        match &self.until {
            Until::Template(template) => template.fields().collect(),
            _ => Vec::new(),
        }
    }
    fn saves(&self) -> Option<&'static str> {
        Some(NOW)
    }
    fn waits(&self) -> Option<Duration> {
        match &self.until {
            Until::Passed(time) => Some(*time),
            _ => Some(Duration::MAX),
        }
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let (shown, until) = match &self.until {
            Until::Passed(time) => (duration::spell_largest(*time), Until::Passed(*time)),
            Until::Moment(moment) => (self.shown(*moment), Until::Moment(*moment)),
            Until::Template(template) => {
                let text = template.text(scope)?;
                let text = text.trim();
                let unrendered = |message: String| Unrendered { message, path: template.path().clone() };
                match self.verb == WAIT {
                    true => {
                        let time = counted(text).map_err(|no| {
                            unrendered(format!(
                                "`{text}` is not a length of time; {}",
                                no.instead.map_or(no.rule.to_owned(), |i| format!("write {i}"))
                            ))
                        })?;
                        (duration::spell_largest(time), Until::Passed(time))
                    }
                    false => {
                        let moment = until(text, &self.zone).ok_or_else(|| {
                            unrendered(format!("`{text}` is neither a time of day nor a date; dates are {}", moment::FORMS))
                        })?;
                        (self.shown(moment), Until::Moment(moment))
                    }
                }
            }
        };
        Ok(Box::new(Waited { verb: self.verb, shown, until, zone: self.zone.clone() }))
    }
}

impl Waiting {
    fn shown(&self, moment: Moment) -> String {
        match moment {
            Moment::At(at) => at.to_zoned(self.zone.zone.clone()).strftime("%Y-%m-%d %H:%M:%S (").to_string() + &self.zone.name + ")",
            Moment::Next(time) => format!("{} ({})", clock::spell(time), self.zone.name),
        }
    }
}

/// A wait that is about to begin.
struct Waited {
    verb: &'static str,
    shown: String,
    until: Until,
    zone: Named,
}

impl Waited {
    /// When it ends, if it begins now.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let end = match &self.until {
            Until::Passed(time) => now.checked_add(*time).ok()?,
            Until::Moment(Moment::At(at)) => *at,
            Until::Moment(Moment::Next(time)) => {
                let today = now.to_zoned(self.zone.zone.clone()).date();
                let on = |day| schedule::moment(day, *time, &self.zone.zone).filter(|at| *at > now);
                on(today).or_else(|| on(today.tomorrow().ok()?))?
            }
            Until::Template(_) => return None,
        };
        Some(end)
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}  {}", self.verb, self.shown)
    }
}

impl Effect for Waited {
    fn bytes(&self) -> usize {
        self.shown.len()
    }
    fn perform<'a>(self: Box<Self>, _: &'a World, context: AttemptContext) -> Performing<'a> {
        Box::pin(async move {
            let now = context.at;
            let Some(end) = self.end(now) else { return Outcome::failed("this moment cannot be worked out") };
            if end.duration_since(now) > LONGEST {
                return Outcome::failed(format!("{} is more than a year ahead; a run waits a year at most", end.strftime("%Y-%m-%d")));
            }
            let spelled = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let said = if end > now { format!("waits until {}", end.strftime("%Y-%m-%d %H:%M:%S UTC")) } else { "is past".to_owned() };
            // A moment that is past is now.
            let output = Some(Value::from(if end > now { spelled } else { now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }));
            Outcome::Done(Success { said, output, until: Some(end), ..Success::default() })
        })
    }
    /// In a dry run, waits pass at once.
    fn view(&self) -> EffectView {
        EffectView::new(self.verb, &self.shown)
    }
}
