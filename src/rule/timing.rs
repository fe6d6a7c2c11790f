//! Reads when a rule starts by itself: `every:`, `at:` with `days:`, and `cron:`.
//!
//! What these mean is in [`crate::schedule`]; here is how they are written, what each is called in a sentence, and what is said
//! about spellings of other tools.

use std::time::Duration;

use jiff::civil::Time;

use crate::expr::calendar::{read_days, read_time};
use crate::schedule::days::Days;
use crate::schedule::{Schedule, clock, cron};
use crate::text::phrase::joined;
use crate::yaml::Node;
use crate::yaml::duration;
use crate::yaml::fields::{Fields, Item};

/// The keys that start a rule by time.
pub const TIMING: [&str; 4] = ["every", "at", "days", "cron"];
/// The shortest time between two moments.
const SHORTEST: u64 = 10;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// The most times of day of one `at:`.
const MOST_TIMES: usize = 100;

/// Reads the schedule of one map under `when:`, with what it is called; problems have been reported.
pub fn read(when: &mut Fields) -> Option<(Schedule, String)> {
    let (every, at, on, crontab) = (when.may("every"), when.may("at"), when.may("days"), when.may("cron"));
    if let Some(crontab) = crontab {
        for other in [&every, &at, &on].into_iter().flatten() {
            other.problem("`cron:` already says when").at_key().label("remove this, or write it without `cron:`").add();
        }
        return read_cron(&crontab);
    }
    // All of them first, so that every mistake is reported at once.
    let times = at.as_ref().map(read_times);
    let days = on.as_ref().map(read_days);
    let seconds = match &every {
        Some(every) => Some(read_every(every)?),
        None => None,
    };
    match (seconds, times, days) {
        (Some(seconds), times, _) => repeated(seconds, times, at.as_ref(), on.as_ref()),
        (None, Some(times), days) => on_days(times?, days),
        (None, None, Some(_)) => {
            let on = on.as_ref()?.problem("`days:` needs a time of day").at_key();
            on.label("write it beside: at: \"09:00\"").add();
            None
        }
        (None, None, None) => None,
    }
}

/// `every:`, maybe with the time of day of whole days.
fn repeated(seconds: u64, times: Option<Option<Vec<Time>>>, at: Option<&Item>, on: Option<&Item>) -> Option<(Schedule, String)> {
    if !seconds.is_multiple_of(DAY) {
        for (item, key) in [(at, "at"), (on, "days")] {
            let Some(item) = item else { continue };
            let draft = item.problem(format!("`{key}:` does not go with an `every:` of less than a day")).at_key();
            draft.label("remove one of them; or write the times as a list: at: [\"09:00\", \"13:00\"]").add();
        }
        return Some((schedule_of(seconds), format!("every {}", plainly(seconds))));
    }
    if let Some(on) = on {
        on.problem("`days:` and `every:` both say on which days").at_key().label("remove one of them").add();
        return None;
    }
    let every = u32::try_from(seconds / DAY).ok()?;
    let times = times.unwrap_or_else(|| Some(vec![Time::midnight()]))?;
    let days = if every == 1 { "day".to_owned() } else { format!("{every} days") };
    let said = format!("every {days} {}", at_times(&times));
    Some((Schedule::Calendar { days: Days { every, ..Days::all() }, times }, said))
}

/// `at:`, maybe on certain days.
fn on_days(times: Vec<Time>, days: Option<Option<(Days, String)>>) -> Option<(Schedule, String)> {
    let (days, said) = match days {
        Some(days) => {
            let (days, said) = days?;
            (days, format!("{} {said}", at_times(&times)))
        }
        None => (Days::all(), format!("every day {}", at_times(&times))),
    };
    Some((Schedule::Calendar { days, times }, said))
}

