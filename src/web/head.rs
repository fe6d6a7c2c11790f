//! How large the head of a request may be, whatever version of HTTP it comes by. Who holds whom to it is left to the door and
//! its addresses.

/// The largest head, in bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// The most headers of a request.
pub(super) const MAX_HEADERS: usize = 100;
