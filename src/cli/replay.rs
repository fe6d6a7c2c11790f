//! `doorbell replay`: does it again. Failed runs go on at the step that failed; `--again` starts events anew with the rules
//! of today. A running `serve` does it at once; without one, the runs wait in the store.
//!
//! Events are named, or chosen by rule, time and state; what was chosen is shown first and done only with `--yes`.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Ended;
use super::progress::Progress;
use super::settings::{Asked, Data, Rules, Secrets, length, number};
use crate::event::EventId;
use crate::intake::new_run;
use crate::operations::command::{Command, Done};
use crate::operations::control::Commands;
use crate::problem;
use crate::rule::Ruleset;
use crate::run::State;
use crate::store::contract::{Choice, NewRun};

/// How many of the chosen events are shown.
const SHOWN: usize = 5;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  doorbell replay 0192f3c1 --rule 'New orders'\n  doorbell replay --rule 'New orders' --since '2 days' --yes\n  doorbell replay --state done --since 2026-11-01 --until 2026-11-02 --again --rate 20 --yes"
)]
pub struct Replay {
    /// Ids of events, or their beginnings
    #[arg(required_unless_present_any = ["rule", "since", "until", "state"])]
    events: Vec<String>,
    /// Only the runs of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Events that came since then: 2026-11-01, '2026-11-01 10:00' (UTC), or '2 days' for two days ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Events that came before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Runs that stand so
    #[arg(long, value_name = "STATE", value_parser = ["failed", "done", "cancelled"])]
    state: Option<String>,
    /// Start anew with the rules of today, also where everything was done
    #[arg(long)]
    again: bool,
    /// The most events a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Do it: what was chosen by rule, time and state is otherwise only shown
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    rules: Rules,
}

impl Replay {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut hands = Hands { records: self.data.records()?, commands: self.data.commands()? };
        let today = match self.again {
            true => {
                let loaded = self.rules.around.load(&self.rules.rules, Secrets::Stood)?;
                let Some(ruleset) = loaded.ruleset else {
                    write!(std::io::stdout(), "{}", problem::draw_all(&loaded.problems))?;
                    return Ok(Ended::Problems);
                };
                Some(ruleset)
            }
            false => None,
        };
        let total = match self.events.is_empty() {
            false => self.named(&mut hands, today.as_ref())?,
            true => self.chosen(&mut hands, today.as_ref())?,
        };
        if total > 0 && !hands.commands.is_served() {
            writeln!(std::io::stdout(), "waits until serve runs")?;
        }
        Ok(Ended::Good)
    }

    fn named(&self, hands: &mut Hands, today: Option<&Ruleset>) -> anyhow::Result<usize> {
        let mut out = std::io::stdout().lock();
        let mut total = 0;
        for event in &self.events {
            let id = hands.records.ask(|r| r.find(event))?;
            let count = self.once(hands, id, today)?;
            total += count;
            match (count, self.again) {
                (0, false) => writeln!(out, "{id}: nothing has failed there; --again starts it anew")?,
                (0, true) => writeln!(out, "{id}: no rule of today wants it")?,
                (n, false) => writeln!(out, "{id}: {} will go on", number(n, "failed run"))?,
                (n, true) => writeln!(out, "{id}: {} will start anew", number(n, "run"))?,
            }
        }
        Ok(total)
    }

    fn chosen(&self, hands: &mut Hands, today: Option<&Ruleset>) -> anyhow::Result<usize> {
        let state = self.state.as_deref().and_then(State::read).unwrap_or(State::Failed);
        if state != State::Failed && !self.again {
            anyhow::bail!("runs that are {} have nothing left to do; with --again they start anew", state.word());
        }
        let choice = Choice {
            state,
            rule: self.rule.clone(),
            since: self.since.unwrap_or(Timestamp::UNIX_EPOCH),
            until: self.until.unwrap_or(Timestamp::MAX),
        };
        let events = hands.records.ask(|r| r.chosen(choice))?;
        let runs: usize = events.iter().map(|(_, n)| n).sum();
        let of = |runs| format!("{} of {}", number(runs, &format!("{} run", state.word())), number(events.len(), "event"));
        if events.is_empty() {
            writeln!(std::io::stdout(), "no {} run fits", state.word())?;
            return Ok(0);
        }
        if !self.yes {
            let mut out = std::io::stdout().lock();
            for (id, n) in events.iter().take(SHOWN) {
                writeln!(out, "  {id}  {}", number(*n, "run"))?;
            }
            if events.len() > SHOWN {
                writeln!(out, "  and {} more", events.len() - SHOWN)?;
            }
            writeln!(out, "{} would {}; add --yes to do it", of(runs), if self.again { "start anew" } else { "go on" })?;
            return Ok(0);
        }
        let mut progress = Progress::new("replaying", events.len() as u64);
        let (began, mut total) = (Instant::now(), 0);
        for (n, (id, _)) in events.iter().enumerate() {
            total += self.once(hands, *id, today)?;
            progress.at(n as u64 + 1);
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64((n + 1) as f64 / f64::from(rate));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        drop(progress);
        writeln!(
            std::io::stdout(),
            "{} of {} will {}",
            number(total, "run"),
            number(events.len(), "event"),
            if self.again { "start anew" } else { "go on" }
        )?;
        Ok(total)
    }

    /// Does one event again; says how many runs that are.
    fn once(&self, hands: &mut Hands, id: EventId, today: Option<&Ruleset>) -> anyhow::Result<usize> {
        let Some(ruleset) = today else { return hands.perform(Command::Replay { event: id, rule: self.rule.clone() }) };
        let dossier = hands.records.ask(|r| r.dossier(id))?;
        let wanted = |name: &str| self.rule.as_deref().is_none_or(|r| r == name);
        let answering = ruleset.answering(&dossier.event);
        // A replay does not ask `once_per`.
        let runs: Vec<_> = answering.iter().filter(|s| wanted(&s.rule.name)).map(|s| NewRun { once: None, ..new_run(s) }).collect();
        let texts: Vec<_> = ruleset.texts.iter().map(|(h, s)| (h.clone(), s.name.clone(), s.text.clone())).collect();
        hands.perform(Command::StartAnew { event: id, runs, texts })
    }
}

/// What a replay looks at and has done.
struct Hands {
    records: Asked,
    commands: Commands,
}

impl Hands {
    /// Has it done; says how many runs that are.
    fn perform(&mut self, command: Command) -> anyhow::Result<usize> {
        match self.commands.perform(command).map_err(anyhow::Error::msg)? {
            Done::Runs(runs) => Ok(runs),
            _ => anyhow::bail!("the Doorbell that serves answered something else"),
        }
    }
}

/// Reads a moment: a date, a date with a time, RFC 3339, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|d| d.to_datetime(jiff::civil::Time::midnight())));
    if let Ok(civil) = civil {
        return civil.to_zoned(TimeZone::UTC).map(|z| z.timestamp()).map_err(|e| e.to_string());
    }
    let ago =
        length(text).map_err(|_| "write for example 2026-11-01, '2026-11-01 10:00' (UTC) or '2 days' (for two days ago)".to_owned())?;
    Timestamp::now().checked_sub(ago).context("this is too long ago").map_err(|e| e.to_string())
}
