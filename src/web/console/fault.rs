//! Why the console cannot show or do something, in words for the person who asked.

use warp::http::StatusCode;

use crate::model::event::EventId;
use crate::store::contract;
use crate::text::printable::one_line;

/// What went wrong.
#[derive(Debug)]
pub enum Fault {
    /// There is no such page or thing.
    NotFound(String),
    /// It was there, and was deleted.
    Gone(String),
    /// What was sent makes no sense.
    Bad(String),
    /// This visitor may not do that.
    Forbidden(String),
    /// Doorbell could not do it now.
    Failed(String),
}

impl Fault {
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::NotFound(_) => StatusCode::NOT_FOUND,
            Fault::Gone(_) => StatusCode::GONE,
            Fault::Bad(_) => StatusCode::BAD_REQUEST,
            Fault::Forbidden(_) => StatusCode::FORBIDDEN,
            Fault::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub fn title(&self) -> &'static str {
        match self {
            Fault::NotFound(_) => "There is nothing here",
            Fault::Gone(_) => "This was deleted",
            Fault::Bad(_) => "This cannot be understood",
            Fault::Forbidden(_) => "You may not do this",
            Fault::Failed(_) => "This did not work",
        }
    }

    pub fn said(&self) -> &str {
        match self {
            Fault::NotFound(said) | Fault::Gone(said) | Fault::Bad(said) | Fault::Forbidden(said) | Fault::Failed(said) => said,
        }
    }

    /// An id that is not there: it was never one, or its event was deleted.
    pub fn no_event(id: &str, why: &str) -> Self {
        match id.parse::<EventId>().is_ok() {
            true => Fault::Gone(
                "There is no event with this id any more. Events are deleted when they are older than --keep says (30 days by default)."
                    .to_owned(),
            ),
            false => Fault::NotFound(format!("{}.", one_line(why))),
        }
    }
}

impl From<contract::Error> for Fault {
    fn from(e: contract::Error) -> Self {
        Fault::Failed(format!("The data folder could not be read or written: {e}"))
    }
}
