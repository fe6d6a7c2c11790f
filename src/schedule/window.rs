//! A part of each day, or of some days: `between_times: ["22:00", "06:00"]`, `on_days: weekdays`.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::days::Days;
use super::{LOOK_AHEAD, clock, moment};

/// When something counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// From the first time to the second, which is the next day's if it is not later.
    pub times: Option<(Time, Time)>,
    /// On these days only, and how they are said: `on weekdays`.
    pub days: Option<(Days, String)>,
}

impl Window {
    /// `between 08:00 and 18:00 on weekdays`; empty if it is always.
    pub fn said(&self) -> String {
        let times = self.times.map(|(from, to)| format!("between {} and {}", clock::spell(from), clock::spell(to)));
        let days = self.days.as_ref().map(|(_, said)| said.clone());
        times.into_iter().chain(days).collect::<Vec<_>>().join(" ")
    }

    /// Whether a moment is inside.
    pub fn includes(&self, at: &Zoned) -> bool {
        let in_time = self.times.is_none_or(|(from, to)| match from < to {
            true => (from..to).contains(&at.time()),
            false => at.time() >= from || at.time() < to,
        });
        in_time && self.includes_day(at.date())
    }

    /// Whether a day is one of its days.
    pub fn includes_day(&self, day: Date) -> bool {
        self.days.as_ref().is_none_or(|(days, _)| days.include(day))
    }

    /// When so much time inside the window has passed since a moment; `None` if that is further ahead than calendars are looked
    /// at.
    pub fn after(&self, since: Timestamp, time: SignedDuration, zone: &TimeZone) -> Option<Timestamp> {
        let mut left = time;
        let first = since.to_zoned(zone.clone()).date();
        for day in first.series(1.day()).take(LOOK_AHEAD) {
            for (from, to) in self.parts(day, zone) {
                let length = to.duration_since(from.max(since)).max(SignedDuration::ZERO);
                if length >= left {
                    return from.max(since).checked_add(left).ok();
                }
                left -= length;
            }
        }
        None
    }

    /// The parts of a day that are inside, in order.
    fn parts(&self, day: Date, zone: &TimeZone) -> Vec<(Timestamp, Timestamp)> {
        let midnight = Time::midnight();
        let next = || moment(day.tomorrow().ok()?, midnight, zone);
        let (Some(begin), Some(end)) = (moment(day, midnight, zone), next()) else { return Vec::new() };
        let at = |time: Time| moment(day, time, zone).unwrap_or(end);
        match self.times {
            _ if !self.includes_day(day) => Vec::new(),
            None => vec![(begin, end)],
            Some((from, to)) if from < to => vec![(at(from), at(to))],
            Some((from, to)) => vec![(begin, at(to)), (at(from), end)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::days::weekday;

    fn window(times: Option<(&str, &str)>, days: &[&str]) -> Window {
        let weekdays = days.iter().fold(0, |bits, day| bits | crate::schedule::days::bit(weekday(day).unwrap()));
        let days = (weekdays > 0).then(|| (Days { weekdays: Some(weekdays), ..Days::all() }, "on some days".to_owned()));
        Window { times: times.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())), days }
    }

    /// When six hours have passed, in Berlin.
    fn six_hours(window: &Window, since: &str) -> String {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let after = window.after(since.parse().unwrap(), SignedDuration::from_hours(6), &berlin).unwrap();
        after.to_zoned(berlin).strftime("%a %m-%d %H:%M").to_string()
    }

    #[test]
    fn only_time_inside_counts() {
        let always = window(None, &[]);
        assert_eq!(six_hours(&always, "2026-03-02T21:00:00+01:00"), "Tue 03-03 03:00");
        let day = window(Some(("08:00", "18:00")), &[]);
        assert_eq!(six_hours(&day, "2026-03-02T05:00:00+01:00"), "Mon 03-02 14:00");
        assert_eq!(six_hours(&day, "2026-03-02T15:00:00+01:00"), "Tue 03-03 11:00");
        let night = window(Some(("22:00", "06:00")), &[]);
        assert_eq!(six_hours(&night, "2026-03-02T05:00:00+01:00"), "Tue 03-03 03:00");
        let work = window(Some(("08:00", "18:00")), &["mon", "tue", "wed", "thu", "fri"]);
        assert_eq!(six_hours(&work, "2026-03-06T16:00:00+01:00"), "Mon 03-09 12:00");
        assert_eq!(six_hours(&window(None, &["sun"]), "2026-03-02T05:00:00+01:00"), "Sun 03-08 06:00");
    }

    #[test]
    fn clock_changes_shift_nothing() {
        // An hour is missing in the night, and comes twice.
        let always = window(None, &[]);
        assert_eq!(six_hours(&always, "2026-03-28T23:00:00+01:00"), "Sun 03-29 06:00");
        assert_eq!(six_hours(&always, "2026-10-24T23:00:00+02:00"), "Sun 10-25 04:00");
        // A window that is in the gap is empty on that day.
        let gap = window(Some(("02:00", "03:00")), &[]);
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let after = gap.after("2026-03-28T12:00:00Z".parse().unwrap(), SignedDuration::from_mins(30), &berlin).unwrap();
        assert_eq!(after.to_string(), "2026-03-30T00:30:00Z");
    }

    #[test]
    fn a_moment_is_inside_from_the_first_time_on_and_before_the_second() {
        let at = |text: &str| format!("2026-03-02T{text}[Europe/Berlin]").parse::<Zoned>().unwrap();
        let night = window(Some(("22:00", "06:00")), &[]);
        for (time, inside) in [("21:59:59", false), ("22:00", true), ("00:00", true), ("05:59:59", true), ("06:00", false)] {
            assert_eq!(night.includes(&at(time)), inside, "{time}");
        }
        assert!(!window(Some(("22:00", "06:00")), &["tue"]).includes(&at("23:00")), "it was a Monday");
        assert_eq!(window(Some(("22:00", "06:30")), &["tue"]).said(), "between 22:00 and 06:30 on some days");
    }
}
