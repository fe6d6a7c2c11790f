//! The five fields of cron (crontab(5)): minute, hour, day of the month, month, weekday; with lists, ranges, steps and names.

use jiff::civil::time;

use super::Schedule;
use super::days::{Days, weekday};

/// What a field may hold.
struct Kind {
    name: &'static str,
    from: u32,
    to: u32,
}

const FIELDS: [Kind; 5] = [
    Kind { name: "minute", from: 0, to: 59 },
    Kind { name: "hour", from: 0, to: 23 },
    Kind { name: "day of the month", from: 1, to: 31 },
    Kind { name: "month", from: 1, to: 12 },
    // Both 0 and 7 are Sunday.
    Kind { name: "weekday", from: 0, to: 7 },
];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads five fields. The error is a message for people.
pub fn read(text: &str) -> Result<Schedule, String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, week] = parts.as_slice() else {
        return Err(match parts.len() {
            6 | 7 => {
                "this has a field for seconds or years; write the five fields: minute, hour, day of the month, month, weekday".to_owned()
            }
            _ => "cron has five fields: minute, hour, day of the month, month, weekday".to_owned(),
        });
    };
    let field = |n: usize, text: &str| FIELDS.get(n).map_or(Ok(0), |kind| set(kind, text));
    let (minutes, hours, days, months, weekdays) = (field(0, minute)?, field(1, hour)?, field(2, day)?, field(3, month)?, field(4, week)?);
    let mut times = Vec::new();
    for h in (0..24i8).filter(|h| hours & 1 << h != 0) {
        times.extend((0..60i8).filter(|m| minutes & 1 << m != 0).map(|m| time(h, m, 0, 0)));
    }
    // From Sunday, twice, to Monday first.
    let monday_first = ((weekdays >> 1) & 0x3f) | ((weekdays & 1 | (weekdays >> 7) & 1) << 6);
    let is_any = |text: &str| text.starts_with('*');
    let days = Days {
        months: (months >> 1) as u16,
        of_month: (*day != "*").then_some((days >> 1) as u32),
        weekdays: (*week != "*").then_some(monday_first as u8),
        either: !is_any(day) && !is_any(week),
        ..Days::all()
    };
    Ok(Schedule::Calendar { days, times })
}

/// The numbers of a field, as bits.
fn set(kind: &Kind, text: &str) -> Result<u64, String> {
    let mut all = 0;
    for part in text.split(',') {
        let wrong = || format!("`{part}` is not a {} (from {} to {})", kind.name, kind.from, kind.to);
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(read_step(kind, part, step)?)),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (kind.from, if kind.to == 7 { 6 } else { kind.to }),
            Some((from, to)) => (number(kind, from).ok_or_else(wrong)?, number(kind, to).ok_or_else(wrong)?),
            None => {
                let from = number(kind, range).ok_or_else(wrong)?;
                // Both 0 and 7 are Sunday, and the week ends before the second one.
                let end = if kind.to == 7 && from < 7 { 6 } else { kind.to };
                (from, if step.is_some() { end } else { from })
            }
        };
        // `fri-sun`: to the Sunday at the end of the week.
        let to = if kind.to == 7 && to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return Err(format!("in `{part}`, the {} that comes first is after the other", kind.name));
        }
        (from..=to).step_by(step.unwrap_or(1) as usize).for_each(|n| all |= 1 << n);
    }
    Ok(all)
}

/// What is behind a slash.
fn read_step(kind: &Kind, part: &str, step: &str) -> Result<u32, String> {
    let number = step.bytes().all(|b| b.is_ascii_digit()).then(|| step.parse::<u32>().ok()).flatten();
    number
        .filter(|step| (1..=kind.to).contains(step))
        .ok_or_else(|| format!("in `{part}`, the number after the slash must be from 1 to {}", kind.to))
}

/// A number, or the name of a month or weekday.
fn number(kind: &Kind, text: &str) -> Option<u32> {
    let by_name = || match kind.to {
        12 => MONTHS.iter().position(|month| month.eq_ignore_ascii_case(text)).map(|n| n as u32 + 1),
        7 if text.len() == 3 => weekday(text).map(|day| day.to_sunday_zero_offset() as u32),
        _ => None,
    };
    let plain = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    plain.filter(|n| (kind.from..=kind.to).contains(n)).or_else(by_name)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    fn next(text: &str, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        read(text).unwrap().next(after, &TimeZone::UTC).unwrap().strftime("%a %Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn the_usual_forms_are_read() {
        let after = "2026-03-14T12:07:00Z";
        for (text, expected) in [
            ("*/15 * * * *", "Sat 2026-03-14 12:15"),
            ("0 9 * * MON-FRI", "Mon 2026-03-16 09:00"),
            ("0 9 * * 1-5", "Mon 2026-03-16 09:00"),
            ("30 8 1 * *", "Wed 2026-04-01 08:30"),
            ("0 0 1 jan *", "Fri 2027-01-01 00:00"),
            ("5 0-23/6 * * *", "Sat 2026-03-14 18:05"),
            ("0 12 * * 0", "Sun 2026-03-15 12:00"),
            ("0 12 * * 7", "Sun 2026-03-15 12:00"),
            ("0 12 * * fri-sun", "Sun 2026-03-15 12:00"),
            ("10/20 * * * *", "Sat 2026-03-14 12:10"),
            ("0 12 * * 1/2", "Mon 2026-03-16 12:00"),
            ("0 12 * * 3/4", "Wed 2026-03-18 12:00"),
            // The day of the month or the weekday, if both are given.
            ("0 0 20 * TUE", "Tue 2026-03-17 00:00"),
            // With a star before the step, both.
            ("0 0 */2 * TUE", "Tue 2026-03-17 00:00"),
            ("0 0 */2 * WED", "Wed 2026-03-25 00:00"),
        ] {
            assert_eq!(next(text, after), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("* * * *", "cron has five fields: minute, hour, day of the month, month, weekday"),
            ("0 0 9 * * *", "this has a field for seconds or years; write the five fields: minute, hour, day of the month, month, weekday"),
            ("60 * * * *", "`60` is not a minute (from 0 to 59)"),
            ("0 9 * * MO", "`MO` is not a weekday (from 0 to 7)"),
            ("0 9 0 * *", "`0` is not a day of the month (from 1 to 31)"),
            ("0 17-9 * * *", "in `17-9`, the hour that comes first is after the other"),
            ("*/0 * * * *", "in `*/0`, the number after the slash must be from 1 to 59"),
            ("0 */24 * * *", "in `*/24`, the number after the slash must be from 1 to 23"),
            ("*/+5 * * * *", "in `*/+5`, the number after the slash must be from 1 to 59"),
            ("0 9 L * *", "`L` is not a day of the month (from 1 to 31)"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
