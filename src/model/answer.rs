//! What a caller gets: made by rules and by Doorbell itself, stored without the secrets in it.

use crate::secret::{SealedText, Vault};

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: bytes::Bytes,
}

impl Answer {
    /// An answer of Doorbell's own.
    pub fn json(status: u16, word: &str, said: &str) -> Self {
        let body = serde_json::json!({ "status": word, "message": said }).to_string();
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }
    /// What a caller gets whose rule ended without a `respond`.
    pub fn unanswered() -> Self {
        Self::json(500, "failed", "The rule ended without an answer.")
    }
}

/// An answer as it is stored: the secrets in it are named, not written.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SealedAnswer {
    pub status: u16,
    pub headers: Vec<(String, SealedText)>,
    pub body: SealedText,
}

impl SealedAnswer {
    /// Nothing where a secret is in it in a spelling that cannot be named: that answer is not stored.
    pub fn of(answer: &Answer, vault: &Vault) -> Option<Self> {
        let headers = answer.headers.iter().map(|(name, value)| Some((name.clone(), vault.seal(value)?)));
        Some(Self {
            status: answer.status,
            headers: headers.collect::<Option<_>>()?,
            body: vault.seal(str::from_utf8(&answer.body).ok()?)?,
        })
    }

    /// The answer with the secrets as they are now; nothing where one is gone.
    pub fn open(&self, vault: &Vault) -> Option<Answer> {
        let headers = self.headers.iter().map(|(name, value)| Some((name.clone(), vault.unseal(value)?)));
        Some(Answer { status: self.status, headers: headers.collect::<Option<_>>()?, body: vault.unseal(&self.body)?.into() })
    }
}
