//! Keys that no reader asked for: each is a problem, with what was probably meant.

use super::Node;
use super::below;
use super::fields::{Fields, Item};
use super::locate::PathStep;
use crate::text::nearest::nearest;

impl Fields<'_> {
    /// Reports the keys that no code has asked for. `instead` has words of other tools, each with our key for it, or with a
    /// sentence.
    pub fn done(self, instead: &[(&str, &str)]) {
        let absent: Vec<&str> = self.known.iter().copied().filter(|k| !self.has(k)).collect();
        for (n, (key, node)) in self.entries.iter().enumerate().filter(|(n, _)| !self.taken[*n]) {
            let here = Item { node, path: below(&self.item.path, PathStep::Key(n)), reader: self.item.reader };
            if let Some(plain) = visible(key) {
                here.problem("this name contains an invisible or curly character, as in text pasted from a document")
                    .propose(format!("type the line again by hand, or write `{plain}`"), &plain)
                    .label("type the line again by hand")
                    .unknown_in(&self.item.path)
                    .add();
                continue;
            }
            if key == "<<" {
                here.problem("`<<`, which copies keys from another place in YAML, is not supported")
                    .label("write the keys themselves")
                    .unknown_in(&self.item.path)
                    .add();
                continue;
            }
            if *node == Node::Empty && key.contains([' ', '=', ':']) && self.value(n).is_in_braces() {
                self.value(n).nothing();
                continue;
            }
            let mut draft = here.problem(format!("`{key}` is not a valid key in {}", self.what)).label("choose one of the keys below");
            // Finding out what was meant is only worth while it is shown.
            if !here.shows_more_errors() {
                draft.unknown_in(&self.item.path).add();
                continue;
            }
            let fits = |ours: &str| match ours {
                "json" => matches!(node, Node::Map(_) | Node::List(_)),
                "text" => !matches!(node, Node::Map(_) | Node::List(_)),
                _ => true,
            };
            let mut is_told = false;
            for ours in instead.iter().filter(|(theirs, _)| theirs.eq_ignore_ascii_case(key)).map(|(_, ours)| *ours) {
                draft = match ours.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                    true if fits(ours) => draft.label(format!("the key for this is `{ours}:`")).meant(ours),
                    true => draft,
                    false => {
                        is_told = true;
                        draft.label(ours)
                    }
                };
            }
            // What a sentence says needs no guess.
            if let Some(near) = nearest(key, absent.iter().copied()).filter(|_| !is_told) {
                draft = draft.meant(near);
            }
            // One word too many and one too few is probably one mistake.
            for missing in self.missing.iter().filter(|missing| fits(missing) && !is_told) {
                draft = draft.meant(missing);
            }
            draft.one_level_out().note(format!("valid keys: {}", self.known.join(", "))).unknown_in(&self.item.path).add();
        }
    }
}

/// A name without invisible and curly characters, if it has any.
fn visible(name: &str) -> Option<String> {
    let plain = name.replace('\u{a0}', " ");
    let plain: String = plain
        .chars()
        .filter(|c| !matches!(c, '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '“' | '”' | '‘' | '’' | '„'))
        .collect();
    (plain != name).then(|| plain.trim().to_owned())
}
