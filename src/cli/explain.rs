//! `doorbell explain EVENT`: what happened to an event, and why rules did or did not run.

use std::io::{self, Write};

use clap::Args;

use super::ended::Ended;
use super::events::{by, sent};
use super::settings::{Data, LoadOptions};
use super::terminal::stdout;
use crate::disk;
use crate::engine::intake::rejections::Rejection;
use crate::expr::condition::trace::aligned;
use crate::expr::names::{Resolver, env_stand_in, stand_in};
use crate::model::event::EventId;
use crate::model::run::State;
use crate::model::unfinished::{Summary, listed};
use crate::operations::history::{self, CalledRun, ExplainedAttempt, ExplainedRule, ExplainedRun, Explanation, Found, Wait};
use crate::store::contract::Dossier;
use crate::text::count::number;
use crate::text::printable::{cut, lines, one_line};

/// The most characters of a body that a step keeps.
const LONGEST_BODY: usize = 4_000;

#[derive(Args)]
#[command(after_help = "Example: doorbell explain 0192f3c1")]
pub struct Explain {
    /// The event's id, or at least its first 8 characters, more if several events begin with them; or the `Doorbell-Request`
    /// id that a refused sender received
    event: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    load_options: LoadOptions,
}

impl Explain {
    pub fn run(self) -> anyhow::Result<Ended> {
        let queries = self.data.queries()?;
        let found = queries.ask(|r| history::find(r, &self.data.data, &self.event))?;
        let mut out = stdout();
        match found {
            Found::Event(dossier) => write_event(&mut out, &explanation(&self.load_options, &dossier)?, disk::is_taken(&self.data.data))?,
            Found::Rejection(refused) => write_refused(&mut out, &refused)?,
        }
        Ok(Ended::Good)
    }
}

/// Explains an event with the secrets of this process. A missing secret or variable does no harm here: its name is used
/// instead, and what depends on it is not judged.
pub fn explanation(load_options: &LoadOptions, dossier: &Dossier) -> anyhow::Result<Explanation> {
    let environment = load_options.environment()?;
    let secret = |name: &str| Some(environment.secret(name).unwrap_or_else(|| stand_in(name)));
    let variable = |name: &str| Some(environment.variable(name).unwrap_or_else(|| env_stand_in(name)));
    Ok(history::explain(dossier, Resolver::new(&secret, &variable, &|_| None)))
}

fn write_event(out: &mut impl Write, told: &Explanation, is_served: bool) -> io::Result<()> {
    let time = told.received.strftime("%Y-%m-%d %H:%M:%S UTC");
    let rules = number(told.total, "rule");
    let address = one_line(&told.address);
    let (status, by) = (sent(&told.method, told.status), by(told.sender.as_deref()));
    writeln!(out, "event {}  {} {address}{by}  {time}  → {status}, {} of {rules} ran", told.event, told.method, told.ran)?;
    for rule in &told.rules {
        write_rule(out, told.event, rule, is_served)?;
    }
    for run in &told.others {
        write_run(out, told.event, run, is_served)?;
    }
    if !told.not_given.is_empty() {
        let names: Vec<String> = told.not_given.iter().map(|name| format!("secret.{name}")).collect();
        writeln!(
            out,
            "  This command was not given {}, so values that may contain a secret are hidden; pass --env-file, or set them as for `serve`.",
            names.join(", ")
        )?;
    }
    if !told.is_readable {
        writeln!(out, "  The rule files from that time can no longer be read, so Doorbell cannot show why other rules did not run.")?;
    }
    Ok(())
}

fn write_rule(out: &mut impl Write, event: EventId, rule: &ExplainedRule, is_served: bool) -> io::Result<()> {
    for run in &rule.runs {
        write_run(out, event, run, is_served)?;
    }
    if rule.runs.is_empty() {
        writeln!(out, "  ✗ {}  did not run", one_line(&rule.rule))?;
        write!(out, "{}", aligned(&rule.trace, 8))?;
    } else if rule.is_else {
        writeln!(out, "        its `else:` ran, because its `if:` was not true:")?;
        write!(out, "{}", aligned(&rule.trace, 10))?;
    }
    Ok(())
}

