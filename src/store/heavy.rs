//! How many large runs are handed out at a time.

/// How many heavy runs a lease may hand out. A run is heavy if its event's body and saved values have more bytes than
/// `above`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heavy {
    pub above: u64,
    pub most: usize,
}

impl Heavy {
    /// No limit.
    pub const ANY: Self = Self { above: u64::MAX, most: usize::MAX };

    /// Whether a run of this size may be leased; a heavy one uses up one of the allowance.
    pub fn takes(&mut self, bytes: u64) -> bool {
        if bytes <= self.above {
            return true;
        }
        let left = self.most.checked_sub(1);
        self.most = left.unwrap_or(0);
        left.is_some()
    }
}
