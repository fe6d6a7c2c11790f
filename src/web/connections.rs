//! Limits open connections, in total and per caller; when all places are taken, a new connection replaces an idle one. So
//! idle connections cannot keep other callers out. Those that stay are asked to take no memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// How many connections are examined to find an idle one.
const SAMPLE: usize = 64;

/// How long a connection is idle before it is asked to rest. Callers with more to send send it sooner, and for those that do not,
/// waking up costs little.
const IDLE: Duration = Duration::from_millis(500);

/// All connections.
pub struct Connections {
    places: Arc<Semaphore>,
    open: Mutex<Open>,
    /// The maximum per caller; `None`: no limit.
    most_each: Option<usize>,
    began: Instant,
    random: RandomState,
    count: AtomicU64,
}

#[derive(Default)]
struct Open {
    all: Vec<Arc<Connection>>,
    by_caller: HashMap<IpAddr, usize>,
}

/// One connection.
pub struct Connection {
    /// Its index in the list.
    index: AtomicUsize,
    /// How many requests are in progress, how many have been answered, and how many answers are not sent completely.
    busy: AtomicU32,
    answered: AtomicU32,
    sending: AtomicU32,
    /// Whether hyper has it.
    has_begun: AtomicBool,
    /// Since when it has been idle, in milliseconds after the start.
    since: AtomicU64,
    /// What it was asked for last, and a notification of that.
    asked: AtomicU8,
    look: Notify,
}

/// What a connection can be asked for; the later ones matter more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To rest: to take no memory until the next request: it has been idle for a while.
    Rest,
    /// To end once its requests are answered.
    End,
    /// To end at once: another connection needs its place.
    Close,
}

/// A connection's place, released when dropped.
pub struct Slot {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    caller: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

/// Held while an answer is made and sent.
pub struct Sending(Arc<Slot>);

/// Held while a request is in progress.
pub struct Busy<'c> {
    connections: &'c Connections,
    connection: &'c Connection,
}

impl Connections {
    pub fn new(most: usize, most_each: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(most)),
            open: Mutex::default(),
            most_each,
            began: Instant::now(),
            random: RandomState::new(),
            count: AtomicU64::new(0),
        })
    }

    /// Waits for room for one more, and closes an idle connection to make room.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Some(permit);
        }
        if let Some(idle) = self.an_idle_one() {
            idle.ask(Asked::Close);
        }
        self.places.clone().acquire_owned().await.ok()
    }

    /// Gives a place to a connection; `None` if its caller already has the maximum. Connections of a trusted proxy are not
    /// counted.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, is_proxy: bool, permit: OwnedSemaphorePermit) -> Option<Slot> {
        let caller = self.most_each.filter(|_| !is_proxy).map(|most| (neighbourhood(peer), most));
        let mut open = self.open();
        if let Some((caller, most)) = caller {
            let count = open.by_caller.entry(caller).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        let connection = Arc::new(Connection {
            index: AtomicUsize::new(open.all.len()),
            busy: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            sending: AtomicU32::new(0),
            has_begun: AtomicBool::new(false),
            since: AtomicU64::new(self.now()),
            asked: AtomicU8::new(0),
            look: Notify::new(),
        });
        open.all.push(connection.clone());
        Some(Slot { connections: self.clone(), connection, caller: caller.map(|(caller, _)| caller), _permit: permit })
    }

    /// Asks all connections to end once their requests are answered.
    pub fn end(&self) {
        self.open().all.iter().for_each(|connection| connection.ask(Asked::End));
    }

    /// From now on asks connections to rest that have been idle for a while, until what it returns is dropped.
    pub fn let_idle_ones_rest(self: &Arc<Self>) -> Resting {
        let all = self.clone();
        let look = async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let latest = all.now().saturating_sub(IDLE.as_millis() as u64);
                all.open().all.iter().filter(|connection| connection.is_idle_since(latest)).for_each(|idle| idle.ask(Asked::Rest));
            }
        };
        Resting(tokio::spawn(look).abort_handle())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Picks one from a sample of idle connections: one that has sent no request yet, if there is one, otherwise the one idle
    /// longest.
    fn an_idle_one(&self) -> Option<Arc<Connection>> {
        let open = self.open();
        let start = self.random.hash_one(self.count.fetch_add(1, Ordering::Relaxed)) as usize % open.all.len().max(1);
        let from_there = open.all[start..].iter().chain(&open.all[..start]);
        let idle = from_there.filter(|c| c.busy.load(Ordering::Relaxed) == 0).take(SAMPLE);
        idle.min_by_key(|c| (c.answered.load(Ordering::Relaxed) > 0, c.since.load(Ordering::Relaxed))).cloned()
    }
}

