//! Times of day, as people write them: `09:00`, `17:30`, `23:59:30`.

use jiff::civil::{Time, time};

/// Why some text is no time of day.
#[derive(Debug, PartialEq)]
pub struct NotATime {
    /// A message for people.
    pub message: String,
    /// The time that is probably meant.
    pub meant: Option<Time>,
}

/// Reads `09:00` or `09:00:30`.
pub fn read(text: &str) -> Result<Time, NotATime> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_plain = matches!(parts.len(), 2 | 3) && parts.iter().all(|part| part.len() == 2);
    match numbers(&parts) {
        Some((hour, minute, second)) if is_plain => Time::new(hour, minute, second, 0)
            .map_err(|_| NotATime { message: format!("there is no {text} on a clock"), meant: midnight(hour, minute) }),
        _ => Err(NotATime { message: format!("`{text}` is not a time of day"), meant: meant(text) }),
    }
}

/// `09:00`, or `09:00:30` if it has seconds.
pub fn spell(time: Time) -> String {
    time.strftime(if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

fn numbers(parts: &[&str]) -> Option<(i8, i8, i8)> {
    let number = |n: usize| match parts.get(n) {
        Some(part) if part.bytes().all(|b| b.is_ascii_digit()) => part.parse::<i8>().ok(),
        Some(_) => None,
        None => Some(0),
    };
    Some((number(0)?, number(1)?, number(2)?))
}

/// 24:00 is the midnight that follows.
fn midnight(hour: i8, minute: i8) -> Option<Time> {
    (hour == 24 && minute == 0).then(Time::midnight)
}

/// `9am`, `9:30 pm`, `9`, `9.30`, `0930`, `noon`, `9 Uhr`
fn meant(text: &str) -> Option<Time> {
    let lower = text.trim().to_lowercase();
    match lower.as_str() {
        "noon" | "midday" => return Some(time(12, 0, 0, 0)),
        "midnight" => return Some(Time::midnight()),
        _ => {}
    }
    let spaceless: String = lower.chars().filter(|c| !c.is_whitespace() && *c != '.' || c.is_ascii_digit()).collect();
    let dotted = lower.replace(['.', 'h'], ":");
    let (clock, half) = ["am", "pm"]
        .iter()
        .find_map(|half| spaceless.strip_suffix(half).map(|clock| (clock.to_owned(), Some(*half))))
        .unwrap_or_else(|| (dotted.trim_end_matches(" u:r").trim_end_matches("uhr").trim().trim_end_matches(':').to_owned(), None));
    let four = (clock.len() == 4 && clock.bytes().all(|b| b.is_ascii_digit())).then(|| clock.split_at_checked(2)).flatten();
    let parts: Vec<&str> = four.map_or_else(|| clock.split(':').collect(), |(hours, minutes)| vec![hours, minutes]);
    let (hour, minute, second) = numbers(&parts).filter(|_| parts.len() <= 3)?;
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some("am") => hour % 12,
        Some(_) => hour % 12 + 12,
    };
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_digits_each_and_others_are_understood() {
        assert_eq!(read("09:00"), Ok(time(9, 0, 0, 0)));
        assert_eq!(read("23:59:30").map(spell), Ok("23:59:30".to_owned()));
        for (text, meant) in [
            ("9:00", Some("09:00")),
            ("9am", Some("09:00")),
            ("12 am", Some("00:00")),
            ("12:15 p.m.", Some("12:15")),
            ("9:30 PM", Some("21:30")),
            ("9", Some("09:00")),
            ("9.30", Some("09:30")),
            ("0930", Some("09:30")),
            ("9h30", Some("09:30")),
            ("9 Uhr", Some("09:00")),
            ("noon", Some("12:00")),
            ("24:00", Some("00:00")),
            ("25:00", None),
            ("13pm", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(read(text).unwrap_err().meant.map(spell).as_deref(), meant, "{text}");
        }
        assert_eq!(read("25:00").unwrap_err().message, "there is no 25:00 on a clock");
        assert_eq!(read("9am").unwrap_err().message, "`9am` is not a time of day");
    }
}
