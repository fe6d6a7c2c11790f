//! `doorbell explain EVENT`: what became of an event, and why rules did or did not run, in words.
//!
//! The verdicts are worked out again from the event and the rule files that were in force when it came.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::Ended;
use super::dry_run::drawn;
use super::settings::{Around, Data, number};
use crate::known::Lookup;
use crate::refusals::{Refusals, Refused};
use crate::rule::load::load;
use crate::rule::{Ruleset, UNDECIDED};
use crate::run::{Attempt, State};
use crate::store::contract::{Dossier, RunPage};
use crate::yaml::Source;

#[derive(Args)]
#[command(after_help = "Example: doorbell explain 0192f3c1")]
pub struct Explain {
    /// The event's id, or its beginning; or the `Doorbell-Request` id that a refused sender was given
    event: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    around: Around,
}

impl Explain {
    pub fn run(self) -> anyhow::Result<Ended> {
        let records = self.data.records()?;
        let dossier = match records.ask(|r| r.find(&self.event)) {
            Ok(found) => records.ask(|r| r.dossier(found))?,
            Err(e) => match Refusals::find(&self.data.data, &self.event) {
                Some(refused) => return refused_told(&refused),
                None => return Err(e),
            },
        };
        let ruleset = self.rules_of_then(&dossier)?;
        let mut out = std::io::stdout().lock();
        let event = &dossier.event;
        let verdicts = ruleset.as_ref().map(|r| r.verdicts(event, false)).unwrap_or_default();
        let total = verdicts.len().max(dossier.runs.len());
        let ran = dossier.runs.iter().filter(|(p, _)| p.run.state != State::Repeated).count();
        let rules = if total == 1 { "1 rule".to_owned() } else { format!("{total} rules") };
        let time = event.received.strftime("%Y-%m-%d %H:%M:%S UTC");
        writeln!(out, "event {}  {} {}  {time}  → {}, {ran} of {rules} ran", event.id, event.method, event.address, dossier.status)?;
        let mut shown = vec![false; dossier.runs.len()];
        for verdict in &verdicts {
            let mine: Vec<usize> = (0..dossier.runs.len()).filter(|n| dossier.runs[*n].0.run.rule == verdict.rule.name).collect();
            for n in &mine {
                shown[*n] = true;
                self.run_told(&mut out, &dossier.runs[*n], Some(verdict.rule))?;
            }
            if !mine.is_empty() && verdict.is_else() {
                writeln!(out, "        its `else:` was done, because its `if:` did not hold:")?;
                write!(out, "{}", ruleset.as_ref().map_or_else(String::new, |r| r.vault.strike(&drawn(&verdict.told, 10))))?;
            }
            if mine.is_empty() {
                writeln!(out, "  ✗ {}  did not run", verdict.rule.name)?;
                write!(out, "{}", ruleset.as_ref().map_or_else(String::new, |r| r.vault.strike(&drawn(&verdict.told, 8))))?;
            }
        }
        for (n, run) in dossier.runs.iter().enumerate().filter(|(n, _)| !shown[*n]) {
            let _ = n;
            self.run_told(&mut out, run, None)?;
        }
        if ruleset.is_none() {
            writeln!(out, "  The rule files of that time can no longer be read, so it cannot be told why others did not run.")?;
        }
        Ok(Ended::Good)
    }

    /// The rules that were in force when the event came.
    fn rules_of_then(&self, dossier: &Dossier) -> anyhow::Result<Option<Ruleset>> {
        let surroundings = self.around.surroundings()?;
        let secret = |name: &str| Some(surroundings.secret(name).unwrap_or_else(|| format!("secret.{name}")));
        let variable = |name: &str| Some(surroundings.variable(name).unwrap_or_else(|| format!("env.{name}")));
        let sources = dossier.texts.iter().map(|(name, text)| Source { name: name.clone(), text: text.clone() }).collect();
        Ok(load(sources, Lookup::new(&secret, &variable, &|_| None), false).ruleset)
    }

    fn run_told(
        &self,
        out: &mut impl Write,
        (page, attempts): &(RunPage, Vec<Attempt>),
        rule: Option<&crate::rule::Rule>,
    ) -> anyhow::Result<()> {
        let run = &page.run;
        let number_of = |step: u32| rule.map_or_else(|| (step + 1).to_string(), |r| r.number_of(step));
        let took: Duration = attempts.iter().map(|a| a.took).sum();
        let steps = attempts.iter().filter(|a| a.outcome != "retry").map(|a| a.place.step).collect::<std::collections::BTreeSet<_>>().len();
        let replays = if run.replays > 0 { format!(", replayed {}", number(run.replays as usize, "time")) } else { String::new() };
        let steps = number(steps, "step");
        match run.state {
            State::Done => writeln!(out, "  ✓ {}  ran, {steps}, {} ms{replays}", run.rule, took.as_millis())?,
            State::Handled => writeln!(out, "  ✓ {}  ran with errors that `on_error` forgave, {steps}{replays}", run.rule)?,
            State::Failed if run.place.step == UNDECIDED => writeln!(out, "  ✗ {}  failed before its first step{replays}", run.rule)?,
            State::Failed => writeln!(
                out,
                "  ✗ {}  failed at step {}{replays}; doorbell replay {} goes on there",
                run.rule,
                number_of(run.place.step),
                run.event
            )?,
            State::Cancelled => writeln!(out, "  ✗ {}  was cancelled at step {}", run.rule, number_of(run.place.step))?,
            State::Repeated => writeln!(out, "  ✗ {}  was not run again", run.rule)?,
            State::Waiting => {
                let due = run.due.strftime("%H:%M:%S UTC");
                let word = if run.tried > 0 {
                    format!("waits until {due} for try {}", run.tried + 1)
                } else if run.lane.is_some() {
                    "waits for its turn (one_at_a_time)".to_owned()
                } else {
                    "waits until serve runs".to_owned()
                };
                writeln!(out, "  … {}  {word}, at step {}{replays}", run.rule, number_of(run.place.step))?;
            }
        }
        for attempt in attempts {
            if attempt.place.step == UNDECIDED {
                writeln!(out, "        {}: {}", attempt.outcome, attempt.said)?;
                continue;
            }
            let step = rule.and_then(|r| r.steps.get(attempt.place.step as usize));
            let title = step.map_or("", |s| s.title());
            let each = rule.and_then(|r| r.course.flow(attempt.place.step)).and_then(|f| f.each);
            let element = if each.is_some() { format!(", element {}", attempt.place.element + 1) } else { String::new() };
            let again = if attempt.number > 1 { format!(", try {}", attempt.number) } else { String::new() };
            let said = if attempt.said.is_empty() { attempt.outcome.to_string() } else { format!("{}: {}", attempt.outcome, attempt.said) };
            writeln!(out, "        {}. {title}{element}{again}  {said}", number_of(attempt.place.step))?;
        }
        Ok(())
    }
}

/// A request that did not become an event.
fn refused_told(refused: &Refused) -> anyhow::Result<Ended> {
    let time = refused.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "request {}  {} {}  {time}  from {}  → {}, not taken",
        refused.id, refused.method, refused.address, refused.ip, refused.status
    )?;
    writeln!(out, "  {}", refused.why)?;
    Ok(Ended::Good)
}
