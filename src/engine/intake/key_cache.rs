//! The keys that senders publish: fetched when a request needs them, cached for an hour.
//!
//! The senders' schemes decide which addresses may hold a key; the network layer refuses addresses inside the network.
//!
//! If the request itself names the key's address, anybody can cause any number of fetches. Such an address is unknown (a
//! "stranger" in the code) until a signature has been verified with its key. Unknown addresses have a separate cache, so
//! that they cannot evict a key in use, and a separate fetch queue, shared fairly among callers, so that they delay
//! nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::action::call_slots::CallSlots;
use crate::action::http::client::Net;
use crate::engine::intake::rate_limit::neighbourhood;
use crate::verify::guard::Keys;
use crate::verify::verifier::{KeyAt, Published};

/// How long a key is used before it is fetched again.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How long to wait before asking again: after a failure, and for a key that may have been changed.
const PAUSE: Duration = Duration::from_secs(60);
/// The largest number of cached addresses of either kind; the least recently fetched one is evicted first.
const MOST: usize = 200;
/// How many fetches may run at the same time, and how long one may take: senders are waiting for the answer.
const AT_A_TIME: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many unknown addresses may be fetched at the same time, in total and for one caller.
const STRANGERS: usize = 8;
const STRANGERS_EACH: usize = 4;
/// How many requests of one caller may wait for a turn.
const STRANGERS_WAITING_EACH: usize = 48;

/// A key, or why it could not be fetched.
type Fetched = Result<Published, String>;

/// The cache.
pub struct KeyCache {
    net: Arc<Net>,
    remembered: Mutex<Remembered>,
    /// Limits fetches from known addresses.
    turn: Semaphore,
    /// Limits fetches from unknown addresses, shared among callers.
    strangers: Arc<CallSlots>,
    /// A task that fetches an address holds its lock; others that want the same address wait for it.
    fetching: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// How long one fetch may take, and how long an unknown address may wait for its turn.
    timeout: Duration,
}

/// The result of fetching each address, and when.
#[derive(Default)]
struct Remembered {
    /// Addresses named by rule files and schemes, and those whose keys have verified something.
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
            strangers: CallSlots::new(STRANGERS, STRANGERS_EACH, STRANGERS_WAITING_EACH),
            fetching: Mutex::default(),
            timeout: TIMEOUT,
        }
    }

    /// The keys at these addresses, for a request of this caller. The error says why one could not be fetched, for the
    /// operator.
    pub async fn keys(&self, addresses: &[KeyAt], caller: &str) -> Result<Keys, String> {
        self.fetched(addresses, caller, REMEMBERED).await
    }

    /// The same, fetched again unless that has just been done: a sender may have changed its key.
    pub async fn newer(&self, addresses: &[KeyAt], caller: &str) -> Result<Keys, String> {
        self.fetched(addresses, caller, PAUSE).await
    }

    /// The key at this address has verified something: the address is known from now on.
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

    /// Fetches an unknown key, unless another task did so while this one waited.
    async fn in_turn(&self, at: &KeyAt, caller: &str, age: Duration) -> Fetched {
        let address = at.address();
        let is_known = matches!(at, KeyAt::Fixed(_)) || self.remembered().known.contains_key(address);
        // A caller waits for its own turn first, not for that of another caller who asked for the same address.
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

    /// Waits until no other task is fetching this address.
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
        // It may have become known in the meantime.
        let is_known = is_known || remembered.known.contains_key(address);
        remembered.insert(address, is_known, key.clone());
        key
    }

    /// Calls an address that a sender wants Doorbell to call, and that the sender has signed.
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
    use crate::action::http::guard::Allowed;

    /// A server that publishes keys; addresses named `slow` are never answered.
    struct KeyServer {
        address: String,
        calls: Arc<AtomicUsize>,
    }

    impl KeyServer {
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

    /// A cache without a time limit for answers.
    fn without_timeout() -> Arc<KeyCache> {
        let key_cache = Arc::into_inner(key_cache()).unwrap();
        Arc::new(KeyCache { timeout: Duration::from_secs(3_600), ..key_cache })
    }

    /// Fetches a key and verifies something with it, as for a request that is accepted.
    async fn fetch_and_verify(key_cache: &KeyCache, at: &[KeyAt], caller: &str) {
        let keys = key_cache.keys(at, caller).await.unwrap();
        key_cache.prove(at[0].address(), &keys);
    }

    #[tokio::test]
    async fn keys_that_strangers_name_replace_no_verified_key() {
        let (key_cache, server) = (key_cache(), KeyServer::new());
        fetch_and_verify(&key_cache, &server.named("/good"), "192.0.2.1").await;
        for n in 0..MOST + 20 {
            let path = if n % 2 == 0 { format!("/none{n}") } else { format!("/other{n}") };
            let _ = key_cache.keys(&server.named(path), "203.0.113.7").await;
        }
        let calls = server.calls();
        assert!(key_cache.keys(&server.named("/good"), "192.0.2.1").await.is_ok());
        assert_eq!(server.calls(), calls, "it was fetched again");
        // A failed fetch is not repeated at once.
        let last = server.named(format!("/none{}", MOST + 18));
        assert!(key_cache.keys(&last, "203.0.113.7").await.is_err());
        assert_eq!(server.calls(), calls);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_of_slow_addresses_delays_nobody_else() {
        let (key_cache, server) = (without_timeout(), KeyServer::new());
        fetch_and_verify(&key_cache, &server.named("/good"), "192.0.2.1").await;
        let mut flood = JoinSet::new();
        for caller in ["203.0.113.7", "203.0.113.8"] {
            for n in 0..60 {
                let (key_cache, at) = (key_cache.clone(), server.named(format!("/slow-{caller}-{n}")));
                flood.spawn(async move { (caller, key_cache.keys(&at, caller).await.is_ok()) });
            }
            // When the first request is rejected, this caller has used all its turns, and its queue is full.
            while flood.join_next().await.unwrap().unwrap() != (caller, false) {}
        }
        // A verified key that is fetched again, a key named in a rule file, and a new key.
        key_cache.remembered().age(Duration::from_secs(120));
        let others = async {
            assert!(key_cache.newer(&server.named("/good"), "192.0.2.1").await.is_ok());
            assert!(key_cache.keys(&[KeyAt::Fixed(format!("{}/fixed", server.address))], "192.0.2.1").await.is_ok());
            assert!(key_cache.keys(&server.named("/new"), "192.0.2.1").await.is_ok());
        };
        timeout(Duration::from_secs(60), others).await.expect("they wait for addresses that never answer");
    }

    #[tokio::test]
    async fn one_address_is_fetched_once_for_all_who_ask() {
        let (key_cache, server) = (key_cache(), KeyServer::new());
        let ask = |n: usize| {
            let (key_cache, at) = (key_cache.clone(), server.named("/brief"));
            async move { key_cache.keys(&at, &format!("192.0.2.{n}")).await.is_ok() }
        };
        let asked: Vec<_> = (0..20).map(|n| tokio::spawn(ask(n))).collect();
        for one in asked {
            assert!(one.await.unwrap());
        }
        assert_eq!(server.calls(), 1);
    }
}
