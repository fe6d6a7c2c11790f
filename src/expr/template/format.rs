//! Date formats: the letters behind `%` (strftime), and the formats of other tools, translated into them.
//!
//! A format without a `%` would print itself for every date, and many people know `DD.MM.YYYY` from other tools. It is a
//! problem when rules are loaded, with a translation that is known to work.

use std::sync::LazyLock;

use jiff::Zoned;
use jiff::fmt::strtime;

/// The maximum length of a date format, in bytes: each character of it may expand to hundreds.
pub(super) const MOST_FORMAT: usize = 1_000;
/// What to write if nothing better is known.
const EXAMPLE: &str = "write for example '%d.%m.%Y %H:%M'";

/// Around text that is not a part of the date.
const LITERALS: [(char, char); 2] = [('\'', '\''), ('[', ']')];

/// Why a date format cannot be used, and what to write instead.
pub(super) struct BadFormat {
    pub(super) why: String,
    /// A sentence.
    pub(super) instead: &'static str,
    /// The format in our words.
    pub(super) meant: Option<String>,
}

impl BadFormat {
    /// What to write, in a sentence.
    pub(super) fn instead(&self) -> String {
        self.meant.as_ref().map_or(self.instead.to_owned(), |meant| format!("write '{meant}'"))
    }
}

/// A date whose parts are all different, to try a format with.
static SAMPLE: LazyLock<Option<Zoned>> = LazyLock::new(|| "2026-11-23T04:05:06.789+01:00[+01:00]".parse().ok());

/// The sample date in a format; `None` if it is not a format.
fn sample(format: &str) -> Option<String> {
    strtime::format(format, SAMPLE.as_ref()?).ok()
}

/// Checks a format for printing.
pub(super) fn check(format: &str) -> Result<(), BadFormat> {
    let bad = |why: String, instead, meant| Err(BadFormat { why, instead, meant });
    if format.len() > MOST_FORMAT {
        return bad(format!("a date format has at most {MOST_FORMAT} characters"), "use a shorter one", None);
    }
    if !format.contains('%') {
        return bad(format!("`{format}` has no `%`, so it is not a date format"), EXAMPLE, translated(format));
    }
    match sample(format) {
        Some(_) => Ok(()),
        None => bad(format!("`{format}` is not a date format"), EXAMPLE, None),
    }
}

/// Checks a format for reading dates.
pub(super) fn check_reading(format: &str) -> Result<(), BadFormat> {
    check(format)?;
    let read = sample(format).and_then(|text| strtime::parse(format, &text).ok());
    match read.is_some_and(|parts| parts.to_date().is_ok() || parts.to_timestamp().is_ok()) {
        true => Ok(()),
        false => Err(BadFormat {
            why: format!("`{format}` does not contain a whole date, so no date can be read with it"),
            instead: "write the year, the month and the day, as in '%d.%m.%Y'",
            meant: None,
        }),
    }
}

/// The kind of the part of a date that precedes another.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Hour,
    Minute,
    Other,
}

/// Our spelling of another tool's date format, if it is one; printing a date with it and reading that again works.
pub(super) fn translated(theirs: &str) -> Option<String> {
    let word = theirs.to_ascii_lowercase().replace(['-', '_', ' '], "");
    let ours = match word.as_str() {
        "iso" | "iso8601" | "rfc3339" | "atom" => "%Y-%m-%dT%H:%M:%S%:z".to_owned(),
        "unix" | "timestamp" | "epoch" => "%s".to_owned(),
        _ if is_php(theirs) => php(theirs)?,
        _ => letters(theirs)?,
    };
    let text = sample(&ours)?;
    (ours.contains('%') && strtime::parse(&ours, &text).is_ok()).then_some(ours)
}

/// Whether a format is written as in PHP: a single letter for each part, such as `d.m.Y`.
fn is_php(theirs: &str) -> bool {
    let letters: Vec<char> = theirs.chars().filter(char::is_ascii_alphabetic).collect();
    let single = theirs.as_bytes().windows(2).all(|two| two[0] != two[1] || !two[0].is_ascii_alphabetic());
    single && letters.iter().all(|c| "djmnYyHGisT".contains(*c)) && letters.iter().any(|c| "Yyi".contains(*c))
}

fn php(theirs: &str) -> Option<String> {
    let mut ours = String::new();
    for c in theirs.chars().filter(|c| *c != '\\') {
        match c {
            'd' => ours.push_str("%d"),
            'j' => ours.push_str("%-d"),
            'm' => ours.push_str("%m"),
            'n' => ours.push_str("%-m"),
            'Y' | 'y' | 'H' => ours.extend(['%', c]),
            'G' => ours.push_str("%-H"),
            'i' => ours.push_str("%M"),
            's' => ours.push_str("%S"),
            c => ours.push(c),
        }
    }
    Some(ours)
}

