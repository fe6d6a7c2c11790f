//! `doorbell replay`: runs events again. Failed runs continue at the step that failed; `--again` runs events from the start
//! with the current rules. A running `serve` does it immediately; otherwise the runs wait in the store.
//!
//! Events are given by id, or selected by rule, time and state; a selection is shown first, and replayed only with `--yes`.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;

use super::ended::Ended;
use super::moment::moment;
use super::progress::Progress;
use super::settings::{Asked, Data, Rules, Secrets};
use super::terminal::stdout;
use crate::model::event::EventId;
use crate::model::run::State;
use crate::operations::command::Done;
use crate::operations::control::Commands;
use crate::operations::replay::{self, Chosen, Mode};
use crate::problem;
use crate::store::contract::Choice;
use crate::text::count::number;

/// How many of the selected events are shown.
const SHOWN: usize = 5;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  doorbell replay 0192f3c1 --rule 'New orders'\n  doorbell replay --rule 'New orders' --since '2 days' --yes\n  doorbell replay --state done --since 2026-11-01 --until 2026-11-02 --again --rate 20 --yes"
)]
pub struct Replay {
    /// The ids of events, or the first characters of their ids
    #[arg(required_unless_present_any = ["rule", "since", "until", "state"])]
    events: Vec<String>,
    /// Replay only the runs of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Choose events received since this time: 2026-11-01, '2026-11-01 10:00' (UTC), or '2 days' for two days ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Choose events received before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Choose runs in this state
    #[arg(long, value_name = "STATE", value_parser = ["failed", "done", "cancelled"])]
    state: Option<String>,
    /// Run the events again from the start with the current rules, even if all their runs are done
    #[arg(long)]
    again: bool,
    /// The maximum number of events per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Replay what was chosen by rule, time and state; without this option it is only shown
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    rules: Rules,
}

impl Replay {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut access = Access { queries: self.data.queries()?, commands: self.data.commands()? };
        let today = match self.again {
            true => {
                let loaded = self.rules.load_options.load(&self.rules.rules, Secrets::Stood)?;
                let Some(ruleset) = loaded.ruleset else {
                    write!(stdout(), "{}", problem::draw_all(&loaded.problems))?;
                    return Ok(Ended::Problems);
                };
                Some(ruleset)
            }
            false => None,
        };
        let mode = today.as_ref().map_or(Mode::GoOn, Mode::StartAnew);
        let total = match self.events.is_empty() {
            false => self.named(&mut access, &mode)?,
            true => self.chosen(&mut access, &mode)?,
        };
        if total > 0 && !access.commands.is_served() {
            writeln!(stdout(), "nothing runs until you start `doorbell serve`")?;
        }
        Ok(Ended::Good)
    }

    fn named(&self, access: &mut Access, mode: &Mode) -> anyhow::Result<usize> {
        let mut out = stdout();
        let mut total = 0;
        for event in &self.events {
            let id = access.queries.ask(|r| r.find(event))?;
            for rule in access.queries.ask(|r| replay::adding(r, id, self.rule.as_deref(), mode))? {
                writeln!(out, "{id}: `{rule}` adds to what is remembered once more")?;
            }
            let count = self.once(access, id, mode)?;
            total += count;
            match (count, mode) {
                (0, Mode::GoOn) => writeln!(out, "{id}: no run has failed; to run the event again from the start, add --again")?,
                (0, Mode::StartAnew(_)) => writeln!(out, "{id}: no current rule runs for this event")?,
                (n, Mode::GoOn) => writeln!(out, "{id}: {} will continue", number(n, "failed run"))?,
                (n, Mode::StartAnew(_)) => writeln!(out, "{id}: {} will start again", number(n, "run"))?,
            }
        }
        Ok(total)
    }

    fn chosen(&self, access: &mut Access, mode: &Mode) -> anyhow::Result<usize> {
        let state = self.state.as_deref().and_then(State::read).unwrap_or(State::Failed);
        if !mode.fits(state) {
            anyhow::bail!("runs that are {} have nothing left to do; to start them again, add --again", state.word());
        }
        let choice = Choice {
            state,
            rule: self.rule.clone(),
            since: self.since.unwrap_or(Timestamp::UNIX_EPOCH),
            until: self.until.unwrap_or(Timestamp::MAX),
        };
        let chosen = access.queries.ask(|r| replay::choose(r, choice))?;
        if chosen.events.is_empty() {
            writeln!(stdout(), "no {} run matches", state.word())?;
            return Ok(0);
        }
        if !self.yes {
            let mut adding = std::collections::BTreeSet::new();
            for one in chosen.events.iter().take(MOST_LOOKED) {
                adding.extend(access.queries.ask(|r| replay::adding(r, one.event, self.rule.as_deref(), mode))?);
            }
            for rule in adding {
                writeln!(stdout(), "`{rule}` adds to what is remembered once more, for each event")?;
            }
            show(&chosen, mode)?;
            return Ok(0);
        }
        let total = self.all(access, &chosen, mode)?;
        writeln!(stdout(), "{} of {} will {}", number(total, "run"), number(chosen.events.len(), "event"), verb(mode))?;
        Ok(total)
    }

    /// Replays all selected events, no faster than requested, and shows the progress; returns the number of runs.
    fn all(&self, access: &mut Access, chosen: &Chosen, mode: &Mode) -> anyhow::Result<usize> {
        let mut progress = Progress::new("replaying", chosen.events.len() as u64);
        let (began, mut total) = (Instant::now(), 0);
        for (n, one) in (1..).zip(&chosen.events) {
            total += self.once(access, one.event, mode)?;
            progress.at(n);
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(n as f64 / f64::from(rate));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        Ok(total)
    }

    /// Replays one event; returns the number of runs.
    fn once(&self, access: &mut Access, event: EventId, mode: &Mode) -> anyhow::Result<usize> {
        let command = access.queries.ask(|r| replay::command(r, event, self.rule.as_deref(), mode))?;
        match access.commands.perform(command).map_err(anyhow::Error::msg)? {
            Done::Runs(runs) => Ok(runs),
            _ => anyhow::bail!("the running Doorbell sent an unexpected answer"),
        }
    }
}

/// How many of the chosen events are looked at for rules that add to what is remembered.
const MOST_LOOKED: usize = 1_000;

/// What a replay reads from, and sends its commands to.
struct Access {
    queries: Asked,
    commands: Commands,
}

/// Shows the selection, if it is not to be replayed yet.
fn show(chosen: &Chosen, mode: &Mode) -> anyhow::Result<()> {
    let mut out = stdout();
    for one in chosen.events.iter().take(SHOWN) {
        writeln!(out, "  {}  {}", one.event, number(one.runs, "run"))?;
    }
    if chosen.events.len() > SHOWN {
        writeln!(out, "  and {} more", chosen.events.len() - SHOWN)?;
    }
    let runs = number(chosen.runs, &format!("{} run", chosen.state.word()));
    writeln!(out, "{runs} of {} would {}; to do it, add --yes", number(chosen.events.len(), "event"), verb(mode))?;
    Ok(())
}

fn verb(mode: &Mode) -> &'static str {
    match mode {
        Mode::GoOn => "continue",
        Mode::StartAnew(_) => "start again",
    }
}