/// Asks idle connections to rest until it is dropped.
pub struct Resting(AbortHandle);

impl Drop for Resting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    fn ask(&self, what: Asked) {
        self.asked.fetch_max(what as u8 + 1, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Whether hyper has had nothing to do for it since then, in milliseconds after the start.
    fn is_idle_since(&self, latest: u64) -> bool {
        self.has_begun.load(Ordering::Relaxed)
            && self.busy.load(Ordering::Relaxed) == 0
            && self.sending.load(Ordering::Relaxed) == 0
            && self.since.load(Ordering::Relaxed) <= latest
    }
}

impl Slot {
    /// For a request on this connection.
    pub fn busy(&self) -> Busy<'_> {
        self.connection.busy.fetch_add(1, Ordering::Relaxed);
        Busy { connections: &self.connections, connection: &self.connection }
    }

    /// For the answer to a request on this connection.
    pub fn sending(self: &Arc<Self>) -> Sending {
        self.connection.sending.fetch_add(1, Ordering::Relaxed);
        Sending(self.clone())
    }

    /// hyper has the connection.
    pub fn has_begun(&self) {
        self.connection.has_begun.store(true, Ordering::Relaxed);
    }

    /// hyper does not have the connection any more.
    pub fn rests(&self) {
        self.connection.has_begun.store(false, Ordering::Relaxed);
    }

    /// Returns when the connection is asked for something.
    pub async fn asked(&self) -> Asked {
        loop {
            self.connection.look.notified().await;
            match self.connection.asked.swap(0, Ordering::Relaxed) {
                0 => {}
                1 => return Asked::Rest,
                2 => return Asked::End,
                _ => return Asked::Close,
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.connection.answered.fetch_add(1, Ordering::Relaxed);
        self.connection.since.store(self.connections.now(), Ordering::Relaxed);
        self.connection.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let Slot { connections, connection, .. } = &*self.0;
        connection.since.store(connections.now(), Ordering::Relaxed);
        connection.sending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        let index = self.connection.index.load(Ordering::Relaxed);
        open.all.swap_remove(index);
        if let Some(moved) = open.all.get(index) {
            moved.index.store(index, Ordering::Relaxed);
        }
        if let Some(caller) = self.caller
            && let Some(count) = open.by_caller.get_mut(&caller)
        {
            *count -= 1;
            if *count == 0 {
                open.by_caller.remove(&caller);
            }
        }
    }
}

/// What counts as one caller: a single IPv4 address, or an IPv6 /64 network, such as one household has.
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_waiting_connection_gets_the_place_of_an_idle_one() {
        let all = Connections::new(3, None);
        let mut places = Vec::new();
        for _ in 0..3 {
            let permit = all.room().await.unwrap();
            places.push(all.enter(ip("10.0.0.1"), false, permit).unwrap());
        }
        // The first has sent a request before, the second is sending one now; the third has sent nothing.
        drop(places[0].busy());
        let silent = places.pop().unwrap();
        let _busy = places[1].busy();
        let room = tokio::spawn({
            let all = all.clone();
            async move { all.room().await }
        });
        assert_eq!(silent.asked().await, Asked::Close);
        drop(silent);
        assert!(room.await.unwrap().is_some());
        assert_eq!(all.open().all.len(), 2);
    }

    #[tokio::test]
    async fn no_caller_has_more_than_its_share() {
        let all = Connections::new(100, Some(2));
        let permit = || all.places.clone().try_acquire_owned().unwrap();
        let enter = |from: &str, is_proxy| all.enter(ip(from), is_proxy, permit());
        let (one, two) = (enter("203.0.113.7", false), enter("203.0.113.7", false));
        assert!(one.is_some() && two.is_some() && enter("203.0.113.7", false).is_none());
        assert!(enter("203.0.113.8", false).is_some());
        assert!((0..5).map(|_| enter("10.0.0.1", true)).collect::<Vec<_>>().iter().all(Option::is_some), "a proxy has no limit of its own");
        let household: Vec<_> = (1..=3).map(|n| enter(&format!("2001:db8::{n}"), false)).collect();
        assert_eq!(household.iter().filter(|place| place.is_some()).count(), 2);
        drop(one);
        assert!(enter("203.0.113.7", false).is_some());
        drop((two, household));
        assert!(all.open().all.is_empty() && all.open().by_caller.is_empty() && all.places.available_permits() == 100);
    }
}
