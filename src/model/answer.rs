//! The answer to a caller: created by rules and by Doorbell itself, and stored without the secrets in it.

use jiff::Timestamp;

use crate::secret::{SealedText, Vault};

/// The answer to a caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: bytes::Bytes,
}

impl Answer {
    /// One of Doorbell's own answers.
    pub fn json(status: u16, word: &str, said: &str) -> Self {
        let body = serde_json::json!({ "status": word, "message": said }).to_string();
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }
    /// The answer if a rule ended without a `respond`.
    pub fn unanswered() -> Self {
        Self::json(500, "failed", "The rule ended without an answer.")
    }
}

/// What the sender of an event was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// This status.
    With(u16),
    /// Nothing: nobody sent it.
    Nobody,
    /// Nothing yet: it waits for a rule until then, and gets 504 after that.
    Until(Timestamp),
}

impl Answered {
    /// The status sent by now, if any.
    pub fn by(self, now: Timestamp) -> Option<u16> {
        match self {
            Answered::With(status) => Some(status),
            Answered::Nobody => None,
            Answered::Until(until) => (until <= now).then_some(LATE),
        }
    }
}

/// The status for a caller whose rule does not answer in time.
pub const LATE: u16 = 504;

/// What the history says of an answer that was sent.
pub fn said(status: u16) -> String {
    format!("answered {status}")
}

/// What the history says of an answer that nobody was waiting for any more.
pub fn said_too_late(status: u16) -> String {
    format!("would have answered {status}, but the caller was no longer waiting")
}

/// An answer as it is stored: secrets in it are referred to by name.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SealedAnswer {
    pub status: u16,
    pub headers: Vec<(String, SealedText)>,
    pub body: SealedText,
}

impl SealedAnswer {
    /// `None` if it contains a secret in an encoding that cannot be referred to by name: such an answer is not stored.
    pub fn of(answer: &Answer, vault: &Vault) -> Option<Self> {
        let headers = answer.headers.iter().map(|(name, value)| Some((name.clone(), vault.seal(value)?)));
        Some(Self {
            status: answer.status,
            headers: headers.collect::<Option<_>>()?,
            body: vault.seal(str::from_utf8(&answer.body).ok()?)?,
        })
    }

    /// The answer with the current values of the secrets; `None` if one of them no longer exists.
    pub fn open(&self, vault: &Vault) -> Option<Answer> {
        let headers = self.headers.iter().map(|(name, value)| Some((name.clone(), vault.unseal(value)?)));
        Some(Answer { status: self.status, headers: headers.collect::<Option<_>>()?, body: vault.unseal(&self.body)?.into() })
    }
}