fn read_cron(item: &Item) -> Option<(Schedule, String)> {
    let text = item.text()?;
    match cron::read(&text) {
        Ok(schedule) => Some((schedule, format!("at `{}`", text.split_whitespace().collect::<Vec<_>>().join(" ")))),
        Err(why) => {
            let macros = [
                ("@yearly", "cron: \"0 0 1 1 *\""),
                ("@annually", "cron: \"0 0 1 1 *\""),
                ("@hourly", "every: 1 hour"),
                ("@daily", "at: \"00:00\""),
                ("@midnight", "at: \"00:00\""),
                ("@weekly", "at: \"00:00\", days: sunday"),
                ("@monthly", "at: \"00:00\", days: first day of month"),
            ];
            if let Some((_, ours)) = macros.iter().find(|(word, _)| *word == text.trim().to_ascii_lowercase()) {
                let draft = item.problem(format!("`{}` is not known here", text.trim())).label("write a time, or how often");
                draft.change(format!("write {ours}"), item.entry_span(), (*ours).to_owned()).add();
                return None;
            }
            let draft = item.problem(why).label("for example `cron: \"0 9 * * MON-FRI\"`, at 09:00 from Monday to Friday");
            let fields: Vec<&str> = text.split_whitespace().collect();
            match fields.as_slice() {
                // Seconds first, as in Quartz and Spring.
                ["0", rest @ ..] if rest.len() == 5 => draft.write(&format!("\"{}\"", rest.join(" ").replace('?', "*"))).add(),
                _ if text.contains('?') => draft.write(&format!("\"{}\"", text.replace('?', "*"))).add(),
                _ => draft.add(),
            }
            None
        }
    }
}

/// The seconds of `every:`.
fn read_every(item: &Item) -> Option<u64> {
    if let Node::Text(text) = item.node
        && let Some(ours) = unit_alone(text)
    {
        item.problem(format!("`every: {text}` says no number")).label("write a number and a unit").write(ours).add();
        return None;
    }
    if let Node::Text(text) = item.node
        && matches!(text.trim().to_ascii_lowercase().as_str(), "week" | "weekly" | "1 week")
    {
        item.problem(format!("`every: {text}` does not say on which day")).label("write at: \"09:00\" with days: monday").add();
        return None;
    }
    let every = item.duration()?;
    let seconds = every.as_secs();
    if every.subsec_millis() > 0 || seconds < SHORTEST {
        let draft = item.problem(format!("a rule cannot start more often than every {SHORTEST} seconds"));
        draft.label("write a longer time").write(&duration::spell(Duration::from_secs(SHORTEST))).add();
        return None;
    }
    let divides = |seconds: &u64| DAY.is_multiple_of(*seconds);
    if seconds > DAY && !seconds.is_multiple_of(DAY) {
        let draft = item.problem(format!("more than a day must be whole days, and {} are not", plainly(seconds)));
        draft.label("write a number of days").add();
        return None;
    }
    if seconds < DAY && !divides(&seconds) {
        // In the unit that it is written in.
        let unit = [HOUR, 60, 1].into_iter().find(|unit| seconds.is_multiple_of(*unit)).unwrap_or(1);
        let fits = |seconds: &u64| divides(seconds) && seconds.is_multiple_of(unit);
        let below = (SHORTEST..seconds).rev().find(fits).map(plainly);
        let above = (seconds..=DAY).find(fits).map(plainly);
        let message = format!("a day cannot be divided into parts of {}, so the times would be different each day", plainly(seconds));
        let draft = item.problem(message).label("write a length of time that divides a day");
        below.into_iter().chain(above).fold(draft, |draft, near| draft.write(&near)).add();
        return None;
    }
    Some(seconds)
}

/// `hour`, `daily`: how it is written after `every:`.
fn unit_alone(text: &str) -> Option<&'static str> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "minute" | "minutely" => "1 minute",
        "hour" | "hourly" => "1 hour",
        "day" | "daily" | "night" => "1 day",
        _ => return None,
    })
}

fn schedule_of(seconds: u64) -> Schedule {
    if seconds <= HOUR {
        return Schedule::Every(seconds as u32);
    }
    let midnight = Time::midnight();
    let times = (0..DAY / seconds).map(|n| midnight.wrapping_add(jiff::SignedDuration::from_secs((n * seconds) as i64)));
    Schedule::Calendar { days: Days::all(), times: times.collect() }
}

/// Times of day, in order.
fn read_times(item: &Item) -> Option<Vec<Time>> {
    let mut all = Vec::new();
    let mut is_good = true;
    for one in item.one_or_more("write a time, such as \"09:00\"")? {
        match read_time(&one) {
            Some(time) => all.push(time),
            None => is_good = false,
        }
    }
    all.sort_unstable();
    all.dedup();
    if all.len() > MOST_TIMES {
        item.problem(format!("one `at:` has at most {MOST_TIMES} times")).label("write `every:` instead").add();
        return None;
    }
    is_good.then_some(all)
}

/// `at 09:00 and 17:00`
fn at_times(times: &[Time]) -> String {
    let all: Vec<String> = times.iter().map(|time| clock::spell(*time)).collect();
    format!("at {}", joined(&all))
}

/// `15 minutes`
fn plainly(seconds: u64) -> String {
    duration::spell_largest(Duration::from_secs(seconds))
}
