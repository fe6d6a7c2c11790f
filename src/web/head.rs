//! The size limits for the head of a request, in any version of HTTP. Enforcing them is left to the listener and the webhook
//! handler.

/// The largest head, in bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// The most headers of a request.
pub(super) const MAX_HEADERS: usize = 100;
