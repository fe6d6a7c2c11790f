//! SQLite: encryption of what senders, other apps and rules wrote, with the operator's data key.
//!
//! Two functions in the statements: `sealed(value, kind)` when something is written, `opened(value, kind)` when it is read.
//! Without a key both return the value itself. A sealed text begins with [`MARK`], which no JSON begins with; whether the body
//! and the query of an event are sealed can be seen from its headers. Numbers, times, states, paths, rule names, lanes and
//! `once_per` values are not encrypted, because the statements compare them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use super::failures::error;
use super::rows::Sql;
use crate::secret::{DataKey, Key};
use crate::store::contract::{Error, Result};

const MARK: &str = "~";
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

fn sealed(key: &DataKey, call: &Context) -> Sql<Value> {
    let kind = call.get_raw(1).as_str()?;
    Ok(match call.get_raw(0) {
        ValueRef::Text(text) => Value::Text(MARK.to_owned() + &STANDARD_NO_PAD.encode(key.seal(text, kind))),
        ValueRef::Blob(bytes) => Value::Blob(key.seal(bytes, kind)),
        _ => call.get(0)?,
    })
}

/// A text without the mark was stored before there was a key.
fn opened(key: &DataKey, call: &Context) -> Sql<Value> {
    let kind = call.get_raw(1).as_str()?;
    let failed = |why: String| rusqlite::Error::UserFunctionError(why.into());
    Ok(match call.get_raw(0) {
        ValueRef::Text(text) => match str::from_utf8(text).ok().and_then(|text| text.strip_prefix(MARK)) {
            Some(encoded) => {
                let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| failed("an encrypted record is damaged".into()))?;
                let clear = key.open(&bytes, kind).map_err(failed)?;
                Value::Text(String::from_utf8(clear).map_err(|_| failed("an encrypted record is damaged".into()))?)
            }
            None => call.get(0)?,
        },
        ValueRef::Blob(bytes) => Value::Blob(key.open(bytes, kind).map_err(failed)?),
        _ => call.get(0)?,
    })
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
            if sample.is_some() && read("SELECT opened(sample, 'sample') FROM sealing").is_err() {
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
