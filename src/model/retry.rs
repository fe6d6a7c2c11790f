//! When a step is retried: pure arithmetic, with the time and the random number passed in.

use std::time::Duration;

/// How many times one step is attempted, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Attempts in total; 1 means no retry.
    pub tries: u32,
    /// The delay after the first attempt; each further delay is three times as long.
    pub first_wait: Duration,
}

/// The maximum delay between two attempts.
pub const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);
/// The maximum `Retry-After` of a target that is respected.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
pub const MOST_TRIES: u64 = 100;

impl Default for Plan {
    /// 11 attempts over about 17 hours.
    fn default() -> Self {
        Self { tries: 11, first_wait: Duration::from_secs(5) }
    }
}

impl Plan {
    /// The delay after attempt number `tried` (from 1), or `None` if that was the last one. `dice` is between 0 and 1 and
    /// extends the delay by up to 10 %; a target's own `Retry-After` is a minimum, never a maximum.
    pub fn wait(&self, tried: u32, not_before: Option<Duration>, dice: f64) -> Option<Duration> {
        if tried >= self.tries {
            return None;
        }
        let factor = 3u32.checked_pow(tried.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.first_wait.saturating_mul(factor).min(LONGEST_WAIT.max(self.first_wait));
        let wait = wait.mul_f64(1.0 + dice.clamp(0.0, 1.0) / 10.0);
        Some(wait.max(not_before.unwrap_or_default().min(LONGEST_RETRY_AFTER)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_eleven_tries_over_about_seventeen_hours() {
        let plan = Plan::default();
        let waits: Vec<u64> = (1..=11).map_while(|n| plan.wait(n, None, 0.0)).map(|w| w.as_secs()).collect();
        assert_eq!(waits, [5, 15, 45, 135, 405, 1215, 3645, 10935, 21600, 21600]);
        assert_eq!(waits.iter().sum::<u64>() / 3600, 16);
    }

    #[test]
    fn retry_after_is_a_minimum_and_is_capped() {
        let plan = Plan::default();
        assert_eq!(plan.wait(1, Some(Duration::from_secs(60)), 0.0), Some(Duration::from_secs(60)));
        assert_eq!(plan.wait(4, Some(Duration::from_secs(1)), 0.0), Some(Duration::from_secs(135)));
        assert_eq!(plan.wait(1, Some(Duration::from_secs(999_999_999)), 0.0), Some(LONGEST_RETRY_AFTER));
        assert_eq!(plan.wait(11, None, 0.0), None);
        assert_eq!(Plan { tries: 1, ..plan }.wait(1, None, 0.0), None);
    }
}
