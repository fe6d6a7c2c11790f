//! What a scheme is: a key of `verify:`, read into a [`Guard`] of [verifiers](super::verifier).

use super::guard::Guard;
use crate::expr::names::Names;
use crate::yaml::fields::Item;

/// A way to verify senders.
pub trait Scheme: Sync {
    /// The key in the rule file.
    fn name(&self) -> &'static str;
    /// The sender's name for people, and notes about its scheme; `None` if it does not belong to one sender.
    fn facts(&self) -> Option<SenderFacts> {
        None
    }
    /// Whether its value is always a map of settings, for editors; others take a secret, or a list of them.
    fn is_map(&self) -> bool {
        false
    }
    /// Reads the value of the key into a guard; problems are reported to the item.
    fn read(&self, item: &Item, known: &Names, public_url: Option<&str>) -> Option<Guard>;
}

/// A sender, as described to people.
pub struct SenderFacts {
    pub title: String,
    /// The fields that contain its own id of a delivery; alternatives are separated by [`OR`](super::OR).
    pub delivery_id: Vec<String>,
    /// How long that is remembered, in hours, if longer than usual.
    pub remembered: Option<u64>,
    /// What to write after `verify:`, on one line.
    pub write: String,
    /// What to paste where at the sender.
    pub paste: String,
    /// How long it waits for an answer; empty if that is not known.
    pub within: String,
    /// What is not verified, and other things to know.
    pub note: String,
}

/// How to fix a name of a sender that is written inside of its scheme.
pub const NAME_OUTSIDE: &str = "write `name:` next to the scheme, not inside of it: { token: { … }, name: … }";

/// What to do on the website of a sender about which nothing else is known.
pub const PASTE: &str = "paste your address, such as https://hooks.example.com/NAME, as the webhook's URL, and copy its signing secret";
