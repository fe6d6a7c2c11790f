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
        let said = match (verb == WAIT, has_template) {
            (true, false) => Said::Fixed(End::After(item.duration()?)),
            (false, false) => Said::Fixed(read_moment(&item, &zone)?),
            (_, true) => Said::Template(Template::read(&item, Destination::Line, known)?),
        };
        Some(Box::new(Waiting { verb, said, zone }))
    }
}

/// When a wait ends.
#[derive(Debug, Clone, Copy)]
enum End {
    After(Duration),
    At(Timestamp),
    /// The next time that it is this time of day.
    Next(Time),
}

impl End {
    /// A time of day, or a date.
    fn read(text: &str, zone: &Named) -> Option<Self> {
        if let Ok(time) = clock::read(text) {
            return Some(End::Next(time));
        }
        Some(End::At(match moment::when(text)? {
            When::Day(day) => schedule::moment(day, Time::midnight(), &zone.zone)?,
            When::Instant(at) => at,
        }))
    }

    /// Reads what a template made; the error is a message.
    fn of_template(verb: &str, text: &str, zone: &Named) -> Result<Self, String> {
        if verb == UNTIL {
            return End::read(text, zone)
                .ok_or_else(|| format!("`{text}` is neither a time of day nor a date; dates are {}", moment::FORMS));
        }
        // The number was not known when the unit was written: `1 days` is a day, too.
        let one = || duration::read(text.strip_suffix('s').unwrap_or(text));
        let several = || duration::read(&format!("{text}s"));
        let read = duration::read(text).or_else(|no| one().or_else(|_| several()).map_err(|_| no));
        read.map(End::After).map_err(|no| {
            let help = no.instead.map_or_else(|| no.rule.to_owned(), |instead| format!("write {instead}"));
            format!("`{text}` is not a length of time; {help}")
        })
    }

    fn shown(self, zone: &Named) -> String {
        match self {
            End::After(time) => duration::spell_largest(time),
            End::At(at) => format!("{} ({})", at.to_zoned(zone.zone.clone()).strftime("%Y-%m-%d %H:%M:%S"), zone.name),
            End::Next(time) => format!("{} ({})", clock::spell(time), zone.name),
        }
    }

    /// The moment, for a wait that begins now; `None` if no calendar has it.
    fn from(self, now: Timestamp, zone: &Named) -> Option<Timestamp> {
        match self {
            End::After(time) => now.checked_add(time).ok(),
            End::At(at) => Some(at),
            End::Next(time) => {
                let today = now.to_zoned(zone.zone.clone()).date();
                let on = |day| schedule::moment(day, time, &zone.zone).filter(|at| *at > now);
                on(today).or_else(|| on(today.tomorrow().ok()?))
            }
        }
    }
}

/// A moment that is written out.
fn read_moment(item: &Item, zone: &Named) -> Option<End> {
    let text = item.text()?;
    let end = End::read(&text, zone);
    if end.is_none() {
        let draft = item.problem(format!("`{text}` is neither a time of day nor a date"));
        let draft = draft.label("write for example \"08:00\", 2026-12-01, or a field such as \"{{ body.starts }}\"");
        match (clock::read(&text).err().and_then(|no| no.meant), duration::read(&text)) {
            (Some(meant), _) => draft.write(&format!("\"{}\"", clock::spell(meant))).add(),
            (None, Ok(_)) => draft.label("for a length of time, write `wait:`").add(),
            _ => draft.add(),
        }
    }
    end
}

/// When a step says that its wait ends.
enum Said {
    Fixed(End),
    Template(Template),
}

struct Waiting {
    verb: &'static str,
    said: Said,
    zone: Named,
}

impl Action for Waiting {
    fn fields(&self) -> Vec<&Field> {
        match &self.said {
            Said::Template(template) => template.fields().collect(),
            Said::Fixed(_) => Vec::new(),
        }
    }
    fn saves(&self) -> Option<&'static str> {
        Some(NOW)
    }
    fn waits(&self) -> Option<Duration> {
        match self.said {
            Said::Fixed(End::After(time)) => Some(time),
            _ => Some(Duration::MAX),
        }
    }
    fn render(&self, scope: &Scope) -> Result<Box<dyn Effect>, Unrendered> {
        let end = match &self.said {
            Said::Fixed(end) => *end,
            Said::Template(template) => {
                let text = template.text(scope)?;
                let end = End::of_template(self.verb, text.trim(), &self.zone);
                end.map_err(|message| Unrendered { message, path: template.path().clone() })?
            }
        };
        Ok(Box::new(Waited { verb: self.verb, shown: end.shown(&self.zone), end, zone: self.zone.clone() }))
    }
}

/// A wait that is about to begin.
struct Waited {
    verb: &'static str,
    shown: String,
    end: End,
    zone: Named,
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
            let end = self.end.from(now, &self.zone).filter(|end| end.duration_since(now) <= LONGEST);
            let Some(end) = end else {
                return Outcome::failed(format!("{} is more than a year ahead; a run waits a year at most", self.shown));
            };
            let said = match end > now {
                true => format!("waits until {}", end.strftime("%Y-%m-%d %H:%M:%S UTC")),
                false => format!("{} is past", self.shown),
            };
            // A moment that is past is now.
            let output = Some(Value::from(end.max(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
            Outcome::Done(Success { said, output, until: Some(end), ..Success::default() })
        })
    }
    /// In a dry run, waits pass at once.
    fn view(&self) -> EffectView {
        EffectView::new(self.verb, &self.shown)
    }
}
