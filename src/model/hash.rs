//! Names for content: files of rules, requests, what was signed.

/// The id of some content: SHA-256, in hex.
pub fn hash(content: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, content).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}
