//! Blocks of a template: `{{#if}}`, `{{#unless}}`, `{{#each}}`, `{{#with}}`, with `{{else}}`.
//!
//! They mean what they mean in Handlebars, but for one thing: no block hides a name. `body.…` is the body everywhere, and
//! what a block is about is `this`, or a name of the author's own (`{{#each body.lines as |line|}}`).

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;

use super::{Piece, Template, Unrendered, What};
use crate::budget::Budget;
use crate::comparison::is_truthy;
use crate::field::{Field, Names, Root};
use crate::known::{BlockNames, Known};
use crate::yaml::fields::Item;

/// The most turns that all `{{#each}}` of one text may take together.
pub const MOST_TURNS: u32 = 100_000;
/// How deep blocks may stand in each other.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    If,
    Unless,
    Each,
    With,
}

const KINDS: [(&str, Kind); 4] = [("if", Kind::If), ("unless", Kind::Unless), ("each", Kind::Each), ("with", Kind::With)];

/// A compiled block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    kind: Kind,
    of: What,
    /// `as |line n|`.
    names: Vec<String>,
    inner: Vec<Piece>,
    otherwise: Vec<Piece>,
    source: Box<str>,
}

/// The turns that were taken so far.
#[derive(Default)]
pub(super) struct Turns(Cell<u32>);

impl Block {
    pub(super) fn fields<'b>(&'b self, out: &mut Vec<&'b Field>) {
        self.of.fields(out);
        self.inner.iter().chain(&self.otherwise).for_each(|p| p.fields(out));
    }
}

/// What a block adds to the names around it.
struct Inside<'a> {
    around: &'a dyn Names,
    names: &'a [String],
    this: &'a Value,
    /// `@index` and its like: of `{{#each}}` only.
    turn: Option<Turn<'a>>,
}

struct Turn<'a> {
    index: usize,
    last: bool,
    key: Option<&'a str>,
}

impl Turn<'_> {
    fn word(&self, word: &str) -> Option<Value> {
        match word {
            "@index" => Some(self.index.into()),
            "@first" => Some((self.index == 0).into()),
            "@last" => Some(self.last.into()),
            _ => self.key.map(Value::from),
        }
    }
}

impl Names for Inside<'_> {
    fn budget(&self) -> &Budget {
        self.around.budget()
    }
    fn root(&self, root: &Root) -> Result<Option<Cow<'_, Value>>, String> {
        match (root, &self.turn) {
            (Root::This, _) => Ok(Some(Cow::Borrowed(self.this))),
            (Root::Loop(word), Some(turn)) => Ok(turn.word(word).map(Cow::Owned)),
            (Root::Named(name), turn) => match (self.names.iter().position(|n| n == name), turn) {
                (Some(0), _) => Ok(Some(Cow::Borrowed(self.this))),
                (Some(_), Some(turn)) => Ok(Some(Cow::Owned(turn.key.map_or_else(|| turn.index.into(), Value::from)))),
                _ => self.around.root(root),
            },
            _ => self.around.root(root),
        }
    }
    fn stand_in(&self, field: &Field) -> Option<Value> {
        self.around.stand_in(field)
    }
}

impl Template {
    /// What a block is about; nothing where it is missing.
    fn about(&self, what: &What, source: &str, names: &dyn Names) -> Result<Option<Value>, Unrendered> {
        match what {
            What::Name(field) => field.value(names).map_err(|why| self.wrong(why)),
            What::Call(_) => self.look(what, source, names).map(Some),
        }
    }

    pub(super) fn block(&self, block: &Block, names: &dyn Names, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        let about = self.about(&block.of, &block.source, names)?;
        match block.kind {
            Kind::If | Kind::Unless => {
                let holds = is_truthy(about.as_ref()) == (block.kind == Kind::If);
                self.render(if holds { &block.inner } else { &block.otherwise }, names, turns, out)
            }
            Kind::With => match about.as_ref().filter(|v| is_truthy(Some(v))) {
                Some(this) => {
                    let inside = Inside { around: names, names: &block.names, this, turn: None };
                    self.render(&block.inner, &inside, turns, out)
                }
                None => self.render(&block.otherwise, names, turns, out),
            },
            Kind::Each => self.each(block, about, names, turns, out),
        }
    }

    fn each(&self, block: &Block, about: Option<Value>, names: &dyn Names, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        let list: Vec<(Option<&str>, &Value)> = match &about {
            None if block.otherwise.is_empty() => {
                let why = match &block.of {
                    What::Name(field) => field.why_missing(names),
                    What::Call(_) => "there is no list".to_owned(),
                };
                return Err(self.wrong(format!("{why}, needed for {}", block.source)));
            }
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(|v| (None, v)).collect(),
            Some(Value::Object(map)) => map.iter().map(|(k, v)| (Some(k.as_str()), v)).collect(),
            Some(one) => vec![(None, one)],
        };
        if list.is_empty() {
            return self.render(&block.otherwise, names, turns, out);
        }
        for (index, (key, this)) in list.iter().enumerate() {
            names.budget().steps(1).map_err(|spent| self.wrong(spent))?;
            turns.0.set(turns.0.get() + 1);
            if turns.0.get() > MOST_TURNS {
                return Err(self.wrong(format!("the blocks of this text took more than {MOST_TURNS} turns")));
            }
            let turn = Turn { index, last: index + 1 == list.len(), key: *key };
            let inside = Inside { around: names, names: &block.names, this, turn: Some(turn) };
            self.render(&block.inner, &inside, turns, out)?;
        }
        Ok(())
    }
}

