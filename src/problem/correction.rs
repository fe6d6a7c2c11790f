//! A correction of a rule file: text to write in place of other text.
//!
//! Whoever reports a problem can only make a [`Proposal`], which nothing prints. Trying it is the only way to make a
//! [`Correction`] of it, which is shown to people and can be applied. [`super::proof`] tries them.

use std::ops::Range;

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file as the user named it.
    pub file: String,
    /// The bytes to replace, in the text without a BOM.
    pub span: Range<usize>,
    pub text: String,
}

impl Edit {
    /// The text after this change; `None` if it has no such place, or if nothing would change.
    pub fn applied(&self, text: &str) -> Option<String> {
        let (before, after) = (text.get(..self.span.start)?, text.get(self.span.end..)?);
        let old = text.get(self.span.clone())?;
        (old != self.text).then(|| [before, &self.text, after].concat())
    }
}

/// What could be written instead. Nobody has tried it yet.
#[derive(Clone, Debug)]
pub struct Proposal {
    edit: Edit,
    says: String,
    /// Whether it removes the same thing from many lines, so that what is wrong in these was hidden by it.
    is_everywhere: bool,
}

impl Proposal {
    /// `says` is shown to people once the proposal is proven.
    pub fn new(edit: Edit, says: String) -> Self {
        Self { edit, says, is_everywhere: false }
    }

    /// The same, for a change that is made in many lines alike.
    pub fn everywhere(edit: Edit, says: String) -> Self {
        Self { edit, says, is_everywhere: true }
    }

    pub(super) fn edit(&self) -> &Edit {
        &self.edit
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.is_everywhere
    }

    /// The correction, if the proposal is better than what is in the file.
    pub(super) fn tried(self, is_better: impl FnOnce(&Self) -> bool) -> Option<Correction> {
        if is_better(&self) { Some(Correction { edit: self.edit, says: self.says }) } else { None }
    }
}

/// A proposal that was tried: with it, the problem is gone and no new one has come. Only `Proposal::tried` makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    edit: Edit,
    says: String,
}

impl Correction {
    /// What to change.
    pub fn edit(&self) -> &Edit {
        &self.edit
    }
    /// What to write, for people.
    pub fn says(&self) -> &str {
        &self.says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_outside_of_the_text_changes_nothing() {
        let edit = |span, text: &str| Edit { file: "a.yaml".into(), span, text: text.into() };
        assert_eq!(edit(1..2, "é").applied("abc").as_deref(), Some("aéc"));
        assert_eq!(edit(1..9, "x").applied("abc"), None);
        assert_eq!(edit(1..2, "x").applied("é"), None, "inside of a character");
        assert_eq!(edit(0..1, "a").applied("abc"), None);
    }
}
