//! How many pages may change while somebody looks at them: so many of one login, and however many are open, only a few parts are
//! made at a time, so that pages which somebody opens are not slower for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// How many streams one login may have open, and how many parts are made at a time for all of them.
const MOST_EACH: usize = 16;
const AT_A_TIME: usize = 2;

/// The streams that are open.
pub struct Streams {
    open: Arc<Mutex<Open>>,
    turns: Semaphore,
}

/// By login, the oldest stream first; each is told when it has to end.
type Open = HashMap<String, VecDeque<Arc<Notify>>>;

impl Default for Streams {
    fn default() -> Self {
        Self { open: Arc::default(), turns: Semaphore::new(AT_A_TIME) }
    }
}

/// An open stream of a login.
pub struct Place {
    of: String,
    end: Arc<Notify>,
    open: Arc<Mutex<Open>>,
}

impl Streams {
    /// A place for one more stream of a login. If it has too many, the oldest one ends: it is often that of a page which was
    /// left, because that shows only when something is sent to it.
    pub fn enter(&self, login: &str) -> Place {
        let end = Arc::new(Notify::new());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = open.entry(login.to_owned()).or_default();
        mine.push_back(end.clone());
        if mine.len() > MOST_EACH
            && let Some(oldest) = mine.pop_front()
        {
            oldest.notify_one();
        }
        Place { of: login.to_owned(), end, open: self.open.clone() }
    }

    /// Waits for the turn to make a part.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }
}

impl Place {
    /// Waits until the stream has to end.
    pub async fn ends(&self) {
        self.end.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = open.get_mut(&self.of) {
            mine.retain(|other| !Arc::ptr_eq(other, &self.end));
            if mine.is_empty() {
                open.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_oldest_stream_of_a_login_ends_when_it_has_too_many() {
        let streams = Streams::default();
        let mut mine: Vec<_> = (0..MOST_EACH).map(|_| streams.enter("a")).collect();
        let other = streams.enter("b");
        mine.push(streams.enter("a"));
        mine[0].ends().await;
        for place in mine[1..].iter().chain([&other]) {
            assert!(tokio::time::timeout(Duration::ZERO, place.ends()).await.is_err(), "only the oldest one");
        }
        drop((mine, other));
        assert!(streams.open.lock().unwrap().is_empty(), "nothing is remembered of those who left");
    }
}
