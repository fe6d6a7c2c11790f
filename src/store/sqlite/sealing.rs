//! SQLite: encryption of what senders, other apps and rules wrote, with the operator's data key.
//!
//! Two functions in the statements: `sealed(value, kind)` when something is written, `opened(value, kind)` when it is read. What
//! every event writes is sealed before it is handed to the writer's thread. Without a key all of them return the value itself. A sealed text begins with [`MARK`], which no JSON begins with; whether the body
//! and the query of an event are sealed can be seen from its headers. Numbers, times, states, paths, rule names, lanes and
//! `once_per` values are not encrypted, because the statements compare them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use super::failures::error;

use crate::secret::{DataKey, Key};
use crate::store::contract::{Error, Result};

pub(super) const MARK: &str = "~";
/// What the store seals to recognise its key.
const SAMPLE: &str = "doorbell";

/// Adds the two functions to a connection.
pub(super) fn register(connection: &Connection, key: &Key) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let Some(key) = key.clone() else {
        connection.create_scalar_function("sealed", 2, flags, |call| Ok(call.get_arg(0))).map_err(error)?;
        return connection.create_scalar_function("opened", 2, flags, |call| Ok(call.get_arg(0))).map_err(error);
    };
    let opening = key.clone();
    connection.create_scalar_function("sealed", 2, flags, move |call| sealed(&key, call)).map_err(error)?;
    connection.create_scalar_function("opened", 2, flags, move |call| opened(&opening, call)).map_err(error)
}

fn sealed(key: &DataKey, call: &Context) -> rusqlite::Result<Value> {
    let kind = call.get_raw(1).as_str()?;
    Ok(match call.get_raw(0) {
        ValueRef::Text(text) => Value::Text(sealed_text(key, text, kind)),
        ValueRef::Blob(bytes) => Value::Blob(key.seal(bytes, kind)),
        _ => call.get(0)?,
    })
}

fn sealed_text(key: &DataKey, text: &[u8], kind: &str) -> String {
    MARK.to_owned() + &STANDARD_NO_PAD.encode(key.seal(text, kind))
}

/// What is stored for a text.
pub(super) fn seal_text(key: &Key, text: String, kind: &str) -> String {
    match key {
        Some(key) => sealed_text(key, text.as_bytes(), kind),
        None => text,
    }
}

/// What is stored for bytes.
pub(super) fn seal_bytes(key: &Key, bytes: &Bytes, kind: &str) -> Bytes {
    key.as_ref().map_or_else(|| bytes.clone(), |key| key.seal(bytes, kind).into())
}

/// A text without the mark was stored before there was a key. What cannot be opened is returned as it is, so that only its own
/// row is unreadable and not the whole query.
fn opened(key: &DataKey, call: &Context) -> rusqlite::Result<Value> {
    let kind = call.get_raw(1).as_str()?;
    let clear = match call.get_raw(0) {
        ValueRef::Text(text) => open_text(key, text, kind).map(Value::Text),
        ValueRef::Blob(bytes) => key.open(bytes, kind).ok().map(Value::Blob),
        _ => None,
    };
    clear.map_or_else(|| call.get(0), Ok)
}

fn open_text(key: &DataKey, text: &[u8], kind: &str) -> Option<String> {
    let encoded = str::from_utf8(text).ok()?.strip_prefix(MARK)?;
    String::from_utf8(key.open(&STANDARD_NO_PAD.decode(encoded).ok()?, kind).ok()?).ok()
}

/// Checks that the store can be read with this key. With `remember`, a store that has none yet belongs to this key from now on.
pub(super) fn check(connection: &Connection, key: &Key, data: &Path, remember: bool) -> Result<()> {
    let read = |text: &str| connection.query_row(text, [], |r| r.get::<_, String>(0)).optional();
    let sample = read("SELECT sample FROM sealing").map_err(error)?;
    let data = data.display();
    match (&sample, key) {
        (Some(_), None) => Err(Error::new(format!("the data in {data} is encrypted; give its key with --data-key FILE"), false)),
        (None, None) => Ok(()),
        (_, Some(_)) => {
            let is_mine = |sample: Option<String>| sample.is_none_or(|sample| sample == SAMPLE);
            if !is_mine(read("SELECT opened(sample, 'sample') FROM sealing").map_err(error)?) {
                let said = format!("the data in {data} is encrypted with another key; give that key, too: --data-key NEW,OLD");
                return Err(Error::new(said, false));
            }
            if remember {
                connection.execute("DELETE FROM sealing", []).map_err(error)?;
                connection.execute("INSERT INTO sealing (sample) VALUES (sealed(?1, 'sample'))", [SAMPLE]).map_err(error)?;
            }
            Ok(())
        }
    }
}
