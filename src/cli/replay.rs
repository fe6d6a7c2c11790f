//! `doorbell replay EVENT…`: does it again. Failed runs go on at the step that failed; `--again` starts an event anew with
//! the rules of today. The runs are put into the store, where a running `serve` finds them within a second.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;

use super::Ended;
use super::settings::{Data, Rules, Secrets, number};
use crate::intake::new_run;
use crate::problem;
use crate::store::archive::Archive;
use crate::store::contract::NewRun;

#[derive(Args)]
#[command(after_help = "Example: doorbell replay 0192f3c1 --rule 'New orders'")]
pub struct Replay {
    /// Ids of events, or their beginnings
    #[arg(required = true)]
    events: Vec<String>,
    /// Only the runs of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Start anew with the rules of today, also where everything was done
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    rules: Rules,
}

impl Replay {
    pub fn run(self) -> anyhow::Result<Ended> {
        let mut archive = Archive::open(&self.data.data)?;
        let mut out = std::io::stdout().lock();
        let mut total = 0;
        for event in &self.events {
            let id = archive.find(event)?;
            let count = match self.again {
                false => archive.replay_failed(id, self.rule.as_deref(), Timestamp::now())?,
                true => match self.anew(&mut archive, id, &mut out)? {
                    Some(count) => count,
                    None => return Ok(Ended::Problems),
                },
            };
            total += count;
            match (count, self.again) {
                (0, false) => writeln!(out, "{id}: nothing has failed there; --again starts it anew")?,
                (0, true) => writeln!(out, "{id}: no rule of today wants it")?,
                (n, false) => writeln!(out, "{id}: {} will go on", number(n, "failed run"))?,
                (n, true) => writeln!(out, "{id}: {} will start anew", number(n, "run"))?,
            }
        }
        if total > 0 && !is_served(&self.data.data) {
            writeln!(out, "waits until serve runs")?;
        }
        Ok(Ended::Good)
    }

    fn anew(&self, archive: &mut Archive, id: crate::event::EventId, out: &mut impl Write) -> anyhow::Result<Option<usize>> {
        let loaded = self.rules.around.load(&self.rules.rules, Secrets::Stood)?;
        let Some(ruleset) = loaded.ruleset else {
            write!(out, "{}", problem::draw_all(&loaded.problems))?;
            return Ok(None);
        };
        let dossier = archive.dossier(id)?;
        let wanted = |name: &str| self.rule.as_deref().is_none_or(|r| r == name);
        let answering = ruleset.answering(&dossier.event);
        // A replay does not ask `once_per`.
        let runs: Vec<_> = answering.iter().filter(|s| wanted(&s.rule.name)).map(|s| NewRun { once: None, ..new_run(s) }).collect();
        let texts: Vec<_> = ruleset.texts.iter().map(|(h, s)| (h.clone(), s.name.clone(), s.text.clone())).collect();
        Ok(Some(archive.replay_anew(id, &runs, &texts, Timestamp::now())?))
    }
}

/// Whether a `serve` holds this data folder.
pub(super) fn is_served(data: &std::path::Path) -> bool {
    let file = std::fs::File::open(data.join(".doorbell.lock"));
    file.is_ok_and(|f| matches!(f.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}