fn write_run(out: &mut impl Write, event: EventId, run: &ExplainedRun, is_served: bool) -> io::Result<()> {
    let ExplainedRun { step, took_ms, .. } = run;
    let rule = one_line(&run.rule);
    let replays = if run.replays > 0 { format!(", replayed {}", number(run.replays as usize, "time")) } else { String::new() };
    let steps = number(run.steps, "step");
    match run.state {
        State::Done => writeln!(out, "  ✓ {rule}  ran, {steps}, {took_ms} ms{replays}")?,
        State::Handled => writeln!(out, "  ✓ {rule}  ran with errors that `on_error` handled, {steps}{replays}")?,
        State::FailedForCaller if step.is_empty() => writeln!(out, "  ✗ {rule}  failed before its first step{replays}")?,
        State::FailedForCaller => writeln!(out, "  ✗ {rule}  failed at step {step}{replays}")?,
        State::Failed if step.is_empty() => writeln!(out, "  ✗ {rule}  failed before its first step{replays}")?,
        State::Failed => match &run.elements {
            Some(Summary { failed, of, .. }) if !failed.is_empty() => writeln!(
                out,
                "  ✗ {rule}  failed at step {step}{replays}: {} of {} failed ({}); `doorbell replay {event}` tries only these again",
                failed.len(),
                number(*of as usize, "element"),
                listed(failed)
            )?,
            _ => writeln!(out, "  ✗ {rule}  failed at step {step}{replays}; `doorbell replay {event}` continues there")?,
        },
        State::Cancelled => writeln!(out, "  ✗ {rule}  was cancelled at step {step}")?,
        State::Repeated => writeln!(out, "  ✗ {rule}  was not run again")?,
        State::Waiting => {
            let elements = run.elements.as_ref().map_or_else(String::new, others);
            writeln!(out, "  … {rule}  {}, at step {step}{elements}{replays}", waits(run.waits.as_ref(), is_served))?;
        }
    }
    let mut called: Vec<&CalledRun> = run.called.iter().collect();
    for attempt in &run.attempts {
        write_attempt(out, attempt)?;
        let (here, later) = called.into_iter().partition(|one| one.step == attempt.step && one.element == attempt.element);
        called = later;
        write_called(out, event, here, is_served)?;
    }
    write_called(out, event, called, is_served)
}

/// What a step called, indented below it.
fn write_called(out: &mut impl Write, event: EventId, called: Vec<&CalledRun>, is_served: bool) -> io::Result<()> {
    let mut text = Vec::new();
    called.iter().try_for_each(|one| write_run_to(&mut text, event, &one.run, is_served))?;
    String::from_utf8_lossy(&text).lines().try_for_each(|line| writeln!(out, "        {line}"))
}

/// The same as [`write_run`], into memory: a function that called itself with ever other writers would never be compiled.
fn write_run_to(out: &mut Vec<u8>, event: EventId, run: &ExplainedRun, is_served: bool) -> io::Result<()> {
    write_run(out, event, run, is_served)
}

/// ` (3 elements wait, 2 failed: 2, 5)`, if there are several.
fn others(elements: &Summary) -> String {
    let Summary { failed, waiting, .. } = elements;
    let waiting = (*waiting > 1).then(|| format!("{} wait", number(*waiting, "element")));
    let failed = (!failed.is_empty()).then(|| format!("{} failed: {}", failed.len(), listed(failed)));
    let said: Vec<String> = waiting.into_iter().chain(failed).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

fn waits(wait: Option<&Wait>, is_served: bool) -> String {
    match wait {
        Some(Wait::Retry { due, number }) => format!("waits until {} for try {number}", due.strftime("%H:%M:%S UTC")),
        Some(Wait::Pause { due }) => format!("waits until {}, because calls to its server are paused", due.strftime("%H:%M:%S UTC")),
        Some(Wait::Until { due }) => format!("waits until {}", due.strftime("%Y-%m-%d %H:%M:%S UTC")),
        Some(Wait::Called) => "waits for a rule that it called".to_owned(),
        Some(Wait::Turn) => "waits for its turn (one_at_a_time)".to_owned(),
        Some(Wait::InHand) if is_served => "is running".to_owned(),
        Some(Wait::Worker) if is_served => "waits for its turn".to_owned(),
        Some(Wait::InHand | Wait::Worker) | None => "waits until `doorbell serve` runs".to_owned(),
    }
}

fn write_attempt(out: &mut impl Write, attempt: &ExplainedAttempt) -> io::Result<()> {
    let ExplainedAttempt { step, title, outcome, said, .. } = attempt;
    let element = attempt.element.map_or_else(String::new, |n| format!(", element {n}"));
    let again = if attempt.number > 1 { format!(", try {}", attempt.number) } else { String::new() };
    let said = if said.is_empty() { outcome.clone() } else { format!("{outcome}: {said}") };
    if step.is_empty() {
        return writeln!(out, "        {}", one_line(&said));
    }
    writeln!(out, "        {step}. {}{element}{again}  {}", one_line(title), one_line(&said))?;
    if let Some(bodies) = &attempt.bodies {
        write_body(out, "sent", Some(&bodies.sent))?;
        write_body(out, "came back", bodies.answered.as_deref())?;
    }
    Ok(())
}

/// A body that was kept, on as many lines as it has.
fn write_body(out: &mut impl Write, what: &str, body: Option<&str>) -> io::Result<()> {
    match body {
        None => writeln!(out, "             {what}: no answer"),
        Some("") => writeln!(out, "             {what}: nothing"),
        Some(body) => writeln!(out, "             {what}: {}", lines(&cut(body, LONGEST_BODY)).replace('\n', "\n               ")),
    }
}

/// A request that did not become an event.
fn write_refused(out: &mut impl Write, refused: &Rejection) -> io::Result<()> {
    let Rejection { id, at, ip, status, .. } = refused;
    let (method, address) = (one_line(&refused.method), one_line(&refused.address));
    let time = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    writeln!(out, "request {id}  {method} {address}  {time}  from {ip}  → {status}, not accepted")?;
    writeln!(out, "  {}", one_line(&refused.why))
}