/// Formats in which the number of equal letters matters, such as `DD.MM.YYYY` and `dd/MM/yyyy HH:mm`.
fn letters(theirs: &str) -> Option<String> {
    let characters: Vec<char> = theirs.chars().collect();
    // Without `am` and `pm`, everybody means 24 hours.
    let half_days = theirs.contains(['a', 'A', 't']);
    let (mut ours, mut before, mut n) = (String::new(), Part::Other, 0);
    while let Some(&c) = characters.get(n) {
        let count = characters.iter().skip(n).take_while(|other| **other == c).count();
        // Text that other tools put in quotes or brackets, such as `yyyy-MM-dd'T'HH:mm`.
        if let Some(end) = LITERALS.iter().find(|(open, _)| *open == c).map(|(_, close)| *close)
            && let Some(length) = characters.iter().skip(n + 1).position(|other| *other == end)
        {
            ours.extend(characters.iter().skip(n + 1).take(length));
            n += length + 2;
            continue;
        }
        if !c.is_ascii_alphabetic() {
            ours.push(c);
            n += 1;
            continue;
        }
        n += count;
        let is_minute = before == Part::Hour || characters.get(n) == Some(&':');
        let (part, kind) = match (c, count) {
            ('m' | 'M', 1..=2) if is_minute => (if count == 1 { "%-M" } else { "%M" }, Part::Minute),
            ('S', 2) if before == Part::Minute => ("%S", Part::Other),
            ('H', 1) => ("%-H", Part::Hour),
            ('H', 2) => ("%H", Part::Hour),
            ('h', 1) => (if half_days { "%-I" } else { "%-H" }, Part::Hour),
            ('h', 2) => (if half_days { "%I" } else { "%H" }, Part::Hour),
            _ => (of_a_day(c, count)?, Part::Other),
        };
        ours.push_str(part);
        before = kind;
    }
    Some(ours)
}

/// The parts of a date that mean the same wherever they stand.
fn of_a_day(letter: char, count: usize) -> Option<&'static str> {
    Some(match (letter, count) {
        ('Y' | 'y' | 'u', 4) | ('Y' | 'y', 1) => "%Y",
        ('Y' | 'y', 2) => "%y",
        ('m' | 'M', 1) => "%-m",
        ('m' | 'M', 2) => "%m",
        ('M', 3) => "%b",
        ('M', 4) => "%B",
        ('D' | 'd', 1) => "%-d",
        ('D' | 'd', 2) => "%d",
        ('d', 3) | ('E', 1..=3) => "%a",
        ('d', 4) | ('E', 4) => "%A",
        ('s', 1) => "%-S",
        ('s', 2) => "%S",
        ('S' | 'f', 3) => "%3f",
        ('S' | 'f', 6) => "%6f",
        ('a' | 'A', 1) | ('t', 2) => "%p",
        ('Z', 1) | ('X', 3) => "%:z",
        ('Z', 2) => "%z",
        ('X', 1) => "%s",
        ('T', 1) => "T",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_other_tools_are_translated() {
        for (theirs, ours) in [
            ("YYYY", "%Y"),
            ("YYYY-MM-DD", "%Y-%m-%d"),
            ("yyyy-MM-dd", "%Y-%m-%d"),
            ("dd.MM.yyyy", "%d.%m.%Y"),
            ("dd.mm.yyyy", "%d.%m.%Y"),
            ("DD/MM/YYYY HH:mm", "%d/%m/%Y %H:%M"),
            ("DD.MM.YYYY HH:MM:SS", "%d.%m.%Y %H:%M:%S"),
            ("DD.MM.YYYY hh:mm", "%d.%m.%Y %H:%M"),
            ("MM/DD/YY h:mm A", "%m/%d/%y %-I:%M %p"),
            ("D. MMMM YYYY", "%-d. %B %Y"),
            ("ddd, DD MMM YYYY", "%a, %d %b %Y"),
            ("EEEE, d MMMM yyyy", "%A, %-d %B %Y"),
            ("YYYY-MM-DDTHH:mm:ss.SSSZ", "%Y-%m-%dT%H:%M:%S.%3f%:z"),
            ("yyyy-MM-dd'T'HH:mm", "%Y-%m-%dT%H:%M"),
            ("DD.MM. [um] HH:mm", "%d.%m. um %H:%M"),
            ("D ' M [", "%-d ' %-m ["),
            ("YYYYMMDDHHmmss", "%Y%m%d%H%M%S"),
            ("d.m.Y", "%d.%m.%Y"),
            ("Y-m-d H:i:s", "%Y-%m-%d %H:%M:%S"),
            ("D.M.Y", "%-d.%-m.%Y"),
            ("ISO 8601", "%Y-%m-%dT%H:%M:%S%:z"),
            ("hello", "-"),
            ("", "-"),
            ("Do MMMM", "-"),
            ("é", "-"),
        ] {
            assert_eq!(translated(theirs).as_deref().unwrap_or("-"), ours, "{theirs}");
        }
    }

    #[test]
    fn a_format_is_checked_before_it_is_used() {
        assert!(check("%d.%m.%Y").is_ok() && check("%H:%M").is_ok() && check("%s").is_ok());
        assert!(check("").is_err() && check("YYYY").is_err() && check("%!").is_err() && check(&"%Y".repeat(501)).is_err());
        assert!(check_reading("%d.%m.%y").is_ok() && check_reading("%s").is_ok() && check_reading("%Y-%m-%dT%H:%M:%S%z").is_ok());
        assert!(check_reading("%d.%m.").is_err() && check_reading("%H:%M").is_err());
    }
}
