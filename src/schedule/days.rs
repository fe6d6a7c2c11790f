//! The days of a schedule: weekdays, days of a month, the first and the last, every so many days.

use jiff::civil::{Date, Weekday, date};

/// Which dates belong to a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Days {
    /// Of the twelve months, those that count.
    pub months: u16,
    /// Of the days 1 to 31, those that count, if it depends on them.
    pub of_month: Option<u32>,
    /// Also the last day of a month.
    pub last: bool,
    /// Of Monday to Sunday, those that count, if it depends on them.
    pub weekdays: Option<u8>,
    /// Whether one of both is enough, if it depends on the day of the month and the weekday.
    pub either: bool,
    /// Every so many days, counted from 1 January 1970.
    pub every: u32,
}

impl Days {
    /// Every day.
    pub fn all() -> Self {
        Self { months: 0xfff, of_month: None, last: false, weekdays: None, either: true, every: 1 }
    }

    pub fn include(&self, day: Date) -> bool {
        if self.months & 1 << (day.month() - 1) == 0 || !self.is_nth(day) {
            return false;
        }
        let is_last = self.last && day.day() == day.days_in_month();
        let in_month = self.of_month.map(|days| days & 1 << (day.day() - 1) != 0 || is_last).or(self.last.then_some(is_last));
        let in_week = self.weekdays.map(|days| days & bit(day.weekday()) != 0);
        match (in_month, in_week) {
            (Some(month), Some(week)) if self.either => month || week,
            (month, week) => month.unwrap_or(true) && week.unwrap_or(true),
        }
    }

    fn is_nth(&self, day: Date) -> bool {
        let since = || date(1970, 1, 1).until(day).map_or(0, |span| i64::from(span.get_days()));
        self.every <= 1 || since().rem_euclid(i64::from(self.every)) == 0
    }
}

/// The bit of a weekday.
pub fn bit(weekday: Weekday) -> u8 {
    1 << weekday.to_monday_zero_offset()
}

/// The weekdays by their names, from Monday.
pub const NAMES: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// A weekday by its English name or its beginning: `monday`, `Mon`.
pub fn weekday(text: &str) -> Option<Weekday> {
    let text = text.to_ascii_lowercase();
    NAMES.iter().find(|(name, _)| *name == text || (text.len() >= 3 && name.starts_with(&text))).map(|(_, weekday)| *weekday)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_that_of_each_month() {
        let last = Days { last: true, ..Days::all() };
        for (day, expected) in [(date(2028, 2, 29), true), (date(2028, 2, 28), false), (date(2026, 2, 28), true), (date(2026, 4, 30), true)]
        {
            assert_eq!(last.include(day), expected, "{day}");
        }
        let both = Days { last: true, of_month: Some(1), ..Days::all() };
        assert!(both.include(date(2026, 5, 1)) && both.include(date(2026, 5, 31)) && !both.include(date(2026, 5, 30)));
    }

    #[test]
    fn every_third_day_does_not_begin_anew_with_a_month() {
        let third = Days { every: 3, ..Days::all() };
        let all: Vec<i8> =
            date(2026, 1, 28).series(jiff::ToSpan::day(1)).take(9).filter(|day| third.include(*day)).map(|day| day.day()).collect();
        assert_eq!(all.len(), 3);
        assert!(third.include(date(1970, 1, 4)) && !third.include(date(1970, 1, 5)) && third.include(date(1969, 12, 29)));
    }

    #[test]
    fn weekdays_have_names_and_short_ones() {
        assert_eq!(weekday("Thu"), Some(Weekday::Thursday));
        assert_eq!(weekday("SATURDAY"), Some(Weekday::Saturday));
        assert_eq!(weekday("s"), None);
        assert_eq!(weekday("montag"), None);
    }
}
