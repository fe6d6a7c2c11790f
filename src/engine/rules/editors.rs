//! Who changed rule files through Doorbell since they were read last. Whoever changes them in the folder is not known.

use std::sync::{Mutex, PoisonError};

/// Notes who changes files, until these are read.
#[derive(Debug, Default)]
pub struct Editors(Mutex<Vec<String>>);

impl Editors {
    /// Notes who has changed a file; to be called at once.
    pub fn note(&self, who: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&who) {
            all.push(who);
        }
    }

    /// Who changed the files that are read now; nothing if nobody did that through Doorbell.
    pub fn take(&self) -> Option<String> {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_named_once_until_the_files_are_read() {
        let editors = Editors::default();
        assert_eq!(editors.take(), None);
        ["a", "b", "a"].into_iter().for_each(|who| editors.note(who.to_owned()));
        assert_eq!(editors.take().as_deref(), Some("a and b"));
        assert_eq!(editors.take(), None);
    }
}
