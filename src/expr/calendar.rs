//! Reads times of day and days as people write them in rule files: `["22:00", "06:00"]`, `weekdays`, `[monday, friday]`. What
//! they mean is in [`crate::schedule`].

use jiff::civil::Time;

use crate::schedule::clock;
use crate::schedule::days::{self, Days};
use crate::text::phrase::joined;
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// One time of day.
pub fn read_time(item: &Item) -> Option<Time> {
    let text = item.text()?;
    match clock::read(&text) {
        Ok(time) => Some(time),
        Err(wrong) => {
            let draft = item.problem(wrong.message).label("write hours and minutes in quotes, such as \"09:00\" or \"17:30\"");
            match wrong.meant {
                Some(meant) => draft.write(&format!("\"{}\"", clock::spell(meant))).add(),
                None => draft.add(),
            }
            None
        }
    }
}

/// `["08:00", "18:00"]`: from the first time to the second.
pub fn read_between(item: &Item) -> Option<(Time, Time)> {
    let items = match item.node {
        Node::List(_) => item.one_or_more("")?,
        _ => Vec::new(),
    };
    let [from, to] = items.as_slice() else {
        let draft = item.problem("`between_times:` takes two times of day").label("write [\"08:00\", \"18:00\"]");
        let text = if let Node::Text(text) = item.node { text.as_str() } else { "" };
        let meant = text.split_once(['-', '–']).or_else(|| text.split_once(" and ")).or_else(|| text.split_once(" to "));
        let time = |text: &str| clock::read(text.trim()).or_else(|no| no.meant.ok_or(())).ok().map(clock::spell);
        match meant.and_then(|(from, to)| Some((time(from)?, time(to)?))) {
            Some((from, to)) => draft.write(&format!("[\"{from}\", \"{to}\"]")).add(),
            None => draft.add(),
        }
        return None;
    };
    let (from, to) = (read_time(from), read_time(to));
    let (from, to) = (from?, to?);
    if from == to {
        item.problem("these two times are the same").label("write when it begins and when it ends, or remove it").add();
        return None;
    }
    Some((from, to))
}

/// Days, and how they are said: `on weekdays`.
pub fn read_days(item: &Item) -> Option<(Days, String)> {
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
