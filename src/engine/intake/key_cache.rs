//! The keys that senders publish: fetched when a request needs them, remembered for an hour.
//!
//! Which addresses may hold a key is decided by the senders' own schemes; the net refuses those inside the network.
//!
//! Where the request names the address, anybody can have something fetched, as often as they like. So such an address is a
//! stranger until something was found good with its key: strangers are remembered apart, so that they drive out no key that is
//! in use, and fetched apart, in turns that are shared among those who call, so that they delay nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::action::http::client::Net;
use crate::action::room::Room;
use crate::engine::intake::rate_limit::neighbourhood;
use crate::verify::contract::{KeyAt, Keys, Published};

/// How long a key is used before it is fetched anew.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How long nobody is asked again: after a failure, and for a key that may have been changed.
const PAUSE: Duration = Duration::from_secs(60);
/// The most addresses that are remembered of either kind; the one that was fetched longest ago goes first.
const MOST: usize = 200;
/// The most that are fetched at a time, and how long one may take: senders wait for the answer meanwhile.
const AT_A_TIME: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most strangers that are fetched at a time, and of these for one caller.
const STRANGERS: usize = 8;
const STRANGERS_EACH: usize = 4;
/// The most that wait for a turn for one caller.
const STRANGERS_WAITING_EACH: usize = 48;

/// A key, or why it could not be had.
type Fetched = Result<Published, String>;

/// The keys that were fetched.
pub struct KeyCache {
    net: Arc<Net>,
    remembered: Mutex<Remembered>,
    /// Turns for addresses that are no strangers.
    turn: Semaphore,
    /// Turns for strangers, shared among callers.
    strangers: Arc<Room>,
    /// Who fetches an address has its lock; others who want the same wait for it.
    fetching: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// How long one fetch, and a stranger's wait for its turn, may take.
    timeout: Duration,
}

/// What came of fetching each address, and when.
#[derive(Default)]
struct Remembered {
    /// Addresses that rule files and schemes say, and those with whose keys something was found good.
    known: HashMap<String, (Timestamp, Fetched)>,
    strangers: HashMap<String, (Timestamp, Fetched)>,
}

impl Remembered {
    fn get(&self, address: &str) -> Option<&(Timestamp, Fetched)> {
        self.known.get(address).or_else(|| self.strangers.get(address))
    }

    fn insert(&mut self, address: &str, is_known: bool, fetched: Fetched) {
        let all = if is_known { &mut self.known } else { &mut self.strangers };
        if all.len() >= MOST
            && !all.contains_key(address)
            && let Some(oldest) = all.iter().min_by_key(|(_, (at, _))| *at).map(|(address, _)| address.clone())
        {
            all.remove(&oldest);
        }
        all.insert(address.to_owned(), (Timestamp::now(), fetched));
    }

    #[cfg(test)]
    fn age(&mut self, by: Duration) {
        self.known.values_mut().chain(self.strangers.values_mut()).for_each(|(at, _)| *at -= by);
    }
}

impl KeyCache {
    pub fn new(net: Arc<Net>) -> Self {
        Self {
            net,
            remembered: Mutex::default(),
            turn: Semaphore::new(AT_A_TIME),
            strangers: Room::new(STRANGERS, STRANGERS_EACH, STRANGERS_WAITING_EACH),
            fetching: Mutex::default(),
            timeout: TIMEOUT,
        }
    }

    /// The keys at these addresses, for a request of this caller. The error is why one could not be had, for the operator.
    pub async fn keys(&self, addresses: &[KeyAt], caller: &str) -> Result<Keys, String> {
        self.fetched(addresses, caller, REMEMBERED).await
    }

    /// The same, fetched anew where that was not done a moment ago: a sender may have changed its key.
    pub async fn newer(&self, addresses: &[KeyAt], caller: &str) -> Result<Keys, String> {
        self.fetched(addresses, caller, PAUSE).await
    }

