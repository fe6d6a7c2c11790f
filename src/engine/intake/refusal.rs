//! Why a request is not accepted: what its sender is told, and what is counted. The full reason goes to the operator's log.

use std::time::Duration;

use crate::engine::tallies::of_address::RequestResult;
use crate::model::event::MOST_HOPS;

/// Why a request was not accepted.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// No rule listens at this path.
    NoAddress,
    /// With the methods that the address accepts.
    WrongMethod(Vec<String>),
    /// With the reason, for the operator only.
    Denied(String),
    /// With the limit, in bytes.
    TooLarge(usize),
    Malformed(String),
    TooSlow,
    /// With how long to wait.
    TooOften(Duration),
    /// The script of a web page asks whether it may call, and it may not; with the page's origin.
    OtherPage(String),
    /// The chain of events that led to this request is too long.
    Loop,
    /// With the reason, for the operator only.
    CannotKeep(String),
}

impl Refusal {
    /// What is counted.
    pub(super) fn result(&self) -> RequestResult {
        match self {
            Refusal::NoAddress => RequestResult::NoAddress,
            Refusal::WrongMethod(_) => RequestResult::WrongMethod,
            Refusal::Denied(_) => RequestResult::Denied,
            Refusal::TooLarge(_) => RequestResult::TooLarge,
            Refusal::Malformed(_) => RequestResult::Malformed,
            Refusal::TooSlow => RequestResult::TooSlow,
            Refusal::TooOften(_) => RequestResult::TooOften,
            Refusal::OtherPage(_) => RequestResult::OtherPage,
            Refusal::Loop => RequestResult::Loop,
            Refusal::CannotKeep(_) => RequestResult::NotSaved,
        }
    }

    /// The status, and the sentence that the sender reads.
    pub fn answer(&self) -> (u16, String) {
        match self {
            Refusal::NoAddress => (404, "No rule uses this address.".into()),
            Refusal::WrongMethod(methods) => (405, format!("This address accepts {}.", methods.join(" and "))),
            Refusal::Denied(_) => (401, "denied".into()),
            Refusal::TooLarge(limit) => (413, format!("The body is larger than {limit} bytes.")),
            Refusal::Malformed(why) => (400, why.clone()),
            Refusal::OtherPage(_) => (403, "Scripts of this web page may not call this address.".into()),
            Refusal::TooSlow => (408, "The body did not arrive in time.".into()),
            Refusal::Loop => (508, format!("Doorbell's own calls have reached this address {MOST_HOPS} times; a rule is calling itself.")),
            Refusal::TooOften(_) => (429, "Too many requests; try again later.".into()),
            Refusal::CannotKeep(_) => (503, "The event could not be saved; please retry.".into()),
        }
    }
}
