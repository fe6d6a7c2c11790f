//! How often who has called: the counting behind `limit:`. It lives in memory and begins anew when Doorbell starts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::rule::callers::Limit;

/// The most callers that are told apart; those beyond share one count.
const MOST_CALLERS: usize = 100_000;

/// The counts of every address.
#[derive(Default)]
pub struct Pace {
    /// When the calls that came will be paid off, by address, limit and caller, in microseconds.
    paid_off: Mutex<HashMap<(String, usize, String), i64>>,
}

impl Pace {
    /// Counts a call against one limit of an address; the error is how long to wait.
    ///
    /// The generic cell rate algorithm (ITU-T I.371): every call costs `per / most`, and a debt of up to `per` is fine.
    pub fn count(&self, address: &str, number: usize, limit: &Limit, ip: &str, now: Timestamp) -> Result<(), Duration> {
        let caller = if limit.each_caller { neighbourhood(ip) } else { String::new() };
        let now = now.as_microsecond();
        let (per, cost) = (limit.per.as_micros() as i64, limit.per.as_micros() as i64 / i64::from(limit.most));
        let mut all = self.paid_off.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut key = (address.to_owned(), number, caller);
        if all.len() >= MOST_CALLERS && !all.contains_key(&key) {
            all.retain(|_, at| *at > now);
            if all.len() >= MOST_CALLERS {
                key.2 = "everybody else".to_owned();
            }
        }
        let at = all.entry(key).or_insert(now);
        let then = (*at).max(now) + cost;
        if then - now > per {
            return Err(Duration::from_micros((then - now - per) as u64));
        }
        *at = then;
        Ok(())
    }
}

/// Who counts as one caller: an address of IPv4, the network of 64 bits that one household has of IPv6.
fn neighbourhood(ip: &str) -> String {
    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(six)) => format!("{:x?}", &six.segments()[..4]),
        _ => ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_may_come_at_once_and_then_evenly() {
        let (pace, limit) = (Pace::default(), Limit { most: 3, per: Duration::from_secs(60), each_caller: true });
        let call = |ip: &str, at: i64| pace.count("/a", 0, &limit, ip, Timestamp::from_second(at).unwrap());
        assert_eq!([call("1.1.1.1", 0), call("1.1.1.1", 0), call("1.1.1.1", 0)], [Ok(()); 3]);
        assert_eq!(call("1.1.1.1", 0), Err(Duration::from_secs(20)));
        assert_eq!(call("1.1.1.1", 19), Err(Duration::from_secs(1)));
        assert_eq!(call("1.1.1.1", 20), Ok(()));
        assert_eq!(call("1.1.1.2", 20), Ok(()));
        // One household of IPv6 is one caller.
        assert_eq!([call("2001:db8::1", 0), call("2001:db8::2", 0), call("2001:db8::ffff:3", 0)], [Ok(()); 3]);
        assert!(call("2001:db8::4", 0).is_err() && call("2001:db8:1::4", 0).is_ok());
    }

    #[test]
    fn however_many_call_no_more_are_told_apart_than_fit() {
        let (pace, limit) = (Pace::default(), Limit { most: 1, per: Duration::from_secs(60), each_caller: true });
        for n in 0..MOST_CALLERS as u32 + 10 {
            let _ = pace.count("/a", 0, &limit, &std::net::Ipv4Addr::from(n).to_string(), Timestamp::UNIX_EPOCH);
        }
        assert!(pace.paid_off.lock().unwrap().len() <= MOST_CALLERS + 1);
    }
}
