//! All schedules of a rule, with its time zone, and what becomes of moments that were missed.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::zone::Named;
use super::{Schedule, moment};

/// A moment that began longer ago was missed: Doorbell was not running, or the machine was asleep.
pub const ON_TIME: SignedDuration = SignedDuration::from_mins(1);
/// How far ahead of the clock the last start of a rule can be: until then, a clock that was set back starts nothing twice. Beyond
/// that, the clock was wrong at the time, and the rule does not wait for it.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// The most missed moments that are counted.
pub const MOST_COUNTED: usize = 10_000;

/// What becomes of moments at which Doorbell was not running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// The newest one starts the rule when Doorbell is back.
    #[default]
    Once,
    Skip,
}

/// The moments at which a rule starts by itself.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// Each with how it is said: `every 15 minutes`.
    pub schedules: Vec<(Schedule, String)>,
    pub zone: Named,
    pub missed: Missed,
}

/// A moment at which a rule is to start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub planned: Timestamp,
    /// How many moments before it, and it itself, were missed.
    pub missed: usize,
}

/// What is due, after the last moment that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing yet.
    Later,
    Start(Due),
    /// Nothing happens, and the next moment is one after this.
    GoOnFrom(Timestamp),
}

impl Timetable {
    /// The first moment after this one.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedules.iter().filter_map(|(schedule, _)| schedule.next(after, &self.zone.zone)).min()
    }

    /// The next few moments, as a clock in the zone shows them.
    pub fn upcoming(&self, after: Timestamp, most: usize) -> Vec<Zoned> {
        let moments = std::iter::successors(self.next(after), |moment| self.next(*moment));
        moments.take(most).map(|moment| self.local(moment)).collect()
    }

    /// A moment as a clock in the zone shows it.
    pub fn local(&self, moment: Timestamp) -> Zoned {
        moment.to_zoned(self.zone.zone.clone())
    }

    /// What is due now, if all moments until `after` are settled.
    pub fn look(&self, after: Timestamp, now: Timestamp) -> Look {
        if after > now.saturating_add(AHEAD).unwrap_or(now) {
            return Look::GoOnFrom(now);
        }
        let moments = |(schedule, _): &(Schedule, String)| schedule.between(after, now, &self.zone.zone, MOST_COUNTED);
        let mut due: Vec<Timestamp> = self.schedules.iter().flat_map(moments).collect();
        // Two schedules may have a moment in common, which counts once.
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.dedup();
        let Some(planned) = due.first().copied() else { return Look::Later };
        let is_missed = now.duration_since(planned) > ON_TIME;
        let all = due.len().min(MOST_COUNTED);
        match (is_missed, self.missed) {
            (true, Missed::Skip) => Look::GoOnFrom(now),
            (true, Missed::Once) => Look::Start(Due { planned, missed: all }),
            (false, Missed::Once) => Look::Start(Due { planned, missed: all.saturating_sub(1) }),
            (false, Missed::Skip) => Look::Start(Due { planned, missed: 0 }),
        }
    }

    /// A moment as people write it: `2026-03-29T02:30` on a clock in the zone, or with an offset. The error is a message.
    pub fn read(&self, text: &str) -> Result<Timestamp, String> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(moment);
        }
        let local: DateTime = text.parse().map_err(|_| format!("`{text}` is not a moment; write for example 2026-03-29T09:30"))?;
        moment(local.date(), local.time(), &self.zone.zone).ok_or_else(|| format!("`{text}` is out of range"))
    }

    /// Whether some of its moments are within a minute.
    pub fn has_seconds(&self) -> bool {
        self.schedules.iter().any(|(schedule, _)| match schedule {
            Schedule::Every(seconds) => seconds % 60 != 0,
            Schedule::Calendar { times, .. } => times.iter().any(|time| time.second() != 0),
        })
    }

    /// Whether it starts the rule at this moment.
    pub fn has(&self, moment: Timestamp) -> bool {
        moment.checked_sub(SignedDuration::from_millis(1)).ok().and_then(|before| self.next(before)) == Some(moment)
    }

    /// Text that is different for another timetable.
    pub fn fingerprint(&self) -> String {
        let all: Vec<&str> = self.schedules.iter().map(|(_, said)| said.as_str()).collect();
        format!("{} in {}", all.join(" and "), self.zone.name)
    }

    /// `every 15 minutes`, `at 09:00 on weekdays (Europe/Berlin)`
    pub fn said(&self) -> String {
        let all: Vec<&str> = self.schedules.iter().map(|(_, said)| said.as_str()).collect();
        let depends_on_zone = self.schedules.iter().any(|(schedule, _)| !matches!(schedule, Schedule::Every(_)));
        let zone = if depends_on_zone { format!(" ({})", self.zone.name) } else { String::new() };
        format!("{}{zone}", all.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::cron;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn table(crons: &[&str], missed: Missed) -> Timetable {
        let schedules = crons.iter().map(|text| (cron::read(text).unwrap(), format!("at {text}"))).collect();
        Timetable { schedules, zone: Named::utc(), missed }
    }

    #[test]
    fn a_moment_is_due_once_and_the_newest_stands_for_those_that_were_missed() {
        let hourly = table(&["0 * * * *"], Missed::Once);
        let look = |after: &str, now: &str| hourly.look(at(after), at(now));
        let start = |planned: &str, missed| Look::Start(Due { planned: at(planned), missed });
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T09:59:59Z"), Look::Later);
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"), start("2026-03-01T10:00:00Z", 0));
        assert_eq!(look("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"), Look::Later);
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T10:01:00Z"), start("2026-03-01T10:00:00Z", 0));
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T10:01:01Z"), start("2026-03-01T10:00:00Z", 1));
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T12:30:00Z"), start("2026-03-01T12:00:00Z", 3));
        assert_eq!(look("2026-03-01T09:00:00Z", "2026-03-01T12:00:10Z"), start("2026-03-01T12:00:00Z", 2), "the last one is on time");
    }

    #[test]
    fn missed_moments_can_be_skipped() {
        let hourly = table(&["0 * * * *"], Missed::Skip);
        let now = at("2026-03-01T12:30:00Z");
        assert_eq!(hourly.look(at("2026-03-01T09:00:00Z"), now), Look::GoOnFrom(now));
        let on_time = hourly.look(at("2026-03-01T09:00:00Z"), at("2026-03-01T12:00:05Z"));
        assert_eq!(on_time, Look::Start(Due { planned: at("2026-03-01T12:00:00Z"), missed: 0 }));
    }

    #[test]
    fn a_clock_that_was_years_ahead_stops_no_rule_for_years() {
        let hourly = table(&["0 * * * *"], Missed::Once);
        let now = at("2026-03-01T12:30:00Z");
        assert_eq!(hourly.look(at("2031-01-01T00:00:00Z"), now), Look::GoOnFrom(now));
        assert_eq!(hourly.look(at("2026-03-01T13:00:00Z"), now), Look::Later, "a clock that was set back a little");
    }

    #[test]
    fn a_moment_that_two_schedules_have_counts_once() {
        let both = table(&["0 9 * * *", "0 */3 * * *"], Missed::Once);
        let due = both.look(at("2026-03-01T07:00:00Z"), at("2026-03-01T13:00:00Z"));
        assert_eq!(due, Look::Start(Due { planned: at("2026-03-01T12:00:00Z"), missed: 2 }));
        let next: Vec<String> = both.upcoming(at("2026-03-01T07:00:00Z"), 3).iter().map(|z| z.strftime("%H:%M").to_string()).collect();
        assert_eq!(next, ["09:00", "12:00", "15:00"]);
        assert_eq!(both.said(), "at 0 9 * * * and at 0 */3 * * * (UTC)");
    }
}
