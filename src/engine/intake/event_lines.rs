//! What is told about each event while Doorbell serves, at most so many lines a second: an event that is not told costs one
//! counter. The lines are written elsewhere, in a thread for which no event waits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::rule::Started;
use crate::text::count::grouped;

/// The most lines a second.
const MOST_LINES: i64 = 20;
const SECOND: Duration = Duration::from_secs(1);
/// The most rules that a line names.
const MOST_NAMES: usize = 3;

/// One event, as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    pub received: Timestamp,
    pub method: String,
    pub address: String,
    pub what: Told,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// These rules run, or the first ones of this many; the status is missing if one of them answers.
    Runs { status: Option<u16>, names: Vec<Arc<str>>, count: usize },
    /// The delivery was received before.
    Again,
    /// These rules start because another one has failed, or nothing came, or the first ones of this many.
    Started { names: Vec<Arc<str>>, count: usize },
    /// A rule starts by itself, and its steps run or not.
    ByItself { runs: bool },
}

impl Told {
    pub fn by_itself(started: &[Started]) -> Self {
        Told::Started { names: started.iter().take(MOST_NAMES).map(|s| s.rule.name.clone()).collect(), count: started.len() }
    }

    pub fn runs(started: &[Started], status: Option<u16>) -> Self {
        Told::Runs { status, names: started.iter().take(MOST_NAMES).map(|s| s.rule.name.clone()).collect(), count: started.len() }
    }
}

impl fmt::Display for EventLine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.address)?;
        match &self.what {
            Told::ByItself { runs: true } => f.write_str("it starts by itself"),
            Told::ByItself { runs: false } => f.write_str("it is time, but its `if:` is not true"),
            Told::Started { count: 0, .. } => f.write_str("no rule runs"),
            Told::Started { names, count } => f.write_str(&runs(names, *count)),
            Told::Again => f.write_str("received before, so nothing runs again"),
            Told::Runs { status, count: 0, .. } => write!(f, "no rule runs, answered {}", status.unwrap_or_default()),
            Told::Runs { status, names, count } => {
                let answer = status.map_or_else(|| "the sender waits for its answer".to_owned(), |status| format!("answered {status}"));
                write!(f, "{}, {answer}", runs(names, *count))
            }
        }
    }
}

/// `` `A`, `B` and 2 more run ``
fn runs(names: &[Arc<str>], count: usize) -> String {
    let more = count - names.len();
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more} {}", names.join(", "), if count == 1 { "runs" } else { "run" })
}

/// Where events are told.
#[derive(Default)]
pub struct EventLines {
    told: Option<(SyncSender<EventLine>, Arc<Room>)>,
}

#[derive(Default)]
struct Room {
    /// How many more lines this second has room for.
    left: AtomicI64,
    /// How many events were not told.
    left_out: AtomicU64,
}

impl EventLines {
    /// Events are told, and can be read at the other end.
    pub fn new() -> (Self, ToldEvents) {
        let room = Arc::new(Room::default());
        room.left.store(MOST_LINES, Ordering::Relaxed);
        let (send, events) = sync_channel(MOST_LINES as usize);
        (Self { told: Some((send, room.clone())) }, ToldEvents { events, room })
    }

    /// Tells an event, if there is room for another one in this second. Never waits.
    pub fn tell(&self, line: impl FnOnce() -> EventLine) {
        let Some((send, room)) = &self.told else { return };
        let has_room = room.left.load(Ordering::Relaxed) > 0 && room.left.fetch_sub(1, Ordering::Relaxed) > 0;
        if !has_room || send.try_send(line()).is_err() {
            room.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end at which the lines are written.
pub struct ToldEvents {
    events: Receiver<EventLine>,
    room: Arc<Room>,
}

impl ToldEvents {
    /// Passes each line on, until Doorbell ends. Each second begins with how many events were left out of the last one.
    pub fn each(self, mut write: impl FnMut(Option<Timestamp>, &str)) {
        let mut second = Instant::now();
        loop {
            match self.events.recv_timeout(SECOND.saturating_sub(second.elapsed())) {
                Ok(line) => write(Some(line.received), &line.to_string()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end_second(&mut write),
            }
            if second.elapsed() >= SECOND {
                self.end_second(&mut write);
                second = Instant::now();
            }
        }
    }

    fn end_second(&self, write: &mut impl FnMut(Option<Timestamp>, &str)) {
        let more = self.room.left_out.swap(0, Ordering::Relaxed);
        if more > 0 {
            write(None, &format!("and {} more", grouped(more)));
        }
        self.room.left.store(MOST_LINES, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: Told) -> EventLine {
        EventLine { received: Timestamp::UNIX_EPOCH, method: "POST".into(), address: "/a".into(), what }
    }

    #[test]
    fn lines_are_plain_english() {
        let runs = |names: &[&str], count, status| line(Told::Runs { status, names: names.iter().map(|n| (*n).into()).collect(), count });
        assert_eq!(runs(&["A"], 1, Some(200)).to_string(), "POST /a: `A` runs, answered 200");
        assert_eq!(runs(&["A", "B", "C"], 5, None).to_string(), "POST /a: `A`, `B`, `C` and 2 more run, the sender waits for its answer");
        assert_eq!(runs(&[], 0, Some(200)).to_string(), "POST /a: no rule runs, answered 200");
        assert_eq!(line(Told::ByItself { runs: true }).to_string(), "POST /a: it starts by itself");
        assert_eq!(line(Told::Again).to_string(), "POST /a: received before, so nothing runs again");
    }

    #[test]
    fn a_flood_of_events_is_counted_and_nobody_waits() {
        let (lines, told) = EventLines::new();
        for _ in 0..25_000 {
            lines.tell(|| line(Told::Again));
        }
        drop(lines);
        let mut all = Vec::new();
        told.each(|_, line| all.push(line.to_owned()));
        assert_eq!(all.len(), MOST_LINES as usize + 1, "{all:?}");
        assert_eq!(all.last().unwrap(), "and 24,980 more");
        // Without anybody who reads them, events are not told.
        EventLines::default().tell(|| unreachable!());
    }
}