/// A template while it is read: the blocks that are open, and what stands in them.
pub(super) struct Nest<'n, 'k> {
    item: &'n Item<'n>,
    known: &'n Known<'k>,
    pieces: Vec<Piece>,
    open: Vec<Open>,
}

struct Open {
    block: Block,
    /// What stood before it.
    before: Vec<Piece>,
    /// What stood before `{{else}}`, once that was read.
    inner: Option<Vec<Piece>>,
    /// Opened by `{{else if}}`: closed together with the one around it.
    chained: bool,
}

impl<'n, 'k> Nest<'n, 'k> {
    pub(super) fn new(item: &'n Item<'n>, known: &'n Known<'k>) -> Self {
        Self { item, known, pieces: Vec::new(), open: Vec::new() }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    fn wrong(&self, source: &str, message: impl Into<String>, label: impl Into<String>) -> Option<()> {
        self.item.problem(message).within(source).label(label).add();
        None
    }

    /// `#each body.lines as |line|` -> the kind, what it is about, and its names.
    pub(super) fn head<'t>(&self, inner: &'t str, source: &str) -> Option<(Kind, &'t str, Vec<String>)> {
        let word = inner.split_whitespace().next().unwrap_or("");
        let Some((_, kind)) = KINDS.iter().find(|(w, _)| *w == word) else {
            let said = format!("no block is called `{word}`");
            let near = crate::problem::nearest(word, KINDS.map(|(w, _)| w))
                .map_or("there are: #if, #unless, #each, #with".to_owned(), |n| format!("did you mean `#{n}`?"));
            self.wrong(source, said, near)?;
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
            if crate::field::ROOTS.contains(&name.as_str())
                || super::HELPERS.iter().any(|h| h.name == name)
                || self.known.named.contains(name)
            {
                self.wrong(source, format!("`{name}` is a name already"), "choose another one")?;
            }
        }
        if self.open.len() >= MAX_DEPTH {
            self.wrong(source, "blocks stand too deep in each other", format!("{MAX_DEPTH} are the most"))?;
        }
        Some((*kind, about, names))
    }

    pub(super) fn begin(&mut self, kind: Kind, of: What, names: Vec<String>, source: &str, chained: bool) {
        if matches!(kind, Kind::Each | Kind::With) {
            self.known.blocks.borrow_mut().push(BlockNames { each: kind == Kind::Each, names: names.clone() });
        }
        let block = Block { kind, of, names, inner: Vec::new(), otherwise: Vec::new(), source: source.into() };
        self.open.push(Open { block, before: std::mem::take(&mut self.pieces), inner: None, chained });
    }

    /// `{{else}}`; the names of the block do not reach behind it.
    pub(super) fn otherwise(&mut self, source: &str) -> Option<()> {
        match self.open.last_mut() {
            Some(open) if open.inner.is_none() => {
                open.inner = Some(std::mem::take(&mut self.pieces));
                if matches!(open.block.kind, Kind::Each | Kind::With) {
                    self.known.blocks.borrow_mut().pop();
                }
                Some(())
            }
            Some(_) => self.wrong(source, "there is a second `else` in this block", "take it out"),
            None => self.wrong(source, "this `else` stands in no block", "write {{#if body.…}} before it"),
        }
    }

    /// `{{/each}}`.
    pub(super) fn end(&mut self, word: &str, source: &str) -> Option<()> {
        loop {
            let Some(open) = self.open.pop() else {
                return self.wrong(source, format!("`{{{{/{word}}}}}` closes nothing"), format!("write {{{{#{word} body.…}}}} before it"));
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
                    if matches!(block.kind, Kind::Each | Kind::With) {
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

    /// All pieces; a block that is still open has been told.
    pub(super) fn done(mut self) -> Option<Vec<Piece>> {
        let Some(open) = self.open.last() else { return Some(std::mem::take(&mut self.pieces)) };
        let word = KINDS.iter().find(|(_, k)| *k == open.block.kind).map_or("", |(w, _)| *w);
        self.wrong(&open.block.source, "this block is never closed", format!("write {{{{/{word}}}}} where it ends"))?;
        None
    }
}

impl Drop for Nest<'_, '_> {
    /// Whatever went wrong, what comes after this text is in no block.
    fn drop(&mut self) {
        self.known.blocks.borrow_mut().clear();
    }
}
