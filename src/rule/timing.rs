//! Reads when a rule starts by itself: `every:`, `at:` with `days:`, and `cron:`.
//!
//! What these mean is in [`crate::schedule`]; here is how they are written, what each is called in a sentence, and what is said
//! about spellings of other tools.

use std::time::Duration;

use jiff::civil::Time;

use crate::schedule::days::{self, Days};
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
        let Some(text) = one.text() else {
            is_good = false;
            continue;
        };
        match clock::read(&text) {
            Ok(time) => all.push(time),
            Err(wrong) => {
                is_good = false;
                let draft = one.problem(wrong.message).label("write hours and minutes in quotes, such as \"09:00\" or \"17:30\"");
                match wrong.meant {
                    Some(meant) => draft.write(&format!("\"{}\"", clock::spell(meant))).add(),
                    None => draft.add(),
                }
            }
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

/// Days, and how they are said: `on weekdays`.
fn read_days(item: &Item) -> Option<(Days, String)> {
    let mut all = Days { months: 0xfff, of_month: None, last: false, weekdays: None, either: true, every: 1 };
    let mut said: Vec<String> = Vec::new();
    let mut is_good = true;
    for one in item.one_or_more("write the days, such as [monday, friday]")? {
        let Some(text) = one.text() else {
            is_good = false;
            continue;
        };
        match day(&text) {
            Some((named, spoken)) => {
                all.last |= named.last;
                all.of_month = merged(all.of_month, named.of_month);
                all.weekdays = merged(all.weekdays.map(u32::from), named.weekdays.map(u32::from)).map(|bits| bits as u8);
                said.push(spoken);
            }
            None => {
                is_good = false;
                let draft = one.problem(format!("`{text}` is no day"));
                let draft = draft.label(
                    "write `weekdays`, `weekends`, names such as [monday, friday], days of the month such as [1, 15], `first day of month` or `last day of month`",
                );
                match days_meant(&text) {
                    Some(meant) => draft.write(&meant).add(),
                    None => draft.add(),
                }
            }
        }
    }
    is_good.then(|| (all, format!("on {}", joined(&said))))
}

fn merged(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0) | other.unwrap_or(0)),
    }
}

/// One entry of `days:`, and how it is said.
fn day(text: &str) -> Option<(Days, String)> {
    let none = Days { of_month: None, weekdays: None, ..Days::all() };
    let lower = text.to_ascii_lowercase();
    Some(match lower.as_str() {
        "weekdays" => (Days { weekdays: Some(0b001_1111), ..none }, lower),
        "weekends" => (Days { weekdays: Some(0b110_0000), ..none }, lower),
        "first day of month" => (Days { of_month: Some(1), ..none }, "the first day of the month".to_owned()),
        "last day of month" => (Days { last: true, ..none }, "the last day of the month".to_owned()),
        _ => match (digits(text), days::NAMES.iter().find(|(name, _)| *name == lower)) {
            (Some(number @ 1..=31), _) => (Days { of_month: Some(1 << (number - 1)), ..none }, format!("day {number} of the month")),
            (_, Some((name, weekday))) => (Days { weekdays: Some(days::bit(*weekday)), ..none }, capital(name)),
            _ => return None,
        },
    })
}

/// A number without a sign.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What was probably meant: `Mon`, `Mon-Fri`, `every monday`.
fn days_meant(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let name = |text: &str| {
        days::weekday(text.trim().trim_end_matches('.')).and_then(|day| days::NAMES.iter().position(|(_, known)| *known == day))
    };
    if let Some((from, to)) = lower.split_once(['-', '–']).or_else(|| lower.split_once(" to ")) {
        let (from, to) = (name(from)?, name(to)?);
        let all: Vec<&str> = (0..7).map(|n| (from + n) % 7).take((to + 7 - from) % 7 + 1).map(|n| days::NAMES[n].0).collect();
        return Some(match all.as_slice() {
            ["monday", .., "friday"] if all.len() == 5 => "weekdays".to_owned(),
            all => format!("[{}]", all.join(", ")),
        });
    }
    let parts: Vec<&str> = lower.split([',', ' ']).filter(|part| !part.is_empty() && *part != "and").collect();
    if parts.len() > 1
        && let Some(all) = parts.iter().map(|part| name(part)).collect::<Option<Vec<_>>>()
    {
        return Some(format!("[{}]", all.iter().map(|n| days::NAMES[*n].0).collect::<Vec<_>>().join(", ")));
    }
    Some(match lower.as_str() {
        "weekday" | "workdays" | "working days" | "business days" => "weekdays".to_owned(),
        "weekend" => "weekends".to_owned(),
        "first" | "first of month" | "first day of the month" | "first day" => "first day of month".to_owned(),
        "last" | "end of month" | "last day of the month" | "last day" | "last of month" => "last day of month".to_owned(),
        other => days::NAMES.get(name(other.trim_start_matches("every ").trim_end_matches('s')).or_else(|| name(other))?)?.0.to_owned(),
    })
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
