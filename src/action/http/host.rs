//! The state of one target server: whether it responds at all, and how long a call must wait when there is no room for it.
//!
//! After several consecutive calls without a response, a server is not called for a while; then a single call probes it
//! (a circuit breaker). [`CallSlots`] decides how many calls a server gets at a time: a call that finds no place there goes
//! back to the store and is retried at about the time when the server will have finished the calls before it. So a
//! failing server delays only the calls that need it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::action::call_slots::{CallSlot, CallSlots};

/// How many consecutive calls must go unanswered before the server is paused.
const PATIENCE: u32 = 5;
/// How long the server is paused: initially, and at most; each pause is twice as long as the one before.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// The maximum number of calls waiting in memory for one server.
pub(crate) const MOST_WAITING: usize = 112;
/// The minimum and maximum delay before a call is retried.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);
/// The minimum interval between calls that are retried, where a server has not shown its own rate.
const LEAST_PACE: Duration = Duration::from_millis(10);
/// The maximum number of servers to remember; above that, the servers with no current calls are dropped.
const MOST: usize = 1_000;

/// All servers, by name.
pub struct Hosts {
    room: Arc<CallSlots>,
    all: Mutex<HashMap<String, Arc<Host>>>,
}

/// What is known about one server.
pub struct Host {
    pub(super) name: Arc<str>,
    /// As a rule file writes it.
    listed: Option<Arc<str>>,
    room: Arc<CallSlots>,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    /// The number of consecutive calls without a response.
    silent: u32,
    /// The server is not called until then.
    rests_until: Option<Instant>,
    rest: Duration,
    /// Whether a probe call is in progress.
    is_probed: bool,
    /// When the last call ended, and the approximate interval between two calls ending.
    last_end: Option<Instant>,
    pace: Duration,
    /// The time given to the last call that was turned away.
    last_turn: Option<Instant>,
}

/// The state of a server, for people.
#[derive(Debug, PartialEq)]
pub struct HostState {
    pub name: Arc<str>,
    /// As a rule file writes it; calls are counted by that.
    pub listed: Option<Arc<str>>,
    /// How many calls in a row were not answered.
    pub silent: u32,
    /// How long it is still left alone.
    pub rests: Option<Duration>,
    /// How long ago a call last ended with an answer.
    pub last: Option<Duration>,
}

/// Why a call is not made now.
#[derive(Debug, PartialEq)]
pub enum NotNow {
    /// The server does not respond; it will be probed after this time.
    Rests(Duration),
    /// Too many calls are already waiting; try again after this time.
    Crowded(Duration),
}

/// A call's turn. Its outcome must be reported.
pub struct Turn<'h> {
    host: &'h Host,
    probes: bool,
    ended: bool,
    /// `None` while it is waiting for a place.
    place: Option<CallSlot>,
}

impl Hosts {
    /// Allows `at_a_time` calls in total, and `each` of them to one server.
    pub fn new(at_a_time: usize, each: usize) -> Self {
        Self { room: CallSlots::new(at_a_time, each, MOST_WAITING), all: Mutex::default() }
    }

    /// The server of this name; `listed` is what the rule file calls it.
    pub fn host(&self, name: &str, listed: Option<&Arc<str>>) -> Arc<Host> {
        let mut all = self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() > MOST {
            all.retain(|_, h| Arc::strong_count(h) > 1 || h.health().rests_until.is_some());
        }
        let fresh = || Arc::new(Host { name: name.into(), listed: listed.cloned(), room: self.room.clone(), health: Mutex::default() });
        all.entry(name.to_owned()).or_insert_with(fresh).clone()
    }

    /// Every server that is remembered, sorted by name.
    pub fn states(&self, now: Instant) -> Vec<HostState> {
        let all = self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut states: Vec<HostState> = all.values().map(|host| host.health().state(host, now)).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// The servers that are paused because they do not respond, sorted by name.
    pub fn resting(&self) -> Vec<String> {
        let all = self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut names: Vec<String> = all.iter().filter(|(_, h)| h.health().rests_until.is_some()).map(|(n, _)| n.clone()).collect();
        names.sort();
        names
    }

    /// How many servers are paused, by what rule files call them.
    pub fn paused(&self) -> BTreeMap<Option<Arc<str>>, u64> {
        let all = self.all.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut paused = BTreeMap::new();
        for host in all.values().filter(|host| host.health().rests_until.is_some()) {
            *paused.entry(host.listed.clone()).or_default() += 1;
        }
        paused
    }
}

impl Host {
    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a turn, unless waiting is pointless now.
    pub async fn turn(&self, now: Instant) -> Result<Turn<'_>, NotNow> {
        let mut turn = Turn { host: self, probes: self.health().may_call(now)?, ended: false, place: None };
        turn.place = self.room.place(&self.name).await;
        if turn.place.is_none() {
            let wait = self.health().next_turn(now);
            return Err(NotNow::Crowded(wait));
        }
        if !turn.probes {
            // The server may have stopped responding during the wait.
            turn.probes = self.health().may_call(Instant::now())?;
        }
        Ok(turn)
    }
}

impl Health {
    fn state(&self, host: &Host, now: Instant) -> HostState {
        let rests = self.rests_until.map(|until| until.saturating_duration_since(now));
        let last = self.last_end.map(|at| now.saturating_duration_since(at));
        HostState { name: host.name.clone(), listed: host.listed.clone(), silent: self.silent, rests, last }
    }

