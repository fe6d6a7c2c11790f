//! What a try sent and what came back, whole: kept only where a step says so, because both may be large and private.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::secret::Vault;

/// The most bytes of each.
const MOST: usize = 1 << 20;
/// So many more are looked at, so that a secret that begins before the end is recognized: one has 64 KB at most, and its longest
/// spelling three times as many.
const MORE: usize = 256 << 10;

/// Both, without secrets. Bytes that are no text are shown as such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bodies {
    pub sent: String,
    /// Nothing if there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
}

/// Where an effect leaves them, for the record of its attempt.
#[derive(Debug, Clone, Default)]
pub struct BodiesSlot(Arc<Mutex<Option<Raw>>>);

#[derive(Debug)]
struct Raw {
    sent: Vec<u8>,
    answered: Option<Vec<u8>>,
}

impl BodiesSlot {
    /// Notes what is about to be sent.
    pub fn sends(&self, body: &[u8]) {
        self.set(Some(Raw { sent: beginning(body), answered: None }));
    }

    /// Notes the answer to it.
    pub fn is_answered(&self, body: &[u8]) {
        if let Some(raw) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            raw.answered = Some(beginning(body));
        }
    }

    /// Takes both, without secrets; nothing if nothing was sent.
    pub fn take(&self, vault: &Vault) -> Option<Box<Bodies>> {
        let raw = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let shown = |body: &[u8]| cut(vault.strike(&String::from_utf8_lossy(body)));
        Some(Box::new(Bodies { sent: shown(&raw.sent), answered: raw.answered.as_deref().map(shown) }))
    }

    fn set(&self, raw: Option<Raw>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = raw;
    }
}

fn beginning(body: &[u8]) -> Vec<u8> {
    body.get(..MOST + MORE).unwrap_or(body).to_vec()
}

/// Secrets are struck out before: a part of one would not be recognized.
fn cut(mut text: String) -> String {
    if text.len() > MOST {
        let end = text.floor_char_boundary(MOST);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_kept_without_secrets_and_up_to_a_limit() {
        let slot = BodiesSlot::default();
        let mut vault = Vault::default();
        vault.keep("TOKEN", "s3cr3t-t0ken".to_owned());
        assert_eq!(slot.take(&vault), None);
        slot.sends(b"{\"token\": \"s3cr3t-t0ken\"}");
        slot.is_answered(&[b'a'; MOST + 5]);
        let bodies = slot.take(&vault).unwrap();
        assert_eq!(bodies.sent, "{\"token\": \"***\"}");
        assert_eq!(bodies.answered.map(|text| text.len()), Some(MOST + "…".len()));
        slot.sends(b"");
        assert_eq!(slot.take(&vault), Some(Box::new(Bodies { sent: String::new(), answered: None })));
        assert_eq!(slot.take(&vault), None);
    }
}
