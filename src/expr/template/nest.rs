//! Blocks of a template while it is being parsed: `{{#if}}`, `{{#unless}}`, `{{#each}}`, `{{#with}}`, with `{{else}}`.
//!
//! They work as in Handlebars, with one exception: no block hides a name. `body.…` is the body everywhere, and a block's
//! value is `this`, or a name chosen by the author (`{{#each body.lines as |line|}}`). The names inside a block are in
//! [`super::inside`].

use super::list::HELPERS;
use super::piece::{Block, BlockKind, Piece, What};
use crate::expr::names::{BlockNames, Names};
use crate::yaml::fields::Item;

/// The maximum nesting depth of blocks.
const MAX_DEPTH: usize = 16;

const KINDS: [(&str, BlockKind); 4] =
    [("if", BlockKind::If), ("unless", BlockKind::Unless), ("each", BlockKind::Each), ("with", BlockKind::With)];

/// A template while it is being parsed: the open blocks, and their content.
pub(super) struct Nest<'n, 'k> {
    item: &'n Item<'n>,
    known: &'n Names<'k>,
    pieces: Vec<Piece>,
    open: Vec<Open>,
}

struct Open {
    block: Block,
    /// What came before it.
    before: Vec<Piece>,
    /// What came before `{{else}}`, once that has been parsed.
    inner: Option<Vec<Piece>>,
    /// Opened by `{{else if}}`: closed together with the one around it.
    chained: bool,
}

impl<'n, 'k> Nest<'n, 'k> {
    pub(super) fn new(item: &'n Item<'n>, known: &'n Names<'k>) -> Self {
        Self { item, known, pieces: Vec::new(), open: Vec::new() }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    fn wrong(&self, source: &str, message: impl Into<String>, label: impl Into<String>) -> Option<()> {
        self.item.problem(message).within(source).label(label).add();
        None
    }

    /// Parses `#each body.lines as |line|` into the kind of block, its value, and its names.
    pub(super) fn head<'t>(&self, inner: &'t str, source: &str) -> Option<(BlockKind, &'t str, Vec<String>)> {
        let word = inner.split_whitespace().next().unwrap_or("");
        let Some((_, kind)) = KINDS.iter().find(|(w, _)| *w == word) else {
            let said = format!("there is no block called `{word}`");
            let draft = self.item.problem(said).within(source).label("use #if, #unless, #each or #with");
            match crate::text::nearest::nearest(word, KINDS.map(|(w, _)| w)) {
                Some(near) => draft.propose(format!("did you mean `#{near}`?"), &source.replacen(word, near, 1)).add(),
                None => draft.add(),
            }
            return None;
        };
        let rest = inner.trim_start().strip_prefix(word).unwrap_or("").trim();
        let (about, names) = match rest.split_once(" as |") {
            Some((about, names)) => (about.trim(), names.trim_end().trim_end_matches('|').split_whitespace().map(str::to_owned).collect()),
            None => (rest, Vec::new()),
        };
        if about.is_empty() {
            self.wrong(source, format!("`#{word}` needs a field"), format!("write {{{{#{word} body.…}}}}"))?;
        }
        for name in &names {
            if crate::expr::field::ROOTS.contains(&name.as_str())
                || HELPERS.iter().any(|h| h.name == name)
                || self.known.named.contains(name)
            {
                self.wrong(source, format!("`{name}` is already used as a name"), "choose another name")?;
            }
        }
        if self.open.len() >= MAX_DEPTH {
            self.wrong(source, "blocks are nested too deeply", format!("use at most {MAX_DEPTH} levels"))?;
        }
        Some((*kind, about, names))
    }

    pub(super) fn begin(&mut self, kind: BlockKind, of: What, names: Vec<String>, source: &str, chained: bool) {
        if matches!(kind, BlockKind::Each | BlockKind::With) {
            self.known.blocks.borrow_mut().push(BlockNames { each: kind == BlockKind::Each, names: names.clone() });
        }
        let block = Block { kind, of, names, inner: Vec::new(), otherwise: Vec::new(), source: source.into() };
        self.open.push(Open { block, before: std::mem::take(&mut self.pieces), inner: None, chained });
    }

    /// `{{else}}`; the names of the block are not available after it.
    pub(super) fn otherwise(&mut self, source: &str) -> Option<()> {
        match self.open.last_mut() {
            Some(open) if open.inner.is_none() => {
                open.inner = Some(std::mem::take(&mut self.pieces));
                if matches!(open.block.kind, BlockKind::Each | BlockKind::With) {
                    self.known.blocks.borrow_mut().pop();
                }
                Some(())
            }
            Some(_) => self.wrong(source, "this block has a second `else`", "remove it"),
            None => self.wrong(source, "this `else` is not inside a block", "write {{#if body.…}} before it"),
        }
    }

    /// `{{/each}}`.
    pub(super) fn end(&mut self, word: &str, source: &str) -> Option<()> {
        loop {
            let Some(open) = self.open.pop() else {
                return self.wrong(
                    source,
                    format!("`{{{{/{word}}}}}` has no block to close"),
                    format!("write {{{{#{word} body.…}}}} before it"),
                );
            };
            let mine = KINDS.iter().find(|(_, k)| *k == open.block.kind).map_or("", |(w, _)| *w);
            if !open.chained && mine != word {
                let label = format!("write {{{{/{mine}}}}} first");
                return self.wrong(source, format!("`{{{{/{word}}}}}` closes a `{{{{#{mine}}}}}`"), label);
            }
            let Open { mut block, before, inner, chained } = open;
            let last = std::mem::replace(&mut self.pieces, before);
            match inner {
                Some(inner) => (block.inner, block.otherwise) = (inner, last),
                None => {
                    if matches!(block.kind, BlockKind::Each | BlockKind::With) {
                        self.known.blocks.borrow_mut().pop();
                    }
                    block.inner = last;
                }
            }
            self.pieces.push(Piece::Block(Box::new(block)));
            if !chained {
                return Some(());
            }
        }
    }

    /// All pieces; reports a block that is still open.
    pub(super) fn done(mut self) -> Option<Vec<Piece>> {
        let Some(open) = self.open.last() else { return Some(std::mem::take(&mut self.pieces)) };
        let word = KINDS.iter().find(|(_, k)| *k == open.block.kind).map_or("", |(w, _)| *w);
        self.wrong(&open.block.source, "this block is never closed", format!("write {{{{/{word}}}}} where it ends"))?;
        None
    }
}

impl Drop for Nest<'_, '_> {
    /// Even after an error, the text that is parsed next must not count as inside a block.
    fn drop(&mut self) {
        self.known.blocks.borrow_mut().clear();
    }
}
