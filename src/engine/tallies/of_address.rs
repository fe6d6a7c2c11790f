//! What is counted of one address: what happened to the requests that called it.

use crate::tally::Tally;

/// What happened to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestResult {
    /// It became an event.
    Accepted,
    /// It was the delivery of an earlier event.
    Repeated,
    /// It was a handshake of a sender.
    Handshake,
    NoAddress,
    WrongMethod,
    Denied,
    TooLarge,
    Malformed,
    TooSlow,
    TooOften,
    OtherPage,
    Loop,
    NotSaved,
}

impl RequestResult {
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::Repeated,
        Self::Handshake,
        Self::NoAddress,
        Self::WrongMethod,
        Self::Denied,
        Self::TooLarge,
        Self::Malformed,
        Self::TooSlow,
        Self::TooOften,
        Self::OtherPage,
        Self::Loop,
        Self::NotSaved,
    ];

    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Handshake => "handshake",
            Self::NoAddress => "no_address",
            Self::WrongMethod => "wrong_method",
            Self::Denied => "denied",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::TooOften => "too_often",
            Self::OtherPage => "other_page",
            Self::Loop => "loop",
            Self::NotSaved => "not_saved",
        }
    }
}

/// One address of the rule files, or all others together.
#[derive(Debug, Default)]
pub struct OfAddress {
    results: [Tally; RequestResult::ALL.len()],
    /// Events since the hourly counts were gathered.
    pub(super) events: Tally,
}

impl OfAddress {
    pub fn count(&self, result: RequestResult) {
        self.results[result as usize].one();
    }

    /// How many requests had each result.
    pub fn results(&self) -> impl Iterator<Item = (RequestResult, u64)> {
        RequestResult::ALL.into_iter().zip(self.results.iter().map(Tally::now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_number() {
        for (n, result) in RequestResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, n, "{result:?}");
        }
    }
}
