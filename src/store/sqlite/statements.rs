//! SQLite: the statements that every event needs, each prepared once. Finding a statement by its text in a cache, and clearing
//! it afterwards, costs about as much as running it. All others are found by their text (`prepare_cached`).

use rusqlite::{Connection, Params, Result, Statement};

/// One of the statements that every event needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hot {
    StoreEvent,
    StoreRun,
    /// Deletes a waiting run, if it belongs to this owner and this is its turn.
    TakeRun,
    StoreEnded,
}

const COUNT: usize = 4;

impl Hot {
    fn text(self) -> &'static str {
        match self {
            Self::StoreEvent => {
                "INSERT INTO event (id, received, method, address, query, headers, ip, body, ruleset, status, sender, parts, decided)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING"
            }
            Self::StoreRun => {
                "INSERT INTO pending (id, event, rule, text, lane, step, element, tried, due, saved, settled, forgiven, replays, owner, queued, once)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, '{}', 0, 0, 0, ?8, ?9, ?10)"
            }
            Self::TakeRun => "DELETE FROM pending WHERE id = ?1 AND owner = ?2 AND turn = ?3",
            Self::StoreEnded => {
                "INSERT OR IGNORE INTO ended (id, event, rule, text, state, step, element, tried, at, saved, forgiven, replays, attempts, lane, once)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
            }
        }
    }
}

/// The statements of one connection.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    kept: [Option<Statement<'c>>; COUNT],
}

impl<'c> Statements<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        Self { connection, kept: [const { None }; COUNT] }
    }

    /// Executes a statement, and returns how many rows it has changed. The values stay in memory until the next time.
    pub(super) fn execute(&mut self, which: Hot, params: impl Params) -> Result<usize> {
        let kept = &mut self.kept[which as usize];
        let statement = match kept {
            Some(statement) => statement,
            None => kept.insert(self.connection.prepare(which.text())?),
        };
        statement.execute(params)
    }

    /// Forgets the values of a statement, if they are large.
    pub(super) fn forget(&mut self, which: Hot) {
        if let Some(statement) = &mut self.kept[which as usize] {
            statement.clear_bindings();
        }
    }
}
