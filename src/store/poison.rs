//! Runs that bring the program down: counted, and set aside after three times, so that they never block others.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use super::claims::{give_back, open_lane};
use super::jobs::{Ended, MOST_RUNS, Sql};
use crate::event::EventId;
use crate::run::{Attempt, Place, RunId, State};

/// How often the program may die of a run.
const MOST: u32 = 3;

/// Counts a death of the program for these runs, and sets aside those for which it was one too many.
pub(super) fn stumbled(sql: &Transaction, runs: &[RunId], now: Timestamp) -> Sql<Vec<(EventId, String)>> {
    let mut aside = Vec::new();
    for run in runs {
        let text = "UPDATE pending SET stumbled = stumbled + 1 WHERE id = ?1 RETURNING stumbled";
        let times: Option<u32> = sql.prepare_cached(text)?.query_row([run], |r| r.get(0)).optional()?;
        if times.is_some_and(|times| times >= MOST) {
            aside.push(set_aside(sql, *run, now)?);
        }
    }
    Ok(aside)
}

fn set_aside(sql: &Transaction, run: RunId, now: Timestamp) -> Sql<(EventId, String)> {
    let event = run / MOST_RUNS;
    let id = sql.query_row("SELECT id FROM event WHERE seq = ?1", [event], |r| r.get::<_, [u8; 16]>(0))?;
    let text = "DELETE FROM pending WHERE id = ?1 RETURNING rule, text, step, element, tried, saved, forgiven, replays, lane, once";
    let mut statement = sql.prepare_cached(text)?;
    type Row = (String, String, Place, u32, String, bool, u32, Option<String>, Option<String>);
    let (rule, text, place, tried, saved, forgiven, replays, lane, once): Row = statement.query_row([run], |r| {
        let place = Place { step: r.get(2)?, element: r.get(3)? };
        Ok((r.get(0)?, r.get(1)?, place, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?, r.get(9)?))
    })?;
    let told = Attempt {
        place,
        number: tried + 1,
        at: now,
        took: std::time::Duration::ZERO,
        outcome: "failed".into(),
        said: format!(
            "Doorbell died or hung {MOST} times while it worked this step out, so it is set aside; please report it. `doorbell replay` tries it again"
        ),
    };
    let ended = Ended {
        id: run,
        event,
        rule: &rule,
        text: &text,
        state: State::Failed,
        place,
        tried,
        at: now.as_millisecond(),
        saved: &saved,
        forgiven,
        replays,
        told: &serde_json::to_string(&[told]).unwrap_or_default(),
        lane: lane.as_deref(),
        once: once.as_deref(),
    };
    ended.insert(sql)?;
    give_back(sql, &rule, run, once.as_deref())?;
    open_lane(sql, lane.as_deref())?;
    Ok((EventId(uuid::Uuid::from_bytes(id)), rule))
}
