//! Why a message was not sent, and what that means for its step.

use lettre::transport::smtp::Error;

use crate::action::http::client::Unsent;
use crate::model::outcome::Outcome;

/// Why a message was not sent; the number is what the server answered.
pub(super) enum NotSent {
    Again(String, Option<u16>),
    Never(String, Option<u16>),
    /// It was not tried, or something else went wrong.
    Because(Box<Outcome>),
}

impl From<Unsent> for NotSent {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Again(why) => NotSent::Again(why, None),
            Unsent::Never(why) => NotSent::Never(why, None),
            Unsent::Resting(why, wait) => NotSent::Because(Box::new(Outcome::Paused { why, wait })),
            Unsent::Crowded(wait) => NotSent::Because(Box::new(Outcome::Deferred(wait))),
        }
    }
}

/// What an error of the library means: 5xx answers are not tried again.
pub(super) fn sorted(e: Error) -> NotSent {
    let status = e.status().map(u16::from);
    // The error itself only says of which kind it is.
    let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
    let why = match status {
        Some(status) => format!("the server answered {status} {why}"),
        None => why,
    };
    if e.is_permanent() || e.is_client() { NotSent::Never(why, status) } else { NotSent::Again(why, status) }
}
