//! Finding an event by the first characters of its id, as people type it, and events by the time in their ids.

use jiff::Timestamp;
use uuid::Uuid;

use super::contract::{Error, Result};
use crate::model::event::EventId;

/// The lowest and the highest id that begin with what the user typed.
pub(super) fn ids_that_begin(beginning: &str) -> Result<[Uuid; 2]> {
    let hex: String = beginning.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    if hex.len() < 8 || hex.len() > 32 || beginning.chars().any(|c| !c.is_ascii_hexdigit() && c != '-' && c != '…') {
        return Err(Error::new(
            format!("`{beginning}` is not the id of an event; write one that `doorbell events` lists, or at least its first 8 characters"),
            false,
        ));
    }
    let bound = |fill: &str| {
        let text = format!("{hex}{}", fill.repeat(32 - hex.len()));
        Uuid::parse_str(&text).map_err(|e| Error::new(e.to_string(), false))
    };
    Ok([bound("0")?, bound("f")?])
}

/// The one matching event among those found.
pub(super) fn the_one(beginning: &str, found: &[EventId]) -> Result<EventId> {
    match found {
        [one] => Ok(*one),
        [] => Err(Error::new(format!("there is no event {beginning}; `doorbell events` lists them"), false)),
        _ => Err(Error::new(format!("several events begin with {beginning}; write more characters"), false)),
    }
}

/// The smallest id that an event received at this moment, or later, can have: an id begins with its time, in milliseconds.
pub(super) fn first_id_at(at: Timestamp) -> Uuid {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis & ((1 << 48) - 1)) << 80)
}
