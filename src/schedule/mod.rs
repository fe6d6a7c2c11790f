//! The moments at which a rule starts by itself. They follow from the calendar alone and never from when Doorbell was started, so
//! a restart shifts nothing.
//!
//! Nothing here reads a clock or a rule file. What was started already is kept by the store, and the engine asks for what
//! comes next.

pub mod clock;
pub mod cron;
pub mod days;
pub mod timetable;
pub mod window;
pub mod zone;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use days::Days;

/// How far is looked ahead: 29 February comes every eight years at the latest, and on a certain weekday every forty.
const LOOK_AHEAD: usize = 41 * 366;

/// When something happens again and again.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// After so many seconds, counted from each midnight; at most an hour. Goes on evenly while clocks are changed.
    Every(u32),
    /// At times of day, on certain days.
    Calendar { days: Days, times: Vec<Time> },
}

impl Schedule {
    /// The first moment after this one; `None` if there is none, such as for 30 February.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // In the hour that comes twice, a date may begin again.
        let first = after.to_zoned(zone.clone()).date().yesterday().ok()?;
        let mut dates = first.series(1.day()).take(LOOK_AHEAD);
        dates.find_map(|date| self.moments(date, zone).into_iter().find(|moment| *moment > after))
    }

    /// The moments after `after` and until `until`, the newest first; at most `most`.
    pub fn between(&self, after: Timestamp, until: Timestamp, zone: &TimeZone, most: usize) -> Vec<Timestamp> {
        let mut all = Vec::new();
        let Ok(latest) = until.to_zoned(zone.clone()).date().tomorrow() else { return all };
        for date in latest.series(-1.day()).take(LOOK_AHEAD) {
            for moment in self.moments(date, zone).into_iter().rev() {
                if moment <= after || all.len() >= most {
                    return all;
                }
                // Times of two dates that a clock jumps over can be one moment.
                if moment <= until && all.last() != Some(&moment) {
                    all.push(moment);
                }
            }
            if date.to_zoned(zone.clone()).is_ok_and(|midnight| midnight.timestamp() <= after) {
                break;
            }
        }
        all
    }

    /// The moments of a date, in order.
    fn moments(&self, date: Date, zone: &TimeZone) -> Vec<Timestamp> {
        match self {
            Schedule::Every(seconds) => {
                let midnight = |date: Date| date.to_zoned(zone.clone()).map(|midnight| midnight.timestamp());
                let (Ok(start), Ok(Ok(end))) = (midnight(date), date.tomorrow().map(midnight)) else { return Vec::new() };
                let step = SignedDuration::from_secs((*seconds).into());
                std::iter::successors(Some(start), |at| at.checked_add(step).ok()).take_while(|at| *at < end).collect()
            }
            Schedule::Calendar { days, times } => {
                if !days.include(date) {
                    return Vec::new();
                }
                let mut all: Vec<Timestamp> = times.iter().filter_map(|time| moment(date, *time, zone)).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        }
    }
}

