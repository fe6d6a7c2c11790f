//! SQLite: runs that cannot be executed and must not block others: those that crash the program, which are counted and
//! quarantined (ended as failed) after three crashes, and those whose row is damaged.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use super::alarms;
use super::called_runs;
use super::claims::{give_back, open_lane};
use super::rows::{MOST_RUNS, Sql, end, event_id};
use crate::model::called::{CallEnd, How};
use crate::model::event::EventId;
use crate::model::place::Place;
use crate::model::run::{RunId, State};
use crate::store::attempts::{MOST_CRASHES, quarantined, too_often};

/// Counts a crash of the program for these runs, and quarantines those that reach the limit.
pub(super) fn crashed_with(sql: &Transaction, runs: &[RunId], now: Timestamp) -> Sql<Vec<(EventId, String)>> {
    let mut quarantined_runs = Vec::new();
    for run in runs {
        let text = "UPDATE pending SET crashes = crashes + 1 WHERE id = ?1 RETURNING crashes";
        let times: Option<u32> = sql.prepare_cached(text)?.query_row([run], |r| r.get(0)).optional()?;
        if times.is_some_and(|times| times >= MOST_CRASHES) {
            let rule = end_as_failed(sql, *run, too_often(), now)?;
            let event = sql.query_row("SELECT id FROM event WHERE seq = ?1", [run / MOST_RUNS], |r| event_id(r, 0))?;
            quarantined_runs.push((event, rule));
        }
    }
    Ok(quarantined_runs)
}

/// Ends a run whose row cannot be read, as failed. Its unreadable columns are cleared, so that lists can show it.
pub(super) fn unreadable(sql: &Transaction, run: RunId, why: &str, now: Timestamp) -> Sql<()> {
    sql.execute("UPDATE pending SET saved = '{}' WHERE id = ?1 AND NOT json_valid(saved)", [run])?;
    sql.execute("DELETE FROM saved WHERE run = ?1 AND NOT json_valid(opened(value, 'saved')) AND substr(value, 1, 1) <> '~'", [run])?;
    let said = format!(
        "the saved data of this run is damaged and cannot be read ({why}); restore a backup, or ask the sender to send the event again"
    );
    end_as_failed(sql, run, said, now).map(drop)
}

/// Ends a run as failed, with a sentence; returns the name of its rule.
fn end_as_failed(sql: &Transaction, run: RunId, said: String, now: Timestamp) -> Sql<String> {
    let text = "SELECT rule, step, element, tried, lane, once FROM pending WHERE id = ?1";
    type Row = (String, Place, u32, Option<String>, Option<String>);
    let (rule, place, tried, lane, once): Row = sql.prepare_cached(text)?.query_row([run], |r| {
        let place = Place { step: r.get(1)?, element: r.get(2)? };
        Ok((r.get(0)?, place, r.get(3)?, r.get(4)?, r.get(5)?))
    })?;
    let last = quarantined(place, tried, now, said);
    let state = called_runs::failed_state(sql, run)?;
    if state == State::Failed {
        alarms::report_ended(sql, run, &rule, &last)?;
    }
    let told = CallEnd { rule: rule.clone(), how: How::Failed(last.said.clone()) };
    end(sql, run, state, now.as_millisecond(), &[last])?;
    called_runs::tell(sql, run, &told, now.as_millisecond())?;
    give_back(sql, &rule, run, once.as_deref())?;
    open_lane(sql, lane.as_deref())?;
    Ok(rule)
}
