//! What verifies a request: a scheme with its secret. It never fetches anything, but says where its key is published.

use super::key::Key;
use super::location::Location;
use crate::model::request::Request;

/// The maximum number of values built from a body whose sender is not verified yet.
pub(super) const MOST_UNPROVEN: usize = 10_000;

/// A key from the address where its sender publishes it.
#[derive(Clone)]
pub struct Published(pub(super) Key);

impl Published {
    /// Parses a published key. The error is a message for people.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        Key::published(bytes).map(Self)
    }
}

/// The address where a key is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAt {
    /// Set by the scheme or the rule file.
    Fixed(String),
    /// Named by the request, so any caller can make Doorbell fetch any address of this form.
    Named(String),
}

impl KeyAt {
    pub fn address(&self) -> &str {
        match self {
            KeyAt::Fixed(address) | KeyAt::Named(address) => address,
        }
    }
}

/// What a sender has signed, one value for each signature; empty if the sender only sends a secret.
///
/// It is the text that was signed, without any secret and independent of how the signature is encoded: sending the same
/// request again with its signature encoded differently gives the same value.
pub type Signed = Vec<Vec<u8>>;

/// A scheme with its secret.
pub trait Verify: Send + Sync {
    /// Where the key for this request is published, if the sender publishes it; the caller fetches it. The error says why
    /// the request is denied before the key is fetched: all checks that do not need the key come first, because anybody
    /// can send a request and cause a fetch.
    fn key_at(&self, _: &Request) -> Result<Option<KeyAt>, String> {
        Ok(None)
    }
    /// Verifies the request, and returns what its sender has signed. The error is for the operator's log, never for the
    /// sender.
    fn check(&self, request: &Request, published: Option<&Published>) -> Result<Signed, String>;
    /// Where the sender sends a secret in plain text. It is only for verification and nobody needs it afterwards, so it is
    /// redacted there.
    fn secret_at(&self) -> Vec<Location> {
        Vec::new()
    }
    /// Whether it covers the content, so that a repeated request is noticed.
    fn signs(&self) -> bool {
        false
    }
    /// What should have been signed, for people who ask why a request is denied; without any secret, and without anything
    /// that would be accepted as proof.
    fn expected(&self, _: &Request) -> Option<Vec<u8>> {
        None
    }
}
