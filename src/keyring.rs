//! The keys that senders publish: fetched when a request needs them, remembered for an hour.
//!
//! Which addresses may hold a key is decided by the senders' own schemes; the net refuses those inside the network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::action::net::Net;
use crate::signature::contract::{Keys, Published};

/// How long a key is used before it is fetched anew.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How long nobody is asked again: after a failure, and for a key that may have been changed.
const PAUSE: Duration = Duration::from_secs(60);
/// The most addresses that are remembered; the one that was fetched longest ago goes first.
const MOST: usize = 200;
/// The most that are fetched at a time, and how long one may take: senders wait for the answer meanwhile.
const AT_A_TIME: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A key, or why it could not be had.
type Fetched = Result<Published, String>;

/// The keys that were fetched.
pub struct Keyring {
    net: Arc<Net>,
    /// When each was fetched, and what came of it.
    known: Mutex<HashMap<String, (Timestamp, Fetched)>>,
    turn: Semaphore,
}

impl Keyring {
    pub fn new(net: Arc<Net>) -> Self {
        Self { net, known: Mutex::default(), turn: Semaphore::new(AT_A_TIME) }
    }

    /// The keys at these addresses. The error is why one could not be had, for the operator.
    pub async fn keys(&self, addresses: &[String]) -> Result<Keys, String> {
        self.fetched(addresses, REMEMBERED).await
    }

    /// The same, fetched anew where that was not done a moment ago: a sender may have changed its key.
    pub async fn newer(&self, addresses: &[String]) -> Result<Keys, String> {
        self.fetched(addresses, PAUSE).await
    }

    async fn fetched(&self, addresses: &[String], age: Duration) -> Result<Keys, String> {
        let mut keys = Keys::new();
        for address in addresses {
            let key = match self.known(address, age) {
                Some(known) => known,
                None => {
                    let _turn = self.turn.acquire().await;
                    // Whoever was first may have fetched it meanwhile.
                    match self.known(address, age) {
                        Some(known) => known,
                        None => self.fetch(address).await,
                    }
                }
            };
            keys.insert(address.clone(), key?);
        }
        Ok(keys)
    }

    fn known(&self, address: &str, age: Duration) -> Option<Fetched> {
        let now = Timestamp::now();
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (at, key) = known.get(address)?;
        let age = if key.is_err() { PAUSE } else { age };
        (now.duration_since(*at).unsigned_abs() < age).then(|| key.clone())
    }

    async fn fetch(&self, address: &str) -> Fetched {
        let fetched = self.net.fetch(address, TIMEOUT).await.and_then(|bytes| Published::read(&bytes));
        let key = fetched.map_err(|why| format!("the key at {address} cannot be had: {why}"));
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // An old key is better than none.
        if let (Err(_), Some((_, Ok(old)))) = (&key, known.get(address)) {
            let old = old.clone();
            known.insert(address.to_owned(), (Timestamp::now(), Ok(old.clone())));
            return Ok(old);
        }
        if known.len() >= MOST
            && let Some(oldest) = known.iter().min_by_key(|(_, (at, _))| *at).map(|(address, _)| address.clone())
        {
            known.remove(&oldest);
        }
        known.insert(address.to_owned(), (Timestamp::now(), key.clone()));
        key
    }

    /// Calls an address that a sender wants to be called.
    pub async fn visit(&self, address: &str) -> Result<(), String> {
        let _turn = self.turn.acquire().await;
        self.net.fetch(address, TIMEOUT).await.map(drop)
    }
}
