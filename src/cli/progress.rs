//! The progress of a long operation: a line that is redrawn repeatedly, if standard error is a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is redrawn.
const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 24;

/// A line on standard error; nothing is drawn if it is not a terminal.
pub struct Progress {
    what: &'static str,
    total: u64,
    drawn: Option<Instant>,
    watched: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, drawn: None, watched: std::io::stderr().is_terminal() }
    }

    /// Reports how much is done.
    pub fn at(&mut self, done: u64) {
        if self.watched && self.drawn.is_none_or(|at| at.elapsed() >= EVERY || done >= self.total) {
            self.drawn = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r{}", line(self.what, done, self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

/// `replaying  [######------------------]  25 %`.
fn line(what: &str, done: u64, total: u64) -> String {
    let part = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (part * WIDTH as f64) as usize;
    format!("{what}  [{}{}]  {:3.0} %", "#".repeat(full), "-".repeat(WIDTH - full), part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_bar_fills() {
        assert_eq!(line("copying", 1, 4), "copying  [######------------------]   25 %");
        assert_eq!(line("copying", 9, 4), "copying  [########################]  100 %");
        assert_eq!(line("copying", 0, 0), "copying  [########################]  100 %");
    }
}
