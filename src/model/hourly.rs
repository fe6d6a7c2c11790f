//! What happened to a rule at an address within an hour, in numbers.

use jiff::Timestamp;

/// Seconds of an hour.
const HOUR: i64 = 3_600;

/// Hours since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(HOUR))
    }

    pub fn begin(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(HOUR)).unwrap_or(Timestamp::MAX)
    }

    pub fn before(self, hours: i64) -> Self {
        Self(self.0 - hours)
    }
}

/// How often a rule ran, and how often it did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HourlyCounts {
    /// Runs that ended well.
    pub ran: u64,
    /// Events at the address for which the rule did not run, because of its conditions.
    pub did_not: u64,
    /// Runs that failed.
    pub failed: u64,
}

impl HourlyCounts {
    pub fn add(&mut self, more: Self) {
        self.ran += more.ran;
        self.did_not += more.did_not;
        self.failed += more.failed;
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// These counts of one rule, at one address, in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hourly {
    pub hour: Hour,
    pub rule: String,
    /// The address as the rule file has it.
    pub address: String,
    pub counts: HourlyCounts,
}
