//! How calls to each server go, in numbers, for metrics. A server has a name here only if a rule file writes it; all others,
//! which events or settings chose, share one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::tally::{Durations, Tally};

/// The most names; above that, servers are counted with those that have no name.
const MOST: usize = 1_000;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    Success,
    Redirect,
    ClientError,
    ServerError,
    NoAnswer,
    /// Not made, because the server does not answer at present.
    Paused,
    /// Not made yet, because too many calls wait.
    Postponed,
    Refused,
}

impl CallResult {
    pub const ALL: [Self; 8] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError, Self::NoAnswer, Self::Paused, Self::Postponed, Self::Refused];

    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::NoAnswer => "no_answer",
            Self::Paused => "paused",
            Self::Postponed => "postponed",
            Self::Refused => "refused",
        }
    }

    /// The result of a call that was answered.
    pub fn of_status(status: u16) -> Self {
        match status {
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }
}

/// The calls to one server.
#[derive(Debug, Default)]
pub struct OfServer {
    results: [Tally; CallResult::ALL.len()],
    /// How long the calls took that were made.
    pub took: Durations,
}

impl OfServer {
    pub fn count(&self, result: CallResult) {
        self.results[result as usize].one();
    }

    pub fn results(&self) -> impl Iterator<Item = (CallResult, u64)> {
        CallResult::ALL.into_iter().zip(self.results.iter().map(Tally::now))
    }
}

/// The calls to all servers.
#[derive(Debug, Default)]
pub struct Servers {
    named: Mutex<BTreeMap<Arc<str>, Arc<OfServer>>>,
    other: Arc<OfServer>,
}

impl Servers {
    /// The numbers of a server, by the name that a rule file gives it.
    pub fn of(&self, name: Option<&Arc<str>>) -> Arc<OfServer> {
        let Some(name) = name else { return self.other.clone() };
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match named.get(name) {
            Some(server) => server.clone(),
            None if named.len() >= MOST => self.other.clone(),
            None => named.entry(name.clone()).or_default().clone(),
        }
    }

    /// All servers that were called, by name; `None` stands for those without one.
    pub fn all(&self) -> Vec<(Option<Arc<str>>, Arc<OfServer>)> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let named = named.iter().map(|(name, server)| (Some(name.clone()), server.clone()));
        named.chain([(None, self.other.clone())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_number() {
        for (n, result) in CallResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, n, "{result:?}");
        }
    }

    #[test]
    fn servers_without_a_name_share_their_numbers_and_so_do_those_that_are_too_many() {
        let servers = Servers::default();
        for n in 0..MOST + 5 {
            servers.of(Some(&format!("server{n}").into())).count(CallResult::Success);
        }
        servers.of(None).count(CallResult::Success);
        let all = servers.all();
        let succeeded = |server: &OfServer| server.results().find(|(result, _)| *result == CallResult::Success).unwrap().1;
        assert_eq!((all.len(), succeeded(&all.last().unwrap().1)), (MOST + 1, 6));
    }
}
