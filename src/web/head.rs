//! The size limits for the head of a request, in any version of HTTP. The listener and the webhook handler enforce them.

/// The maximum size of the head, in bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// The maximum number of headers of a request.
pub(super) const MAX_HEADERS: usize = 100;
