//! Slots for calls: how many are in progress at a time, per server and in total, and which is next when one ends.
//!
//! A call in progress cannot be interrupted, so a share has to be reserved for others in advance. One rule does that: a
//! server gets another place only while more places are free than it already has (network switches share their buffer
//! memory in the same way, with "dynamic thresholds"), and the last part is reserved for servers that have none. With
//! room for 64 calls, a dozen servers can hang, each with all the calls that it can get, and the next server still finds
//! a place. The places for waiting in memory are shared by the same rule; a call that finds none has to try again later.
//!
//! The key cache shares its fetches among callers in the same way; there, each caller corresponds to a server here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

/// The maximum number of calls waiting in memory for all servers together: a quarter of the runs that are in memory at a time.
pub(super) const MOST_WAITING_IN_ALL: usize = 256;

/// The share of all places that is reserved for servers that have none: one in this many.
const LEFT: usize = 8;

/// The slots for calls to all servers.
pub struct CallSlots {
    /// The maximum number of calls in progress, in total and to one server.
    most: usize,
    each: usize,
    /// The maximum number of calls waiting for one server.
    waiting_each: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    busy: usize,
    waiting: usize,
    /// The servers that have a call in progress or waiting.
    servers: HashMap<Arc<str>, Server>,
    /// How many calls have ever waited: the number of the next one.
    waited: u64,
}

#[derive(Default)]
struct Server {
    busy: usize,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    goes: oneshot::Sender<CallSlot>,
}

/// A call's place; released when it is dropped.
pub struct CallSlot {
    slots: Arc<CallSlots>,
    server: Arc<str>,
}

