//! Counts calls for `limit:`. The counts are in memory and start from zero when Doorbell starts.
//!
//! A call examines only a few counts, no matter how many callers there are, because all other calls wait for it. Expired
//! counts among them are dropped. If there is no room for a new caller, the count with the smallest debt among a few is
//! dropped, which can only be to that caller's advantage. No two callers share a count, so no caller can cause another
//! one to be denied.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::rule::access::Limit;

/// The maximum number of callers counted at the same time, by all limits together: about 15 MB.
const MOST_CALLERS: usize = 100_000;
/// How many counts each call examines, to drop the expired ones: more than one, so that they are dropped faster than they are
/// added.
const SWEPT: usize = 4;
/// How many counts are examined to drop one of them.
const SAMPLE: usize = 16;

/// The counts of every address.
#[derive(Default)]
pub struct RateLimiter(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// In arbitrary order, so that any few neighbours are as good a sample as any other.
    all: Vec<Count>,
    /// Where each count is in `all`.
    places: HashMap<Key, usize>,
    /// How many callers each limit counts.
    sizes: HashMap<LimitId, usize>,
    /// A number for each address that was ever counted: there are no more than the rules name.
    addresses: HashMap<String, usize>,
    /// Where the next scan of a few counts begins.
    hand: usize,
    #[cfg(test)]
    looked: usize,
}

struct Count {
    key: Key,
    /// When the calls so far are paid off, in microseconds.
    paid_off: i64,
}

/// One limit of one address.
type LimitId = (usize, usize);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    limit: LimitId,
    /// `None`: all callers together.
    caller: Option<IpAddr>,
}

impl RateLimiter {
    /// Counts a call against one limit of an address; the error is how long to wait.
    ///
    /// The generic cell rate algorithm (ITU-T I.371): every call costs `per / most`, and a debt of up to `per` is allowed.
    pub fn count(&self, address: &str, number: usize, limit: &Limit, ip: &str, now: Timestamp) -> Result<(), Duration> {
        let caller = if limit.each_caller { neighbourhood(ip) } else { None };
        let now = now.as_microsecond();
        let (per, cost) = (limit.per.as_micros() as i64, limit.per.as_micros() as i64 / i64::from(limit.most));
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counts.sweep(now);
        let key = Key { limit: (counts.address(address), number), caller };
        let at = counts.paid_off(key, now);
        let then = (*at).max(now) + cost;
        if then - now > per {
            return Err(Duration::from_micros((then - now - per) as u64));
        }
        *at = then;
        Ok(())
    }
}

impl Counts {
    fn address(&mut self, address: &str) -> usize {
        let next = self.addresses.len();
        match self.addresses.get(address) {
            Some(known) => *known,
            None => *self.addresses.entry(address.to_owned()).or_insert(next),
        }
    }

    /// When a caller's debt is paid off; `now` for a caller who is not counted yet.
    fn paid_off(&mut self, key: Key, now: i64) -> &mut i64 {
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None => {
                if self.all.len() >= MOST_CALLERS {
                    self.forget_one();
                }
                self.all.push(Count { key, paid_off: now });
                self.places.insert(key, self.all.len() - 1);
                *self.sizes.entry(key.limit).or_default() += 1;
                self.all.len() - 1
            }
        };
        &mut self.all[at].paid_off
    }

    /// Drops the expired ones among the next few counts.
    fn sweep(&mut self, now: i64) {
        for _ in 0..SWEPT.min(self.all.len()) {
            self.hand %= self.all.len().max(1);
            match self.look(self.hand) {
                Some(count) if count.paid_off <= now => self.remove(self.hand),
                _ => self.hand += 1,
            }
        }
    }

    /// Makes room: of the next few counts, among those of the limit that counts the most callers, drops the one with the
    /// smallest debt. So a large number of callers displaces neither a caller who is being denied nor a limit with few
    /// callers.
    fn forget_one(&mut self) {
        let next = (self.hand..self.hand + SAMPLE).map(|n| n % self.all.len().max(1)).collect::<Vec<_>>();
        let least = next.into_iter().max_by_key(|at| {
            let count = self.look(*at).map(|count| (count.key.limit, Reverse(count.paid_off)));
            count.map(|(limit, owes)| (self.sizes.get(&limit).copied(), owes))
        });
        if let Some(at) = least {
            self.remove(at);
        }
    }

    fn look(&mut self, at: usize) -> Option<&Count> {
        #[cfg(test)]
        {
            self.looked += 1;
        }
        self.all.get(at)
    }

    fn remove(&mut self, at: usize) {
        let Count { key, .. } = self.all.swap_remove(at);
        self.places.remove(&key);
        if let Some(moved) = self.all.get(at) {
            self.places.insert(moved.key, at);
        }
        if let Some(size) = self.sizes.get_mut(&key.limit) {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&key.limit);
            }
        }
    }
}