    /// Something was found good with the key at this address: it is no stranger from now on.
    pub fn prove(&self, address: &str, keys: &Keys) {
        let mut remembered = self.remembered();
        if remembered.known.contains_key(address) {
            return;
        }
        let Some(key) = keys.get(address) else { return };
        remembered.strangers.remove(address);
        remembered.insert(address, true, Ok(key.clone()));
    }

    async fn fetched(&self, addresses: &[KeyAt], caller: &str, age: Duration) -> Result<Keys, String> {
        let mut keys = Keys::new();
        for at in addresses {
            let key = match self.recent(at.address(), age) {
                Some(known) => known,
                None => self.in_turn(at, caller, age).await,
            };
            keys.insert(at.address().to_owned(), key?);
        }
        Ok(keys)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self, address: &str, age: Duration) -> Option<Fetched> {
        let now = Timestamp::now();
        let remembered = self.remembered();
        let (at, key) = remembered.get(address)?;
        let age = if key.is_err() { PAUSE } else { age };
        (now.duration_since(*at).unsigned_abs() < age).then(|| key.clone())
    }

    /// Fetches what is not known, unless somebody else did while this one waited.
    async fn in_turn(&self, at: &KeyAt, caller: &str, age: Duration) -> Fetched {
        let address = at.address();
        let is_known = matches!(at, KeyAt::Fixed(_)) || self.remembered().known.contains_key(address);
        // A caller waits for its own turn first, and not for that of another caller who asked for the same address.
        let _place = match is_known {
            true => None,
            false => {
                let caller = neighbourhood(caller).map_or_else(String::new, |ip| ip.to_string()).into();
                let place = timeout(self.timeout, self.strangers.place(&caller)).await.ok().flatten();
                Some(place.ok_or_else(|| format!("the key at {address} was not fetched: too many other keys are waiting to be fetched"))?)
            }
        };
        let _alone = self.alone(address).await;
        if let Some(known) = self.recent(address, age) {
            return known;
        }
        let _turn = if is_known { Some(self.turn.acquire().await) } else { None };
        self.fetch(address, is_known).await
    }

