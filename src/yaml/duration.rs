//! Durations, written in one way: a whole number and a unit.

use std::time::Duration;

/// Reads `30 seconds`, `1 minute`; the error says how to write it.
pub fn read(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("millisecond", 1), ("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let (number, unit) = (text.strip_suffix(unit).unwrap_or(text).parse::<u64>(), unit.trim());
    let example = "write a whole number and milliseconds, seconds, minutes, hours or days, such as `30 seconds`";
    let Ok(number) = number else { return Err(example.to_owned()) };
    for (name, factor) in UNITS {
        let right = if number == 1 { name.to_owned() } else { format!("{name}s") };
        let exact = text == format!("{number} {right}");
        if exact {
            return match number.checked_mul(factor) {
                Some(ms) if ms <= 366 * 86_400_000 => Ok(Duration::from_millis(ms)),
                _ => Err("the longest time is a year".to_owned()),
            };
        }
        let short: &[&str] = match name {
            "millisecond" => &["ms", "msec", "millis"],
            "second" => &["s", "sec", "secs"],
            "minute" => &["m", "min", "mins"],
            "hour" => &["h", "hr", "hrs"],
            _ => &["d"],
        };
        let lower = unit.to_lowercase();
        if short.contains(&lower.as_str()) || lower == name || lower == format!("{name}s") {
            return Err(format!("write `{number} {right}`"));
        }
    }
    Err(example.to_owned())
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
        assert_eq!(read("2s"), Err("write `2 seconds`".into()));
        assert_eq!(read("1 seconds"), Err("write `1 second`".into()));
        assert_eq!(read("367 days"), Err("the longest time is a year".into()));
        assert!(read("soon").is_err());
    }
}