    /// Whether a call may be made; the value shows whether it is the probe.
    fn may_call(&mut self, now: Instant) -> Result<bool, NotNow> {
        match self.rests_until {
            None => Ok(false),
            Some(until) if now < until => Err(NotNow::Rests(until - now)),
            // They do not all come back at once while the probe may take as long as its timeout.
            Some(_) if self.is_probed => Err(NotNow::Rests(self.next_turn(now))),
            Some(_) => {
                self.is_probed = true;
                Ok(true)
            }
        }
    }

    /// The next time at which a call that is turned away may try again: one call after another, at the server's own rate.
    fn next_turn(&mut self, now: Instant) -> Duration {
        let after = self.last_turn.map_or(now, |t| t + self.pace.max(LEAST_PACE));
        let turn = after.clamp(now + SOONEST, now + LATEST);
        self.last_turn = Some(turn);
        turn - now
    }

    fn answered(&mut self, now: Instant) -> bool {
        if let Some(last) = self.last_end {
            self.pace = (self.pace * 9 + now.duration_since(last).min(SOONEST)) / 10;
        }
        self.last_end = Some(now);
        self.silent = 0;
        self.rest = Duration::ZERO;
        self.is_probed = false;
        self.rests_until.take().is_some()
    }

    /// Returns whether the server is paused from now on.
    fn was_silent(&mut self, now: Instant, probed: bool) -> bool {
        self.silent += 1;
        let began = self.rests_until.is_none();
        if probed || (began && self.silent >= PATIENCE) {
            self.rest = (self.rest * 2).clamp(FIRST_REST, LONGEST_REST);
            self.rests_until = Some(now + self.rest);
        }
        if probed {
            self.is_probed = false;
        }
        began && self.rests_until.is_some()
    }
}

impl Turn<'_> {
    /// The server responded, with any status; returns whether it has recovered after a pause.
    pub fn answered(mut self) -> bool {
        self.ended = true;
        self.host.health().answered(Instant::now())
    }

    /// The server did not respond; returns whether it is paused from now on.
    pub fn was_silent(mut self) -> bool {
        self.ended = true;
        self.host.health().was_silent(Instant::now(), self.probes)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // A call that was never made says nothing about the server.
        if !self.ended && self.probes {
            self.host.health().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn call_without_answer(host: &Host, now: Instant) -> bool {
        let probes = host.health().may_call(now).unwrap();
        host.health().was_silent(now, probes)
    }

    #[test]
    fn calls_to_a_silent_server_pause_until_a_single_call_is_answered() {
        let hosts = Hosts::new(64, 2);
        let (host, start) = (hosts.host("a", None), Instant::now());
        assert_eq!((0..PATIENCE).map(|_| call_without_answer(&host, start)).collect::<Vec<_>>(), [false, false, false, false, true]);
        assert_eq!(hosts.resting(), ["a"]);
        assert_eq!(host.health().may_call(start), Err(NotNow::Rests(FIRST_REST)));
        let later = start + FIRST_REST;
        assert_eq!(host.health().may_call(later), Ok(true), "one call checks the server");
        assert_eq!(host.health().may_call(later), Err(NotNow::Rests(SOONEST)), "the others wait for its result");
        assert!(!host.health().was_silent(later, true), "it was logged before");
        assert_eq!(host.health().may_call(later), Err(NotNow::Rests(2 * FIRST_REST)));
        let much_later = later + 2 * FIRST_REST;
        assert_eq!(host.health().may_call(much_later), Ok(true));
        assert!(host.health().answered(much_later), "it is back");
        assert_eq!(host.health().may_call(much_later), Ok(false));
        assert!(hosts.resting().is_empty());
    }

    #[test]
    fn the_pause_has_a_maximum() {
        let host = Hosts::new(64, 1).host("a", None);
        let mut now = Instant::now();
        for _ in 0..PATIENCE {
            call_without_answer(&host, now);
        }
        for _ in 0..20 {
            now += LONGEST_REST;
            call_without_answer(&host, now);
        }
        assert_eq!(host.health().may_call(now), Err(NotNow::Rests(LONGEST_REST)));
    }

    #[test]
    fn calls_that_are_sent_away_return_at_the_pace_of_the_server() {
        let mut health = Health { pace: Duration::from_millis(500), ..Health::default() };
        let now = Instant::now();
        let turns: Vec<u128> = (0..5).map(|_| health.next_turn(now).as_millis()).collect();
        assert_eq!(turns, [1_000, 1_500, 2_000, 2_500, 3_000]);
        for _ in 0..1_000 {
            assert!(health.next_turn(now) <= LATEST);
        }
    }

    #[tokio::test]
    async fn only_a_limited_number_of_calls_waits_in_memory() {
        let host = Hosts::new(64, 1).host("a", None);
        let mut context = Context::from_waker(Waker::noop());
        let _turn = host.turn(Instant::now()).await.unwrap();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(host.turn(Instant::now()))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        assert!(matches!(host.turn(Instant::now()).await, Err(NotNow::Crowded(_))));
        waiting.pop();
        assert!(Box::pin(host.turn(Instant::now())).as_mut().poll(&mut context).is_pending());
    }

    #[tokio::test]
    async fn if_the_call_that_checks_a_server_is_dropped_another_one_checks() {
        let host = Hosts::new(64, 1).host("a", None);
        let start = Instant::now();
        let turn = host.turn(start).await.unwrap();
        assert!((0..PATIENCE).any(|_| call_without_answer(&host, start)), "calls are paused");
        let later = start + FIRST_REST;
        let mut asks = Box::pin(host.turn(later));
        assert!(asks.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it waits for the earlier call");
        drop((asks, turn));
        assert!(host.turn(later).await.is_ok());
    }
}