/// When it is this time on this date. A time that the clock jumps over is when the gap ends, and of two the first counts.
pub fn moment(date: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let local = date.to_datetime(time);
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => offset.to_timestamp(local).ok(),
        AmbiguousOffset::Gap { before, .. } => {
            let inside = before.to_timestamp(local).ok()?.checked_add(1.second()).ok()?;
            zone.preceding(inside).next().map(|change| change.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The next moments, as clocks show them.
    fn next(schedule: &Schedule, from: &str, zone: &TimeZone, many: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = at(from);
        for _ in 0..many {
            after = schedule.next(after, zone).unwrap();
            all.push(after.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:z").to_string());
        }
        all
    }

    fn daily(times: &[&str]) -> Schedule {
        Schedule::Calendar { days: Days::all(), times: times.iter().map(|time| time.parse().unwrap()).collect() }
    }

    #[test]
    fn a_time_that_clocks_jump_over_is_when_the_gap_ends_and_one_that_comes_twice_is_the_first() {
        let berlin = zone("Europe/Berlin");
        let spring = next(&daily(&["02:00", "02:30", "03:00"]), "2026-03-28T03:00:00+01:00", &berlin, 3);
        assert_eq!(spring, ["03-29 03:00+02:00", "03-30 02:00+02:00", "03-30 02:30+02:00"], "three times in a gap are one moment");
        let autumn = next(&daily(&["02:30"]), "2026-10-24T12:00:00Z", &berlin, 2);
        assert_eq!(autumn, ["10-25 02:30+02:00", "10-26 02:30+01:00"]);
        // Half an hour, on Lord Howe Island.
        let howe = zone("Australia/Lord_Howe");
        assert_eq!(next(&daily(&["02:15"]), "2026-10-03T12:00:00Z", &howe, 1), ["10-04 02:30+11:00"]);
        // A midnight that does not exist.
        assert_eq!(next(&daily(&["00:00"]), "2026-03-28T12:00:00Z", &zone("Africa/Cairo"), 1), ["03-29 00:00+02:00"]);
        assert_eq!(next(&daily(&["00:00"]), "2026-04-23T12:00:00Z", &zone("Africa/Cairo"), 1), ["04-24 01:00+03:00"]);
    }

    #[test]
    fn up_to_an_hour_time_goes_on_evenly_while_clocks_are_changed() {
        let berlin = zone("Europe/Berlin");
        let hourly = Schedule::Every(3600);
        assert_eq!(
            next(&hourly, "2026-10-25T01:30:00+02:00", &berlin, 4),
            ["10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 03:00+01:00", "10-25 04:00+01:00"]
        );
        assert_eq!(next(&hourly, "2026-03-29T00:59:00Z", &berlin, 2), ["03-29 03:00+02:00", "03-29 04:00+02:00"]);
        let quarters = Schedule::Every(900);
        assert_eq!(
            next(&quarters, "2026-06-01T23:44:59+02:00", &berlin, 3),
            ["06-01 23:45+02:00", "06-02 00:00+02:00", "06-02 00:15+02:00"]
        );
    }

    #[test]
    fn the_last_moment_of_a_time_away_is_found_and_all_of_them_are_counted() {
        let berlin = zone("Europe/Berlin");
        let noon = daily(&["12:00"]);
        let last = |after: &str, until: &str| {
            let all = noon.between(at(after), at(until), &berlin, 1000);
            all.first().map(|last| (*last, all.len()))
        };
        assert_eq!(last("2026-06-01T11:00:00Z", "2026-06-04T09:59:59Z"), Some((at("2026-06-03T10:00:00Z"), 2)));
        assert_eq!(last("2026-06-01T11:00:00Z", "2026-06-04T10:00:00Z"), Some((at("2026-06-04T10:00:00Z"), 3)));
        assert_eq!(last("2026-06-01T10:00:00Z", "2026-06-02T09:00:00Z"), None);
        let minutes = Schedule::Every(60);
        let all = minutes.between(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"), &berlin, 500);
        assert_eq!((all[0], all.len()), (at("2026-01-01T00:00:00Z"), 500));
    }

    #[test]
    fn what_never_happens_has_no_next_moment() {
        let never = cron::read("0 0 30 2 *").unwrap();
        assert_eq!(never.next(at("2026-01-01T00:00:00Z"), &TimeZone::UTC), None);
        let leap = cron::read("0 0 29 2 *").unwrap();
        assert_eq!(next(&leap, "2096-03-01T00:00:00Z", &TimeZone::UTC, 1), ["02-29 00:00+00:00"]);
        assert_eq!(leap.next(at("2096-03-01T00:00:00Z"), &TimeZone::UTC), Some(at("2104-02-29T00:00:00Z")));
    }

    /// The moments at which somebody would start who looks at a clock on the wall each minute: also for times that were jumped
    /// over, and for none twice.
    fn seen(schedule: &Schedule, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let Schedule::Calendar { days, times } = schedule else { panic!("only calendars have times") };
        let mut seen = Vec::new();
        let mut latest = from.to_zoned(zone.clone()).datetime();
        let mut minute = from;
        while minute < to - 60.seconds() {
            minute += 60.seconds();
            let now = minute.to_zoned(zone.clone()).datetime();
            let mut is_due = false;
            while latest < now {
                latest = latest.checked_add(1.minute()).unwrap();
                is_due |= days.include(latest.date()) && times.contains(&latest.time());
            }
            seen.extend(is_due.then_some(minute));
        }
        seen
    }

    /// Ten years of clock changes in twelve zones: of an hour, of half an hour, at midnight, in both directions, and none.
    #[test]
    fn around_clock_changes_moments_are_what_somebody_sees_who_looks_at_the_clock_each_minute() {
        let zones = [
            "Europe/Berlin",
            "Europe/London",
            "America/New_York",
            "America/Havana",
            "America/Santiago",
            "America/Nuuk",
            "Africa/Cairo",
            "Africa/Casablanca",
            "Asia/Beirut",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Chatham",
        ];
        let texts = ["*/7 0-4 * * *", "30 2 * * SUN", "0 0 * * *", "15 */6 1,15 * MON", "59 23 28-31 * *", "0 22-23 * * SAT"];
        let (begin, end) = (at("2026-01-01T00:00:00Z"), at("2036-01-01T00:00:00Z"));
        let mut changes = 0;
        for name in zones {
            let zone = zone(name);
            for change in zone.following(begin).map(|change| change.timestamp()).take_while(|change| *change < end) {
                let (from, to) = (change - 26.hours(), change + 26.hours());
                changes += 1;
                for text in texts {
                    let schedule = cron::read(text).unwrap();
                    let next = std::iter::successors(schedule.next(from, &zone), |moment| schedule.next(*moment, &zone));
                    let found: Vec<Timestamp> = next.take_while(|moment| *moment < to).collect();
                    let mut back = schedule.between(from, to - 60.seconds(), &zone, 10_000);
                    back.reverse();
                    assert_eq!(found, seen(&schedule, &zone, from, to), "{text} in {name} around {change}");
                    assert_eq!(found, back, "{text} in {name} around {change}, from the end");
                }
            }
        }
        assert!(changes > 200, "{changes}");
    }
}
