//! What the commands write for people: standard output, standard error and the log.
//!
//! Text from outside (paths, answers of other apps, names in rule files) cannot make a terminal do anything: the characters that
//! it would obey are made visible here, in everything that is written. Values that belong on one line are put on one line where
//! they are written.

use std::io::{self, IsTerminal, StderrLock, StdoutLock, Write};

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;

use super::json_lines::JsonLines;
use crate::text::printable::lines;

/// Standard output or standard error.
pub struct Terminal<W>(W);

pub fn stdout() -> Terminal<StdoutLock<'static>> {
    Terminal(io::stdout().lock())
}

pub fn stderr() -> Terminal<StderrLock<'static>> {
    Terminal(io::stderr().lock())
}

impl<W: Write> Write for Terminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `write!` passes whole pieces of text.
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(lines(&text).as_bytes())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the log to standard error. A line break in a message is followed by spaces, so that no text can look like another
/// entry.
pub fn write_log() {
    let value = debug_fn(|out, field, value| {
        let text = format!("{value:?}");
        let text = lines(&text).trim_end().replace('\n', "\n    ");
        match field.name() {
            "message" => write!(out, "{text}"),
            name => write!(out, "{name}={text}"),
        }
    });
    let colors = io::stderr().is_terminal();
    tracing_subscriber::fmt().fmt_fields(value.delimited(" ")).with_writer(io::stderr).with_ansi(colors).with_target(false).init();
}

/// Writes the log to standard error, each entry as a JSON object on a line of its own; also what Rust prints about a crash.
pub fn write_json_log() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let said = info.payload_as_str().unwrap_or("no reason given");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread, place, "Doorbell crashed: {said}");
    }));
    tracing_subscriber::fmt().event_format(JsonLines).with_writer(io::stderr).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let mut out = Terminal(Vec::new());
        let text = "\u{1b}[2Jé\u{202e}";
        writeln!(out, "order {text}").unwrap();
        out.write_all(b"broken \xff\n").unwrap();
        assert_eq!(String::from_utf8(out.0).unwrap(), "order ␛[2Jé�\nbroken �\n");
    }
}
