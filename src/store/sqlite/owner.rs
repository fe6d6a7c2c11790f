//! SQLite: who owns runs: an epoch that grows by one each time the store is opened. A run of another epoch has no
//! owner, and neither has one whose owner is 0; nothing has to be written to release them.
//!
//! Opening the store ends the epoch before: a process that still uses it finds out at its next commit that it no longer
//! owns anything.

use std::cell::Cell;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::quarantine;
use super::rows::{EVENT, PENDING, RUN_COLUMNS, SIZE, Sql, range, read_run, read_unread, saved_of};
use crate::model::event::Unread;
use crate::model::run::{Run, RunId, State};
use crate::store::contract::{Heavy, Held};

/// One opening of the store.
pub(super) struct Owner {
    pub epoch: i64,
    /// Runs that earlier owners had when they died and that were not examined yet. There are only a few: no more than
    /// were in progress. No new ones appear later, because an owner that has lost its epoch can no longer take any runs.
    left_behind: Vec<RunId>,
    /// How many of these the current transaction has examined, from the end.
    looked_at: Cell<usize>,
}

impl Owner {
    /// Begins a new epoch.
    pub(super) fn take_over(sql: &Connection) -> Sql<Self> {
        let epoch = sql.query_row("UPDATE owner SET epoch = epoch + 1 RETURNING epoch", [], |r| r.get(0))?;
        let mut statement = sql.prepare("SELECT id FROM pending WHERE owner <> 0 ORDER BY id DESC")?;
        let left_behind = statement.query_map([], |r| r.get(0))?.collect::<Sql<_>>()?;
        Ok(Self { epoch, left_behind, looked_at: Cell::default() })
    }

    /// Whether this is still the current epoch. Checked at the beginning of each transaction.
    pub(super) fn is_current(&self, sql: &Connection) -> Sql<bool> {
        self.looked_at.set(0);
        let epoch: i64 = sql.prepare_cached("SELECT epoch FROM owner")?.query_row([], |r| r.get(0))?;
        Ok(epoch == self.epoch)
    }

    /// Called after the transaction is committed.
    pub(super) fn committed(&mut self) {
        self.left_behind.truncate(self.left_behind.len() - self.looked_at.take());
    }

    /// Whether runs of dead owners are left.
    pub(super) fn has_left_behind(&self) -> bool {
        self.left_behind.len() > self.looked_at.get()
    }

    /// Leases runs without an owner: first those of dead owners, then those that are due.
    pub(super) fn lease(&self, sql: &Transaction, now: Timestamp, most: usize, mut heavy: Heavy) -> Sql<Vec<(Run, Unread)>> {
        let mut wanted: Vec<RunId> = Vec::new();
        let sized = format!("SELECT p.id, {SIZE} FROM pending p LEFT JOIN event e ON e.seq = p.event WHERE");
        while wanted.len() < most && self.has_left_behind() {
            let run = self.left_behind[self.left_behind.len() - 1 - self.looked_at.get()];
            let mut statement = sql.prepare_cached(&format!("{sized} p.id = ?1 AND p.owner NOT IN (0, ?2) AND p.queued = 0"))?;
            let size: Option<i64> = statement.query_row(params![run, self.epoch], |r| r.get(1)).optional()?;
            // One that is too heavy right now delays only the other runs of dead owners, of which there are few.
            if size.is_some_and(|size| !heavy.takes(size as u64)) {
                break;
            }
            self.looked_at.set(self.looked_at.get() + 1);
            wanted.extend(size.map(|_| run));
        }
        if wanted.len() < most {
            let text = format!("{sized} p.owner = 0 AND p.queued = 0 AND p.due <= ?1 ORDER BY p.due, p.id");
            let mut statement = sql.prepare_cached(&text)?;
            let mut due = statement.query([now.as_millisecond()])?;
            while wanted.len() < most
                && let Some(r) = due.next()?
            {
                if heavy.takes(r.get::<_, i64>(1)? as u64) {
                    wanted.push(r.get(0)?);
                }
            }
        }
        let mut leased = Vec::with_capacity(wanted.len());
        for run in wanted {
            match self.take(sql, run) {
                Ok(both) => leased.extend(both),
                // One damaged row must not block all others.
                Err(rusqlite::Error::FromSqlConversionFailure(_, _, why)) => quarantine::unreadable(sql, run, &why.to_string(), now)?,
                Err(e) => return Err(e),
            }
        }
        Ok(leased)
    }

    /// This owner's runs as stored.
    pub(super) fn held(&self, sql: &Transaction, which: Held) -> Sql<Vec<(Run, Unread)>> {
        // Once released, it may have been leased by another owner: that is one lease and one record more than was known.
        let (from, to, most) = match which {
            Held::Run(run, turn) => (run, run + 1, turn + 1),
            Held::Event(event) => {
                let mut statement = sql.prepare_cached("SELECT seq FROM event WHERE id = ?1")?;
                let Some(event) = statement.query_row([event.0.as_bytes()], |r| r.get(0)).optional()? else { return Ok(Vec::new()) };
                let [from, to] = range(event);
                (from, to, 0)
            }
        };
        let runs: Vec<RunId> = {
            let text = "SELECT id FROM pending WHERE id >= ?1 AND id < ?2 AND owner = ?3 AND turn <= ?4";
            let mut statement = sql.prepare_cached(text)?;
            statement.query_map(params![from, to, self.epoch, most], |r| r.get(0))?.collect::<Sql<_>>()?
        };
        runs.into_iter().filter_map(|run| self.take(sql, run).transpose()).collect()
    }

    /// All runs it has leased or recorded. This scans all waiting runs, so it is used only if something may have been
    /// missed.
    pub(super) fn owned(&self, sql: &Transaction) -> Sql<Vec<(RunId, i64)>> {
        let mut statement = sql.prepare_cached("SELECT id, turn FROM pending WHERE owner = ?1 AND turn > 0")?;
        statement.query_map([self.epoch], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
    }

    /// Makes a run this owner's, and reads it with its event.
    fn take(&self, sql: &Transaction, run: RunId) -> Sql<Option<(Run, Unread)>> {
        sql.prepare_cached("UPDATE pending SET owner = ?2, turn = turn + 1 WHERE id = ?1")?.execute(params![run, self.epoch])?;
        let both = |r: &Row| {
            let event = read_unread(r, RUN_COLUMNS)?;
            Ok((read_run(r, event.event().id, State::Waiting)?, event))
        };
        let mut found = sql.prepare_cached(&taken())?.query_row([run], both).optional()?;
        if let Some((run, _)) = &mut found {
            saved_of(sql, run)?;
        }
        Ok(found)
    }
}

/// The statement that reads a run with its event.
fn taken() -> String {
    format!("SELECT {PENDING}, {EVENT} FROM pending p JOIN event e ON e.seq = p.event WHERE p.id = ?1")
}

#[cfg(test)]
mod tests {
    use super::super::connection::connect;
    use super::super::tables::migrate;
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn what_reads_runs_is_prepared_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connect(folder.path(), true, &None).unwrap();
        migrate(&mut connection).unwrap();
        let mut statement = connection.prepare(&taken()).unwrap();
        for run in 0..5 {
            assert!(!statement.exists([run]).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