    /// Waits until nobody else fetches this address.
    async fn alone(&self, address: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, lock| Arc::strong_count(lock) > 1);
            fetching.entry(address.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    async fn fetch(&self, address: &str, is_known: bool) -> Fetched {
        let fetched =
            timeout(self.timeout, self.net.fetch(address, self.timeout)).await.unwrap_or_else(|_| Err("it did not answer in time".into()));
        let key =
            fetched.and_then(|bytes| Published::read(&bytes)).map_err(|why| format!("the key at {address} could not be fetched: {why}"));
        let mut remembered = self.remembered();
        // An old key is better than none.
        let key = match (key, remembered.get(address)) {
            (Err(_), Some((_, Ok(old)))) => Ok(old.clone()),
            (key, _) => key,
        };
        // It may have been found good meanwhile.
        let is_known = is_known || remembered.known.contains_key(address);
        remembered.insert(address, is_known, key.clone());
        key
    }

    /// Calls an address that a sender wants to be called, and that it has signed.
    pub async fn visit(&self, address: &str) -> Result<(), String> {
        let _turn = self.turn.acquire().await;
        self.net.fetch(address, self.timeout).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;
    use crate::action::http::client::Allowed;

    /// A place where keys are published; what is slow there is never answered.
    struct Place {
        address: String,
        calls: Arc<AtomicUsize>,
    }

    impl Place {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let calls = Arc::new(AtomicUsize::new(0));
            let count = calls.clone();
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let count = count.clone();
                    std::thread::spawn(move || {
                        let mut head = [0; 1_024];
                        let read = stream.read(&mut head).unwrap_or(0);
                        let head = String::from_utf8_lossy(&head[..read]).into_owned();
                        count.fetch_add(1, Ordering::SeqCst);
                        if head.contains("/slow") {
                            let _ = stream.read_to_end(&mut Vec::new());
                            return;
                        }
                        if head.contains("/brief") {
                            std::thread::sleep(Duration::from_millis(200));
                        }
                        let key = include_str!("../../../tests/keys/rsa.cert.pem");
                        let (status, body) = if head.contains("/none") { ("404 Not Found", "") } else { ("200 OK", key) };
                        let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    });
                }
            });
            Self { address, calls }
        }

        fn named(&self, path: impl std::fmt::Display) -> Vec<KeyAt> {
            vec![KeyAt::Named(format!("{}{path}", self.address))]
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }
    }

    fn key_cache() -> Arc<KeyCache> {
        let allowed = Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()], hosts: Vec::new() };
        Arc::new(KeyCache::new(Arc::new(Net::new(allowed, 64, 64))))
    }

    /// One that waits for an answer until it comes.
    fn patient() -> Arc<KeyCache> {
        let key_cache = Arc::into_inner(key_cache()).unwrap();
        Arc::new(KeyCache { timeout: Duration::from_secs(3_600), ..key_cache })
    }

    /// Fetches a key and finds something signed with it, as somebody does who is let in.
    async fn proven(key_cache: &KeyCache, at: &[KeyAt], caller: &str) {
        let keys = key_cache.keys(at, caller).await.unwrap();
        key_cache.prove(at[0].address(), &keys);
    }

    #[tokio::test]
    async fn what_strangers_name_drives_out_no_key_that_was_found_good() {
        let (key_cache, there) = (key_cache(), Place::new());
        proven(&key_cache, &there.named("/good"), "192.0.2.1").await;
        for n in 0..MOST + 20 {
            let path = if n % 2 == 0 { format!("/none{n}") } else { format!("/other{n}") };
            let _ = key_cache.keys(&there.named(path), "203.0.113.7").await;
        }
        let calls = there.calls();
        assert!(key_cache.keys(&there.named("/good"), "192.0.2.1").await.is_ok());
        assert_eq!(there.calls(), calls, "it was fetched again");
        // What was not found is not asked for again at once.
        let last = there.named(format!("/none{}", MOST + 18));
        assert!(key_cache.keys(&last, "203.0.113.7").await.is_err());
        assert_eq!(there.calls(), calls);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_of_slow_addresses_delays_nobody_else() {
        let (key_cache, there) = (patient(), Place::new());
        proven(&key_cache, &there.named("/good"), "192.0.2.1").await;
        let mut flood = JoinSet::new();
        for caller in ["203.0.113.7", "203.0.113.8"] {
            for n in 0..60 {
                let (key_cache, at) = (key_cache.clone(), there.named(format!("/slow-{caller}-{n}")));
                flood.spawn(async move { (caller, key_cache.keys(&at, caller).await.is_ok()) });
            }
            // Once somebody is turned away, this caller has every turn that it can get, and as many wait for it as may.
            while flood.join_next().await.unwrap().unwrap() != (caller, false) {}
        }
        // A key that was found good, asked for anew; one that a rule file names; one that nobody has seen before.
        key_cache.remembered().age(Duration::from_secs(120));
        let others = async {
            assert!(key_cache.newer(&there.named("/good"), "192.0.2.1").await.is_ok());
            assert!(key_cache.keys(&[KeyAt::Fixed(format!("{}/fixed", there.address))], "192.0.2.1").await.is_ok());
            assert!(key_cache.keys(&there.named("/new"), "192.0.2.1").await.is_ok());
        };
        timeout(Duration::from_secs(60), others).await.expect("they wait for strangers, who never get an answer");
    }

    #[tokio::test]
    async fn one_address_is_fetched_once_for_all_who_ask() {
        let (key_cache, there) = (key_cache(), Place::new());
        let ask = |n: usize| {
            let (key_cache, at) = (key_cache.clone(), there.named("/brief"));
            async move { key_cache.keys(&at, &format!("192.0.2.{n}")).await.is_ok() }
        };
        let asked: Vec<_> = (0..20).map(|n| tokio::spawn(ask(n))).collect();
        for one in asked {
            assert!(one.await.unwrap());
        }
        assert_eq!(there.calls(), 1);
    }
}
