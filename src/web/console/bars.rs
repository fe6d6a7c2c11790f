//! The last 24 hours of a rule as a small picture: what ran is a full bar that stands on a line, what did not run is an empty
//! bar on top of it, what failed hangs below the line. The numbers are beside it, for those who do not see it.

use maud::{Markup, html};

use crate::operations::hours::{Day, HourBar};

/// The size of the picture, in its own units: of an hour, above the line and below it.
const WIDTH: u64 = 6;
const ABOVE: u64 = 24;
const BELOW: u64 = 8;

/// The picture, with the numbers in plain English.
pub fn day(day: &Day) -> Markup {
    let total = day.total();
    let said = format!("{} ran, {} did not, {} failed", total.ran, total.did_not, total.failed);
    let width = WIDTH * day.0.len() as u64;
    let (most, most_failed) = (most(day, |bar| bar.ran + bar.did_not), most(day, |bar| bar.failed));
    html! {
        div.day {
            svg viewBox=(format!("0 0 {width} {}", ABOVE + BELOW + 1)) width=(width) height=(ABOVE + BELOW + 1) role="img" aria-label=(format!("Last 24 hours: {said}")) {
                @for (n, bar) in day.0.iter().enumerate() { (hour(n as u64 * WIDTH, bar, most, most_failed)) }
                line.ground x1="0" x2=(width) y1=(ABOVE) y2=(ABOVE) {}
            }
            @if total.is_empty() { span.hint { "nothing in the last 24 hours" } } @else { span.hint { (said) } }
        }
    }
}

fn most(day: &Day, what: impl Fn(&HourBar) -> u64) -> u64 {
    day.0.iter().map(what).max().unwrap_or_default().max(1)
}

/// One hour; where it is seen at all, it is at least one unit high.
fn hour(x: u64, bar: &HourBar, most: u64, most_failed: u64) -> Markup {
    let scaled = |n: u64, most: u64, room: u64| if n == 0 { 0 } else { (n * room / most).max(1) };
    let both = scaled(bar.ran + bar.did_not, most, ABOVE);
    let ran = scaled(bar.ran, most, ABOVE).min(both);
    let failed = scaled(bar.failed, most_failed, BELOW);
    html! {
        g {
            title { (bar.begin.strftime("%Y-%m-%d %H:%M UTC")) ": " (bar.ran) " ran, " (bar.did_not) " did not, " (bar.failed) " failed" }
            // Something to point at, even where nothing happened.
            rect.hour x=(x) y="0" width=(WIDTH) height=(ABOVE + BELOW + 1) {}
            @if ran > 0 { rect.ran x=(x + 1) y=(ABOVE - ran) width=(WIDTH - 2) height=(ran) {} }
            // An outline is as wide as the full bar; a rectangle without any height would not be drawn.
            @if both > ran { rect.did-not x=(format!("{}.5", x + 1)) y=(format!("{}.5", ABOVE - both)) width=(WIDTH - 3) height=(format!("{}.1", both - ran - 1)) {} }
            @if failed > 0 { rect.failed x=(x + 1) y=(ABOVE + 1) width=(WIDTH - 2) height=(failed) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_hour_is_drawn_in_proportion_and_the_numbers_are_said() {
        let mut all = Day::empty(Timestamp::UNIX_EPOCH);
        assert!(day(&all).into_string().contains("nothing in the last 24 hours"));
        (all.0[0].ran, all.0[0].did_not) = (9_999, 1);
        (all.0[1].ran, all.0[1].failed) = (1, 5);
        let drawn = day(&all).into_string();
        assert!(drawn.contains("aria-label=\"Last 24 hours: 10000 ran, 1 did not, 5 failed\""), "{drawn}");
        assert!(drawn.contains("<rect class=\"ran\" x=\"1\" y=\"1\" width=\"4\" height=\"23\"></rect>"), "{drawn}");
        assert!(drawn.contains("<rect class=\"ran\" x=\"7\" y=\"23\" width=\"4\" height=\"1\"></rect>"), "{drawn}");
        assert!(drawn.contains("<rect class=\"failed\" x=\"7\" y=\"25\" width=\"4\" height=\"8\"></rect>"), "{drawn}");
        assert!(drawn.contains("1970-01-01 00:00 UTC: 0 ran, 0 did not, 0 failed"), "{drawn}");
    }
}
