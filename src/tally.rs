//! Counting what happens: numbers that only grow, and durations. Counting is one or three atomic additions; nothing is
//! allocated and nobody waits. What the numbers mean, and who reads them, is not known here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the classes of durations, in microseconds; the last class has none.
const BOUNDS: [u64; 14] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000];

/// A number that grows.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    pub fn one(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The number so far; it begins again at 0.
    pub fn take(&self) -> u64 {
        // Nothing was counted most of the time, and reading alone does not take the number away from those who count.
        if self.now() == 0 { 0 } else { self.0.swap(0, Ordering::Relaxed) }
    }
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Durations {
    /// How many are in each class.
    classes: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// All durations so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// In seconds.
    pub sum: f64,
    pub count: u64,
    /// How many are in each class, with the upper bounds of the classes in seconds; the last one is infinite.
    pub classes: Vec<(f64, u64)>,
}

impl Distribution {
    /// The bound, in seconds, that this share of the durations does not exceed: infinite if there is none, nothing if there were
    /// no durations.
    pub fn bound_of(&self, share: f64) -> Option<f64> {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reaches = |(bound, n): &(f64, u64)| {
            seen += n;
            (seen >= wanted).then_some(*bound)
        };
        self.classes.iter().find_map(reaches)
    }
}

impl Durations {
    pub fn add(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.iter().position(|bound| microseconds <= *bound).unwrap_or(BOUNDS.len());
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    pub fn now(&self) -> Distribution {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let classes: Vec<(f64, u64)> = bounds.zip(self.classes.iter().map(|n| n.load(Ordering::Relaxed))).collect();
        // The sum of the classes, so that the two agree.
        let count = classes.iter().map(|(_, n)| n).sum();
        Distribution { sum: self.microseconds.load(Ordering::Relaxed) as f64 / 1e6, count, classes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_class_whose_bound_it_does_not_exceed() {
        let durations = Durations::default();
        for milliseconds in [0, 1, 2, 30_000, 30_001] {
            durations.add(Duration::from_millis(milliseconds));
        }
        let Distribution { sum, count, classes } = durations.now();
        let filled: Vec<(f64, u64)> = classes.into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!((sum, count), (60.004, 5));
        assert_eq!(filled, [(0.001, 2), (0.0025, 1), (30.0, 1), (f64::INFINITY, 1)]);
    }

    #[test]
    fn a_share_of_the_durations_has_a_bound() {
        let durations = Durations::default();
        assert_eq!(durations.now().bound_of(0.5), None);
        for milliseconds in [1, 4, 90, 700] {
            durations.add(Duration::from_millis(milliseconds));
        }
        assert_eq!([0.0, 0.5, 0.75, 1.0].map(|share| durations.now().bound_of(share)), [0.001, 0.005, 0.1, 1.0].map(Some));
        durations.add(Duration::from_secs(60));
        assert_eq!(durations.now().bound_of(1.0), Some(f64::INFINITY));
    }

    #[test]
    fn what_was_taken_is_not_counted_again() {
        let tally = Tally::default();
        tally.add(3);
        tally.one();
        assert_eq!((tally.now(), tally.take(), tally.take()), (4, 4, 0));
    }
}
