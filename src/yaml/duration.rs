//! Durations, written in one way: a whole number and a unit.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("millisecond", 1), ("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];
/// Other words for a unit: of other tools, and of other languages.
const WORDS: [(&str, &[&str]); 6] = [
    ("millisecond", &["ms", "msec", "msecs", "millis", "millisekunden"]),
    ("second", &["s", "sec", "secs", "sekunde", "sekunden"]),
    ("minute", &["m", "min", "mins", "minuten"]),
    ("hour", &["h", "hr", "hrs", "std", "stunde", "stunden"]),
    ("day", &["d", "tag", "tage", "tagen"]),
    ("week", &["w", "wk", "week", "weeks", "woche", "wochen"]),
];
const NUMBERS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const RULE: &str = "write a whole number and milliseconds, seconds, minutes, hours or days, such as `30 seconds`";
/// The longest duration, in milliseconds.
const LONGEST: u64 = 366 * 86_400_000;

/// Why some text is not a duration.
#[derive(Debug, PartialEq)]
pub struct NotADuration {
    /// How durations are written, in a sentence.
    pub rule: &'static str,
    /// How this one is written.
    pub instead: Option<String>,
}

/// Reads `30 seconds`, `1 minute`.
pub fn read(text: &str) -> Result<Duration, NotADuration> {
    for (name, factor) in UNITS {
        let number = text.strip_suffix(name).or_else(|| text.strip_suffix('s').and_then(|t| t.strip_suffix(name)));
        let Some(number) = number.and_then(|n| n.strip_suffix(' ')).and_then(|n| n.parse::<u64>().ok()) else { continue };
        if text == counted(number, name) {
            return match number.checked_mul(factor) {
                Some(ms) if ms <= LONGEST => Ok(Duration::from_millis(ms)),
                _ => Err(NotADuration { rule: "the longest time is a year", instead: None }),
            };
        }
    }
    Err(NotADuration { rule: RULE, instead: meant(text).filter(|ms| *ms <= LONGEST).map(written) })
}

fn counted(number: u64, unit: &str) -> String {
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// A duration in the largest unit that fits: `15 minutes`.
pub fn spell_largest(time: Duration) -> String {
    written(time.as_millis() as u64)
}

/// A number of milliseconds in the largest unit that fits.
fn written(ms: u64) -> String {
    let (unit, factor) = UNITS.into_iter().rev().find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor)).unwrap_or(UNITS[1]);
    counted(ms / factor, unit)
}

/// What other spellings mean, in milliseconds: `2s`, `1.5 minutes`, `1 hour 30 minutes`, `PT10S`, `00:00:10`, `two minutes`.
fn meant(text: &str) -> Option<u64> {
    let lower = text.to_lowercase().replace('_', "");
    if let [hours, minutes, seconds] = lower.split(':').map(|p| p.parse::<u64>().ok()).collect::<Vec<_>>().as_slice() {
        let minutes = (*hours)?.checked_mul(60)?.checked_add((*minutes)?)?;
        return minutes.checked_mul(60)?.checked_add((*seconds)?)?.checked_mul(1_000);
    }
    let lower = lower.strip_prefix('p').map_or(lower.clone(), |iso| iso.replace('t', ""));
    let lower = lower.replace(" and ", " ");
    let mut rest = lower.trim();
    let mut sum = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = match rest.split_at_checked(digits)? {
            ("", words) => {
                let (word, after) = words.split_once(' ')?;
                (NUMBERS.iter().position(|n| *n == word)? as f64, after)
            }
            (number, after) => (number.parse::<f64>().ok()?, after.trim_start()),
        };
        let length = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(length)?;
        let known = UNITS.iter().find(|(name, _)| unit == *name || unit.strip_suffix('s') == Some(name)).map(|(name, _)| *name);
        let known = known.or_else(|| WORDS.iter().find(|(_, words)| words.contains(&unit)).map(|(name, _)| *name))?;
        let factor = UNITS.iter().find(|(name, _)| *name == known).map_or(7.0 * 86_400_000.0, |(_, factor)| *factor as f64);
        let ms = number * factor;
        if ms.fract() != 0.0 || ms > LONGEST as f64 {
            return None;
        }
        sum = sum.checked_add(ms as u64)?;
        rest = after.trim_start_matches([' ', ',']);
    }
    (sum > 0).then_some(sum)
}

/// A duration as people write it: in whole seconds if it is at least one second.
pub fn spell(time: Duration) -> String {
    let (number, unit) = match time.as_secs() {
        0 => (time.as_millis() as u64, "millisecond"),
        seconds => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_spelling_and_others_get_a_suggestion() {
        assert_eq!(read("30 seconds"), Ok(Duration::from_secs(30)));
        assert_eq!(read("1 minute"), Ok(Duration::from_secs(60)));
        assert_eq!(read("367 days"), Err(NotADuration { rule: "the longest time is a year", instead: None }));
        for (text, instead) in [
            ("2s", "2 seconds"),
            ("1 seconds", "1 second"),
            ("5 Minutes", "5 minutes"),
            ("1.5 minutes", "90 seconds"),
            ("1 hour 30 minutes", "90 minutes"),
            ("1h30m", "90 minutes"),
            ("PT10S", "10 seconds"),
            ("00:00:10", "10 seconds"),
            ("two minutes", "2 minutes"),
            ("10 Sekunden", "10 seconds"),
            ("1 week", "7 days"),
            ("10_000 milliseconds", "10 seconds"),
        ] {
            assert_eq!(read(text).unwrap_err().instead.as_deref(), Some(instead), "{text}");
        }
        for text in ["soon", "-5 seconds", "1 month", "", "5", "0.0001 seconds", "99999999999999999999 seconds", "é:1:2"] {
            assert_eq!(read(text).unwrap_err().instead, None, "{text}");
        }
    }
}