/// What counts as one caller: a single IPv4 address, or an IPv6 /64 network, such as one household has.
pub fn neighbourhood(ip: &str) -> Option<IpAddr> {
    match ip.parse().ok()? {
        IpAddr::V6(six) => Some(IpAddr::V6((six.to_bits() >> 64 << 64).into())),
        four => Some(four),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_may_come_in_a_burst_and_then_evenly() {
        let (limiter, limit) = (RateLimiter::default(), Limit { most: 3, per: Duration::from_secs(60), each_caller: true });
        let call = |ip: &str, at: i64| limiter.count("/a", 0, &limit, ip, Timestamp::from_second(at).unwrap());
        assert_eq!([call("1.1.1.1", 0), call("1.1.1.1", 0), call("1.1.1.1", 0)], [Ok(()); 3]);
        assert_eq!(call("1.1.1.1", 0), Err(Duration::from_secs(20)));
        assert_eq!(call("1.1.1.1", 19), Err(Duration::from_secs(1)));
        assert_eq!(call("1.1.1.1", 20), Ok(()));
        assert_eq!(call("1.1.1.2", 20), Ok(()));
        // One IPv6 household is one caller.
        assert_eq!([call("2001:db8::1", 0), call("2001:db8::2", 0), call("2001:db8::ffff:3", 0)], [Ok(()); 3]);
        assert!(call("2001:db8::4", 0).is_err() && call("2001:db8:1::4", 0).is_ok());
    }

    /// A call to one address with one limit, at a time in seconds.
    fn call(limiter: &RateLimiter, limit: &Limit, ip: u32, at: i64) -> Result<(), Duration> {
        limiter.count("/a", 0, limit, &std::net::Ipv4Addr::from(ip).to_string(), Timestamp::from_second(at).unwrap())
    }

    #[test]
    fn many_strangers_deny_nobody_and_only_a_limited_number_of_callers_is_counted() {
        let (limiter, limit) = (RateLimiter::default(), Limit { most: 3, per: Duration::from_secs(60), each_caller: true });
        let (known, greedy) = (1, 2);
        assert_eq!(call(&limiter, &limit, known, 0), Ok(()));
        assert_eq!([(); 3].map(|()| call(&limiter, &limit, greedy, 0)), [Ok(()); 3]);
        for stranger in 1_000..MOST_CALLERS as u32 + 1_500 {
            assert_eq!(call(&limiter, &limit, stranger, 1), Ok(()), "stranger {stranger}");
        }
        assert_eq!(call(&limiter, &limit, known, 2), Ok(()));
        assert_eq!(
            call(&limiter, &limit, greedy, 2),
            Err(Duration::from_secs(18)),
            "the caller with the most calls is not forgotten for others"
        );
        assert_eq!(limiter.0.lock().unwrap().all.len(), MOST_CALLERS);
    }

    #[test]
    fn strangers_at_one_address_loosen_no_limit_at_another() {
        let (limiter, limit) = (RateLimiter::default(), Limit { most: 3, per: Duration::from_secs(60), each_caller: true });
        let (hourly, together) =
            (Limit { most: 1, per: Duration::from_secs(3_600), ..limit }, Limit { most: 1, each_caller: false, ..limit });
        assert_eq!([(); 3].map(|()| call(&limiter, &limit, 1, 0)), [Ok(()); 3]);
        assert_eq!(limiter.count("/c", 0, &together, "1.1.1.1", Timestamp::UNIX_EPOCH), Ok(()));
        for stranger in 0..MOST_CALLERS as u32 + 1_000 {
            assert_eq!(limiter.count("/b", 0, &hourly, &std::net::Ipv4Addr::from(stranger).to_string(), Timestamp::UNIX_EPOCH), Ok(()));
        }
        assert_eq!(call(&limiter, &limit, 1, 0), Err(Duration::from_secs(20)));
        assert_eq!(limiter.count("/c", 0, &together, "2.2.2.2", Timestamp::UNIX_EPOCH), Err(Duration::from_secs(60)));
    }

    #[test]
    fn a_call_looks_at_only_a_few_counts_however_many_there_are() {
        let (limiter, limit) = (RateLimiter::default(), Limit { most: 1, per: Duration::from_secs(3_600), each_caller: true });
        let calls = MOST_CALLERS + 10_000;
        for stranger in 0..calls as u32 {
            let _ = call(&limiter, &limit, stranger, 0);
        }
        let looked = limiter.0.lock().unwrap().looked;
        assert!(looked <= calls * (SWEPT + SAMPLE), "{looked} for {calls} calls");
    }

    #[test]
    fn callers_below_their_limit_are_forgotten_while_others_call() {
        let (limiter, limit) = (RateLimiter::default(), Limit { most: 100, per: Duration::from_secs(60), each_caller: true });
        for n in 0..1_000 {
            assert_eq!(call(&limiter, &limit, n, 0), Ok(()));
        }
        for second in 60..1_060 {
            assert_eq!(call(&limiter, &limit, 7, second), Ok(()));
        }
        assert_eq!(limiter.0.lock().unwrap().all.len(), 1);
    }
}