impl CallSlots {
    pub fn new(most: usize, each: usize, waiting_each: usize) -> Arc<Self> {
        Arc::new(Self { most, each, waiting_each, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn may_go(&self, state: &State, server: Option<&Server>) -> bool {
        let busy = server.map_or(0, |s| s.busy);
        busy < self.each && may_have_more(busy, state.busy, self.most)
    }

    /// Waits for a place. `None` if too many are waiting already.
    pub async fn place(self: &Arc<Self>, server: &Arc<str>) -> Option<CallSlot> {
        let (number, comes) = {
            let mut state = self.state();
            let mine = state.servers.get(server);
            let queued = mine.map_or(0, |s| s.queue.len());
            if queued == 0 && self.may_go(&state, mine) {
                state.go(server);
                return Some(CallSlot { slots: self.clone(), server: server.clone() });
            }
            if queued >= self.waiting_each || !may_have_more(queued, state.waiting, MOST_WAITING_IN_ALL) {
                return None;
            }
            state.wait(server)
        };
        let _waiting = WaitingCall { slots: self, server, number };
        comes.await.ok()
    }

    /// Starts the calls that there is room for, one after another: the first call of the server with the fewest calls in
    /// progress.
    fn next(&self) -> Vec<(Arc<str>, Waiter)> {
        let mut state = self.state();
        let mut all = Vec::new();
        while state.waiting > 0 {
            let may_go = state.servers.iter().filter(|(_, s)| self.may_go(&state, Some(s)));
            let first = may_go.filter_map(|(name, s)| Some((s.busy, s.queue.front()?.number, name.clone()))).min();
            let Some((_, number, name)) = first else { break };
            let Some(waiter) = state.leave(&name, number) else { break };
            state.go(&name);
            all.push((name, waiter));
        }
        all
    }
}

/// Whether a server that has `mine` of the `taken` places gets another one of all `places`.
fn may_have_more(mine: usize, taken: usize, places: usize) -> bool {
    let free = places.saturating_sub(taken);
    if mine == 0 { free > 0 } else { mine + places / LEFT < free }
}

impl State {
    fn go(&mut self, server: &Arc<str>) {
        self.busy += 1;
        self.servers.entry(server.clone()).or_default().busy += 1;
    }

    fn wait(&mut self, server: &Arc<str>) -> (u64, oneshot::Receiver<CallSlot>) {
        let (goes, comes) = oneshot::channel();
        let number = self.waited;
        (self.waited, self.waiting) = (self.waited + 1, self.waiting + 1);
        self.servers.entry(server.clone()).or_default().queue.push_back(Waiter { number, goes });
        (number, comes)
    }

    /// Removes a call from those that are waiting, if it is still one of them.
    fn leave(&mut self, server: &Arc<str>, number: u64) -> Option<Waiter> {
        let queue = &mut self.servers.get_mut(server)?.queue;
        let waiter = queue.iter().position(|w| w.number == number).and_then(|at| queue.remove(at))?;
        self.waiting -= 1;
        self.forget_if_idle(server);
        Some(waiter)
    }

    fn end(&mut self, server: &Arc<str>) {
        if let Some(mine) = self.servers.get_mut(server) {
            mine.busy -= 1;
            self.busy -= 1;
        }
        self.forget_if_idle(server);
    }

    fn forget_if_idle(&mut self, server: &Arc<str>) {
        if self.servers.get(server).is_some_and(|s| s.busy == 0 && s.queue.is_empty()) {
            self.servers.remove(server);
        }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.slots.state().end(&self.server);
        // Without the lock: if the waiter is gone, dropping its place locks it again.
        for (server, waiter) in self.slots.next() {
            let _ = waiter.goes.send(CallSlot { slots: self.slots.clone(), server });
        }
    }
}

/// A waiting call, which can be abandoned.
struct WaitingCall<'a> {
    slots: &'a CallSlots,
    server: &'a Arc<str>,
    number: u64,
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        drop(self.slots.state().leave(self.server, self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::action::http::host::MOST_WAITING;

    type Asking<'a> = Pin<Box<dyn Future<Output = Option<CallSlot>> + 'a>>;

    /// Polls once: `None` while it is waiting.
    fn ask(asking: &mut Asking) -> Option<Option<CallSlot>> {
        match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn name(n: usize) -> Arc<str> {
        n.to_string().into()
    }

    /// Starts as many calls as there is room for, to servers that never answer.
    fn fill(slots: &Arc<CallSlots>, servers: &[Arc<str>]) -> Vec<CallSlot> {
        let mut places = Vec::new();
        for server in servers {
            while let Some(Some(place)) = ask(&mut (Box::pin(slots.place(server)) as Asking)) {
                places.push(place);
            }
        }
        places
    }

    #[test]
    fn there_is_room_for_another_server_while_a_dozen_hang() {
        for hanging in [1, 2, 4, 8, 12] {
            let slots = CallSlots::new(64, 16, MOST_WAITING);
            let names: Vec<Arc<str>> = (0..hanging).map(name).collect();
            let places = fill(&slots, &names);
            assert!(places.len() >= hanging, "{hanging} servers have {}", places.len());
            assert!(matches!(ask(&mut (Box::pin(slots.place(&name(99))) as Asking)), Some(Some(_))), "while {hanging} servers hang");
        }
    }

    #[test]
    fn one_server_gets_all_its_slots_while_there_is_room() {
        assert_eq!(fill(&CallSlots::new(64, 16, MOST_WAITING), &[name(0)]).len(), 16);
        assert_eq!(fill(&CallSlots::new(16, 16, MOST_WAITING), &[name(0)]).len(), 7);
        assert_eq!(fill(&CallSlots::new(1, 1, MOST_WAITING), &[name(0)]).len(), 1);
    }

    #[test]
    fn the_number_of_waiting_calls_is_limited_but_every_server_can_have_one() {
        let (slots, names) = (CallSlots::new(1, 1, MOST_WAITING), (0..30).map(name).collect::<Vec<_>>());
        let _places = fill(&slots, &names);
        let mut waiting: Vec<Asking> = Vec::new();
        for (n, server) in names.iter().enumerate() {
            let before = waiting.len();
            loop {
                let mut asking: Asking = Box::pin(slots.place(server));
                match ask(&mut asking) {
                    None => waiting.push(asking),
                    Some(answer) => break assert!(answer.is_none()),
                }
            }
            assert!((1..=MOST_WAITING).contains(&(waiting.len() - before)), "server {n}");
        }
        assert!(waiting.len() <= MOST_WAITING_IN_ALL);
    }

    #[test]
    fn the_server_with_the_fewest_calls_is_next_and_then_the_call_that_came_first() {
        let (slots, busy, idle) = (CallSlots::new(2, 1, MOST_WAITING), name(0), name(1));
        let mut places = fill(&slots, &[busy.clone(), idle.clone()]);
        let mut waiting: Vec<Asking> = vec![Box::pin(slots.place(&busy)), Box::pin(slots.place(&busy)), Box::pin(slots.place(&idle))];
        assert!(waiting.iter_mut().all(|asking| ask(asking).is_none()));
        // A call to the second server ends: its next call starts, although it came last.
        places.pop();
        let went: Vec<bool> = waiting.iter_mut().map(|asking| matches!(ask(asking), Some(Some(_)))).collect();
        assert_eq!(went, [false, false, true]);
    }

    #[test]
    fn a_call_that_stops_waiting_takes_no_slot_with_it() {
        let (slots, server) = (CallSlots::new(1, 1, MOST_WAITING), name(0));
        let places = fill(&slots, std::slice::from_ref(&server));
        let mut waiting: Vec<Asking> = (0..3).map(|_| Box::pin(slots.place(&server)) as Asking).collect();
        assert!(waiting.iter_mut().all(|asking| ask(asking).is_none()));
        drop(waiting.remove(0));
        assert_eq!(slots.state().waiting, 2);
        // The next call gets the slot, but is dropped before it notices.
        drop(places);
        drop(waiting.remove(0));
        assert!(matches!(ask(&mut waiting[0]), Some(Some(_))), "so the last call gets the slot");
        drop(waiting);
        let state = slots.state();
        assert_eq!((state.busy, state.waiting, state.servers.len()), (0, 0, 0));
    }

    proptest::proptest! {
        /// Calls to six servers start, end, and are dropped in any order.
        #[test]
        fn the_limits_always_hold_and_every_call_is_served(steps in proptest::collection::vec((0..3u8, 0..6usize, 0..64usize), 1..300)) {
            let (slots, names) = (CallSlots::new(8, 4, MOST_WAITING), (0..6).map(name).collect::<Vec<_>>());
            let (mut places, mut waiting): (Vec<CallSlot>, Vec<Asking>) = (Vec::new(), Vec::new());
            for (what, server, n) in steps {
                match what {
                    0 => waiting.push(Box::pin(slots.place(&names[server]))),
                    1 if !places.is_empty() => drop(places.swap_remove(n % places.len())),
                    2 if !waiting.is_empty() => drop(waiting.swap_remove(n % waiting.len())),
                    _ => {}
                }
                waiting.retain_mut(|asking| match ask(asking) {
                    Some(place) => { places.extend(place); false }
                    None => true,
                });
                let state = slots.state();
                proptest::prop_assert!(state.busy == places.len() && state.busy <= 8 && state.waiting == waiting.len());
                proptest::prop_assert!(state.servers.values().all(|s| s.busy <= 4 && s.queue.len() <= MOST_WAITING));
            }
            while !places.is_empty() {
                places.clear();
                waiting.retain_mut(|asking| match ask(asking) {
                    Some(place) => { places.extend(place); false }
                    None => true,
                });
            }
            proptest::prop_assert!(waiting.is_empty());
        }
    }
}
