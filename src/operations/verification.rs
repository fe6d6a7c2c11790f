//! Why a webhook is denied: a request that was captured, checked by the same code as at the door. Never says what a right
//! signature would be.

use serde::Serialize;

use crate::model::request::Request;
use crate::verify::guard::{Guard, Keys};

/// The most of the content to sign that is shown, in characters.
const SHOWN: usize = 300;

/// The result of checking a request.
#[derive(Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Why it is denied; nothing if it is accepted.
    pub denied: Option<String>,
    /// Whether the address accepts every sender.
    pub is_open: bool,
    /// The sender that rules see, where several may call.
    pub sender: Option<String>,
    /// The content that has to be signed, and how many bytes it has.
    pub signed: Option<(String, usize)>,
}

/// Checks a request against the guard of an address, with the keys that its sender publishes.
pub fn verify(guard: &Guard, request: &Request, keys: Result<Keys, String>) -> Verification {
    if guard.is_open() {
        return Verification { denied: None, is_open: true, sender: None, signed: None };
    }
    let (denied, sender) = match keys.and_then(|keys| guard.sender(request, &keys)) {
        Err(why) => (Some(why), None),
        Ok(sender) => (None, sender.filter(|_| guard.senders().len() > 1).map(|name| name.to_string())),
    };
    let signed = denied.as_ref().and_then(|_| guard.expected(request)).map(|signed| (shown(&signed), signed.len()));
    Verification { denied, is_open: false, sender, signed }
}

/// Bytes as text, with everything visible but line breaks.
fn shown(signed: &[u8]) -> String {
    let text = String::from_utf8_lossy(signed);
    let shown: String = text.chars().take(SHOWN).flat_map(|c| if c == '\n' { vec![c] } else { c.escape_debug().collect() }).collect();
    let more = if text.chars().count() > SHOWN { "…" } else { "" };
    format!("{}{more}", shown.replace("\\\"", "\""))
}
