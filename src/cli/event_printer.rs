//! Prints what `serve` says about each event. Which events are told, and in which words, is decided in the intake.

use std::io::Write;

use jiff::tz::TimeZone;

use super::terminal::stdout;
use crate::engine::intake::event_lines::EventLines;
use crate::text::printable::one_line;

/// Prints a line for each event, in a thread that only writes. Without a thread, nothing is printed.
pub fn write_events() -> EventLines {
    let (lines, told) = EventLines::new();
    let write = || {
        told.each(|received, line| {
            let time = received.map_or_else(String::new, |at| at.to_zoned(TimeZone::system()).strftime("%H:%M:%S ").to_string());
            // Whoever started Doorbell may have stopped reading its output.
            let _ = writeln!(stdout(), "{time}{}", one_line(line));
        });
    };
    match std::thread::Builder::new().name("event lines".into()).spawn(write) {
        Ok(_) => lines,
        Err(_) => EventLines::default(),
    }
}
